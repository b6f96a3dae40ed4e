"""A small server of vector stores in memory: its parts are real but for the index, the extractor and the embedder."""

import asyncio
import struct
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from antiphon.blobs.memory import MemoryBlobs
from antiphon.core.documents import Document
from antiphon.core.errors import IndexUnavailable, ProviderUnavailable
from antiphon.core.searching import SearchAnswer, SearchRequest
from antiphon.files.service import FileService
from antiphon.models.catalog import Catalog
from antiphon.ports import Owner, Store
from antiphon.ports.knowledge import Chunk, Collection, Unreadable, VectorIndex, VectorStoreRecords
from antiphon.testing import FakeClock, FakeIds, MemoryStore, scripted_model
from antiphon.testing.naive_index import NaiveIndex
from antiphon.testing.store_contract import ALICE
from antiphon.vector_stores.indexes import Indexes
from antiphon.vector_stores.ingestion import Ingestion, IngestionTimes
from antiphon.vector_stores.jobs import Jobs
from antiphon.vector_stores.service import EmbeddingDefaults, VectorStores
from antiphon.vector_stores.shapes import CreateVectorStore
from antiphon.vector_stores.store_files import StoreFiles

DIMENSION = 4
LEASE_S = 60


@dataclass(slots=True)
class PlainText:
    """An `Extractor` of texts. What a text says first decides how it goes; while `gate` is shut, all wait."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    begun: list[str] = field(default_factory=list[str])

    async def extract(self, content: AsyncIterable[bytes], filename: str, media_type: str) -> Document:
        del media_type
        self.begun.append(filename)
        text = b"".join([piece async for piece in content]).decode()
        await self.gate.wait()
        match text.partition(" ")[0]:
            case "BROKEN":
                raise Unreadable("invalid_file", "it is broken")
            case "IMAGE":
                raise Unreadable("unsupported_file", "it is an image")
            case "BUG":
                raise RuntimeError("a bug")
            case _:
                return Document(text)

    async def aclose(self) -> None:
        """There is nothing to let go of."""


@dataclass(slots=True)
class Embedding:
    """An `Embedder` of what a text begins with. It is down for the next `failures` calls."""

    failures: int = 0
    embedded: list[str] = field(default_factory=list[str])

    async def embed(
        self, owner: Owner, model: str, texts: Sequence[str], *, dimension: int = 0, query: bool = False
    ) -> Sequence[bytes]:
        del owner, model, dimension, query
        if self.failures:
            self.failures -= 1
            raise ProviderUnavailable("embedder", "the embedder is down.")
        self.embedded += texts
        return [
            struct.pack("<4f", *(ord(sign) for sign in text[:DIMENSION].ljust(DIMENSION))) for text in texts
        ]


class FragileIndex(NaiveIndex):
    """One that is down for the next `failures` writes, and takes `slow` turns of the loop to put chunks."""

    failures = 0
    slow = 12

    def _fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise IndexUnavailable("the index is down.")

    async def put(self, collection: Collection, chunks: Sequence[Chunk]) -> None:
        self._fail()
        for _ in range(self.slow):
            await asyncio.sleep(0)
        await super().put(collection, chunks)

    async def remove_file(self, collection: Collection, file_id: str) -> None:
        self._fail()
        await asyncio.sleep(0)
        await super().remove_file(collection, file_id)

    async def drop(self, collection: Collection) -> None:
        self._fail()
        await super().drop(collection)


class _Mortal:
    """Whatever is asked of `inner` by a process; once that is dead, nothing is done any more."""

    def __init__(self, inner: object, process: "Process") -> None:
        self._inner = inner
        self._process = process

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)

        async def asked(*args: object, **more: object) -> object:
            if self._process.dead:
                raise RuntimeError("the process was killed")
            return await found(*args, **more)

        return asked


class NoSearch:
    """A `Searcher` that finds nothing, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[SearchRequest] = []

    async def search(self, owner: Owner, request: SearchRequest) -> SearchAnswer:
        del owner
        self.asked.append(request)
        return SearchAnswer((), request.queries)


class Process:
    """One server over a world's store, index and files."""

    def __init__(self, world: "World") -> None:
        self.dead = False
        records = cast("VectorStoreRecords", _Mortal(world.store.knowledge, self))
        indexes = Indexes(
            {name: cast("VectorIndex", _Mortal(one, self)) for name, one in world.indexes.items()}
        )
        catalog = Catalog(
            {"scripted": scripted_model(), "embedder": scripted_model(name="small")}, clock=world.clock
        )
        jobs = Jobs(
            records,
            world.files,
            indexes,
            world.extractor,
            world.embedder,
            catalog,
            max_attempts=world.max_attempts,
            chunks_at_once=2,
        )
        times = IngestionTimes(lease=LEASE_S, renew=0.02, sweep=3600, after_trouble=0.01)
        self.ingestion = Ingestion(
            records, indexes, jobs, world.clock, world.ids, workers=world.workers, times=times
        )
        self.store_files = StoreFiles(
            records, world.files, world.store.files, indexes, catalog, self.ingestion, world.clock, world.ids
        )
        self.searcher = NoSearch()
        self.stores = VectorStores(
            records,
            self.store_files,
            indexes,
            world.embedder,
            catalog,
            self.searcher,
            self.ingestion,
            world.clock,
            world.ids,
            EmbeddingDefaults(world.model),
        )

    async def kill(self) -> None:
        """Nothing that was begun comes to its end, nothing is let go of."""
        self.dead = True
        await self.ingestion.stop()


class World:
    """`model` "" for stores without vectors."""

    def __init__(
        self, model: str = "", *, workers: int = 2, max_attempts: int = 3, store: Store | None = None
    ) -> None:
        self.model = model
        self.workers = workers
        self.max_attempts = max_attempts
        self.clock = FakeClock()
        self.ids = FakeIds()
        self.store: Store = store or MemoryStore()
        self.index = FragileIndex()
        self.indexes = {"main": self.index, "other": FragileIndex()}
        self.extractor = PlainText()
        self.extractor.gate.set()
        self.embedder = Embedding()
        self.files = FileService(
            self.store.files, MemoryBlobs(), self.clock, self.ids, max_file_bytes=1_000_000
        )
        self.process = Process(self)

    def restart(self) -> "Process":
        """Another process, started; the one before is up to the caller."""
        self.process = Process(self)
        self.process.ingestion.start()
        return self.process

    async def upload(self, text: str, owner: Owner = ALICE, purpose: str = "assistants") -> str:
        async def content() -> AsyncIterator[bytes]:
            yield text.encode()

        file = await self.files.create(owner, "a.txt", purpose, "text/plain", content())
        return file.id

    async def make_store(self, *texts: str, owner: Owner = ALICE) -> tuple[str, list[str]]:
        """A store and the files in it."""
        file_ids = [await self.upload(text, owner) for text in texts]
        made = await self.process.stores.create(owner, CreateVectorStore(file_ids=file_ids))
        return made.id, file_ids

    async def put_off(self) -> int:
        """How many seconds the next job is put off for."""
        due = await self.store.knowledge.next_due()
        return 0 if due is None else due - self.clock.now()

    async def until(self, reached: Callable[[], Awaitable[bool]]) -> None:
        """Wait for a state."""
        async with asyncio.timeout(20):
            while not await reached():  # noqa: ASYNC110 states of several parts
                await asyncio.sleep(0.002)

    async def idle(self, *, through: bool = True) -> None:
        """Until nothing is left to do; `through` moves the clock on to whatever was put off."""

        async def done() -> bool:
            due = await self.store.knowledge.next_due()
            if due is None:
                return not self.process.ingestion.busy
            if through and due > self.clock.now() and not self.process.ingestion.busy:
                self.clock.at = due
                self.process.ingestion.wake()
            return False

        await self.until(done)

    async def status(self, store_id: str, file_id: str) -> str:
        return (await self.process.store_files.get(ALICE, store_id, file_id)).status

    def chunks(self, store_id: str) -> dict[str, list[Chunk]]:
        """What the index holds of a store, by file, each in order."""
        found: dict[str, list[Chunk]] = {}
        for one in sorted(self.index.data.get(store_id, {}).values(), key=lambda one: one.number):
            found.setdefault(one.file_id, []).append(one)
        return found
