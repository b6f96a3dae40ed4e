"""Stored agents as tools: `agent_NAME` says something to the agent of this name, in a session that goes on."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final
from zlib import crc32

from msgspec import Meta

from antiphon.agents.content import text_of
from antiphon.agents.definition import name_of
from antiphon.agents.record import TurnRecord
from antiphon.agents.sessions import Place, config_of
from antiphon.agents.shapes import AgentConfig, CreateSession, CreateTurn, UserMessage
from antiphon.agents.turns import Asking, TurnService
from antiphon.core.errors import AntiphonError
from antiphon.core.wire import UNSET, JsonObject, UnsetType, Wire, decode_json
from antiphon.core.writer import Event
from antiphon.mcp_server.tools import Exchange, Tool, ToolResult, UserAnswer, read_arguments, text_block
from antiphon.ports import Owner
from antiphon.ports.agents import StoredAgent

PREFIX: Final = "agent_"
MAX_AGENTS: Final = 128
"""So many names of agents are offered, by the alphabet."""
MAX_NAME: Final = 64
SHOWN_INSTRUCTIONS: Final = 600
_BUILTIN: Final = "builtin::"
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")
_Id = Annotated[str, Meta(min_length=1, max_length=256)]


class MessageArguments(Wire):
    """Without `session_id` in a new session."""

    message: Annotated[str, Meta(min_length=1)]
    session_id: _Id | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class AgentTools:
    """A `ToolSource`. Of several agents of one name the newest is meant; agents whose tools are for their client to run
    are left out, and, where another server asks, those that use MCP servers.
    """

    turns: TurnService

    async def tools(self, owner: Owner, *, from_server: bool) -> Sequence[Tool]:
        offered = await self._offered(owner, from_server=from_server)
        return [_tool(name, config_of(agent)) for name, agent in offered.items()]

    async def call(
        self,
        owner: Owner,
        name: str,
        arguments: JsonObject,
        exchange: Exchange,
        answer: UserAnswer | None = None,
    ) -> ToolResult | None:
        del answer
        if not name.startswith(PREFIX):
            return None
        agent = (await self._offered(owner, from_server=exchange.from_server)).get(name)
        if agent is None:
            return None
        asked = read_arguments(arguments, MessageArguments)
        if asked.session_id:
            return await self._said(owner, agent, asked.session_id, asked.message, exchange)
        agents = self.turns.agents
        made = await agents.create_session(owner, agent.id, CreateSession(session_name=name))
        try:
            return await self._said(owner, agent, made.session_id, asked.message, exchange)
        except AntiphonError:
            # Nothing was said in it, and nobody will be told its id.
            await agents.delete_session(owner, agent.id, made.session_id)
            raise

    async def _offered(self, owner: Owner, *, from_server: bool) -> Mapping[str, StoredAgent]:
        """By the names of their tools."""
        found = await self.turns.agents.sessions.store.agents.list_named(owner, MAX_AGENTS)
        offered: dict[str, StoredAgent] = {}
        for agent in found:
            config = config_of(agent)
            if not config.client_tools and not (from_server and _leads_on(config)):
                name = _tool_name(config.name or "")
                offered[_distinct(name, config.name or "") if name in offered else name] = agent
        return offered

    async def _said(
        self, owner: Owner, agent: StoredAgent, session_id: str, message: str, exchange: Exchange
    ) -> ToolResult:
        """Raises what goes wrong before the turn begins; one that failed is a result that says so."""
        body = CreateTurn(messages=[UserMessage(content=message)])
        asking = Asking(owner, "text", stream=False, headers={})
        async with self.turns.session(owner, agent.id, session_id) as place:
            return await self._turn(asking, body, place, exchange)

    async def _turn(self, asking: Asking, body: CreateTurn, place: Place, exchange: Exchange) -> ToolResult:
        run = await self.turns.create(asking, body, place)
        try:
            return _result(await run.execute(_telling(exchange)), "")
        except AntiphonError as error:
            if not run.begun:
                raise
            return _result(run.record, error.message)
        finally:
            run.close()


def _telling(exchange: Exchange) -> Callable[[list[Event]], Awaitable[None]] | None:
    """Tells a client that asked for it of each item that is done."""
    if not exchange.wants_progress:
        return None
    done = 0

    async def tell(events: list[Event]) -> None:
        nonlocal done
        for event in events:
            if event.type == "response.output_item.done":
                done += 1
                await exchange.progress(done, str(decode_json(event.data)["item"]["type"]))

    return tell


def _leads_on(config: AgentConfig) -> bool:
    """Whether the agent calls servers."""
    return any(not name_of(group).startswith(_BUILTIN) for group in config.toolgroups or ())


def _tool_name(name: str) -> str:
    whole = f"{PREFIX}{_NOT_IN_NAMES.sub('_', name)}"
    return whole if len(whole) <= MAX_NAME else _distinct(whole, name)


def _distinct(tool_name: str, name: str) -> str:
    """With a checksum of the agent's name, where another one reads the same as a tool."""
    return f"{tool_name[: MAX_NAME - 9]}_{crc32(name.encode()):08x}"


def _tool(name: str, config: AgentConfig) -> Tool:
    said = " ".join(config.instructions.split())
    more = f" Its instructions: {said[:SHOWN_INSTRUCTIONS]}{'…' if len(said) > SHOWN_INSTRUCTIONS else ''}"
    return Tool(
        name=name,
        title=f"Ask {config.name}",
        description=f'Say something to the agent "{config.name}", which remembers what was said in the session.'
        f" Returns its answer, and the id of the session to go on with.{more if said else ''}",
        input_schema={
            "type": "object",
            "properties": {
                "message": {"type": "string", "minLength": 1, "description": "What to say to the agent."},
                "session_id": {
                    "type": "string",
                    "description": "Go on in this session; without it a new one begins.",
                },
            },
            "required": ["message"],
            "additionalProperties": False,
        },
        output_schema={
            "type": "object",
            "properties": {
                "text": {"type": "string"},
                "session_id": {"type": "string"},
                "turn_id": {"type": "string"},
                "status": {
                    "type": "string",
                    "enum": ["completed", "awaiting_input", "failed", "cancelled"],
                },
            },
            "required": ["text", "session_id", "turn_id", "status"],
        },
        annotations={
            "title": f"Ask {config.name}",
            "readOnlyHint": False,
            "destructiveHint": bool(config.toolgroups),
            "idempotentHint": False,
            "openWorldHint": bool(config.toolgroups),
        },
    )


def _result(turn: TurnRecord, failure: str) -> ToolResult:
    text = text_of(turn.output.content)
    structured: JsonObject = {
        "text": text,
        "session_id": turn.session_id,
        "turn_id": turn.id,
        "status": turn.status,
    }
    blocks = [text_block(one) for one in (text, _note(turn, failure, said=bool(text))) if one]
    return ToolResult(blocks, structured, is_error=turn.status not in ("completed", "awaiting_input"))


def _note(turn: TurnRecord, failure: str, *, said: bool) -> str:
    """What else there is to say of how it ended. The session is named here too, for clients that read text alone."""
    if failure:
        how = failure
    elif turn.status == "awaiting_input":
        how = "The agent waits for its client to call tools, which cannot be done here; resume the turn over HTTP."
    elif turn.output.stop_reason == "out_of_tokens":
        how = "The answer was cut: the model may say no more in one go."
    else:
        how = "" if said else "(the agent answered without text)"
    return f"{how}\n(session_id: {turn.session_id})".strip()
