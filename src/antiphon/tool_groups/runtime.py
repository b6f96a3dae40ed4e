"""`GroupRuntime`: what stands before the server's tool runtime while an agent's run uses tool groups.

Nobody answers there: questions of servers are declined, and who has to authorise something is told so as the result of
a call. Everything else is as it is in a response.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from antiphon.core.commands import CallTool, ListTools
from antiphon.core.hosted_items import (
    McpAuthorizationRequest,
    McpCall,
    McpElicitationRequest,
    McpListedTool,
    McpListTools,
    McpProtocolError,
)
from antiphon.core.hosted_tools import AnyTool
from antiphon.core.json_values import is_object
from antiphon.core.mcp import ElicitationAnswer
from antiphon.core.signals import McpAsk, ToolDone, ToolsListed
from antiphon.core.tools import McpTool
from antiphon.core.wire import UNSET, JsonObject, decode_json, encode
from antiphon.ports import Owner, ToolRuntime
from antiphon.ports.mcp import CallHost

SESSION_ID: Final = "session_id"
MAX_DECLINED: Final = 16
"""Questions of one call that are declined; one that asks on and on has failed."""
_AUTHORIZE: Final = "authorize"
_NEEDS: Final = (
    "This server needs its user's authorisation before it does anything. Call this for the page where"
)
_REFUSED: Final = -32050
_NO_ARGUMENTS: Final[JsonObject] = {"type": "object", "properties": {}}


@dataclass(frozen=True, slots=True)
class FixedArguments:
    """Of one group: those of every tool, and those of a tool by its name, which win over them."""

    every: JsonObject = field(default_factory=dict[str, object])
    by_tool: Mapping[str, JsonObject] = field(default_factory=dict[str, JsonObject])

    def of(self, tool: str) -> JsonObject:
        return {**self.every, **self.by_tool.get(tool, {})}


class GroupRuntime:
    """A `ToolRuntime` for one run. `fixed` has the groups' servers by label; tools of other labels pass as they are."""

    def __init__(
        self, others: ToolRuntime, fixed: Mapping[str, FixedArguments], session_id: str = ""
    ) -> None:
        self._others = others
        self._fixed = fixed
        self._session_id = session_id
        self._schemas: dict[str, dict[str, JsonObject]] = {}

    async def check(self, owner: Owner, tools: Sequence[AnyTool]) -> None:
        await self._others.check(owner, tools)

    async def list_tools(self, owner: Owner, asked: ListTools) -> ToolsListed:
        """A server that has to be authorised first has a tool whose result says where."""
        listed = await self._others.list_tools(owner, asked)
        if asked.tool.server_label not in self._fixed:
            return listed
        self._remember(listed)
        if _authorization(listed.asks) is None:
            return msgspec.structs.replace(listed, asks=())
        item = msgspec.structs.replace(listed.item, tools=_to_authorize(asked.tool))
        return ToolsListed(listed.server_label, item)

    def outdated(self, owner: Owner, tool: McpTool, known: McpListTools) -> bool:
        """The user may have authorised it since."""
        ours = tool.server_label in self._fixed
        return (ours and _is_to_authorize(known)) or self._others.outdated(owner, tool, known)

    async def run(self, owner: Owner, call: CallTool, host: CallHost) -> ToolDone:
        tool, item = call.tool, call.item
        if (
            not isinstance(tool, McpTool)
            or not isinstance(item, McpCall)
            or tool.server_label not in self._fixed
        ):
            return await self._others.run(owner, call, host)
        arguments = await self._arguments(owner, tool, item)
        done = await self._answered(owner, replace(call, item=_with_arguments(item, arguments)), host)
        ended = done.item
        if not isinstance(ended, McpCall):
            return msgspec.structs.replace(done, asks=())
        ended = _with_arguments(ended, item.arguments)
        ask = _authorization(done.asks)
        ended = ended if ask is None else _unauthorized(ended, ask)
        return msgspec.structs.replace(done, item=ended, asks=())

    async def _answered(self, owner: Owner, call: CallTool, host: CallHost) -> ToolDone:
        """The call's end: the answer to each question of its server is no."""
        for _ in range(MAX_DECLINED):
            done = await self._others.run(owner, call, host)
            asked = next((ask for ask in done.asks if isinstance(ask, McpElicitationRequest)), None)
            if asked is None:
                return done
            call = replace(call, answer=ElicitationAnswer(asked, "decline"))
        why = f"the server asks its user on and on: {MAX_DECLINED} questions were declined."
        return ToolDone(call.call.call_id, "", _failed(call.item, why))

    # --- arguments ----------------------------------------------------------------------------------------
    async def _arguments(self, owner: Owner, tool: McpTool, item: McpCall) -> str:
        """The model's, with those that are fixed in place of what it says under their names."""
        fixed = self._fixed[tool.server_label].of(item.name)
        if not fixed and not self._session_id:
            return item.arguments
        given = decode_json(item.arguments)
        if not is_object(given):
            return item.arguments
        schema = await self._schema(owner, tool, item.name)
        mine = {name: value for name, value in fixed.items() if schema is None or _takes(schema, name)}
        if self._session_id and schema is not None and SESSION_ID in _properties(schema):
            mine.setdefault(SESSION_ID, self._session_id)
        return encode({**given, **mine}).decode() if mine else item.arguments

    async def _schema(self, owner: Owner, tool: McpTool, name: str) -> JsonObject | None:
        """Of a tool's arguments; None where its server does not say it now."""
        label = tool.server_label
        if label not in self._schemas:
            item = McpListTools(id="", server_label=label, tools=[])
            self._remember(await self._others.list_tools(owner, ListTools(tool, item)))
        return self._schemas.get(label, {}).get(name)

    def _remember(self, listed: ToolsListed) -> None:
        if not listed.item.error:
            found = {one.name: one.input_schema for one in listed.item.tools}
            self._schemas[listed.server_label] = found


def _takes(schema: JsonObject, name: str) -> bool:
    """Whether a tool takes an argument: one that it names, or any if it says so or names none at all."""
    if name in _properties(schema):
        return True
    more = schema.get("additionalProperties")
    return more is True or is_object(more) or (more is None and "properties" not in schema)


def _properties(schema: JsonObject) -> JsonObject:
    found = schema.get("properties")
    return found if is_object(found) else {}


def _with_arguments(item: McpCall, arguments: str) -> McpCall:
    return msgspec.structs.replace(item, arguments=arguments)


def _failed(item: object, why: str) -> McpCall | None:
    if not isinstance(item, McpCall):
        return None
    error = McpProtocolError(code=_REFUSED, message=f"MCP server `{item.server_label}`: {why}")
    return msgspec.structs.replace(item, status="failed", output=None, error=error)


# --- authorisations ---------------------------------------------------------------------------------------------
def _authorization(asks: Sequence[McpAsk]) -> McpAuthorizationRequest | None:
    return next((ask for ask in asks if isinstance(ask, McpAuthorizationRequest)), None)


def _unauthorized(item: McpCall, ask: McpAuthorizationRequest) -> McpCall:
    message = (
        f"MCP server `{item.server_label}` needs the user's authorisation first. Tell the user to open this page, and"
        f" to ask again afterwards: {ask.url}"
    )
    error = McpProtocolError(code=_REFUSED, message=message)
    return msgspec.structs.replace(item, status="failed", output=None, error=error)


def _to_authorize(tool: McpTool) -> list[McpListedTool]:
    """A tool that can be called in place of those which cannot be known yet, under a name that is let through."""
    allowed = tool.allowed_tools
    name = allowed[0] if isinstance(allowed, list) and allowed else _AUTHORIZE
    about = f"{_NEEDS} that is granted."
    return [McpListedTool(name=name, input_schema=_NO_ARGUMENTS, description=about, annotations=UNSET)]


def _is_to_authorize(known: McpListTools) -> bool:
    return any((one.description or "").startswith(_NEEDS) for one in known.tools)
