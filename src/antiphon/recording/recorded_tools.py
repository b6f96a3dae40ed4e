"""`RecordedTools`: what MCP servers said when a run was recorded. A run that is replayed calls none of them again.

Lists and calls are found among the items of the recorded response: a list by its server, a call by its server, tool and
arguments (as JSON), each once. One that is not there fails, and says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from antiphon.core import mcp, mcp_turn
from antiphon.core.commands import CallTool, ListTools
from antiphon.core.hosted_items import (
    McpApprovalRequest,
    McpAuthorizationRequest,
    McpCall,
    McpElicitationRequest,
    McpListTools,
)
from antiphon.core.hosted_tools import AnyTool
from antiphon.core.mcp_turn import Lists
from antiphon.core.seen import StoredItem
from antiphon.core.signals import McpAsk, ToolDone, ToolsListed
from antiphon.core.tools import FunctionTool, McpTool, Tool
from antiphon.ports import Owner, ToolRuntime
from antiphon.ports.mcp import CallHost, Grant, McpRecords
from antiphon.recording.reader import RecordedRun

_NOT_THERE = "the recording does not hold it, and nothing is called when a run is replayed"
_FOREVER = 2**40
ITEMS = msgspec.json.Decoder(list[StoredItem])


class _Output(msgspec.Struct):
    """A recorded response as far as its items."""

    output: list[StoredItem] = []


@dataclass(slots=True)
class RecordedTools:
    """A `ToolRuntime`. Tools that are not of MCP servers are those of `others`."""

    others: ToolRuntime
    _earlier: Lists = field(default_factory=lambda: mcp_turn.NO_LISTS)
    _lists: list[McpListTools] = field(default_factory=list[McpListTools])
    _calls: list[tuple[McpCall, tuple[McpAsk, ...]]] = field(
        default_factory=list["tuple[McpCall, tuple[McpAsk, ...]]"]
    )
    _authorizations: list[McpAuthorizationRequest] = field(default_factory=list[McpAuthorizationRequest])

    @classmethod
    def of(cls, run: RecordedRun, others: ToolRuntime) -> "RecordedTools":
        """Those of a run; of one that never ended there are none."""
        tools = cls(others)
        asked = run.exchanges[0].asked
        history = asked.history if asked is not None else []
        earlier = [item for turn in history for item in ITEMS.decode(bytes(turn.output))]
        tools._earlier = {item.server_label: item for item in earlier if isinstance(item, McpListTools)}
        if run.record is None:
            return tools
        output = msgspec.json.decode(bytes(run.record.response), type=_Output).output
        questions = [item for item in output if isinstance(item, McpElicitationRequest)]
        for item in output:
            if isinstance(item, McpListTools):
                tools._lists.append(item)
            elif isinstance(item, McpAuthorizationRequest):
                tools._authorizations.append(item)
            elif isinstance(item, McpCall):
                asks: tuple[McpAsk, ...] = ()
                if item.status == "incomplete" and questions:
                    asks = (questions.pop(0),)
                tools._calls.append((item, asks))
        return tools

    async def check(self, owner: Owner, tools: Sequence[AnyTool]) -> None:
        """No server is looked for. Raises what the other tools raise."""
        placed: list[AnyTool] = [
            FunctionTool(name="mcp") if isinstance(one, McpTool) else one for one in tools
        ]
        await self.others.check(owner, placed)

    async def list_tools(self, owner: Owner, asked: ListTools) -> ToolsListed:
        label = asked.tool.server_label
        for item in self._lists:
            if item.server_label == label:
                asks = tuple(one for one in self._authorizations if one.server_label == label)
                return ToolsListed(label, item, asks if item.error else ())
        known = self._earlier.get(
            label
        )  # what it is of was told by what is not recorded: a secret in its URL
        return ToolsListed(label, known or mcp.failed_listing(label, _NOT_THERE))

    def outdated(self, owner: Owner, tool: McpTool, known: McpListTools) -> bool:
        return False

    async def run(self, owner: Owner, call: CallTool, host: CallHost) -> ToolDone:
        item = call.item
        if not isinstance(item, McpCall):
            return await self.others.run(owner, call, host)
        for at, (made, asks) in enumerate(self._calls):
            if _is_same(made, item):
                del self._calls[at]
                return ToolDone(call.call.call_id, "", made, asks)
        return ToolDone(call.call.call_id, "", mcp_turn.failed(item, _NOT_THERE))


def _is_same(made: McpCall, asked: McpCall) -> bool:
    return _key(made) == _key(asked)


def _key(item: McpCall) -> str:
    """Of what is called, with its arguments as JSON."""
    asked = McpApprovalRequest(
        id="", server_label=item.server_label, name=item.name, arguments=item.arguments
    )
    return mcp.request_digest(asked, "")


async def grant_again(
    records: McpRecords, owner: Owner, tools: Sequence[Tool], items: Sequence[StoredItem], now: int
) -> None:
    """Let a run be replayed that began with the user's answers: what was asked may be answered once more."""
    servers = {tool.server_label: tool for tool in tools if isinstance(tool, McpTool)}
    grants: list[Grant] = []
    for item in items:
        if isinstance(item, McpApprovalRequest | McpElicitationRequest) and item.server_label in servers:
            address = mcp.address_digest(servers[item.server_label])
            digest = mcp.request_digest(item, address)
            grants.append(Grant(item.id, "approval", digest, "", now, now + _FOREVER))
    await records.add_grants(owner, grants)
