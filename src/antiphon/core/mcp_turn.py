"""The MCP servers of one response: which tools of them are known, which calls need approval, which calls go on."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import msgspec

from antiphon.core import mcp
from antiphon.core.hosted_items import (
    McpApprovalRequest,
    McpCall,
    McpElicitationRequest,
    McpListedTool,
    McpListTools,
    McpProtocolError,
)
from antiphon.core.mcp import ElicitationAnswer
from antiphon.core.tools import McpTool
from antiphon.core.wire import UNSET

_INVALID_PARAMS = -32602
"""JSON-RPC's code for a tool that there is not, as MCP uses it."""
Lists = Mapping[str, McpListTools]
NO_LISTS: Lists = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Resumed:
    """A call that goes on, since the user answered: approved it, or said something to a question of its server.

    `definition` is the digest of the tool as it was when the user was asked; "" where that does not matter.
    """

    asked: McpApprovalRequest | McpElicitationRequest
    definition: str = ""
    answer: ElicitationAnswer | None = None


@dataclass(frozen=True, slots=True)
class McpBeginning:
    """What a response finds: the newest `lists` of the conversation by label; the labels whose lists do not hold any
    more although nothing in the request tells (`outdated`); the calls that go on.
    """

    lists: Lists = field(default_factory=lambda: NO_LISTS)
    outdated: frozenset[str] = frozenset()
    resumed: Sequence[Resumed] = ()


NOTHING = McpBeginning()


class McpTurn:
    """The state of one response. `lists` are those that hold, by label."""

    __slots__ = ("_earlier", "_tools", "lists", "unlisted")

    def __init__(self, tools: Iterable[object], found: McpBeginning = NOTHING) -> None:
        self._tools = {tool.server_label: tool for tool in tools if isinstance(tool, McpTool)}
        self._earlier = found.lists
        self.lists: dict[str, McpListTools] = {}
        self.unlisted: list[McpTool] = []
        """The servers that have to be asked for their tools."""
        for label, tool in self._tools.items():
            known = found.lists.get(label)
            if known is not None and label not in found.outdated and _holds(known, tool):
                self.lists[label] = known
            else:
                self.unlisted.append(tool)

    def tool(self, label: str) -> McpTool | None:
        return self._tools.get(label)

    def listed(self, label: str, given: McpListTools) -> McpListTools:
        """A list as it is shown and kept: of all tools that the server has, those that the request allows."""
        tool = self._tools[label]
        kept = [one for one in given.tools if mcp.is_allowed(one, tool.allowed_tools)]
        changed = _changed(self._earlier.get(label), kept)
        self.lists[label] = listing = msgspec.structs.replace(
            given,
            server_label=label,
            tools=[_without_nulls(one) for one in kept],
            error=given.error or UNSET,
            server=mcp.list_digest(tool),
            changed=changed or UNSET,
        )
        return listing

    def find(self, label: str, name: str) -> McpListedTool | None:
        """A tool that may be called now."""
        known = self.lists.get(label)
        tool = self._tools.get(label)
        if known is None or tool is None:
            return None
        allowed = (one for one in known.tools if mcp.is_allowed(one, tool.allowed_tools))
        return next((one for one in allowed if one.name == name), None)

    def needs_approval(self, tool: McpTool, listed: McpListedTool) -> bool:
        """What has changed under its name needs it, whatever the request says."""
        known = self.lists.get(tool.server_label)
        if known is not None and known.changed and listed.name in known.changed:
            return True
        return mcp.needs_approval(listed, tool)

    def is_as_asked(self, one: Resumed) -> bool:
        """Whether the tool is still what the user was shown."""
        listed = self.find(one.asked.server_label, one.asked.name)
        return not one.definition or (listed is not None and mcp.definition_digest(listed) == one.definition)

    def digests(self, asked: McpApprovalRequest | McpElicitationRequest) -> tuple[str, str]:
        """What an answer to this will be held to: the digest of what is asked, and of the tool's definition.

        A question comes from a call that runs, so that the tool was approved already, if it had to be.
        """
        tool = self._tools[asked.server_label]
        digest = mcp.request_digest(asked, mcp.address_digest(tool))
        listed = self.find(asked.server_label, asked.name)
        if listed is None or isinstance(asked, McpElicitationRequest):
            return digest, ""
        return digest, mcp.definition_digest(listed)


def _without_nulls(tool: McpListedTool) -> McpListedTool:
    """Some clients (the AI SDK) take these fields to be left out or there, and never null."""
    return msgspec.structs.replace(
        tool, description=tool.description or UNSET, annotations=tool.annotations or UNSET
    )


def _holds(known: McpListTools, tool: McpTool) -> bool:
    """Whether a list of the conversation is what the server would be asked for.

    One that the client carried has no digest; it holds where it has each tool that the request names.
    """
    if known.server is not UNSET:
        return known.server == mcp.list_digest(tool)
    named = tool.allowed_tools if isinstance(tool.allowed_tools, list) else []
    return bool(known.tools) and {one.name for one in known.tools} >= set(named)


def _changed(earlier: McpListTools | None, now: Sequence[McpListedTool]) -> list[str]:
    """The tools whose definition is another one than the conversation knows, those of earlier changes included."""
    if earlier is None:
        return []
    before = {one.name: mcp.definition_digest(one) for one in earlier.tools}
    marked = set(earlier.changed or ())
    return [
        one.name
        for one in now
        if one.name in marked or before.get(one.name, "") not in ("", mcp.definition_digest(one))
    ]


def resumed_item(one: Resumed) -> McpCall:
    """What is shown of a call that goes on, still open."""
    asked = one.asked
    approval = asked.id if isinstance(asked, McpApprovalRequest) else None
    return mcp.begun(asked.server_label, asked.name, asked.arguments, approval)


def failed(item: McpCall, message: str, code: int = _INVALID_PARAMS) -> McpCall:
    """The call, which could not be made."""
    return msgspec.structs.replace(item, status="failed", error=McpProtocolError(code=code, message=message))


def approval_request(tool: McpTool, name: str, arguments: str) -> McpApprovalRequest:
    return McpApprovalRequest(id="", server_label=tool.server_label, name=name, arguments=arguments)
