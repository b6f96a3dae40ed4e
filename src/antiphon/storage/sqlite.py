"""`SqliteStore`: the store port over one SQLite file."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import apsw

from antiphon.core.transcript import PastTurn
from antiphon.ports import ListedResponse, Owner, ResponsePage, StoredResponse
from antiphon.storage import queries
from antiphon.storage.chain_cache import ChainCache
from antiphon.storage.database import Database
from antiphon.storage.listing import read_page

CACHE_BYTES = 16 * 1024 * 1024
_SQL = queries.load("responses.sqlite")


class SqliteStore:
    """A `Store` of one file, which its stores share."""

    def __init__(self, database: Database, *, cache_bytes: int = CACHE_BYTES) -> None:
        self._database = database
        self._cache = ChainCache(cache_bytes)

    @classmethod
    def open(cls, url_or_path: str | Path, *, cache_bytes: int = CACHE_BYTES) -> "SqliteStore":
        """See `Database.open`."""
        return cls(Database.open(url_or_path), cache_bytes=cache_bytes)

    async def put_response(self, owner: Owner, response: StoredResponse) -> None:
        await self._database.write(partial(_put, owner, response))
        turn = PastTurn(response.id, response.input, response.output, response.served_by)
        self._cache.add(owner, turn, response.parent_id)

    async def get_response(self, owner: Owner, response_id: str) -> StoredResponse | None:
        row = self._read_row("get_response", owner, response_id)
        return None if row is None else StoredResponse(*row)

    async def delete_response(self, owner: Owner, response_id: str) -> bool:
        removed = await self._database.write(partial(_delete, owner, response_id), several_statements=True)
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
        return await self._database.read_behind(lambda reader: read_page(reader, _SQL, owner, page))

    async def aclose(self) -> None:
        """Commit what was asked for and let go of the file. May be called twice."""
        await self._database.aclose()

    def _read_row(self, statement: str, owner: Owner, response_id: str) -> tuple[Any, ...] | None:
        return self._database.read_row(_SQL[statement], _of(owner, response_id))

    async def _read_chain(self, owner: Owner, response_id: str) -> Sequence[PastTurn]:
        changes = self._cache.changes
        rows = await self._database.read_behind(partial(_chain_rows, owner, response_id))
        if not rows or rows[-1][1] is not None:
            return ()
        turns = [PastTurn(id, *rest) for id, _, *rest in reversed(rows)]
        if changes == self._cache.changes:
            for turn, row in zip(turns, reversed(rows), strict=True):
                self._cache.add(owner, turn, row[1])
        return turns


def _of(owner: Owner, response_id: str) -> dict[str, str]:
    return {"id": response_id, "tenant": owner.tenant, "subject": owner.subject}


def _rows(connection: apsw.Connection, statement: str, owner: Owner, response_id: str) -> apsw.Cursor:
    return queries.execute(connection, _SQL[statement], _of(owner, response_id))


def _chain_rows(owner: Owner, response_id: str, connection: apsw.Connection) -> list[tuple[Any, ...]]:
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
