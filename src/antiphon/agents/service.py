"""Agents and sessions. Raises NotFound alike for what is unknown, deleted and foreign."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import msgspec

from antiphon.agents.building import AgentRequests
from antiphon.agents.definition import effective
from antiphon.agents.going import Going
from antiphon.agents.lists import Window
from antiphon.agents.memory import SessionMemory
from antiphon.agents.record import TurnRecord, iso, new_uuid
from antiphon.agents.rendering import Generation, shown_turn, turn_body
from antiphon.agents.sessions import Sessions, config_of, no_turn
from antiphon.agents.shapes import (
    Agent,
    AgentConfig,
    AgentCreated,
    CreateSession,
    Page,
    Session,
    SessionCreated,
    ToolConfig,
    TurnStatus,
)
from antiphon.core.errors import PermissionDenied
from antiphon.core.wire import encode
from antiphon.ports import Clock, Ids, Owner
from antiphon.ports.agents import StoredAgent, StoredSession, StoredTurn

_NO_TURNS = b'"turns":[]'


@dataclass(frozen=True, slots=True)
class AgentService:
    sessions: Sessions
    requests: AgentRequests
    memory: SessionMemory
    going: Going
    clock: Clock
    ids: Ids

    # --- agents ---------------------------------------------------------------------------------------------
    async def create(self, owner: Owner, config: AgentConfig) -> AgentCreated:
        """Raises InvalidRequest and ModelNotFound for a configuration that could not be run."""
        await self.requests.check(owner, config)
        agent = StoredAgent(new_uuid(self.ids), self.clock.now_us(), encode(config), owner.subject)
        await self.sessions.store.agents.add_agent(owner, agent)
        return AgentCreated(agent_id=agent.id)

    async def get(self, owner: Owner, agent_id: str) -> Agent:
        return _shown_agent(await self.sessions.agent(owner, agent_id))

    async def list_agents(self, owner: Owner, window: Window, url: str) -> Page:
        found = await self.sessions.store.agents.list_agents(owner, window.start, window.asked)
        return window.page([_shown_agent(one) for one in found], url)

    async def delete(self, owner: Owner, agent_id: str) -> None:
        """With the sessions of everybody. Raises PermissionDenied to all but who made it."""
        agent = await self.sessions.agent(owner, agent_id)
        if agent.subject != owner.subject:
            raise PermissionDenied(
                f'agent "{agent_id}" was made by somebody else, who alone may delete it; you may use it.',
                param="agent_id",
            )
        for whose, gone in await self.sessions.delete_agent(owner, agent_id):
            await self.memory.forget(whose, gone.memory)

    # --- sessions -------------------------------------------------------------------------------------------
    async def create_session(self, owner: Owner, agent_id: str, body: CreateSession) -> SessionCreated:
        """Raises NotFound also for a vector store that is not there, InvalidRequest for one that has expired."""
        agent = await self.sessions.agent(owner, agent_id)
        session = StoredSession(
            id=new_uuid(self.ids),
            agent_id=agent_id,
            name=body.session_name,
            started_at=self.clock.now_us(),
            stores=await self.memory.bound(owner, body.vector_db_ids or ()),
        )
        await self.sessions.add(owner, agent, session)
        return SessionCreated(session_id=session.id)

    async def list_sessions(self, owner: Owner, agent_id: str, window: Window, url: str) -> Page:
        """Without their turns."""
        agent = await self.sessions.agent(owner, agent_id)
        found = await self.sessions.list_of(owner, agent, window)
        return window.page([_shown_session(one) for one in found], url)

    async def get_session(
        self,
        owner: Owner,
        agent_id: str,
        session_id: str,
        turn_ids: Sequence[str] | None,
        generation: Generation,
    ) -> bytes:
        """With its turns, or those of `turn_ids`, each of which has to be there."""
        place = await self.sessions.find(owner, agent_id, session_id)
        found = await place.store.agents.list_turns(owner, session_id, turn_ids)
        missing = set(turn_ids or ()) - {turn.id for turn in found}
        if missing:
            raise no_turn(min(missing), "turn_ids")
        turns = b",".join(self.shown(turn, place.session, generation) for turn in found)
        session = encode(_shown_session(place.session))
        return session.replace(_NO_TURNS, b'"turns":[%b]' % turns, 1)

    async def delete_session(self, owner: Owner, agent_id: str, session_id: str) -> None:
        """With its turns, and what it remembers of documents."""
        gone = await self.sessions.delete(owner, agent_id, session_id)
        await self.memory.forget(owner, gone.memory)

    # --- turns as they are shown ----------------------------------------------------------------------------
    def shown(self, turn: StoredTurn, session: StoredSession, generation: Generation) -> bytes:
        status = self.status(turn, session)
        if status == turn.status:
            return turn_body(turn.body, generation)
        record = TurnRecord.of(turn)
        record.status = status
        return encode(shown_turn(record.shown(), generation))

    def status(self, turn: StoredTurn, session: StoredSession) -> TurnStatus:
        """What a turn is by now. One whose session went on without an answer waits for none any more."""
        status = cast("TurnStatus", turn.status)
        if status == "in_progress":
            return self.going.status(turn)
        if status == "awaiting_input" and TurnRecord.of(turn).last_response_id != session.tip:
            return "completed"
        return status


def _shown_agent(agent: StoredAgent) -> Agent:
    return Agent(
        agent_id=agent.id,
        agent_config=with_defaults(config_of(agent)),
        created_at=iso(agent.created_at),
    )


def with_defaults(config: AgentConfig) -> AgentConfig:
    """The configuration with what counts where it says nothing."""
    counts = effective(config)
    return msgspec.structs.replace(
        config,
        enable_session_persistence=counts.keeps,
        input_shields=list(counts.input_shields),
        output_shields=list(counts.output_shields),
        toolgroups=list(config.toolgroups or ()),
        client_tools=list(counts.client_tools),
        tool_config=ToolConfig(
            tool_choice=counts.tool_choice,
            tool_prompt_format=counts.prompt_format,
            system_message_behavior=counts.system_message_behavior,
        ),
        max_infer_iters=counts.max_infer_iters,
    )


def _shown_session(session: StoredSession) -> Session:
    return Session(
        session_id=session.id, session_name=session.name, turns=[], started_at=iso(session.started_at)
    )
