"""The tools of the connectors that a caller may use, as `CONNECTOR__TOOL`. They are listed and called as in a response:
with the same addresses, credentials, limits and results.
"""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec

from antiphon.core.commands import CallTool, ListTools
from antiphon.core.elicitation import check_answer
from antiphon.core.hosted_items import (
    McpAuthorizationRequest,
    McpCall,
    McpElicitationRequest,
    McpElicitationResponse,
    McpListedTool,
    McpListTools,
    McpToolExecutionError,
)
from antiphon.core.items import FunctionCall
from antiphon.core.json_values import is_array, is_object
from antiphon.core.mcp import ElicitationAnswer
from antiphon.core.shown_tools import shown_name
from antiphon.core.signals import ToolDone, ToolsListed
from antiphon.core.tools import McpTool
from antiphon.core.wire import JsonObject, encode
from antiphon.mcp_server.passing_on import passed_on
from antiphon.mcp_server.tools import (
    AuthorizationNeeded,
    Exchange,
    Outcome,
    Tool,
    ToolResult,
    UserAnswer,
    UserAsked,
    text_block,
)
from antiphon.mcp_tools.together import PATIENCE_S, NoRun, asked_together
from antiphon.ports import Owner, ToolRuntime
from antiphon.ports.mcp import CallHost

log = logging.getLogger("antiphon.mcp_server")
AUTHORIZE: Final = "authorize"
_HEADER_KEY: Final = "x-mcp-header"
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_-]")
_ASKED: Final = msgspec.json.Decoder(McpElicitationRequest)


class ConnectorIds(Protocol):
    """Which connectors there are."""

    async def ids(self, owner: Owner) -> Sequence[str]:
        """Those that this owner may use, in an order that holds."""
        ...


@dataclass(frozen=True, slots=True)
class ConnectorTools:
    """A `ToolSource`. `max_chars` bounds the text of one result."""

    connectors: ConnectorIds
    runtime: ToolRuntime
    max_chars: int
    patience_s: float = PATIENCE_S

    async def tools(self, owner: Owner, *, from_server: bool) -> Sequence[Tool]:
        """None for another server of ours: it can have these connectors itself."""
        if from_server:
            return ()

        async def tools_of(connector_id: str) -> Sequence[Tool]:
            return await self._tools(owner, connector_id)

        lists = await asked_together(await self.connectors.ids(owner), tools_of, self.patience_s)
        for connector_id, found in lists:
            if found is None:
                log.warning("connector %s was left out of a list: it did not answer in time", connector_id)
        return [tool for _, found in lists for tool in found or ()]

    async def _tools(self, owner: Owner, connector_id: str) -> Sequence[Tool]:
        listed = await self._listed(owner, connector_id)
        if any(isinstance(ask, McpAuthorizationRequest) for ask in listed.asks):
            return (_authorize_tool(connector_id),)
        if listed.item.error:
            log.warning("connector %s was left out of a list: %s", connector_id, listed.item.error)
        return [_tool(connector_id, one) for one in listed.item.tools]

    async def _listed(self, owner: Owner, connector_id: str) -> ToolsListed:
        item = McpListTools(id="", server_label=connector_id, tools=[])
        return await self.runtime.list_tools(owner, ListTools(_server(connector_id), item))

    # --- calls ----------------------------------------------------------------------------------------------
    async def call(
        self,
        owner: Owner,
        name: str,
        arguments: JsonObject,
        exchange: Exchange,
        answer: UserAnswer | None = None,
    ) -> Outcome | None:
        if exchange.from_server:
            return None
        for connector_id in await self.connectors.ids(owner):
            if _is_of(name, connector_id):
                outcome = await self._call_of(owner, connector_id, name, arguments, answer)
                if outcome is not None:
                    return outcome
        return None

    async def _call_of(
        self, owner: Owner, connector_id: str, name: str, arguments: JsonObject, answer: UserAnswer | None
    ) -> Outcome | None:
        """The tool is looked for among those of the connector: its list is kept, and names may have been shortened."""
        listed = await self._listed(owner, connector_id)
        tool = next((one for one in listed.item.tools if _name(connector_id, one.name) == name), None)
        if tool is not None:
            host = NoRun()
            done = await self._made(owner, connector_id, tool.name, arguments, host, answer)
            return _outcome(done) if host.taken is None else passed_on(host.taken, self.max_chars)
        needed = _authorization(connector_id, listed.asks)
        if needed is not None:
            return needed
        if name == _name(connector_id, AUTHORIZE):
            return ToolResult.of(f'"{connector_id}" needs no authorisation now; list the tools again.')
        return ToolResult.failed(listed.item.error) if listed.item.error else None

    async def _made(
        self,
        owner: Owner,
        connector_id: str,
        tool: str,
        arguments: JsonObject,
        host: CallHost,
        answer: UserAnswer | None,
    ) -> ToolDone:
        asked = _ASKED.decode(answer.state) if answer is not None else None
        text = asked.arguments if asked is not None else encode(arguments).decode()
        item = McpCall(id="", server_label=connector_id, name=tool, arguments=text, output=None, error=None)
        call = CallTool(
            FunctionCall(call_id="", name=tool, arguments=text),
            _server(connector_id),
            item,
            None if asked is None or answer is None else _checked(asked, answer),
        )
        return await self.runtime.run(owner, call, host)


def _checked(asked: McpElicitationRequest, answer: UserAnswer) -> ElicitationAnswer:
    """Raises InvalidRequest for content that the form does not allow: the server never sees it."""
    content = answer.content if asked.mode == "form" else None
    response = McpElicitationResponse(elicitation_request_id="", action=answer.action, content=content)
    check_answer(asked, response, "answer")
    return ElicitationAnswer(asked, answer.action, content)


def _server(connector_id: str) -> McpTool:
    return McpTool(server_label=connector_id, connector_id=connector_id, require_approval="never")


# --- names and definitions ------------------------------------------------------------------------------------
def _name(connector_id: str, tool: str) -> str:
    return shown_name(connector_id, _NOT_IN_NAMES.sub("_", tool))


def _is_of(name: str, connector_id: str) -> bool:
    """Whether a name may be one of this connector's; of a long id only a part is in it."""
    prefix = f"{_NOT_IN_NAMES.sub('_', connector_id)}__"
    return name.startswith(prefix[:48])


def _tool(connector_id: str, listed: McpListedTool) -> Tool:
    schema = _plain(listed.input_schema)
    title = listed.annotations.get("title") if listed.annotations else None
    return Tool(
        name=_name(connector_id, listed.name),
        description=listed.description or "",
        input_schema=schema if schema.get("type") == "object" else {**schema, "type": "object"},
        title=title if isinstance(title, str) else "",
        annotations=listed.annotations or None,
    )


def _authorize_tool(connector_id: str) -> Tool:
    return Tool(
        name=_name(connector_id, AUTHORIZE),
        title=f"Authorise {connector_id}",
        description=f'The tools of "{connector_id}" need the authorisation of their user first. Gives the page where'
        " the user grants it; list the tools again afterwards.",
        input_schema={"type": "object", "properties": {}, "additionalProperties": False},
        annotations={"title": f"Authorise {connector_id}", "readOnlyHint": False, "destructiveHint": False},
    )


def _plain(schema: JsonObject) -> JsonObject:
    """Without the wish that arguments be repeated in headers: that is between a server and who asks it directly."""
    return {key: _below(key, value) for key, value in schema.items() if key != _HEADER_KEY}


def _below(key: str, value: Any) -> Any:
    if key in ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas") and is_object(
        value
    ):
        return {name: _plain(one) if is_object(one) else one for name, one in value.items()}
    if key in ("enum", "const", "default", "examples"):
        return value
    if is_object(value):
        return _plain(value)
    return [_plain(one) if is_object(one) else one for one in value] if is_array(value) else value


# --- what comes of a call -------------------------------------------------------------------------------------
def _outcome(done: ToolDone) -> Outcome:
    for ask in done.asks:
        if isinstance(ask, McpElicitationRequest):
            schema, url = ask.requested_schema or None, ask.url or ""
            return UserAsked(ask.message, encode(ask), ask.mode, schema, url)
    item = done.item
    if not isinstance(item, McpCall):
        raise TypeError(f"a call of an MCP tool became {type(item).__name__}")
    needed = _authorization(item.server_label, done.asks)
    if needed is not None:
        return needed
    if not item.error:
        return ToolResult.of(item.output or "(the tool returned nothing)")
    if isinstance(item.error, McpToolExecutionError):
        content = item.error.content
        blocks = (
            [one for one in content if is_object(one)] if is_array(content) else [text_block(str(content))]
        )
        return ToolResult(blocks or [text_block("the tool failed and did not say why")], is_error=True)
    return ToolResult.failed(item.error.message)


def _authorization(connector_id: str, asks: Sequence[object]) -> AuthorizationNeeded | None:
    for ask in asks:
        if isinstance(ask, McpAuthorizationRequest):
            return AuthorizationNeeded(f'"{connector_id}" needs your authorisation.', ask.url)
    return None
