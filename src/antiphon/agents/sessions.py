"""Where sessions are kept: with all else, or, of an agent that does not want them stored, in memory alone."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec

from antiphon.agents.lists import Window
from antiphon.agents.shapes import AgentConfig
from antiphon.agents.volatile import VolatileSessions
from antiphon.core.errors import NotFound
from antiphon.ports import Owner, Store
from antiphon.ports.agents import Gone, StoredAgent, StoredSession

_CONFIG = msgspec.json.Decoder(AgentConfig)


@dataclass(frozen=True, slots=True)
class Place:
    """A session, its agent, and the store that its turns are in."""

    agent: StoredAgent
    config: AgentConfig
    session: StoredSession
    store: Store


@dataclass(frozen=True, slots=True)
class Sessions:
    store: Store
    volatile: VolatileSessions

    async def agent(self, owner: Owner, agent_id: str) -> StoredAgent:
        """Raises NotFound: unknown, deleted and foreign ids answer alike, here and below."""
        found = await self.store.agents.get_agent(owner, agent_id)
        if found is None:
            raise no_agent(agent_id)
        return found

    async def add(self, owner: Owner, agent: StoredAgent, session: StoredSession) -> None:
        """Raises NotFound when its agent is gone by now."""
        if not is_kept(agent):
            await self.volatile.add(owner, session)
        elif not await self.store.agents.add_session(owner, session):
            raise no_agent(agent.id)

    async def list_of(self, owner: Owner, agent: StoredAgent, window: Window) -> Sequence[StoredSession]:
        sessions = self.store.agents.list_sessions if is_kept(agent) else self.volatile.list
        return await sessions(owner, agent.id, window.start, window.asked)

    async def find(self, owner: Owner, agent_id: str, session_id: str) -> Place:
        agent = await self.agent(owner, agent_id)
        config = config_of(agent)
        is_stored = config.enable_session_persistence is not False
        store = self.store if is_stored else self.volatile.store_for(owner, session_id)
        session = None if store is None else await store.agents.get_session(owner, agent_id, session_id)
        if store is None or session is None:
            raise no_session(session_id, is_stored=is_stored)
        return Place(agent, config, session, store)

    @contextmanager
    def held(self, owner: Owner, place: Place) -> Generator[None]:
        """While a turn of it goes on, a session in memory stays there."""
        if place.store is self.store:
            yield
        else:
            with self.volatile.turn(owner, place.session.id):
                yield

    async def delete(self, owner: Owner, agent_id: str, session_id: str) -> Gone:
        agent = await self.agent(owner, agent_id)
        delete = self.store.agents.delete_session if is_kept(agent) else self.volatile.delete
        gone = await delete(owner, agent_id, session_id)
        if gone is None:
            raise no_session(session_id)
        return gone

    async def delete_agent(self, owner: Owner, agent_id: str) -> Sequence[tuple[Owner, Gone]]:
        """With the sessions of everybody."""
        gone = await self.store.agents.delete_agent(owner, agent_id)
        if gone is None:
            raise no_agent(agent_id)
        await self.volatile.delete_agent(owner, agent_id)
        return gone


def config_of(agent: StoredAgent) -> AgentConfig:
    return _CONFIG.decode(agent.config)


def is_kept(agent: StoredAgent) -> bool:
    """Whether the agent's sessions are stored."""
    return config_of(agent).enable_session_persistence is not False


def no_agent(agent_id: str) -> NotFound:
    return NotFound(
        f'there is no agent "{agent_id[:200]}"; it may have been deleted. List them with GET /v1/agents.',
        param="agent_id",
    )


def no_session(session_id: str, *, is_stored: bool = True) -> NotFound:
    why = (
        "it may have been deleted"
        if is_stored
        else "sessions of this agent are not stored: they go some time after their last turn, and when the server stops"
    )
    return NotFound(
        f'there is no session "{session_id[:200]}" of this agent; {why}. Make one with'
        " POST /v1/agents/{agent_id}/session.",
        param="session_id",
    )


def no_turn(turn_id: str, param: str = "turn_id") -> NotFound:
    return NotFound(f'there is no turn "{turn_id[:200]}" in this session.', param=param)
