"""`SqliteVectorCache`: vectors by digests, in a file of their own that may be deleted at any time.

What it cannot read is not there, and what it cannot write is lost: nobody fails because of a cache. The oldest go when
there is no room.
"""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import apsw

from antiphon.storage import queries

T = TypeVar("T")

MAX_BYTES = 512 * 1024 * 1024
BUSY_MS = 2_000
KEYS_AT_ONCE = 500
_DROPPED = 0.1
_SCHEMA = "CREATE TABLE IF NOT EXISTS vectors (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, vector BLOB NOT NULL)"


class SqliteVectorCache:
    """Opened when it is first used. `max_bytes` is the size of the file, its log left aside."""

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="antiphon-vectors")
        self._opened: apsw.Connection | None = None
        self._closed = False

    async def get(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        return await self._in_thread(lambda: self._get(keys), {})

    async def put(self, vectors: Mapping[bytes, bytes]) -> None:
        """What is there already stays as old as it is."""
        if vectors:
            await self._in_thread(lambda: self._put(vectors), None)

    async def clear(self) -> None:
        await self._in_thread(lambda: self._execute("DELETE FROM vectors"), None)

    async def aclose(self) -> None:
        """May be called twice."""
        if self._closed:
            return
        self._closed = True
        await asyncio.to_thread(self._thread.shutdown)
        if self._opened is not None:
            self._opened.close()

    async def _in_thread(self, work: Callable[[], T], otherwise: T) -> T:
        if self._closed:
            return otherwise
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._begun_anew, work)
        except (apsw.Error, OSError):
            return otherwise

    # --- in the thread --------------------------------------------------------------------------------------
    def _get(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        for start in range(0, len(keys), KEYS_AT_ONCE):
            some = tuple(keys[start : start + KEYS_AT_ONCE])
            marks = ",".join("?" * len(some))
            sql = f"SELECT key, vector FROM vectors WHERE key IN ({marks})"  # noqa: S608  question marks only
            found |= dict(queries.execute(self._connection(), sql, some))
        return found

    def _put(self, vectors: Mapping[bytes, bytes]) -> None:
        connection = self._connection()
        with connection:
            sql = "INSERT INTO vectors (key, vector) VALUES (?, ?) ON CONFLICT (key) DO NOTHING"
            for one in vectors.items():
                queries.execute(connection, sql, one)
        self._make_room(connection)

    def _make_room(self, connection: apsw.Connection) -> None:
        """Drop the oldest tenth, again and again, until what is in use fits."""
        while self._pages_in_use(connection) > self._max_bytes:
            first, last = next(queries.execute(connection, "SELECT min(id), max(id) FROM vectors"))
            if first is None:
                return
            until = first + int((last - first) * _DROPPED)
            queries.execute(connection, "DELETE FROM vectors WHERE id <= ?", (until,))

    @staticmethod
    def _pages_in_use(connection: apsw.Connection) -> int:
        """Bytes."""
        size, pages, free = (
            next(queries.execute(connection, f"PRAGMA {name}"))[0]
            for name in ("page_size", "page_count", "freelist_count")
        )
        return int(size) * (int(pages) - int(free))

    def _execute(self, sql: str) -> None:
        queries.execute(self._connection(), sql)

    def _connection(self) -> apsw.Connection:
        if self._opened is None:
            self._opened = self._open()
        return self._opened

    def _begun_anew(self, work: Callable[[], T]) -> T:
        """What a file that is no database, or not any more, cannot do, a new one can."""
        try:
            return work()
        except (apsw.NotADBError, apsw.CorruptError):
            if self._opened is not None:
                self._opened.close()
                self._opened = None
            for name in ("", "-wal", "-shm"):
                self._path.with_name(self._path.name + name).unlink(missing_ok=True)
            return work()

    def _open(self) -> apsw.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = apsw.Connection(str(self._path), flags=apsw.SQLITE_OPEN_READWRITE)
        connection.set_busy_timeout(BUSY_MS)
        for sql in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL", _SCHEMA):
            queries.execute(connection, sql)
        return connection
