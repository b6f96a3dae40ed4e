"""Whatever is added, removed, cancelled and killed in whatever order: in the end the index holds exactly the chunks of
those files that are completed, as they were asked for last, and the counts are those of the files.
"""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hypothesis import event, given, settings
from hypothesis import strategies as st

from antiphon.core.chunking import chunks
from antiphon.core.chunking_strategy import (
    AutoStrategy,
    ChunkingStrategy,
    StaticSizes,
    StaticStrategy,
)
from antiphon.core.documents import Document
from antiphon.core.errors import InvalidRequest, NotFound
from antiphon.ports import Store
from antiphon.ports.knowledge import FileStatus, KnowledgePage
from antiphon.storage.sqlite import SqliteStore
from antiphon.testing import MemoryStore
from antiphon.testing.store_contract import ALICE
from antiphon.vector_stores.jobs import chunk_id
from antiphon.vector_stores.shapes import (
    CreateFileBatch,
    CreateVectorStore,
    ExpiresAfter,
    UpdateFile,
)
from tests.knowledge_world import LEASE_S, World

TEXTS = (
    "rain",
    " ".join(f"word{number}" for number in range(400)),
    " ".join(f"other{number}" for number in range(700)),
    "BROKEN file",
    "BUG in us",
)
GOOD = 3
SMALL = StaticStrategy(static=StaticSizes(max_chunk_size_tokens=100, chunk_overlap_tokens=0))
FILES = st.integers(0, len(TEXTS) - 1)
STORES = st.integers(0, 1)
FINAL: dict[str, tuple[FileStatus, ...]] = {
    "good": ("completed", "cancelled"),
    "bad": ("failed", "cancelled"),
}


@dataclass(frozen=True, slots=True)
class Add:
    store: int
    files: tuple[int, ...]
    small: bool
    year: int


@dataclass(frozen=True, slots=True)
class Remove:
    store: int
    file: int


@dataclass(frozen=True, slots=True)
class Label:
    store: int
    file: int
    year: int


@dataclass(frozen=True, slots=True)
class CancelNewest:
    """The batch that was made last."""


@dataclass(frozen=True, slots=True)
class DeleteStore:
    store: int


@dataclass(frozen=True, slots=True)
class Expire:
    store: int


@dataclass(frozen=True, slots=True)
class Restart:
    kill: bool


@dataclass(frozen=True, slots=True)
class Trouble:
    """The index, or the embedder, is down for a while."""

    index: int
    embedder: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Let the server get so far."""

    turns: int


Step = Add | Remove | Label | CancelNewest | DeleteStore | Expire | Restart | Trouble | Wait
ADD = st.builds(
    Add, STORES, st.lists(FILES, min_size=1, max_size=4).map(tuple), st.booleans(), st.integers(1, 3)
)
WAIT = st.builds(Wait, st.integers(1, 60))
ANY: tuple[st.SearchStrategy[Step], ...] = (
    *(ADD,) * 6,
    *(WAIT,) * 6,
    *(st.builds(Remove, STORES, FILES),) * 2,
    *(st.builds(Label, STORES, FILES, st.integers(4, 6)),) * 2,
    st.just(CancelNewest()),
    *(st.builds(Restart, st.booleans()),) * 2,
    st.builds(Trouble, st.integers(0, 2), st.integers(0, 2)),
)
END = st.one_of(*(st.just(Wait(1)),) * 6, st.just(DeleteStore(0)), st.just(Expire(1)))
STEPS: st.SearchStrategy[list[Step]] = st.tuples(
    st.tuples(ADD, WAIT, ADD),
    st.lists(st.one_of(*ANY), min_size=3, max_size=14),
    END,
    st.lists(ADD, max_size=1),
).map(lambda parts: [*parts[0], *parts[1], parts[2], *parts[3]])


@dataclass(slots=True)
class Wanted:
    """How a file was asked for last."""

    strategy: ChunkingStrategy
    year: int


class Play:
    """Plays steps, and keeps the naive model beside: what each store was last asked to hold."""

    def __init__(self, store: Store) -> None:
        self.world = World("embedder/small", max_attempts=99, store=store)
        self.file_ids: list[str] = []
        self.store_ids: list[str] = []
        self.gone: set[str] = set()
        self.expired: set[str] = set()
        self.wanted: dict[str, dict[str, Wanted]] = {}
        self.cancelled: set[tuple[str, str]] = set()
        self.batches: list[tuple[str, str]] = []

    async def begin(self) -> None:
        self.file_ids = [await self.world.upload(text) for text in TEXTS]
        self.world.restart()
        for _ in range(2):
            made = await self.world.process.stores.create(
                ALICE, CreateVectorStore(expires_after=ExpiresAfter(anchor="last_active_at", days=300))
            )
            self.store_ids.append(made.id)
            self.wanted[made.id] = {}

    async def step(self, step: Step) -> None:
        try:
            await self._step(step)
        except (NotFound, InvalidRequest) as refused:
            event(f"refused: {type(step).__name__} {refused.param}")

    async def _step(self, step: Step) -> None:
        world = self.world
        files = world.process.store_files
        match step:
            case Add(store=at, files=numbers, small=small, year=year):
                store_id = self.store_ids[at]
                strategy = SMALL if small else AutoStrategy()
                body = CreateFileBatch(
                    file_ids=[self.file_ids[number] for number in numbers],
                    chunking_strategy=strategy,
                    attributes={"year": year},
                )
                batch = await files.create_batch(ALICE, store_id, body)
                self.batches.append((store_id, batch.id))
                for number in numbers:
                    self.wanted[store_id][self.file_ids[number]] = Wanted(strategy, year)
            case Remove(store=at, file=number):
                await files.remove(ALICE, self.store_ids[at], self.file_ids[number])
                del self.wanted[self.store_ids[at]][self.file_ids[number]]
            case Label(store=at, file=number, year=year):
                store_id, file_id = self.store_ids[at], self.file_ids[number]
                await files.update(ALICE, store_id, file_id, UpdateFile(attributes={"year": year}))
                self.wanted[store_id][file_id].year = year
            case CancelNewest():
                if self.batches:
                    store_id, batch_id = self.batches[-1]
                    batch = await files.cancel_batch(ALICE, store_id, batch_id)
                    assert not batch.file_counts.in_progress
            case DeleteStore(store=at):
                await world.process.stores.delete(ALICE, self.store_ids[at])
                self.gone.add(self.store_ids[at])
            case Expire(store=at):
                world.clock.at += 301 * 86_400
                self.expired |= set(self.store_ids) - self.gone
                world.process.ingestion.sweep_soon()
                await world.process.ingestion.interrupt(ALICE, self.store_ids[at])
            case Restart(kill=True):
                await world.process.kill()
                world.clock.at += LEASE_S
                world.restart()
            case Restart():
                await world.process.ingestion.stop()
                world.restart()
            case Trouble(index=index, embedder=embedder):
                world.index.failures, world.embedder.failures = index, embedder
            case Wait(turns=turns):
                for _ in range(turns):
                    await asyncio.sleep(0)

    async def end(self) -> None:
        world = self.world
        world.index.failures = world.embedder.failures = 0
        world.process.ingestion.sweep_soon()
        await world.idle()
        world.process.ingestion.sweep_soon()
        await world.until(self._swept)
        for store_id in self.store_ids:
            await self._check(store_id)
        await world.process.ingestion.stop()

    async def _swept(self) -> bool:
        knowledge = self.world.store.knowledge
        there = await knowledge.find_stores(ALICE, list(self.expired - self.gone))
        return all(one.expired for one in there.values()) and not await knowledge.ending_stores(2**40, 9)

    async def _check(self, store_id: str) -> None:
        world = self.world
        if store_id in self.gone:
            assert store_id not in world.index.data
            return
        rows = await world.store.knowledge.list_files(ALICE, store_id, KnowledgePage(99))
        assert {row.file_id for row in rows} == set(self.wanted[store_id])
        summary = await world.store.knowledge.get_store(ALICE, store_id)
        assert summary is not None
        statuses = Counter(row.status for row in rows)
        counts = summary.counts
        assert (counts.in_progress, counts.completed) == (statuses["in_progress"], statuses["completed"])
        assert (counts.failed, counts.cancelled) == (statuses["failed"], statuses["cancelled"])
        found = world.chunks(store_id)
        if store_id in self.expired:
            assert summary.store.expired
            assert found == {}
            return
        for row in rows:
            kind = "good" if self.file_ids.index(row.file_id) < GOOD else "bad"
            assert row.status in FINAL[kind]
            event(f"ended {row.status}")
        completed = {row.file_id for row in rows if row.status == "completed"}
        assert set(found) == completed
        for file_id in completed:
            wanted = self.wanted[store_id][file_id]
            document = Document(TEXTS[self.file_ids.index(file_id)])
            texts = [one.text for one in chunks(document, wanted.strategy)]
            assert [one.text for one in found[file_id]] == texts
            assert [one.id for one in found[file_id]] == [
                chunk_id(store_id, file_id, number) for number in range(len(texts))
            ]
            assert {one.attributes["year"] for one in found[file_id]} == {wanted.year}


async def play(steps: list[Step], make: Callable[[], Store]) -> None:
    store = make()
    one = Play(store)
    await one.begin()
    for step in steps:
        await one.step(step)
    await one.end()
    await store.aclose()


@settings(max_examples=120, deadline=None)
@given(STEPS)
def test_the_index_holds_exactly_the_chunks_of_the_files_that_are_completed(steps: list[Step]) -> None:
    asyncio.run(play(steps, MemoryStore))


@settings(max_examples=20, deadline=None)
@given(STEPS)
def test_so_it_does_with_rows_in_sqlite(steps: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(steps, lambda: SqliteStore.open(Path(folder) / "antiphon.db")))
