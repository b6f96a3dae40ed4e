"""`Chains`: the turns of one SQLite database, as responses and conversations share them."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import apsw

from antiphon.core.transcript import PastTurn
from antiphon.ports import ITEMS, Owner, StoredResponse
from antiphon.storage import queries
from antiphon.storage.chain_cache import ChainCache
from antiphon.storage.database import Database
from antiphon.storage.turns import HIDDEN, past_turn, turn_of

_SQL = queries.load("responses.sqlite")


class Chains:
    """Recent turns are in memory, so that a long chain is read once."""

    def __init__(self, database: Database, cache_bytes: int) -> None:
        self._database = database
        self._cache = ChainCache(cache_bytes)

    async def get(self, owner: Owner, turn_id: str) -> Sequence[PastTurn]:
        """From the root to this turn, hidden ones too. Empty when one of them is gone: half a history is none."""
        turns = self._cache.find(owner, turn_id)
        return turns if turns is not None else await self._read(owner, turn_id)

    def added(self, owner: Owner, row: StoredResponse) -> None:
        """Tells of a turn that was written."""
        self._cache.add(owner, turn_of(row), row.parent_id)

    def purged(self, owner: Owner, turn_ids: Sequence[str]) -> None:
        """Tells of turns that are gone, or by themselves now."""
        for turn_id in turn_ids:
            self._cache.discard(owner, turn_id)

    async def _read(self, owner: Owner, turn_id: str) -> Sequence[PastTurn]:
        changes = self._cache.changes
        rows = await self._database.read_behind(partial(_chain_rows, owner, turn_id))
        if not rows or rows[-1][1] is not None:
            return ()
        turns = [past_turn(id, *rest) for id, _, *rest in reversed(rows)]
        if changes == self._cache.changes:
            for turn, row in zip(turns, reversed(rows), strict=True):
                self._cache.add(owner, turn, row[1])
        return turns


def of(owner: Owner, row_id: str) -> dict[str, str]:
    """What names a row in every statement."""
    return {"id": row_id, "tenant": owner.tenant, "subject": owner.subject}


def put(
    owner: Owner, row: StoredResponse, connection: apsw.Connection, *, session_id: str | None = None
) -> None:
    """`session_id`: the session of an agent that it was made in."""
    bindings = {
        **of(owner, row.id),
        "parent_id": row.parent_id,
        "status": row.status,
        "model": row.model,
        "created_at": row.created_at,
        "hidden": int(row.status in HIDDEN),
        "head": row.head,
        "input": row.input,
        "output": row.output,
        "served_by": row.served_by,
        "session_id": session_id,
    }
    queries.execute(connection, _SQL["put_response"], bindings)


def purge(owner: Owner, turn_id: str | None, connection: apsw.Connection) -> list[str]:
    """Remove a hidden turn that nothing needs any more, then its parent, and so on: the ids that were changed.

    A hidden turn is kept while something continues it, so the walk up ends at the first that has to stay. Items that
    a client added stay too, since references may name them, but by themselves: what they were added to is not kept for
    them.
    """
    changed: list[str] = []
    at = turn_id
    while at is not None:
        names = of(owner, at)
        row = queries.execute(connection, _SQL["get_unneeded"], names).fetchone()
        if row is None:
            break
        parent_id, status = row
        queries.execute(connection, _SQL["detach" if status == ITEMS else "remove"], names)
        changed.append(at)
        at = parent_id
    return changed


def _chain_rows(owner: Owner, turn_id: str, connection: apsw.Connection) -> list[tuple[Any, ...]]:
    return list(queries.execute(connection, _SQL["get_chain"], of(owner, turn_id)))
