"""`Database`: one SQLite file, through apsw, as every store of it shares it.

Writes go to one thread and are committed in groups (`group_commit`). A point read takes 3 µs and is done where it is
asked for. What may be megabytes from a cold disk has a thread to read it.
"""

import asyncio
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self, TypeVar

import apsw

from antiphon.core.errors import StoreUnavailable
from antiphon.storage import migrate, queries
from antiphon.storage.checkpoints import Checkpoints
from antiphon.storage.group_commit import UNAVAILABLE, GroupWriter, ended, unavailable

T = TypeVar("T")

BUSY_MS = 5_000


class Database:
    """One event loop, one process at a time writing; others may read the file."""

    def __init__(self, path: Path) -> None:
        """Open a database whose schema is at the head; `open` makes one so."""
        self.path = path
        self._point_reader = _connect(path, read_only=True)
        self._long_reader = _connect(path, read_only=True)
        self._long_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="antiphon-reader")
        writing = _connect(path)
        self._checkpoints = Checkpoints(writing, _connect(path))
        self._writer = GroupWriter(writing)
        self._closed = False

    @classmethod
    def open(cls, url_or_path: str | Path) -> Self:
        """Open the database at `sqlite:///PATH` or PATH; make it and its folders, or migrate it, as needed.

        Raises StoreUnavailable when that cannot be done, or when the schema is newer than this program.
        """
        path = migrate.path_of(url_or_path)
        try:
            _create(path)
            migrate.bring_to_head(path)
            return cls(path)
        except UNAVAILABLE as error:
            raise unavailable(error) from error
        except OSError as error:
            raise StoreUnavailable(f"cannot make the database {path}: {error.strerror}.") from error

    def write(
        self, work: Callable[[apsw.Connection], T], *, several_statements: bool = False
    ) -> asyncio.Future[T]:
        """Done and durable when the future is. See `GroupWriter.submit`."""
        return self._writer.submit(work, several_statements=several_statements)

    def read_row(self, sql: str, bindings: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """The first row of a short read by an index, or None. Raises StoreUnavailable."""
        return self._reading(lambda: queries.execute(self._point_reader, sql, bindings).fetchone())

    async def read_behind(self, read: Callable[[apsw.Connection], T]) -> T:
        """Read in the thread for what may be long. Raises StoreUnavailable."""
        if self._closed:
            raise StoreUnavailable("the store is closed: the server is stopping.")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._long_thread, self._reading, lambda: read(self._long_reader))

    async def aclose(self) -> None:
        """Commit what was asked for and let go of the file. May be called twice."""
        if self._closed:
            return
        self._closed = True
        await ended(self._long_thread.shutdown)
        self._long_reader.close()
        self._point_reader.close()
        # Last of all a connection that may write: closing it empties the write-ahead log.
        await self._writer.aclose()
        await ended(self._checkpoints.close)

    def _reading(self, read: Callable[[], T]) -> T:
        try:
            return read()
        except UNAVAILABLE as error:
            raise unavailable(error) from error


def _create(path: Path) -> None:
    """An empty file that only its owner reads: it will hold what users wrote."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def _connect(path: Path, *, read_only: bool = False) -> apsw.Connection:
    flags = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE
    connection = apsw.Connection(str(path), flags=flags)
    connection.set_busy_timeout(BUSY_MS)
    if not read_only:
        queries.execute(connection, "PRAGMA journal_mode = WAL")
        queries.execute(connection, "PRAGMA synchronous = FULL")
        # What was deleted is overwritten: it is no more in the file than it is in an answer.
        queries.execute(connection, "PRAGMA secure_delete = ON")
        queries.execute(connection, "PRAGMA journal_size_limit = 67108864")
    return connection
