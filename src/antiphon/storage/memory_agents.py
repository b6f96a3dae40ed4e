"""`MemoryAgents`: agents, sessions and turns in dictionaries, over the responses of a `MemoryStore`."""

from collections.abc import Callable, MutableMapping, MutableSet, Sequence
from dataclasses import replace

import msgspec

from antiphon.ports import Owner, StoredResponse
from antiphon.ports.agents import Gone, StoredAgent, StoredSession, StoredTurn, StoredTurnEnd
from antiphon.storage.memory_conversations import Key


class _Named(msgspec.Struct):
    name: str | None = None


_NAMED = msgspec.json.Decoder(_Named)


class MemoryAgents:
    """An `AgentStore`. `purge` removes a hidden row, and its ancestors, that nothing needs any more."""

    def __init__(
        self,
        rows: MutableMapping[Key, StoredResponse],
        hidden: MutableSet[Key],
        purge: Callable[[Owner, str], None],
        check_open: Callable[[], None],
    ) -> None:
        self._rows = rows
        self._hidden = hidden
        self._purge = purge
        self._check_open = check_open
        self._agents: dict[tuple[str, str], StoredAgent] = {}
        self._sessions: dict[Key, StoredSession] = {}
        self._turns: dict[Key, StoredTurn] = {}
        self._made: dict[Key, dict[str, None]] = {}  # the responses of each session, oldest first
        self.size_bytes = 0
        """Of turns and their responses, about."""

    async def add_agent(self, owner: Owner, agent: StoredAgent) -> None:
        self._check_open()
        self._agents[owner.tenant, agent.id] = agent

    async def get_agent(self, owner: Owner, agent_id: str) -> StoredAgent | None:
        self._check_open()
        return self._agents.get((owner.tenant, agent_id))

    async def list_agents(self, owner: Owner, start: int, limit: int | None) -> Sequence[StoredAgent]:
        self._check_open()
        mine = [one for (tenant, _), one in self._agents.items() if tenant == owner.tenant]
        mine.sort(key=lambda one: one.created_at)
        return mine[start:][:limit]

    async def list_named(self, owner: Owner, limit: int) -> Sequence[StoredAgent]:
        self._check_open()
        mine = [one for (tenant, _), one in self._agents.items() if tenant == owner.tenant]
        newest = {name: one for one in mine if (name := _NAMED.decode(one.config).name) is not None}
        return [newest[name] for name in sorted(newest)][:limit]

    async def delete_agent(self, owner: Owner, agent_id: str) -> Sequence[tuple[Owner, Gone]] | None:
        self._check_open()
        if self._agents.pop((owner.tenant, agent_id), None) is None:
            return None
        of_everybody = [
            (whose, session_id)
            for (whose, session_id), one in self._sessions.items()
            if whose.tenant == owner.tenant and one.agent_id == agent_id
        ]
        return [(whose, self._delete_session(whose, session_id)) for whose, session_id in of_everybody]

    async def add_session(self, owner: Owner, session: StoredSession) -> bool:
        self._check_open()
        if (owner.tenant, session.agent_id) not in self._agents:
            return False
        self._sessions[owner, session.id] = session
        return True

    async def get_session(self, owner: Owner, agent_id: str, session_id: str) -> StoredSession | None:
        self._check_open()
        found = self._sessions.get((owner, session_id))
        return found if found is not None and found.agent_id == agent_id else None

    async def list_sessions(
        self, owner: Owner, agent_id: str, start: int, limit: int | None
    ) -> Sequence[StoredSession]:
        self._check_open()
        mine = [
            one for (whose, _), one in self._sessions.items() if whose == owner and one.agent_id == agent_id
        ]
        mine.sort(key=lambda one: one.started_at)
        return mine[start:][:limit]

    async def set_memory(self, owner: Owner, session_id: str, store_id: str) -> bool:
        self._check_open()
        found = self._sessions.get((owner, session_id))
        if found is None or found.memory is not None:
            return False
        self._sessions[owner, session_id] = replace(found, memory=store_id)
        return True

    async def delete_session(self, owner: Owner, agent_id: str, session_id: str) -> Gone | None:
        found = await self.get_session(owner, agent_id, session_id)
        return None if found is None else self._delete_session(owner, session_id)

    async def put_turn(self, owner: Owner, turn: StoredTurn) -> bool:
        self._check_open()
        return self._put_turn(owner, turn)

    async def end_turn(
        self, owner: Owner, end: StoredTurnEnd, response: StoredResponse, *, continues: str | None
    ) -> bool:
        self._check_open()
        key = (owner, end.turn.session_id)
        found = self._sessions.get(key)
        if found is None or found.tip != continues or not self._put_turn(owner, end.turn):
            return False
        before = self._rows.get((owner, response.id))
        self._rows[owner, response.id] = response
        self._made.setdefault(key, {})[response.id] = None
        self.size_bytes += _response_bytes(response) - (0 if before is None else _response_bytes(before))
        if end.moves_tip:
            self._sessions[key] = replace(found, tip=response.id)
        return True

    async def get_turn(self, owner: Owner, session_id: str, turn_id: str) -> StoredTurn | None:
        found = await self.turn_of(owner, turn_id)
        return found if found is not None and found.session_id == session_id else None

    async def list_turns(
        self, owner: Owner, session_id: str, turn_ids: Sequence[str] | None = None
    ) -> Sequence[StoredTurn]:
        self._check_open()
        turns = self._turns_of(owner, session_id)
        return turns if turn_ids is None else [turn for turn in turns if turn.id in turn_ids]

    async def last_turn(self, owner: Owner, session_id: str) -> StoredTurn | None:
        self._check_open()
        return next(iter(self._turns_of(owner, session_id)[-1:]), None)

    async def turn_of(self, owner: Owner, turn_id: str) -> StoredTurn | None:
        self._check_open()
        return self._turns.get((owner, turn_id))

    def is_tip(self, owner: Owner, response_id: str) -> bool:
        return any(key[0] == owner and one.tip == response_id for key, one in self._sessions.items())

    def _turns_of(self, owner: Owner, session_id: str) -> list[StoredTurn]:
        # A dictionary keeps the order in which its keys were first put.
        return [
            turn
            for (whose, _), turn in self._turns.items()
            if whose == owner and turn.session_id == session_id
        ]

    def _put_turn(self, owner: Owner, turn: StoredTurn) -> bool:
        before = self._turns.get((owner, turn.id))
        elsewhere = before is not None and before.session_id != turn.session_id
        if elsewhere or (owner, turn.session_id) not in self._sessions:
            return False
        self._turns[owner, turn.id] = turn
        self.size_bytes += _turn_bytes(turn) - (0 if before is None else _turn_bytes(before))
        return True

    def _delete_session(self, owner: Owner, session_id: str) -> Gone:
        session = self._sessions.pop((owner, session_id))
        for turn in self._turns_of(owner, session_id):
            del self._turns[owner, turn.id]
            self.size_bytes -= _turn_bytes(turn)
        made = [id for id in self._made.pop((owner, session_id), {}) if (owner, id) in self._rows]
        self.size_bytes -= sum(_response_bytes(self._rows[owner, id]) for id in made)
        self._hidden |= {(owner, id) for id in made}
        for id in reversed(made):
            self._purge(owner, id)
        return Gone(session_id, session.memory)


def _turn_bytes(turn: StoredTurn) -> int:
    return len(turn.body) + len(turn.inner)


def _response_bytes(response: StoredResponse) -> int:
    return len(response.head) + len(response.input) + len(response.output)
