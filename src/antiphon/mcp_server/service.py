"""`McpService`: the methods of MCP that this server has, for both generations, over its tool sources."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from antiphon.core.errors import AntiphonError
from antiphon.core.json_schemas import nesting_exceeds
from antiphon.core.json_values import is_object, json_name
from antiphon.core.wire import JsonObject
from antiphon.mcp_server.messages import (
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    URL_ELICITATION_REQUIRED,
    Call,
    RpcError,
)
from antiphon.mcp_server.questions import Questions, question_params
from antiphon.mcp_server.revisions import SERVER_KEY, STATELESS, Asks
from antiphon.mcp_server.tools import (
    AuthorizationNeeded,
    Exchange,
    Outcome,
    Tool,
    ToolResult,
    ToolSource,
    UserAnswer,
    UserAsked,
)
from antiphon.ports import Ids, Owner
from antiphon.version import __version__

log = logging.getLogger("antiphon.mcp_server")
PAGE: Final = 512
"""Tools in one page of a list: many clients never ask for a second one."""
MAX_QUESTIONS: Final = 16
"""Questions that one call may ask the user in a row."""
MAX_DEPTH: Final = 128
"""How deep arguments may be nested."""
LIST_TTL_MS: Final = 60_000
DISCOVER_TTL_MS: Final = 3_600_000
LEVELS: Final = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
SERVER_INFO: Final[JsonObject] = {"name": "antiphon", "title": "Antiphon", "version": __version__}
CAPABILITIES: Final[JsonObject] = {"tools": {"listChanged": False}}
INSTRUCTIONS: Final = (
    "An agent server. `file_search` finds passages in the files of your vector stores; `create_response` has a model"
    " answer; tools named agent_NAME ask an agent, in a session that goes on; those named CONNECTOR__TOOL are those of"
    " other MCP servers that you may use here."
)


class AskingExchange(Exchange, Protocol):
    """An exchange that can reach the user while the call goes on, in the generation with a handshake."""

    async def ask(self, asked: UserAsked) -> UserAnswer:
        """What the user says; "cancel" where the client cannot ask, does not answer in time or answers nonsense."""
        ...


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and how they can ask their user something."""

    owner: Owner
    stateless: bool
    asks: Asks = Asks()
    from_server: bool = False


@dataclass(frozen=True, slots=True)
class McpService:
    """`sources` in the order in which their tools are listed; of two tools of one name the first wins."""

    sources: Sequence[ToolSource]
    questions: Questions
    ids: Ids

    # --- dispatch -------------------------------------------------------------------------------------------
    async def result(self, caller: Caller, call: Call, exchange: AskingExchange) -> JsonObject:
        """What a request is answered with. Raises RpcError."""
        match call.method:
            case "tools/list":
                found = await self._list(caller, call.params.get("cursor"))
            case "tools/call":
                found = await self._call(caller, call, exchange)
            case "server/discover" if caller.stateless:
                found = _discovered()
            case "ping" if not caller.stateless:
                found = {}
            case "logging/setLevel" if not caller.stateless:
                found = _level_set(call.params.get("level"))
            case _:
                raise RpcError(METHOD_NOT_FOUND, f'there is no method "{call.method[:100]}" here.')
        return _stamped(found) if caller.stateless else found

    # --- tools ----------------------------------------------------------------------------------------------
    async def tools(self, owner: Owner, *, from_server: bool = False) -> list[Tool]:
        """All that this caller may use. A source that fails costs its own tools."""
        lists = await asyncio.gather(*(self._tools_of(one, owner, from_server) for one in self.sources))
        by_name: dict[str, Tool] = {}
        for tool in (one for found in lists for one in found):
            by_name.setdefault(tool.name, tool)
        return list(by_name.values())

    async def _tools_of(self, source: ToolSource, owner: Owner, from_server: bool) -> Sequence[Tool]:
        try:
            return await source.tools(owner, from_server=from_server)
        except AntiphonError as error:
            log.warning("tools were left out of a list: %s", error.message)
            return ()

    async def _list(self, caller: Caller, cursor: object) -> JsonObject:
        tools = await self.tools(caller.owner, from_server=caller.from_server)
        start = _offset(cursor, len(tools))
        found: JsonObject = {"tools": [one.shown() for one in tools[start : start + PAGE]]}
        if start + PAGE < len(tools):
            found["nextCursor"] = str(start + PAGE)
        if caller.stateless:
            found |= {"ttlMs": LIST_TTL_MS, "cacheScope": "private"}
        return found

    async def _call(self, caller: Caller, call: Call, exchange: AskingExchange) -> JsonObject:
        name, arguments = _named(call.params)
        answer, authorised = None, False
        if caller.stateless:
            resumed = self.questions.resumed(caller.owner, name, arguments, call.params)
            if resumed is not None:
                answer, authorised = resumed.answer, resumed.answer is None
                if authorised and resumed.action != "accept":
                    return ToolResult.failed("The user did not authorise this.").shown()
        outcome = await self._run(caller.owner, name, arguments, exchange, answer)
        for _ in range(MAX_QUESTIONS):
            if not isinstance(outcome, UserAsked) or self._is_carried(caller, outcome):
                break
            said = UserAnswer(outcome.state, "cancel") if caller.stateless else await exchange.ask(outcome)
            outcome = await self._run(caller.owner, name, arguments, exchange, said)
        match outcome:
            case ToolResult():
                return outcome.shown()
            case UserAsked() if self._is_carried(caller, outcome):
                return self.questions.required(caller.owner, name, arguments, outcome)
            case UserAsked():
                return ToolResult.failed("The tool asked the user too often; call it again.").shown()
            case AuthorizationNeeded():
                return self._authorisation(caller, name, arguments, outcome, again=authorised)

    def _is_carried(self, caller: Caller, asked: UserAsked) -> bool:
        """Whether the question goes to the client as a result."""
        return caller.stateless and (caller.asks.form if asked.mode == "form" else caller.asks.url)

    def _authorisation(
        self, caller: Caller, name: str, arguments: JsonObject, needed: AuthorizationNeeded, *, again: bool
    ) -> JsonObject:
        """A link for the user, as the client can take it. Raises RpcError -32042 for clients of 2025-11-25."""
        if not caller.asks.url or again:
            return ToolResult.failed(
                f"{needed.message} Open {needed.url} in a browser, then call the tool again."
            ).shown()
        if caller.stateless:
            return self.questions.required(caller.owner, name, arguments, needed)
        elicitation = question_params(needed, self.ids.new("elicit_"))
        raise RpcError(URL_ELICITATION_REQUIRED, needed.message, {"elicitations": [elicitation]})

    async def _run(
        self, owner: Owner, name: str, arguments: JsonObject, exchange: Exchange, answer: UserAnswer | None
    ) -> Outcome:
        """Raises RpcError for a tool that there is not."""
        try:
            for source in self.sources:
                outcome = await source.call(owner, name, arguments, exchange, answer)
                if outcome is not None:
                    return outcome
        except AntiphonError as error:
            return ToolResult.failed(error.message)
        raise RpcError(
            INVALID_PARAMS, f'`params.name`: there is no tool "{name[:100]}"; tools/list names them.'
        )


def handshake(revision: str) -> JsonObject:
    """The result of `initialize`."""
    return {
        "protocolVersion": revision,
        "capabilities": CAPABILITIES,
        "serverInfo": SERVER_INFO,
        "instructions": INSTRUCTIONS,
    }


def _discovered() -> JsonObject:
    return {
        "supportedVersions": list(STATELESS),
        "capabilities": CAPABILITIES,
        "instructions": INSTRUCTIONS,
        "ttlMs": DISCOVER_TTL_MS,
        "cacheScope": "private",
    }


def _stamped(result: JsonObject) -> JsonObject:
    return {"resultType": "complete", **result, "_meta": {SERVER_KEY: SERVER_INFO}}


def _level_set(level: object) -> JsonObject:
    """No log messages are sent to clients, whatever they would like to read; clients ask all the same."""
    if level not in LEVELS:
        raise RpcError(INVALID_PARAMS, f"`params.level`: expected one of {', '.join(LEVELS)}.")
    return {}


def _offset(cursor: object, count: int) -> int:
    if cursor is None:
        return 0
    if isinstance(cursor, str) and cursor.isascii() and cursor.isdecimal() and len(cursor) <= 6:
        start = int(cursor)
        if start % PAGE == 0 and start <= count:
            return start
    raise RpcError(INVALID_PARAMS, "`params.cursor`: expected the `nextCursor` of the page before.")


def _named(params: JsonObject) -> tuple[str, JsonObject]:
    name, arguments = params.get("name"), params.get("arguments")
    if not isinstance(name, str) or not name:
        raise RpcError(INVALID_PARAMS, "`params.name`: required, the name of a tool.")
    if arguments is not None and not is_object(arguments):
        raise RpcError(
            INVALID_PARAMS, f"`params.arguments`: expected an object, found {json_name(arguments)}."
        )
    if arguments and nesting_exceeds(arguments, MAX_DEPTH):
        raise RpcError(
            INVALID_PARAMS, f"`params.arguments`: nested more than {MAX_DEPTH} deep; flatten them."
        )
    return name, arguments or {}
