"""Stores embedded anew: all chunks are there before, after, and after whatever went wrong on the way."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any, cast

import pytest

from antiphon.core.errors import (
    AntiphonError,
    Conflict,
    EmbeddingMismatch,
    IndexUnavailable,
    InvalidRequest,
    ProviderUnavailable,
)
from antiphon.core.vectors import packed, unit
from antiphon.ports import Owner
from antiphon.ports.knowledge import Chunk, StoredVectorStore, VectorIndex
from antiphon.providers.scripted_vectors import vector_of
from antiphon.storage.memory import MemoryStore
from antiphon.testing.naive_index import NaiveIndex
from antiphon.vector_stores.indexes import Indexes, collection_of
from antiphon.vector_stores.reindexing import CHUNKS_AT_ONCE, Goal, Reindexing

ANN = Owner("acme", "ann")
COUNT = 2 * CHUNKS_AT_ONCE + 10
SIZES = {"old": 4, "new": 8, "can be cut": 32}


class Killed(BaseException):
    """Nothing of the program's own runs behind this, as behind a kill."""


class Trouble:
    """Stands before something, and fails at the call of this number; a kill goes on failing."""

    def __init__(self, behind: Any, at: list[int], error: BaseException) -> None:
        self._behind = behind
        self._at = at
        self._error = error

    def __getattr__(self, name: str) -> Any:
        method: Any = getattr(self._behind, name)

        async def called(*given: Any, **more: Any) -> Any:
            self._at[0] -= 1
            if self._at[0] == 0 or (self._at[0] < 0 and isinstance(self._error, Killed)):
                raise self._error
            return await method(*given, **more)

        return called


class Embeds:
    async def embed(
        self, owner: Owner, model: str, texts: list[str], *, dimension: int = 0, query: bool = False
    ) -> list[bytes]:
        size = SIZES[model]
        if dimension and dimension != size and model != "can be cut":
            raise EmbeddingMismatch("of another size")
        return [made(text, min(dimension or size, size)) for text in texts]


@cache
def made(text: str, size: int) -> bytes:
    return unit(packed(vector_of(text, size)))


class World:
    def __init__(self) -> None:
        self.store = MemoryStore()
        self.indexes = {"one": NaiveIndex(), "two": NaiveIndex()}
        self.texts = {f"chunk_{at:04}": f"text number {at}" for at in range(COUNT)}
        self.first = StoredVectorStore("vs_a", "mine", 1, 1, b"{}", "one", "old", SIZES["old"])

    async def fill(self) -> None:
        await self.store.knowledge.add_store(ANN, self.first)
        vectors = await Embeds().embed(ANN, "old", list(self.texts.values()))
        chunks = [
            Chunk(
                chunk_id, f"file-{number // 7}", number, text, "about it", vector, {"n": 1.0}, b'{"page":2}'
            )
            for number, ((chunk_id, text), vector) in enumerate(zip(self.texts.items(), vectors, strict=True))
        ]
        await self.indexes["one"].create(collection_of(self.first))
        await self.indexes["one"].put(collection_of(self.first), chunks)

    def work(self, at: int = 0, error: BaseException | None = None) -> Reindexing:
        """With something that fails at the call of this number of index, rows or model."""
        count = [at]
        error = error or IndexUnavailable("down")

        def troubled(one: object) -> Any:
            return Trouble(one, count, error)

        indexes = {name: troubled(index) for name, index in self.indexes.items()}
        return Reindexing(
            troubled(self.store.knowledge),
            Indexes(cast("Mapping[str, VectorIndex]", indexes)),
            troubled(Embeds()),
        )

    async def now(self) -> StoredVectorStore:
        return (await self.store.knowledge.find_stores(ANN, ["vs_a"]))["vs_a"]

    async def assert_whole(self) -> None:
        """The store has all of its chunks, with vectors of its own size, and they are found."""
        store = await self.now()
        index = self.indexes[store.provider_id]
        found = await index.chunks(collection_of(store), None, None, 10_000)
        assert {one.id: one.text for one in found} == self.texts
        assert all(len(one.vector) == 4 * store.dimension for one in found)
        assert {(one.context, one.attributes["n"], one.metadata) for one in found} == {
            ("about it", 1.0, b'{"page":2}')
        }

    def assert_nothing_else(self, store: StoredVectorStore) -> None:
        there = [(name, each) for name, index in self.indexes.items() for each in index.data]
        assert there == [(store.provider_id, collection_of(store).id)]


def quiet(done: int, total: int) -> None:
    assert 0 <= done <= total


@pytest.mark.parametrize(
    ("goal", "place"),
    [
        (Goal(), ("one", "old", 4)),
        (Goal("new"), ("one", "new", 8)),
        (Goal(provider_id="two"), ("two", "old", 4)),
        (Goal("new", "two"), ("two", "new", 8)),
        (Goal(""), ("one", "", 0)),
    ],
)
async def test_a_store_becomes_what_is_wanted(goal: Goal, place: tuple[str, str, int]) -> None:
    world = World()
    await world.fill()
    told: list[tuple[int, int]] = []
    moved = await world.work().reindex(ANN, world.first, goal, lambda done, total: told.append((done, total)))
    assert (moved.provider_id, moved.embedding_model, moved.dimension) == place
    assert (
        await world.now()
        == moved
        == replace(
            world.first, provider_id=place[0], embedding_model=place[1], dimension=place[2], generation=1
        )
    )
    await world.assert_whole()
    world.assert_nothing_else(moved)
    assert (told[0], told[-1]) == ((0, COUNT), (COUNT, COUNT))
    again = await world.work().reindex(ANN, moved, Goal("old", "one"), quiet)
    assert (again.generation, again.dimension) == (2, 4)
    await world.assert_whole()
    world.assert_nothing_else(again)


@pytest.mark.parametrize("kind", ["error", "kill"])
async def test_whatever_fails_on_the_way_nothing_is_lost_and_the_next_run_repairs_it(kind: str) -> None:
    at, outcomes = 0, set[bool]()
    while True:
        at += 1
        world = World()
        await world.fill()
        error = Killed() if kind == "kill" else IndexUnavailable("down")
        try:
            await world.work(at, error).reindex(ANN, world.first, Goal("new", "two"), quiet)
        except (Killed, AntiphonError):
            pass
        else:
            break
        await world.assert_whole()
        before = await world.now()
        outcomes.add(before.generation == 1)
        if kind == "error" and before.generation == 0:
            there = {each for index in world.indexes.values() for each in index.data}
            assert there <= {"vs_a", "vs_a_1"}
        moved = await world.work().reindex(ANN, before, Goal("new", "two"), quiet)
        await world.assert_whole()
        world.assert_nothing_else(moved)
    assert at > 15
    assert outcomes == {True, False}


async def test_a_model_that_fails_leaves_nothing_behind() -> None:
    world = World()
    await world.fill()
    work = world.work(2, ProviderUnavailable("up", "down"))
    work = replace(
        work, indexes=Indexes(cast("Mapping[str, VectorIndex]", world.indexes)), records=world.store.knowledge
    )
    with pytest.raises(ProviderUnavailable):
        await work.reindex(ANN, world.first, Goal("new"), quiet)
    assert await world.now() == world.first
    world.assert_nothing_else(world.first)


async def test_a_store_that_somebody_writes_to_meanwhile_stays_as_it_was() -> None:
    world = World()
    await world.fill()

    class Meddling(Embeds):
        async def embed(self, *given: Any, **more: Any) -> list[bytes]:
            collection = collection_of(world.first)
            late = Chunk("chunk_0000_late", "file-0", 0, "late", "", packed([1, 0, 0, 0]))
            if more:  # for its chunks, not for the size of the model's vectors
                await world.indexes["one"].put(collection, [late])
            return await super().embed(*given, **more)

    with pytest.raises(Conflict, match="written to meanwhile"):
        await replace(world.work(), embedder=Meddling()).reindex(ANN, world.first, Goal("new"), quiet)
    assert await world.now() == world.first
    assert len(world.indexes["one"].data["vs_a"]) == COUNT + 1


@pytest.mark.parametrize(("model", "size"), [("can be cut", 4), ("new", 8)])
async def test_a_store_keeps_its_size_where_its_model_can_have_it(model: str, size: int) -> None:
    world = World()
    world.first = replace(world.first, embedding_model=model)
    await world.store.knowledge.add_store(ANN, world.first)
    await world.indexes["one"].create(collection_of(world.first))
    moved = await world.work().reindex(ANN, world.first, Goal(), quiet)
    assert moved.dimension == size


async def test_unknown_indexes_and_deleted_stores_are_refused() -> None:
    world = World()
    await world.fill()
    with pytest.raises(InvalidRequest, match=r'no vector index "three".*one, two'):
        await world.work().reindex(ANN, world.first, Goal(provider_id="three"), quiet)
    await world.store.knowledge.delete_store(ANN, "vs_a")
    with pytest.raises(Conflict):
        await world.work().reindex(ANN, world.first, Goal("new"), quiet)
