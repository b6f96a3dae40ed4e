"""`Records`: the chunks of one collection as records of Chroma, and filters as its conditions."""

import asyncio
import base64
import heapq
import math
import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar, assert_never

import msgspec

from antiphon.core.filters import AttributeFilter, Attributes
from antiphon.core.vectors import packed, unpacked
from antiphon.core.words import words_in
from antiphon.indexes.chroma_http import ChromaServer
from antiphon.indexes.flat_attributes import (
    Every,
    Field,
    OneOf,
    Ordered,
    Plain,
    Some,
    Tie,
    begins_alike,
    fields_of,
    plain,
    sortable,
    ties,
)
from antiphon.ports.knowledge import Chunk, Hit

T = TypeVar("T")
Where: TypeAlias = dict[str, Any]
"""A condition in Chroma's language."""

OFTEN: Final = 3
"""A chunk that has a word so often has it twice in its list: once more with a mark."""
OFTEN_MARK: Final = "*"
BATCH_ROWS: Final = 1_000
BATCH_FLOATS: Final = 2_000_000

# Names in the metadata of a record. Attributes have names with a colon: `text:author`.
CHUNK, FILE, _CONTEXT, _METADATA, _WORDS, _ATTRIBUTES = (
    "chunk", "file", "context", "metadata", "words", "attributes",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Kept:
    """A collection as Chroma has it."""

    id: str
    dimension: int


class Place(msgspec.Struct, array_like=True, frozen=True, order=True):
    """Where a chunk stands among the others. A record's id is this in JSON: ids are what Chroma lists fastest."""

    file_id: str
    number: int
    id: str


place_of = msgspec.json.Decoder(Place).decode


class Records:
    """The records of one collection."""

    def __init__(self, server: ChromaServer, kept: Kept) -> None:
        self._server = server
        self._kept = kept

    async def _ask(self, action: str, **body: object) -> Any:
        return await self._server.ask("POST", "collections", self._kept.id, action, body=body)

    async def count(self) -> int:
        return int(await self._server.ask("GET", "collections", self._kept.id, "count"))

    async def names(self, where: Where | None) -> list[str]:
        """The ids of records that pass."""
        found: list[str] = (await self._ask("get", where=where, include=[]))["ids"]
        return found

    async def places(self, where: Where | None) -> list[Place]:
        return [place_of(name) for name in await self.names(where)]

    async def holding(self, words: Sequence[str], condition: Where | None) -> Sequence[Sequence[str]]:
        """For each word the ids of the records that pass and have it in their lists."""
        asked = [{_WORDS: {"$contains": word}} for word in words]
        return await asyncio.gather(*[self.names(_both(one, condition)) for one in asked])

    async def texts(self, names: Sequence[str]) -> Mapping[str, str]:
        found = await self._ask("get", ids=names, include=["documents"])
        return dict(zip(found["ids"], found["documents"], strict=True))

    async def condition(self, where: AttributeFilter | None) -> Where | None:
        if where is None:
            return None
        tied: dict[Tie, list[str]] = {}
        for tie in ties(where):
            found = await self._ask("get", where=_where(begins_alike(tie)), include=["metadatas"])
            key = _field(Field("text", tie[0]))
            tied[tie] = [one[key] for one in found["metadatas"]]
        return _where(plain(where, tied))

    # --- writing
    async def put(self, chunks: Sequence[Chunk]) -> None:
        names = [_record(one) for one in chunks]
        there = await self.names({CHUNK: {"$in": [one.id for one in chunks]}})
        old = await self._metadata([name for name in there if name in set(names)])
        rows = await asyncio.to_thread(_metadatas, chunks) if len(chunks) > 20 else _metadatas(chunks)
        # What is put is joined with what is there; a key that is null goes.
        metadatas = [dict.fromkeys(old.get(name, ())) | row for name, row in zip(names, rows, strict=True)]
        await self._ask(
            "upsert",
            ids=names,
            embeddings=[base64.b64encode(one.vector or bytes(4)).decode() for one in chunks],
            documents=[one.searched for one in chunks],
            metadatas=metadatas,
        )
        moved = [name for name in there if name not in set(names)]
        if moved:
            await self.delete(ids=moved)

    async def _metadata(self, names: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        if not names:
            return {}
        found = await self._ask("get", ids=names, include=["metadatas"])
        return dict(zip(found["ids"], found["metadatas"], strict=True))

    async def delete(self, **which: object) -> None:
        await self._ask("delete", **which)

    async def set_attributes(self, file_id: str, attributes: Attributes) -> None:
        new = _attributes(attributes)
        for some in slices(await self.names({FILE: file_id}), BATCH_ROWS):
            old = await self._metadata(some)
            changed = [{key: None for key in old.get(name, ()) if ":" in key} | new for name in some]
            await self._ask("update", ids=some, metadatas=changed)

    # --- reading
    async def read(self, places: Sequence[Place], *, vectors: bool) -> list[Chunk]:
        """Chunks in this order; those that went meanwhile are left out."""
        names = [_record(one) for one in places]
        include = ["documents", "metadatas", *(["embeddings"] if vectors and self._kept.dimension else [])]
        if not names:
            return []
        found = await self._ask("get", ids=names, include=include)
        embeddings = found["embeddings"] or [()] * len(found["ids"])
        rows = zip(found["ids"], found["documents"], found["metadatas"], embeddings, strict=True)
        chunks = {row[0]: _chunk(*row) for row in rows}
        return [chunks[name] for name in names if name in chunks]

    async def hits(self, scores: Mapping[Place, float], limit: int) -> list[Hit]:
        """The best of these."""
        best = heapq.nsmallest(limit, scores, key=lambda place: (-scores[place], place))
        return [
            Hit(chunk, scores[Place(chunk.file_id, chunk.number, chunk.id)])
            for chunk in await self.read(best, vectors=False)
        ]

    async def query(self, vector: bytes, limit: int, condition: Where | None) -> list[Hit]:
        found = await self._ask(
            "query",
            query_embeddings=[unpacked(vector).tolist()],
            n_results=limit,
            where=condition,
            include=["distances", "documents", "metadatas"],
        )
        rows = zip(*(found[key][0] for key in ("ids", "documents", "metadatas", "distances")), strict=True)
        return [
            Hit(_chunk(name, text, metadata, ()), 1.0 - distance) for name, text, metadata, distance in rows
        ]

    async def compared(self, vector: bytes, places: Sequence[Place]) -> Mapping[Place, float]:
        """The cosines of these."""
        asked = unpacked(vector).tolist()
        scores: dict[Place, float] = {}
        for some in slices(places, max(1, BATCH_FLOATS // max(len(asked), 1))):
            found = await self._ask("get", ids=[_record(one) for one in some], include=["embeddings"])
            cosines = await asyncio.to_thread(_cosines, asked, found["embeddings"])
            scores |= zip(map(place_of, found["ids"]), cosines, strict=True)
        return scores


def slices(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


# --- records ----------------------------------------------------------------------------------------------------
def _record(one: Chunk | Place) -> str:
    return msgspec.json.encode((one.file_id, one.number, one.id)).decode()


def _metadatas(chunks: Sequence[Chunk]) -> list[dict[str, Any]]:
    return [_metadata_of(one) for one in chunks]


def _metadata_of(one: Chunk) -> dict[str, Any]:
    words = words_in(one.searched)
    often = [word + OFTEN_MARK for word, times in words.items() if times >= OFTEN]
    return {
        CHUNK: one.id,
        FILE: one.file_id,
        _CONTEXT: one.context or None,
        _METADATA: one.metadata.decode(),
        _WORDS: [*words, *often] or None,
        **_attributes(one.attributes),
    }


def _attributes(attributes: Attributes) -> dict[str, Any]:
    flat = {_field(field): _value(field, value) for field, value in fields_of(attributes)}
    return flat | {_ATTRIBUTES: msgspec.json.encode(attributes).decode() if attributes else None}


def _chunk(name: str, text: str, metadata: Mapping[str, Any], vector: Sequence[float]) -> Chunk:
    place = place_of(name)
    context: str = metadata.get(_CONTEXT) or ""
    given = metadata.get(_ATTRIBUTES)
    return Chunk(
        place.id,
        place.file_id,
        place.number,
        text[len(context) + 2 :] if context else text,
        context,
        packed(vector),
        msgspec.json.decode(given, type=dict[str, bool | float | str]) if given else {},
        metadata[_METADATA].encode(),
    )


# --- conditions -------------------------------------------------------------------------------------------------
def _field(field: Field) -> str:
    return f"{field.kind}{field.piece or ''}:{field.key}"


def _value(field: Field, value: Any) -> Any:
    """Numbers are kept as whole ones of 64 bits, which every JSON parser reads exactly."""
    return sortable(value) if field.kind == "number" else value


def _where(condition: Plain) -> Where:
    match condition:
        case OneOf(field, values, negated):
            kept = [_value(field, value) for value in values]
            return {_field(field): {"$nin" if negated else "$in": kept}}
        case Ordered(field, sign, value):
            return {_field(field): {f"${sign}": _value(field, value)}}
        case Every(parts):
            return _joined("$and", [_where(one) for one in parts])
        case Some(parts):
            return _joined("$or", [_where(one) for one in parts])
        case _:
            assert_never(condition)


def _joined(operator: str, parts: list[Where]) -> Where:
    return parts[0] if len(parts) == 1 else {operator: parts}


def _both(one: Where, other: Where | None) -> Where:
    return one if other is None else {"$and": [one, other]}


def _cosines(asked: Sequence[float], vectors: Sequence[Sequence[float]]) -> list[float]:
    return [math.fsum(map(operator.mul, asked, vector)) for vector in vectors]
