"""`SqliteStore`: responses in one SQLite file, through apsw.

Writes go to one thread and are committed in groups (`group_commit`). A point read takes 3 µs and is done
where it is asked for. A chain that is not in memory has a thread to read it, since it can be megabytes from
a cold disk.
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import apsw

from antiphon.core.errors import StoreUnavailable
from antiphon.core.transcript import PastTurn
from antiphon.ports import ListedResponse, Owner, ResponsePage, StoredResponse
from antiphon.storage import migrate, queries
from antiphon.storage.chain_cache import ChainCache
from antiphon.storage.checkpoints import Checkpoints
from antiphon.storage.group_commit import UNAVAILABLE, GroupWriter, ended, unavailable
from antiphon.storage.listing import read_page

T = TypeVar("T")

CACHE_BYTES = 16 * 1024 * 1024
BUSY_MS = 5_000
_SQL = queries.load("responses.sqlite")


class SqliteStore:
    """A `ResponseStore`. One event loop, one process at a time writing; others may read the file."""

    def __init__(self, path: Path, *, cache_bytes: int = CACHE_BYTES) -> None:
        """Open a database whose schema is at the head; `open` makes one so."""
        self._point_reader = _connect(path, read_only=True)
        self._chain_reader = _connect(path, read_only=True)
        self._chain_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="antiphon-reader")
        writing = _connect(path)
        self._checkpoints = Checkpoints(writing, _connect(path))
        self._writer = GroupWriter(writing)
        self._cache = ChainCache(cache_bytes)
        self._closed = False

    @classmethod
    def open(cls, url_or_path: str | Path, *, cache_bytes: int = CACHE_BYTES) -> "SqliteStore":
        """Open the database at `sqlite:///PATH` or PATH; make it and its folders, or migrate it, as needed.

        Raises StoreUnavailable when that cannot be done, or when the schema is newer than this program.
        """
        path = migrate.path_of(url_or_path)
        try:
            _create(path)
            migrate.bring_to_head(path)
            return cls(path, cache_bytes=cache_bytes)
        except UNAVAILABLE as error:
            raise unavailable(error) from error
        except OSError as error:
            raise StoreUnavailable(f"cannot make the database {path}: {error.strerror}.") from error

    async def put_response(self, owner: Owner, response: StoredResponse) -> None:
        await self._writer.submit(partial(_put, owner, response))
        turn = PastTurn(response.id, response.input, response.output, response.served_by)
        self._cache.add(owner, turn, response.parent_id)

    async def get_response(self, owner: Owner, response_id: str) -> StoredResponse | None:
        row = self._read_row("get_response", owner, response_id)
        return None if row is None else StoredResponse(*row)

    async def delete_response(self, owner: Owner, response_id: str) -> bool:
        removed = await self._writer.submit(partial(_delete, owner, response_id), several_statements=True)
        if removed is None:
            return False
        for purged_id in removed:
            self._cache.discard(owner, purged_id)
        return True

    async def get_chain(self, owner: Owner, response_id: str) -> Sequence[PastTurn]:
        """As the port says; also empty when an ancestor is gone, since half a history is none."""
        turns = self._cache.find(owner, response_id)
        if turns is None:
            return await self._read_chain(owner, response_id)
        return turns if self._read_row("is_visible", owner, response_id) else ()

    async def list_responses(self, owner: Owner, page: ResponsePage) -> Sequence[ListedResponse]:
        return await self._read_behind(partial(read_page, self._chain_reader, _SQL, owner, page))

    async def aclose(self) -> None:
        """Commit what was asked for and let go of the file. May be called twice."""
        if self._closed:
            return
        self._closed = True
        await ended(self._chain_thread.shutdown)
        self._chain_reader.close()
        self._point_reader.close()
        # Last of all a connection that may write: closing it empties the write-ahead log.
        await self._writer.aclose()
        await ended(self._checkpoints.close)

    def _read_row(self, statement: str, owner: Owner, response_id: str) -> tuple[Any, ...] | None:
        return self._reading(lambda: _rows(self._point_reader, statement, owner, response_id).fetchone())

    async def _read_chain(self, owner: Owner, response_id: str) -> Sequence[PastTurn]:
        changes = self._cache.changes
        rows = await self._read_behind(partial(_chain_rows, self._chain_reader, owner, response_id))
        if not rows or rows[-1][1] is not None:
            return ()
        turns = [PastTurn(id, *rest) for id, _, *rest in reversed(rows)]
        if changes == self._cache.changes:
            for turn, row in zip(turns, reversed(rows), strict=True):
                self._cache.add(owner, turn, row[1])
        return turns

    async def _read_behind(self, read: Callable[[], T]) -> T:
        """Read in the thread for what may be long."""
        if self._closed:
            raise StoreUnavailable("the store is closed: the server is stopping.")
        return await asyncio.get_running_loop().run_in_executor(self._chain_thread, self._reading, read)

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
        queries.execute(connection, "PRAGMA journal_size_limit = 67108864")
    return connection


def _rows(connection: apsw.Connection, statement: str, owner: Owner, response_id: str) -> apsw.Cursor:
    bindings = {"id": response_id, "tenant": owner.tenant, "subject": owner.subject}
    return queries.execute(connection, _SQL[statement], bindings)


def _chain_rows(connection: apsw.Connection, owner: Owner, response_id: str) -> list[tuple[Any, ...]]:
    return list(_rows(connection, "get_chain", owner, response_id))


def _put(owner: Owner, response: StoredResponse, connection: apsw.Connection) -> None:
    bindings = {
        "id": response.id,
        "tenant": owner.tenant,
        "subject": owner.subject,
        "parent_id": response.parent_id,
        "status": response.status,
        "model": response.model,
        "created_at": response.created_at,
        "head": response.head,
        "input": response.input,
        "output": response.output,
        "served_by": response.served_by,
    }
    queries.execute(connection, _SQL["put_response"], bindings)


def _delete(owner: Owner, response_id: str, connection: apsw.Connection) -> list[str] | None:
    """Hide a response and purge what no live response needs any more: the ids purged. None when unknown.

    A hidden row is kept only while it has a child, so the walk up ends at the first that has another one.
    """
    if _rows(connection, "hide_response", owner, response_id).fetchone() is None:
        return None
    purged: list[str] = []
    at: str | None = response_id
    while at is not None:
        row = _rows(connection, "purge_response", owner, at).fetchone()
        if row is None:
            break
        purged.append(at)
        at = row[0]
    return purged
