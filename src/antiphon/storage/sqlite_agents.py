"""`SqliteAgents`: agents, sessions and turns over the database, and the chains, that they share with responses."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

import apsw
import msgspec

from antiphon.core.wire import encode
from antiphon.ports import Owner, StoredResponse
from antiphon.ports.agents import Gone, StoredAgent, StoredSession, StoredTurn, StoredTurnEnd
from antiphon.storage import chains, queries
from antiphon.storage.chains import Chains
from antiphon.storage.database import Database

_SQL = queries.load("agents.sqlite")
_IDS = msgspec.json.Decoder(tuple[str, ...])
_Deleted = tuple[Gone, Sequence[str]]
"""What went with a session, and the responses that are gone or changed."""


class SqliteAgents:
    """An `AgentStore`."""

    def __init__(self, database: Database, turns: Chains) -> None:
        self._database = database
        self._chains = turns

    async def add_agent(self, owner: Owner, agent: StoredAgent) -> None:
        bindings = _names(owner, agent.id) | {
            "subject": agent.subject,
            "created_at": agent.created_at,
            "config": agent.config,
        }
        await self._database.write(partial(_run, "add_agent", bindings))

    async def get_agent(self, owner: Owner, agent_id: str) -> StoredAgent | None:
        row = self._database.read_row(_SQL["get_agent"], _names(owner, agent_id))
        return None if row is None else StoredAgent(*row)

    async def list_agents(self, owner: Owner, start: int, limit: int | None) -> Sequence[StoredAgent]:
        bindings = {"tenant": owner.tenant, **_window(start, limit)}
        rows = await self._database.read_behind(partial(_run, "list_agents", bindings))
        return [StoredAgent(*row) for row in rows]

    async def list_named(self, owner: Owner, limit: int) -> Sequence[StoredAgent]:
        bindings = {"tenant": owner.tenant, "limit": limit}
        rows = await self._database.read_behind(partial(_run, "list_named", bindings))
        return [StoredAgent(*row) for row in rows]

    async def delete_agent(self, owner: Owner, agent_id: str) -> Sequence[tuple[Owner, Gone]] | None:
        work = partial(_delete_agent, owner, agent_id)
        deleted = await self._database.write(work, several_statements=True)
        if deleted is None:
            return None
        for whose, (_, purged) in deleted:
            self._chains.purged(whose, purged)
        return [(whose, gone) for whose, (gone, _) in deleted]

    async def add_session(self, owner: Owner, session: StoredSession) -> bool:
        bindings = _names(owner, session.id) | {
            "agent_id": session.agent_id,
            "name": session.name,
            "started_at": session.started_at,
            "tip": session.tip,
            "stores": encode(list(session.stores)).decode(),
            "memory": session.memory,
        }
        return bool(await self._database.write(partial(_run, "add_session", bindings)))

    async def get_session(self, owner: Owner, agent_id: str, session_id: str) -> StoredSession | None:
        bindings = _names(owner, session_id) | {"agent_id": agent_id}
        row = self._database.read_row(_SQL["get_session"], bindings)
        return None if row is None else _session(row)

    async def list_sessions(
        self, owner: Owner, agent_id: str, start: int, limit: int | None
    ) -> Sequence[StoredSession]:
        bindings = _of(owner) | {"agent_id": agent_id, **_window(start, limit)}
        rows = await self._database.read_behind(partial(_run, "list_sessions", bindings))
        return [_session(row) for row in rows]

    async def set_memory(self, owner: Owner, session_id: str, store_id: str) -> bool:
        bindings = _names(owner, session_id) | {"memory": store_id}
        return bool(await self._database.write(partial(_run, "set_memory", bindings)))

    async def delete_session(self, owner: Owner, agent_id: str, session_id: str) -> Gone | None:
        work = partial(_delete_session, owner, agent_id, session_id)
        deleted = await self._database.write(work, several_statements=True)
        if deleted is None:
            return None
        gone, purged = deleted
        self._chains.purged(owner, purged)
        return gone

    async def put_turn(self, owner: Owner, turn: StoredTurn) -> bool:
        return await self._database.write(partial(_put_turn, owner, turn))

    async def end_turn(
        self, owner: Owner, end: StoredTurnEnd, response: StoredResponse, *, continues: str | None
    ) -> bool:
        work = partial(_end_turn, owner, end, response, continues)
        writing = self._database.write(work, several_statements=True)
        try:
            written = await asyncio.shield(writing)
        except asyncio.CancelledError:
            await asyncio.wait([writing])  # or the next turn would be made for a tip that is about to move
            raise
        if written:
            self._chains.added(owner, response)
        return written

    async def get_turn(self, owner: Owner, session_id: str, turn_id: str) -> StoredTurn | None:
        return self._turn("get_turn", _names(owner, turn_id) | {"session_id": session_id})

    async def list_turns(
        self, owner: Owner, session_id: str, turn_ids: Sequence[str] | None = None
    ) -> Sequence[StoredTurn]:
        bindings: dict[str, Any] = _of(owner) | {"session_id": session_id}
        if turn_ids is not None:
            bindings["ids"] = encode(list(turn_ids)).decode()
        statement = "list_turns" if turn_ids is None else "find_turns"
        rows = await self._database.read_behind(partial(_run, statement, bindings))
        return [StoredTurn(*row) for row in rows]

    async def last_turn(self, owner: Owner, session_id: str) -> StoredTurn | None:
        return self._turn("last_turn", _of(owner) | {"session_id": session_id})

    async def turn_of(self, owner: Owner, turn_id: str) -> StoredTurn | None:
        return self._turn("get_turn", _names(owner, turn_id) | {"session_id": None})

    def _turn(self, statement: str, bindings: dict[str, Any]) -> StoredTurn | None:
        row = self._database.read_row(_SQL[statement], bindings)
        return None if row is None else StoredTurn(*row)


def _of(owner: Owner) -> dict[str, Any]:
    return {"tenant": owner.tenant, "subject": owner.subject}


def _names(owner: Owner, row_id: str) -> dict[str, Any]:
    return _of(owner) | {"id": row_id}


def _window(start: int, limit: int | None) -> dict[str, int]:
    return {"start": start, "limit": -1 if limit is None else limit}


def _session(row: tuple[Any, ...]) -> StoredSession:
    id, agent_id, name, started_at, tip, stores, memory = row
    return StoredSession(id, agent_id, name, started_at, tip, _IDS.decode(stores), memory)


def _run(statement: str, bindings: dict[str, Any], connection: apsw.Connection) -> list[tuple[Any, ...]]:
    return list(queries.execute(connection, _SQL[statement], bindings))


def _delete_agent(
    owner: Owner, agent_id: str, connection: apsw.Connection
) -> list[tuple[Owner, _Deleted]] | None:
    names = _names(owner, agent_id)
    if not _run("delete_agent", names, connection):
        return None
    deleted: list[tuple[Owner, _Deleted]] = []
    for session_id, subject in _run("list_sessions_of_everybody", names, connection):
        whose = Owner(owner.tenant, subject)
        one = _delete_session(whose, agent_id, session_id, connection)
        if one is not None:
            deleted.append((whose, one))
    return deleted


def _delete_session(
    owner: Owner, agent_id: str, session_id: str, connection: apsw.Connection
) -> _Deleted | None:
    names = _names(owner, session_id)
    rows = _run("delete_session", names | {"agent_id": agent_id}, connection)
    if not rows:
        return None
    _run("delete_turns", names, connection)
    # Each from where it ends upwards: whatever the order, nothing is left that is not needed.
    made = _run("hide_responses", names, connection)
    purged = [one for (response_id,) in made for one in chains.purge(owner, response_id, connection)]
    return Gone(session_id, rows[0][0]), purged


def _put_turn(owner: Owner, turn: StoredTurn, connection: apsw.Connection) -> bool:
    bindings = _of(owner) | {name: getattr(turn, name) for name in StoredTurn.__slots__}
    return bool(_run("put_turn", bindings, connection))


def _end_turn(
    owner: Owner,
    end: StoredTurnEnd,
    response: StoredResponse,
    continues: str | None,
    connection: apsw.Connection,
) -> bool:
    session = _names(owner, end.turn.session_id)
    stands = _run("stands_at", session | {"continues": continues}, connection)
    if not stands or not _put_turn(owner, end.turn, connection):
        return False
    chains.put(owner, response, connection, session_id=end.turn.session_id)
    if end.moves_tip:
        _run("move_tip", session | {"tip": response.id}, connection)
    return True
