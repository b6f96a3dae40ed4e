"""What this server does itself in one response: it asks MCP servers for their tools, and runs calls of its own tools.

`Loop` says when, and goes on when all is done. A call that needs approval is shown as the request for it and not made;
a call whose server has a question for the user ends in that question. Then the user is `asked`, and the response ends.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence

import msgspec

from antiphon.core import file_search, hosted_calls, mcp_turn, signals
from antiphon.core.citations import Citations
from antiphon.core.client_tools import BadArguments
from antiphon.core.commands import CallTool, CloseItem, ListTools, OpenItem, Step
from antiphon.core.hosted_calls import HostedCall
from antiphon.core.hosted_items import FileSearchCall, McpCall, McpListTools
from antiphon.core.items import FunctionCall, FunctionCallOutput
from antiphon.core.marks import CallEnd
from antiphon.core.mcp import arguments_text
from antiphon.core.mcp_turn import McpBeginning, McpTurn, Resumed
from antiphon.core.request import ResponseRequest
from antiphon.core.signals import McpAsk, OutputItem
from antiphon.core.toolbox import Toolbox
from antiphon.core.tools import McpTool

MAX_TOOL_CALLS = "Error: max_tool_calls is reached; answer without further calls."
_INTERNAL_ERROR = -32603
"""JSON-RPC's."""


class ServerCalls:
    """The state of one response. `asked`: the user has to do something before the model is asked again."""

    __slots__ = (
        "_answers",
        "_asks",
        "_count",
        "_found",
        "_limit",
        "_listing",
        "_marks",
        "_open",
        "_slots",
        "asked",
        "citations",
        "resumed",
        "servers",
    )

    def __init__(self, request: ResponseRequest, found: McpBeginning, *, marks: bool = False) -> None:
        self.servers = McpTurn(request.tools or (), found)
        self.citations: Citations | None = None
        self.asked = False
        self.resumed: list[FunctionCall] = []
        """The calls that go on, as the model is shown them."""
        self._found = found
        self._marks = marks
        self._limit = request.max_tool_calls
        self._count = 0
        self._slots = 0
        self._listing: dict[str, int] = {}
        self._asks: list[McpAsk] = []
        self._answers: dict[str, FunctionCallOutput | None] = {}
        self._open: dict[str, tuple[int, HostedCall]] = {}

    # --- items --------------------------------------------------------------------------------------------
    def show(self, item: OutputItem, kind: str = "") -> Iterator[Step]:
        """An item that is there at once."""
        slot = self._slot()
        yield OpenItem(slot, item, kind)
        yield CloseItem(slot, item, "completed")

    def _slot(self) -> int:
        """Below zero: no model call numbers its items so."""
        self._slots -= 1
        return self._slots

    def _ask_user(self, asks: Sequence[McpAsk]) -> Iterator[Step]:
        for ask in asks:
            yield from self.show(ask)
            self.asked = True

    def is_over_limit(self) -> bool:
        """Counts a call, and says whether it is one more than `max_tool_calls`."""
        self._count += 1
        return self._limit is not None and self._count > self._limit

    # --- lists --------------------------------------------------------------------------------------------
    def list_tools(self) -> Iterator[Step]:
        """Ask the servers whose tools the conversation does not know."""
        for tool in self.servers.unlisted:
            item = McpListTools(id="", server_label=tool.server_label, tools=[])
            slot = self._listing[tool.server_label] = self._slot()
            yield OpenItem(slot, item)
            yield ListTools(tool, item)

    @property
    def is_listing(self) -> bool:
        return bool(self._listing)

    def listed(self, signal: signals.ToolsListed) -> Iterator[Step]:
        """One of them has answered. When the last one has, the user is asked what there is to ask."""
        slot = self._listing.pop(signal.server_label, None)
        if slot is None:
            return  # a repeated answer
        yield CloseItem(slot, self.servers.listed(signal.server_label, signal.item), "completed")
        self._asks += signal.asks
        if not self._listing:
            yield from self._ask_user(self._asks)

    # --- calls --------------------------------------------------------------------------------------------
    @property
    def is_running(self) -> bool:
        return any(answer is None for answer in self._answers.values())

    def take(self) -> Mapping[str, FunctionCallOutput]:
        """The outputs of the calls that are done, by call id; afterwards there are none."""
        answers, self._answers = self._answers, {}
        return {call_id: answer for call_id, answer in answers.items() if answer is not None}

    def run(self, calls: Sequence[FunctionCall], toolbox: Toolbox) -> Iterator[Step]:
        """Start the calls of one step; those beyond `max_tool_calls` are answered, not run."""
        told: list[signals.ToolDone] = []
        to_run: list[FunctionCall] = []
        for call in calls:
            try:
                if not (yield from self._asks_approval(call, toolbox)):
                    to_run.append(call)
            except BadArguments as error:
                told.append(_unusable(call, error))
        self._answers.update(dict.fromkeys([done.call_id for done in told]))
        self._answers.update(dict.fromkeys([call.call_id for call in to_run]))
        for call in to_run:
            if self.is_over_limit():
                told.append(signals.ToolDone(call.call_id, MAX_TOOL_CALLS))
                continue
            try:
                yield from self._run_one(call, toolbox)
            except BadArguments as error:
                told.append(_unusable(call, error))
        for done in told:
            yield from self.done(done)

    def _asks_approval(self, call: FunctionCall, toolbox: Toolbox) -> Generator[Step, None, bool]:
        """Show the request for approval of a call that needs it. Raises BadArguments, before anything is shown."""
        one = toolbox.names.get(call.name)
        if one is None or one.listed is None or not isinstance(one.hosted, McpTool):
            return False
        if not self.servers.needs_approval(one.hosted, one.listed):
            return False
        yield from self.show(mcp_turn.approval_request(one.hosted, one.listed.name, arguments_text(call)))
        self.asked = True
        return True

    def _run_one(self, call: FunctionCall, toolbox: Toolbox) -> Iterator[Step]:
        """Raises BadArguments, before anything is shown."""
        one = toolbox.names.get(call.name)
        if one is None or one.hosted is None:
            yield CallTool(call)
        elif call.call_id not in self._open:  # else two calls have one id, and one answer is for both
            item = hosted_calls.call_item(one.hosted, one.name, call)
            yield self._open_call(call.call_id, item)
            yield CallTool(call, one.hosted, item)

    def _open_call(self, call_id: str, item: HostedCall) -> OpenItem:
        slot = self._slot()
        self._open[call_id] = slot, item
        return OpenItem(slot, item)

    def done(self, done: signals.ToolDone) -> Iterator[Step]:
        call_id, output = done.call_id, done.output
        if call_id not in self._answers or self._answers[call_id] is not None:
            return  # a repeated answer
        item: HostedCall | None = None
        if call_id in self._open:
            slot, begun = self._open.pop(call_id)
            item = done.item or _failed(begun)
            if self.citations is not None and isinstance(item, FileSearchCall):
                item = self.citations.numbered(item)
            output = output or hosted_calls.said(item)
            yield CloseItem(slot, item, "completed")
        yield from self._ask_user(done.asks)
        if done.asks and isinstance(item, McpCall) and item.status == "incomplete":
            del self._answers[call_id]  # it goes on in another response
        else:
            self._answers[call_id] = FunctionCallOutput(call_id=call_id, output=output)
            if self._marks:
                told = file_search.sources(item) if isinstance(item, FileSearchCall) else {}
                yield CallEnd(call_id, output, item is None or item.status == "failed", told)

    # --- calls that go on ---------------------------------------------------------------------------------
    def resume(self, toolbox: Toolbox) -> Iterator[Step]:
        """Make the calls that the user has approved, and go on with those whose questions the user has answered."""
        told: list[signals.ToolDone] = []
        for one in self._found.resumed:
            asked = one.asked
            tool = self.servers.tool(asked.server_label)
            if tool is None:
                continue  # it was refused with the request: `responses.answers`
            known = self.servers.find(tool.server_label, asked.name) is not None
            if known and not self.servers.is_as_asked(one):
                yield from self.show(mcp_turn.approval_request(tool, asked.name, asked.arguments))
                self.asked = True
                continue
            item, call = mcp_turn.resumed_item(one), _as_call(one, toolbox)
            self.resumed.append(call)
            self._answers[call.call_id] = None
            yield self._open_call(call.call_id, item)
            if not known:
                gone = mcp_turn.failed(item, f'the server has no tool "{asked.name}" any more')
                told.append(signals.ToolDone(call.call_id, "", gone))
            elif self.is_over_limit():
                told.append(signals.ToolDone(call.call_id, "", mcp_turn.failed(item, MAX_TOOL_CALLS)))
            else:
                yield CallTool(call, tool, item, one.answer)
        for done in told:
            yield from self.done(done)


def _as_call(one: Resumed, toolbox: Toolbox) -> FunctionCall:
    """The call as the model is shown it."""
    asked = one.asked
    name = toolbox.name_of(asked.server_label, asked.name)
    return FunctionCall(call_id=asked.id, name=name, arguments=asked.arguments)


def _failed(begun: HostedCall) -> HostedCall:
    """A call of which nothing came back."""
    if isinstance(begun, FileSearchCall):
        return msgspec.structs.replace(begun, status="failed", results=[])
    return mcp_turn.failed(begun, "nothing came back from the tool", _INTERNAL_ERROR)


def _unusable(call: FunctionCall, error: BadArguments) -> signals.ToolDone:
    return signals.ToolDone(call.call_id, f"Error: this call of {call.name} cannot be used: {error}")
