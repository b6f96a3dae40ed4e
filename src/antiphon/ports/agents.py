"""What is kept of agents, sessions and turns, and of tool groups."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from antiphon.ports.owners import Owner
from antiphon.ports.responses import StoredResponse


@dataclass(frozen=True, slots=True)
class StoredAgent:
    """`config` is the JSON of an `AgentConfig`. `subject` made it. Times are Unix microseconds, here and below."""

    id: str
    created_at: int
    config: bytes
    subject: str = ""


@dataclass(frozen=True, slots=True)
class StoredSession:
    """`tip` is the response that its next turn continues; `stores` the ids of the vector stores bound to it, `memory`
    that of the one which was made for its documents.
    """

    id: str
    agent_id: str
    name: str
    started_at: int
    tip: str | None = None
    stores: tuple[str, ...] = ()
    memory: str | None = None


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """`body` is the JSON of a `Turn`, arguments as text; `inner` a JSON object of what its next run needs to know."""

    id: str
    session_id: str
    status: str
    started_at: int
    body: bytes
    inner: bytes = b"{}"
    completed_at: int | None = None


@dataclass(frozen=True, slots=True)
class Gone:
    """What went with a session: its vector store is to be deleted by who asked."""

    session_id: str
    memory: str | None


@dataclass(frozen=True, slots=True)
class StoredTurnEnd:
    """How a run of a turn ended: the turn as it is then, and whether the session goes on from the run's response."""

    turn: StoredTurn
    moves_tip: bool


class AgentStore(Protocol):
    """Agents belong to a tenant: everybody of it uses them. Sessions and turns belong to an owner. A foreign id answers
    exactly as an unknown one; so does what is below something that was deleted.

    What is written is durable when the call returns; StoreUnavailable says that nothing was.
    """

    async def add_agent(self, owner: Owner, agent: StoredAgent) -> None: ...

    async def get_agent(self, owner: Owner, agent_id: str) -> StoredAgent | None: ...

    async def list_agents(self, owner: Owner, start: int, limit: int | None) -> Sequence[StoredAgent]:
        """By age, the oldest first, from the one at `start` (0 is the first) on, at most `limit`."""
        ...

    async def list_named(self, owner: Owner, limit: int) -> Sequence[StoredAgent]:
        """Of each `name` that configurations of the tenant's agents have the newest agent, by name, at most `limit`."""
        ...

    async def delete_agent(self, owner: Owner, agent_id: str) -> Sequence[tuple[Owner, Gone]] | None:
        """Remove it with the sessions of everybody, as `delete_session` does. None when it is unknown."""
        ...

    async def add_session(self, owner: Owner, session: StoredSession) -> bool:
        """False, and nothing changed, when its agent is not there (any more)."""
        ...

    async def get_session(self, owner: Owner, agent_id: str, session_id: str) -> StoredSession | None: ...

    async def list_sessions(
        self, owner: Owner, agent_id: str, start: int, limit: int | None
    ) -> Sequence[StoredSession]:
        """The owner's, as `list_agents` does."""
        ...

    async def set_memory(self, owner: Owner, session_id: str, store_id: str) -> bool:
        """Note the vector store that was made for a session's documents. False when the session is gone, or has one."""
        ...

    async def delete_session(self, owner: Owner, agent_id: str, session_id: str) -> Gone | None:
        """Remove it with its turns, and hide the responses of its chain, which go as soon as nothing else continues
        them. None when it is unknown.
        """
        ...

    async def put_turn(self, owner: Owner, turn: StoredTurn) -> bool:
        """Insert or replace a turn whose run begins. False, and nothing changed, when its session is gone."""
        ...

    async def end_turn(
        self, owner: Owner, end: StoredTurnEnd, response: StoredResponse, *, continues: str | None
    ) -> bool:
        """Put the response of a run, replace the turn, and move the session's tip to the response where `moves_tip`:
        in one transaction. `continues` is the tip that the run was made for. False, and nothing changed, when the
        session is gone or has another tip by now.

        A caller that is cancelled meanwhile is so when it is known whether it was written.
        """
        ...

    async def get_turn(self, owner: Owner, session_id: str, turn_id: str) -> StoredTurn | None: ...

    async def list_turns(
        self, owner: Owner, session_id: str, turn_ids: Sequence[str] | None = None
    ) -> Sequence[StoredTurn]:
        """In the order in which they began; only those of `turn_ids`, where given."""
        ...

    async def last_turn(self, owner: Owner, session_id: str) -> StoredTurn | None:
        """The one that began last."""
        ...

    async def turn_of(self, owner: Owner, turn_id: str) -> StoredTurn | None:
        """A turn by its id alone."""
        ...


class ToolGroupRecords(Protocol):
    """Tool groups that a tenant registered. What is written is durable when the call returns."""

    async def add_tool_group(self, owner: Owner, group: "StoredToolGroup") -> bool:
        """False, and nothing changed, when the tenant has one of this id."""
        ...

    async def get_tool_group(self, owner: Owner, group_id: str) -> "StoredToolGroup | None": ...

    async def list_tool_groups(self, owner: Owner) -> Sequence["StoredToolGroup"]:
        """The oldest first."""
        ...

    async def delete_tool_group(self, owner: Owner, group_id: str) -> bool:
        """False when there was none."""
        ...


@dataclass(frozen=True, slots=True)
class StoredToolGroup:
    """`connector_id` is the MCP server behind it; `args` a JSON object of arguments for each call of its tools."""

    id: str
    provider_id: str
    connector_id: str
    args: bytes
    created_at: int
