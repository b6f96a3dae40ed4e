"""What is measured of one index: how good its answers are, how long they take, what filling it costs."""

import asyncio
import math
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from antiphon.core.ranking import Found, best, fused, keyword_scores, similarities
from antiphon.ports.knowledge import Chunk, Collection, Hit, VectorIndex
from bench.retrieval.corpus import Corpus, Piece, Question, Text, cut
from bench.retrieval.embedding import DIMENSION, Embedding, Matrix

DEPTH = 50
"""How many hits each half of a hybrid search is asked for, as the server does for ten results."""
BATCH = 256
AT = 10
STORE = "vs_bench"


@dataclass(slots=True)
class Quality:
    """Means over questions."""

    recall: list[float] = field(default_factory=list[float])
    gain: list[float] = field(default_factory=list[float])
    seconds: list[float] = field(default_factory=list[float])
    cpu_seconds: list[float] = field(default_factory=list[float])

    def note(self, found: Sequence[str], answers: frozenset[str], seconds: float, cpu_seconds: float) -> None:
        best = found[:AT]
        self.recall.append(len(answers & set(best)) / min(AT, len(answers)))
        gain = sum(1 / math.log2(place + 2) for place, one in enumerate(best) if one in answers)
        self.gain.append(gain / sum(1 / math.log2(place + 2) for place in range(min(AT, len(answers)))))
        self.seconds.append(seconds)
        self.cpu_seconds.append(cpu_seconds)

    def ms(self, share: float) -> float:
        """The time that this share of the questions took at most."""
        return _at(share, self.seconds)

    def cpu_ms(self, share: float) -> float:
        """The same of the time that this process worked, which other work on the machine disturbs less."""
        return _at(share, self.cpu_seconds)


def _at(share: float, seconds: Sequence[float]) -> float:
    ordered = sorted(seconds)
    return 1e3 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@dataclass(slots=True)
class Measured:
    """`quality` by mode and kind of question, kind "" for all of them. Rates are chunks per second."""

    index: str
    quality: dict[tuple[str, str], Quality] = field(default_factory=dict[tuple[str, str], Quality])
    text_rate: float = 0.0
    vector_rate: float = 0.0
    prefilter: float = 0.0
    disk_mb: float = 0.0
    memory_mb: float = 0.0


@dataclass(frozen=True, slots=True)
class Prepared:
    """A corpus with its vectors, and those of its questions."""

    corpus: Corpus
    vectors: Matrix
    asked: Matrix

    @classmethod
    def of(cls, corpus: Corpus) -> "Prepared":
        embedding = Embedding(piece.text for piece in corpus.pieces)
        vectors = embedding.matrix([piece.text for piece in corpus.pieces])
        return cls(corpus, vectors, embedding.matrix([one.text for one in corpus.questions]))


async def measured(name: str, index: VectorIndex, prepared: Prepared, folder: Path) -> Measured:
    result = Measured(name)
    result.text_rate = await _text_rate(index, prepared.corpus.texts)
    before = _rss_mb()
    collection = Collection(STORE, DIMENSION)
    await index.create(collection)
    result.vector_rate = await _fill(index, collection, prepared)
    await _questions(index, collection, prepared, result)
    result.prefilter = await _exactness(index, collection, prepared)
    result.memory_mb = max(0.0, _rss_mb() - before)
    result.disk_mb = _size_mb(folder)
    return result


# --- filling --------------------------------------------------------------------------------------------------
async def _text_rate(index: VectorIndex, texts: Sequence[Text]) -> float:
    """Text to chunks to the index, without vectors; what is measured is removed again."""
    collection = Collection("vs_bench_text", 0)
    await index.create(collection)
    started, count, waiting = time.perf_counter(), 0, list[Chunk]()
    for text in texts:
        waiting += [_chunk(piece, b"") for piece in cut(text)]
        if len(waiting) >= BATCH:
            await index.put(collection, waiting)
            count, waiting = count + len(waiting), []
    await index.put(collection, waiting)
    rate = (count + len(waiting)) / (time.perf_counter() - started)
    await index.drop(collection)
    return rate


async def _fill(index: VectorIndex, collection: Collection, prepared: Prepared) -> float:
    pieces, started = prepared.corpus.pieces, time.perf_counter()
    for start in range(0, len(pieces), BATCH):
        rows = prepared.vectors[start : start + BATCH]
        batch = zip(pieces[start : start + BATCH], rows, strict=True)
        await index.put(collection, [_chunk(piece, row.astype("<f4").tobytes()) for piece, row in batch])
    return len(pieces) / (time.perf_counter() - started)


def _chunk(piece: Piece, vector: bytes) -> Chunk:
    return Chunk(piece.id, piece.document, piece.number, piece.text, vector=vector)


# --- asking ---------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class _Asking:
    """One question, in each of the three ways."""

    index: VectorIndex
    collection: Collection
    text: str
    vector: bytes

    async def keyword(self) -> list[str]:
        return _ids(await self.index.keyword(self.collection, self.text, AT))

    async def nearest(self) -> list[str]:
        return _ids(await self.index.nearest(self.collection, self.vector, AT))

    async def hybrid(self) -> list[str]:
        """As the server joins the two."""
        words, near = await asyncio.gather(
            self.index.keyword(self.collection, self.text, DEPTH),
            self.index.nearest(self.collection, self.vector, DEPTH),
        )
        found = [((STORE, hit.chunk.id), hit.score, hit.chunk.searched) for hit in words]
        close = similarities({(STORE, hit.chunk.id): hit.score for hit in near})
        scores = fused([Found(keyword_scores(self.text, [found])), Found(close)], "rrf")
        return [key[1] for key, _ in best(scores, AT)]


async def _questions(
    index: VectorIndex, collection: Collection, prepared: Prepared, result: Measured
) -> None:
    for question, row in zip(prepared.corpus.questions, prepared.asked, strict=True):
        one = _Asking(index, collection, question.text, row.astype("<f4").tobytes())
        await _one(result, question, "keyword", one.keyword)
        await _one(result, question, "vector", one.nearest)
        await _one(result, question, "hybrid", one.hybrid)


async def _one(
    result: Measured, question: Question, mode: str, ask: Callable[[], Awaitable[list[str]]]
) -> None:
    started, worked = time.perf_counter(), time.process_time()
    found = await ask()
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - worked
    for kind in (question.kind, ""):
        quality = result.quality.setdefault((mode, kind), Quality())
        quality.note(found, question.answers, seconds, cpu_seconds)


def _ids(hits: Sequence[Hit]) -> list[str]:
    return [hit.chunk.id for hit in hits]


async def _exactness(index: VectorIndex, collection: Collection, prepared: Prepared) -> float:
    """The share of the ten nearest of each question, by every vector compared, that the index finds."""
    found = 0.0
    numbers: Any = {piece.id: at for at, piece in enumerate(prepared.corpus.pieces)}
    for asked in prepared.asked:
        scores = prepared.vectors @ asked
        least = np.partition(scores, -min(AT, len(scores)))[-min(AT, len(scores))] - 1e-6
        hits = await index.nearest(collection, asked.astype("<f4").tobytes(), AT)
        found += sum(scores[numbers[hit.chunk.id]] >= least for hit in hits) / min(AT, len(scores))
    return found / len(prepared.asked)


def _size_mb(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def _rss_mb() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
