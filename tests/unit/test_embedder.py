"""Vectors for vector stores: batches, the cache, one request for equal texts, sizes, texts that are too long."""

import asyncio
import math
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from antiphon.core.errors import (
    EmbeddingMismatch,
    ModelNotFound,
    ProviderContextLength,
    ProviderProtocolError,
    ProviderUnavailable,
)
from antiphon.core.wire import decode_json, encode
from antiphon.embeddings.embedder import AT_ONCE, CatalogEmbedder, VectorCache
from antiphon.embeddings.families import Family, family_of
from antiphon.models.catalog import Catalog, NamedModel
from antiphon.ports import ModelInfo, ModelProvider, Owner
from antiphon.providers.ready import ReadyReply
from antiphon.providers.scripted_vectors import EmbeddingBody, embeddings
from antiphon.storage.vector_cache import SqliteVectorCache
from antiphon.system import SystemClock

OWNER = Owner("acme", "ann")
Answer = Callable[[dict[str, Any]], bytes]


class Vectors:
    """A provider of embeddings that notes what it is asked. `size` is that of its vectors, `limit` how many characters
    of a text it takes; while `gate` is closed it does not answer.
    """

    provider_id = "up"

    def __init__(self, size: int = 8, limit: int = 10_000) -> None:
        self.size = size
        self.limit = limit
        self.failure: Exception | None = None
        self.asked: list[dict[str, Any]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.answer: Answer | None = None
        self.at_once = 0
        self.most_at_once = 0
        self._changed = asyncio.Condition()

    async def until(self, reached: Callable[[], bool]) -> None:
        """Wait for a state of what was asked."""
        async with self._changed, asyncio.timeout(30):
            await self._changed.wait_for(reached)

    @property
    def texts(self) -> list[str]:
        return [text for one in self.asked for text in one["input"]]

    async def open(self, path: str, body: bytes, *, model: str) -> ReadyReply:
        assert path == "/embeddings"
        asked: dict[str, Any] = decode_json(body)
        self.asked.append(asked)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        async with self._changed:
            self._changed.notify_all()
        try:
            await self.gate.wait()
        finally:
            self.at_once -= 1
        if self.failure is not None:
            raise self.failure
        if max(map(len, asked["input"])) > self.limit:
            raise ProviderContextLength("up", "too long", param="input")
        if self.answer is not None:
            return ReadyReply(self.answer(asked))
        return ReadyReply(embeddings(EmbeddingBody(asked["input"], "base64", self.size), model))

    async def list_models(self) -> Sequence[ModelInfo]:
        return [ModelInfo("m"), ModelInfo("nomic-embed-text"), ModelInfo("text-embedding-3-small")]

    async def aclose(self) -> None:
        pass


class MemoryCache:
    def __init__(self) -> None:
        self.kept: dict[bytes, bytes] = {}

    async def get(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        return {key: self.kept[key] for key in keys if key in self.kept}

    async def put(self, vectors: Mapping[bytes, bytes]) -> None:
        self.kept |= vectors


def embedder(
    up: Vectors, cache: VectorCache | None = None, families: Mapping[str, Family] | None = None
) -> CatalogEmbedder:
    named = [NamedModel("other", "up", "m2")]
    catalog = Catalog({"up": cast("ModelProvider", up)}, named, clock=SystemClock())
    return CatalogEmbedder(catalog, cache, families)


def numbers(packed: bytes) -> tuple[float, ...]:
    return struct.unpack(f"<{len(packed) // 4}f", packed)


async def test_a_vector_for_each_text_in_their_order_at_length_1() -> None:
    up = Vectors()
    up.answer = lambda asked: encode(
        {
            "data": [
                {"index": at, "embedding": [float(len(one)), 0.0, 3.0]}
                for at, one in enumerate(asked["input"])
            ]
        }
    )
    found = await embedder(up).embed(OWNER, "up/m", ["four", "a", "four"])
    assert numbers(found[0]) == pytest.approx((0.8, 0.0, 0.6))
    assert found[2] == found[0] != found[1]
    assert all(math.hypot(*numbers(one)) == pytest.approx(1) for one in found)
    assert up.texts == ["four", "a"]
    assert await embedder(up).embed(OWNER, "up/m", []) == []


async def test_many_texts_go_in_batches_several_at_once() -> None:
    up = Vectors()
    up.gate.clear()
    texts = [f"text {at}" for at in range(1000)]
    task = asyncio.create_task(cast("Any", embedder(up).embed(OWNER, "m", texts)))
    await up.until(lambda: up.at_once == AT_ONCE)
    up.gate.set()
    assert len(await task) == 1000
    assert up.most_at_once == AT_ONCE
    assert len(up.asked) == math.ceil(1000 / 32)
    assert sorted(up.texts) == sorted(texts)


async def test_a_batch_is_bounded_in_bytes_too() -> None:
    up = Vectors(limit=10**9)
    await embedder(up).embed(OWNER, "m", ["x" * 300_000, "é" * 60_000, "b" * 60_000, "c"])
    assert [[text[0] for text in one["input"]] for one in up.asked] == [["x"], ["é"], ["b", "c"]]


async def test_what_was_embedded_is_not_asked_for_again_after_a_restart(tmp_path: Path) -> None:
    up = Vectors()
    cache = SqliteVectorCache(tmp_path / "deep" / "vectors.db")
    first = await embedder(up, cache).embed(OWNER, "m", ["one", "two"], dimension=8)
    await cache.aclose()
    cache = SqliteVectorCache(tmp_path / "deep" / "vectors.db")
    again = await embedder(up, cache).embed(OWNER, "m", ["two", "one", "three"], dimension=8)
    await cache.aclose()
    assert list(again[:2]) == [first[1], first[0]]
    assert up.texts == ["one", "two", "three"]


def assert_private(folder: Path) -> None:
    files = list(folder.iterdir())
    assert files
    assert not any(b"secret" in path.read_bytes() for path in files)
    assert not any(path.stat().st_mode & 0o077 for path in files)


async def test_no_text_is_in_the_cache(tmp_path: Path) -> None:
    cache = SqliteVectorCache(tmp_path / "vectors.db")
    await embedder(Vectors(), cache).embed(OWNER, "m", ["a secret"], dimension=8)
    await cache.aclose()
    assert_private(tmp_path)


async def test_tenants_models_and_sizes_share_nothing() -> None:
    up = Vectors()
    made = embedder(up, MemoryCache())
    await made.embed(OWNER, "m", ["text"], dimension=8)
    await made.embed(Owner("acme", "bob"), "m", ["text"], dimension=8)
    assert len(up.asked) == 1
    await made.embed(Owner("other", "ann"), "m", ["text"], dimension=8)
    await made.embed(OWNER, "up/other", ["text"], dimension=8)
    up.size = 4
    await made.embed(OWNER, "m", ["text"], dimension=4)
    assert [one["model"] for one in up.asked] == ["m", "m", "m2", "m"]


async def test_queries_are_remembered_and_never_written() -> None:
    up, cache = Vectors(), MemoryCache()
    made = embedder(up, cache)
    first = await made.embed(OWNER, "m", ["who?"], dimension=8, query=True)
    assert await made.embed(OWNER, "m", ["who?"], dimension=8, query=True) == first
    assert (len(up.asked), cache.kept) == (1, {})


async def test_the_size_that_a_model_has_now_does_not_come_from_the_cache() -> None:
    up, cache = Vectors(), MemoryCache()
    made = embedder(up, cache)
    assert len((await made.embed(OWNER, "m", ["size"]))[0]) == 8 * 4
    up.size = 4
    assert len((await made.embed(OWNER, "m", ["size"]))[0]) == 4 * 4


async def test_equal_texts_at_the_same_time_are_asked_for_once() -> None:
    up = Vectors()
    up.gate.clear()
    made = embedder(up)
    tasks = [
        asyncio.create_task(cast("Any", made.embed(OWNER, "m", ["same", f"own {at}"]))) for at in range(3)
    ]
    await up.until(lambda: len(up.texts) == 4)
    up.gate.set()
    answers = await asyncio.gather(*tasks)
    assert len({answer[0] for answer in answers}) == 1
    assert len({answer[1] for answer in answers}) == 3
    assert up.texts.count("same") == 1


async def test_who_is_cancelled_leaves_the_work_to_those_who_wait_for_it() -> None:
    up = Vectors()
    up.gate.clear()
    made = embedder(up)
    first = asyncio.create_task(cast("Any", made.embed(OWNER, "m", ["same"])))
    await up.until(lambda: up.asked != [])
    second = asyncio.create_task(cast("Any", made.embed(OWNER, "m", ["same"])))
    await asyncio.sleep(0)
    first.cancel()
    up.gate.set()
    assert len((await second)[0]) == 8 * 4
    assert first.cancelled()
    assert up.texts == ["same", "same"]
    assert up.at_once == 0


async def test_everybody_hears_of_a_failure_and_the_next_one_tries_again() -> None:
    up = Vectors()
    up.failure = ProviderUnavailable("up", "down")
    made = embedder(up)
    up.gate.clear()
    calls = [asyncio.create_task(cast("Any", made.embed(OWNER, "m", ["same"]))) for _ in range(3)]
    await up.until(lambda: up.asked != [])
    up.gate.set()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(one) for one in answers] == [ProviderUnavailable] * 3
    up.failure = None
    assert len(await made.embed(OWNER, "m", ["same"])) == 1


async def test_one_batch_that_fails_ends_the_others_and_keeps_what_was_made() -> None:
    up, cache = Vectors(), MemoryCache()
    texts = [f"text {at}" for at in range(100)]

    def answer(asked: dict[str, Any]) -> bytes:
        if "text 99" in asked["input"]:
            raise ProviderUnavailable("up", "down")
        return embeddings(EmbeddingBody(asked["input"], "base64", 8), "m")

    up.answer = answer
    made = embedder(up, cache)
    with pytest.raises(ProviderUnavailable):
        await made.embed(OWNER, "m", texts, dimension=8)
    assert up.at_once == 0
    kept = len(cache.kept)
    assert kept >= 32
    up.answer = None
    up.asked.clear()
    assert len(await made.embed(OWNER, "m", texts, dimension=8)) == 100
    assert len(up.texts) == 100 - kept


async def test_another_size_than_that_of_the_store_is_refused_with_the_way_out() -> None:
    up = Vectors(size=16)
    with pytest.raises(EmbeddingMismatch, match=r'"m" makes vectors of 16 numbers, and 8 .*antiphon reindex'):
        await embedder(up).embed(OWNER, "m", ["text"], dimension=8)
    with pytest.raises(EmbeddingMismatch):
        await embedder(up).embed(OWNER, "text-embedding-3-small", ["text"], dimension=32)


async def test_vectors_of_a_model_that_was_trained_for_it_are_cut() -> None:
    up = Vectors(size=16)
    whole, cut = [
        numbers((await embedder(up).embed(OWNER, "text-embedding-3-small", ["text"], dimension=size))[0])
        for size in (0, 8)
    ]
    assert len(cut) == 8
    assert math.hypot(*cut) == pytest.approx(1)
    assert cut == pytest.approx([one / math.hypot(*whole[:8]) for one in whole[:8]])


async def test_models_are_asked_with_the_prefixes_that_they_were_trained_with() -> None:
    up = Vectors()
    made = embedder(up)
    await made.embed(OWNER, "nomic-embed-text", ["cats"])
    await made.embed(OWNER, "nomic-embed-text", ["cats"], query=True)
    assert up.texts == ["search_document: cats", "search_query: cats"]


async def test_the_operator_decides_about_prefixes_types_and_batches() -> None:
    up = Vectors()
    families = {"nomic-embed-text": Family(query_type="query", document_type="passage", batch=2)}
    made = embedder(up, None, families)
    await made.embed(OWNER, "nomic-embed-text", ["a", "b", "c"])
    assert [(one["input"], one["input_type"]) for one in up.asked] == [
        (["a", "b"], "passage"),
        (["c"], "passage"),
    ]
    await made.embed(OWNER, "m", ["cats"], query=True)
    assert "input_type" not in up.asked[-1]


@pytest.mark.parametrize(
    ("name", "query", "document", "cut"),
    [
        ("nomic-embed-text:latest", "search_query: ", "search_document: ", True),
        ("nomic-ai/nomic-embed-text-v1", "search_query: ", "search_document: ", False),
        ("nomic-embed-text-v1.5.Q8_0", "search_query: ", "search_document: ", True),
        ("intfloat/multilingual-e5-small", "query: ", "passage: ", False),
        ("e5-base-v2", "query: ", "passage: ", False),
        ("BAAI/bge-m3", "", "", False),
        ("snowflake-arctic-embed2", "query: ", "", True),
        ("text-embedding-3-large", "", "", True),
        ("text-embedding-ada-002", "", "", False),
        ("all-minilm:l6-v2", "", "", False),
        ("re5-largest", "", "", False),
    ],
)
def test_families_are_known_by_the_names_that_servers_give_them(
    name: str, query: str, document: str, cut: bool
) -> None:
    family = family_of(name)
    assert (family.query, family.document, family.can_be_cut) == (query, document, cut)


def test_instructed_models_are_told_what_for() -> None:
    for name in ("intfloat/multilingual-e5-large-instruct", "Qwen/Qwen3-Embedding-0.6B"):
        assert family_of(name).query.startswith("Instruct: ")
        assert family_of(name).document == ""


async def test_a_text_too_long_for_its_model_counts_as_a_whole() -> None:
    up = Vectors(limit=1000)
    text = " ".join(f"word{at}" for at in range(500))
    long, other = await embedder(up).embed(OWNER, "m", [text, "word7"])
    parts = [one["input"][0] for one in up.asked if len(one["input"]) == 1 and len(one["input"][0]) <= 1000]
    assert "".join(part for part in parts if part != "word7") == text
    assert math.hypot(*numbers(long)) == pytest.approx(1, abs=1e-6)
    assert long != other
    up.limit = 5
    with pytest.raises(ProviderContextLength):
        await embedder(up).embed(OWNER, "m", [text])


async def test_texts_of_white_space_have_vectors_of_zeros_and_are_never_sent() -> None:
    up = Vectors()
    found = await embedder(up).embed(OWNER, "m", ["", "text", " \n"])
    assert (found[0], found[2]) == (bytes(32), bytes(32))
    assert up.texts == ["text"]
    assert await embedder(up).embed(OWNER, "m", [""], dimension=5) == [bytes(20)]
    assert await embedder(up).embed(OWNER, "m", [""]) == [bytes(32)]


@pytest.mark.parametrize(
    "answer",
    [
        b"no json",
        b'{"data": []}',
        b'{"data": [{"index": 0, "embedding": []}]}',
        b'{"data": [{"index": 0, "embedding": [1e999]}]}',
        b'{"data": [{"index": 0, "embedding": "AAAA"}]}',
        b'{"data": [{"index": 0, "embedding": "AADAfw=="}]}',
        b'{"data": [{"index": 0, "embedding": "****"}]}',
    ],
)
async def test_what_is_no_vector_is_the_fault_of_the_provider(answer: bytes) -> None:
    up = Vectors()
    up.answer = lambda _: answer
    with pytest.raises(ProviderProtocolError, match='"up" answered with what are no embeddings'):
        await embedder(up).embed(OWNER, "m", ["text"])


async def test_a_model_that_is_not_served_is_said_so() -> None:
    with pytest.raises(ModelNotFound):
        await embedder(Vectors()).embed(OWNER, "nobody", ["text"])


# --- the cache's file ------------------------------------------------------------------------------------------
async def test_the_oldest_vectors_go_when_there_is_no_room(tmp_path: Path) -> None:
    cache = SqliteVectorCache(tmp_path / "vectors.db", max_bytes=200_000)
    keys = [at.to_bytes(32) for at in range(300)]
    for key in keys:
        await cache.put({key: bytes(1500)})
    found = await cache.get(keys)
    await cache.aclose()
    assert 50 < len(found) < 140
    assert set(found) == set(keys[-len(found) :])
    assert (tmp_path / "vectors.db").stat().st_size < 260_000


async def test_a_broken_or_locked_file_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "vectors.db"
    path.write_bytes(b"this is no database" * 1000)
    cache = SqliteVectorCache(path)
    assert await cache.get([b"key"]) == {}
    await cache.put({b"key": b"1234"})
    assert await cache.get([b"key"]) == {b"key": b"1234"}
    await cache.clear()
    assert await cache.get([b"key"]) == {}
    await cache.aclose()
    await cache.put({b"key": b"1234"})
    assert await cache.get([b"key"]) == {}
    nowhere = SqliteVectorCache(path / "below" / "a-file.db")
    await nowhere.put({b"key": b"1234"})
    assert await nowhere.get([b"key"]) == {}
    await nowhere.aclose()
