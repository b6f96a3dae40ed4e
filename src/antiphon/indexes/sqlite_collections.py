"""`SqliteCollections`: the collections of one folder, a SQLite file each, of which a bounded number is open."""

import asyncio
import re
import tempfile
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import apsw

from antiphon.core.errors import IndexUnavailable
from antiphon.indexes.collection_file import CLOSED, CollectionFile
from antiphon.ports.knowledge import Collection

T = TypeVar("T")

MAX_OPEN = 32
_READING_THREADS, _WRITING_THREADS = 4, 2
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")


class SqliteCollections:
    """Of one event loop. Other processes may use the files meanwhile."""

    def __init__(self, folder: Path | None, max_open: int = MAX_OPEN) -> None:
        """`folder` is made when something is first written; with None all is gone at the end."""
        self._folder = folder
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._max_open = max_open
        self._open: OrderedDict[str, CollectionFile] = OrderedDict()
        self._closed = False
        self._tasks: set[asyncio.Task[Any]] = set()
        self._readers = ThreadPoolExecutor(_READING_THREADS, thread_name_prefix="antiphon-index-reader")
        self._writers = ThreadPoolExecutor(_WRITING_THREADS, thread_name_prefix="antiphon-index-writer")

    async def create(self, collection: Collection) -> None:
        async def work() -> None:
            async with self._using(collection) as file:
                await file.create(self._writers, collection)

        await self._to_the_end(work())

    async def drop(self, collection: Collection) -> None:
        async def work() -> None:
            async with self._using(collection) as file:
                await file.remove(self._writers)

        await self._to_the_end(work())

    async def write(self, collection: Collection, change: Callable[[apsw.Connection], T]) -> T:
        """In one transaction, on the disk when this returns; goes on when its caller is cancelled."""

        async def work() -> T:
            async with self._using(collection) as file:
                return await file.write(self._writers, change)

        return await self._to_the_end(work())

    async def read(self, collection: Collection, search: Callable[[apsw.Connection, CollectionFile], T]) -> T:
        async with self._using(collection) as file:
            return await file.read(self._readers, lambda connection: search(connection, file))

    async def aclose(self) -> None:
        """Wait for what is being done, and let go of the files. May be called twice."""
        if self._closed:
            return
        self._closed = True
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self._shut)

    def _shut(self) -> None:
        self._readers.shutdown()
        self._writers.shutdown()
        for file in self._open.values():
            file.close()
        self._open.clear()
        if self._temporary is not None:
            self._temporary.cleanup()

    async def _to_the_end(self, work: Coroutine[Any, Any, T]) -> T:
        """A caller that is cancelled must not leave a half-used connection to the next one."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # its caller may be gone, and nobody else asks for it

    @asynccontextmanager
    async def _using(self, collection: Collection) -> AsyncGenerator[CollectionFile]:
        """The file of a collection, not closed while it is used."""
        if self._closed:
            raise IndexUnavailable(CLOSED)
        file = self._open.get(collection.id)
        if file is None:
            file = self._open[collection.id] = CollectionFile(self._path(collection))
        self._open.move_to_end(collection.id)
        file.users += 1
        try:
            yield file
        finally:
            file.users -= 1
            self._close_idle()

    def _close_idle(self) -> None:
        """Close those that were not used for longest, down to the bound; in a thread, as that may write."""
        if self._closed:
            return
        idle = [name for name, file in self._open.items() if not file.users]
        for name in idle[: max(0, len(self._open) - self._max_open)]:
            self._writers.submit(self._open.pop(name).close)

    def _path(self, collection: Collection) -> Path:
        if _ID.fullmatch(collection.id) is None:
            raise ValueError(f"{collection.id!r} is no id of ours")
        if self._folder is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="antiphon-vectors-")
            self._folder = Path(self._temporary.name)
        return self._folder / f"{collection.id}.db"
