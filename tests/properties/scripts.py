"""Generated scripts of what a model may do, weighted towards calls, and a player for them.

The player takes a script through the loop and the event writer without any I/O, as the runner does.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec
from hypothesis import strategies as st

from antiphon.core import signals
from antiphon.core.citations import Piece as Piece_
from antiphon.core.closing import closed
from antiphon.core.commands import (
    CallModel,
    CallTool,
    CheckContent,
    CloseItem,
    Compact,
    CountTokens,
    Finish,
    ListTools,
    OpenItem,
    Step,
)
from antiphon.core.hosted_items import (
    FileSearchCall,
    FileSearchResult,
    McpCall,
    McpElicitationRequest,
    McpListedTool,
    McpListTools,
    McpProtocolError,
)
from antiphon.core.ids import ItemIds
from antiphon.core.items import (
    CustomToolCall,
    FunctionCall,
    Message,
    OutputText,
    Reasoning,
    ReasoningText,
    Refusal,
    SummaryText,
)
from antiphon.core.loop import Loop
from antiphon.core.marks import CallEnd, StepEnd
from antiphon.core.mcp import shown_list
from antiphon.core.request import ResponseRequest
from antiphon.core.response import ResponseObject, ResponseState, encode_items
from antiphon.core.shields import Violation
from antiphon.core.signals import FinishReason, ModelSignal
from antiphon.core.token_estimate import estimate
from antiphon.core.tools import (
    ApplyPatchTool,
    ChooseAllowed,
    ChooseShell,
    ComputerTool,
    CustomTool,
    FileSearchTool,
    FunctionTool,
    LocalShellTool,
    McpApprovalRules,
    McpFilter,
    McpTool,
    NamespaceFunction,
    NamespaceTool,
    ShellTool,
    Tool,
    ToolChoice,
    ToolSearchTool,
)
from antiphon.core.transcript import Transcript
from antiphon.core.turn_rules import PLAIN, TurnRules
from antiphon.core.usage import Usage
from antiphon.core.writer import Event, EventWriter

SERVER_TOOLS = frozenset({"search", "lookup"})
HOSTED = {"file_search": ('{"queries":["what","why"]}', "file_search_call")}
"""Tools that the server runs and shows, each with good arguments and the type of its item."""
SERVERS = ("own", "down")
"""Labels of MCP servers; the second one cannot be reached."""
MCP_TOOLS = {
    "free": "completed",
    "broken": "failed",
    "asks": "incomplete",
    "guarded": "completed",
}
"""The tools of the first one, and how a call of each ends; `guarded` needs approval."""
TOOL_NAMES = ("weather", "search", "lookup", "forbidden", "unheard_of")
CUSTOM_TOOL = "patch"
CLIENT_RUN = {
    "shell": ('{"commands":["ls -l","pwd"]}', "shell_call"),
    "local_shell": ('{"command":["ls"]}', "local_shell_call"),
    "apply_patch": ('{"type":"delete_file","path":"a","diff":null}', "apply_patch_call"),
    "computer": ('{"actions":[{"type":"wait","x":null}]}', "computer_call"),
    "tool_search": ('{"query":"later"}', "tool_search_call"),
}
"""Tools whose calls become items of another type, each with good arguments and that type."""
NAMESPACED = ("crm__find", "later")
"""Tools that are functions for the client, under another name or once they are found."""

texts = st.lists(st.text(max_size=6), max_size=4)


@dataclass(frozen=True)
class Piece:
    """One item of a step: its kind, its text in chunks, the tool's name."""

    kind: str
    chunks: list[str]
    name: str = ""


@dataclass(frozen=True)
class Script:
    """What each model call answers; at the signal number `fault_at` the fault strikes."""

    request: ResponseRequest
    steps: list[tuple[list[Piece], FinishReason]]
    streamed: bool
    fault: str | None = None
    fault_at: int = 0


pieces = st.one_of(
    st.builds(Piece, st.sampled_from(["text", "reasoning", "refusal"]), texts),
    st.builds(Piece, st.just("call"), texts, st.sampled_from(TOOL_NAMES)),
    st.builds(Piece, st.just("call"), texts, st.sampled_from(["search", "lookup"])),
    st.builds(Piece, st.just("custom"), texts, st.just(CUSTOM_TOOL)),
    st.builds(Piece, st.just("summary"), texts),
    st.sampled_from(sorted(CLIENT_RUN)).flatmap(
        lambda name: st.builds(
            Piece,
            st.just("call"),
            st.one_of(st.just([CLIENT_RUN[name][0][:9], CLIENT_RUN[name][0][9:]]), texts),
            st.just(name),
        )
    ),
    st.just(Piece("call", [CLIENT_RUN["tool_search"][0]], "tool_search")),
    st.builds(Piece, st.just("call"), texts, st.sampled_from(NAMESPACED)),
    st.sampled_from([Piece("text", ["so ", "[cite:", "1]", "."]), Piece("text", [" [cite:1,2]", "[c", "i"])]),
    st.just(Piece("call", [HOSTED["file_search"][0]], "file_search")),
    st.builds(Piece, st.just("call"), texts, st.just("file_search")),
    st.builds(Piece, st.just("call"), st.just(['{"a"', ":1}"]), st.sampled_from(sorted(MCP_TOOLS))),
    st.builds(Piece, st.just("call"), texts, st.sampled_from(sorted(MCP_TOOLS))),
)
_FINISHES: list[FinishReason] = ["stop", "stop", "stop", "tool_calls", "length", "content_filter"]
finishes = st.sampled_from(_FINISHES)
steps = st.lists(st.tuples(st.lists(pieces, max_size=4), finishes), min_size=1, max_size=6)
_ALLOWED = [
    {"type": "function", "name": "weather"},
    {"type": "function", "name": "search"},
    {"type": "custom", "name": CUSTOM_TOOL},
    {"type": "shell"},
    {"type": "namespace", "name": "crm"},
]
_CHOICES: list[ToolChoice | None] = [
    None,
    "auto",
    "none",
    "required",
    ChooseAllowed(mode="auto", tools=_ALLOWED),
    ChooseShell(),
]
_MACHINE: list[Tool] = [
    ShellTool(),
    LocalShellTool(),
    ApplyPatchTool(),
    ComputerTool(),
    NamespaceTool(name="crm", description="Customers", tools=[NamespaceFunction(name="find")]),
    ToolSearchTool(),
    FileSearchTool(vector_store_ids=["vs_1"]),
    FunctionTool(name="later", defer_loading=True),
    McpTool(
        server_label="own",
        server_url="https://example.com/mcp",
        require_approval=McpApprovalRules(never=McpFilter(tool_names=["free", "broken", "asks"])),
    ),
    McpTool(server_label="down", server_url="https://example.org/mcp"),
]
choices = st.sampled_from(_CHOICES)


def _request(
    choice: ToolChoice | None,
    parallel: bool | None,
    steps_limit: int | None,
    calls: int | None,
    tokens: int | None,
    machine: bool,
) -> ResponseRequest:
    if isinstance(choice, ChooseShell) and not machine:
        choice = None
    if isinstance(choice, ChooseAllowed) and not machine:
        choice = ChooseAllowed(mode=choice.mode, tools=_ALLOWED[:3])
    return ResponseRequest(
        model="m",
        input="hi",
        stream=True,
        tools=[
            *(FunctionTool(name=name) for name in ("weather", "search", "lookup", "forbidden")),
            CustomTool(name=CUSTOM_TOOL),
            *(_MACHINE if machine else ()),
        ],
        tool_choice=choice,
        parallel_tool_calls=parallel,
        max_infer_iters=steps_limit,
        max_tool_calls=calls,
        max_output_tokens=tokens,
    )


requests = st.builds(
    _request,
    choices,
    st.sampled_from([None, True, False]),
    st.sampled_from([None, 1, 2, 5]),
    st.sampled_from([None, 1, 2]),
    st.sampled_from([None, None, 16, 30]),
    st.sampled_from([True, True, False]),
)
scripts = st.builds(
    Script,
    requests,
    steps,
    st.booleans(),
    st.sampled_from([None, None, None, "failed", "cancelled"]),
    st.integers(0, 20),
)


def signals_of(pieces_: list[Piece], finish: FinishReason, streamed: bool, step: int) -> list[ModelSignal]:
    """The signals of one model call. Streamed slots interleave: all start, then deltas round robin, then all end."""
    made = [(_item(piece, step, at), piece) for at, piece in enumerate(pieces_)]
    result: list[ModelSignal] = []
    if streamed:
        result += [signals.ItemStarted(at, _empty(item)) for at, (item, _) in enumerate(made)]
        for turn in range(4):
            result += [
                _delta(at, piece, turn) for at, (_, piece) in enumerate(made) if turn < len(piece.chunks)
            ]
    result += [signals.ItemDone(at, item) for at, (item, _) in enumerate(made)]
    usage = Usage(input_tokens=5, output_tokens=7, total_tokens=12)
    result.append(signals.StepDone(finish, usage))
    return result


def _item(piece: Piece, step: int, at: int) -> signals.ModelItem:
    text = "".join(piece.chunks)
    match piece.kind:
        case "text":
            return Message(role="assistant", content=[OutputText(text=text, annotations=[])])
        case "refusal":
            return Message(role="assistant", content=[Refusal(refusal=text)])
        case "reasoning":
            return Reasoning(content=[ReasoningText(text=text)])
        case "summary":
            return Reasoning(summary=[SummaryText(text=chunk) for chunk in piece.chunks if chunk])
        case "custom":
            return CustomToolCall(call_id=f"call_{step}_{at}", name=piece.name, input=text)
        case _:
            return FunctionCall(call_id=f"call_{step}_{at}", name=piece.name, arguments=text)


def _types_of(piece: Piece) -> list[str]:
    """How the client knows it; a search of the server's own is two items."""
    if piece.name == "tool_search":
        return ["tool_search_call", "tool_search_output"]
    if piece.name in CLIENT_RUN:
        return [CLIENT_RUN[piece.name][1]]
    if piece.name in HOSTED or piece.name in MCP_TOOLS:
        return []  # they are shown behind the step, when they are carried out
    kinds = {"call": "function_call", "custom": "custom_tool_call"}
    return [kinds.get(piece.kind, "message" if piece.kind in ("text", "refusal") else "reasoning")]


def _empty(item: signals.ModelItem) -> signals.ModelItem:
    match item:
        case Message():
            return Message(role="assistant", content=[])
        case Reasoning():
            return Reasoning()
        case FunctionCall():
            return FunctionCall(call_id=item.call_id, name=item.name, arguments="")
        case CustomToolCall():
            return CustomToolCall(call_id=item.call_id, name=item.name, input="")


def _delta(slot: int, piece: Piece, turn: int) -> ModelSignal:
    """Each chunk of a summary is a part of its own."""
    text = piece.chunks[turn]
    match piece.kind:
        case "summary":
            return signals.SummaryDelta(slot, turn, text)
        case "text":
            return signals.TextDelta(slot, text)
        case "refusal":
            return signals.RefusalDelta(slot, text)
        case "reasoning":
            return signals.ReasoningDelta(slot, text)
        case _:
            return signals.ArgumentsDelta(slot, text)


Command = CallModel | CountTokens | Compact | CheckContent | CallTool | ListTools


@dataclass
class Played:
    events: list[Event] = field(default_factory=list[Event])
    calls: list[CallModel] = field(default_factory=list[CallModel])
    compactions: list[Compact] = field(default_factory=list[Compact])
    tool_calls: list[CallTool] = field(default_factory=list[CallTool])
    listings: list[ListTools] = field(default_factory=list[ListTools])
    finishes: list[Finish] = field(default_factory=list[Finish])
    checks: list[CheckContent] = field(default_factory=list[CheckContent])
    marks: list[StepEnd | CallEnd] = field(default_factory=list["StepEnd | CallEnd"])
    final: bytes = b""
    kinds_made: list[str] = field(default_factory=list[str])
    """The types that the items of each model call have for the client, where they are shown."""


@dataclass
class Player:
    """Runs a script through loop and writer without any I/O, as the runner does."""

    script: Script
    writer: EventWriter = field(default_factory=EventWriter)
    played: Played = field(default_factory=Played)
    rules: TurnRules = PLAIN
    transcript: Transcript = field(default_factory=Transcript)

    def __post_init__(self) -> None:
        self.loop = Loop(self.script.request, self.transcript, SERVER_TOOLS, rules=self.rules)
        self.ids = ItemIds("resp_" + "0" * 32)
        self.response = ResponseObject("resp_" + "0" * 32, 1, self.script.request)
        self._count = 0

    def play(self) -> Played:
        self.writer.begin(self.response.whole(ResponseState("in_progress"), b"[]"))
        pending = self._apply(self.loop.start())
        step = 0
        while pending and not self.played.finishes:
            command = pending.pop(0)
            if isinstance(command, CallModel):
                for signal in self.heard(step):
                    pending += self._hear(signal)
                step += 1
            elif isinstance(command, CountTokens):
                pending += self._apply(self.loop.feed(signals.Counted(self.counted(command))))
            elif isinstance(command, Compact):
                pending += self._apply(self.loop.feed(self.compacted(command)))
            elif isinstance(command, ListTools):
                pending += self._apply(self.loop.feed(self.listed(command)))
            elif isinstance(command, CheckContent):
                pending += self._apply(self.loop.feed(signals.ContentChecked(self.checked(command))))
            else:
                pending += self._apply(self.loop.feed(self.answered(command)))
        self._end()
        return self.played

    def answered(self, command: CallTool) -> signals.ToolDone:
        """What comes of a server's own call."""
        call_id = command.call.call_id
        if isinstance(command.item, McpCall):
            return self.ended(call_id, command.item)
        if not isinstance(command.item, FileSearchCall):
            return signals.ToolDone(call_id, f"result of {call_id}")
        found = [FileSearchResult(file_id=f"file-{call_id}", filename="a", text=f"result of {call_id}")]
        item = msgspec.structs.replace(command.item, status="completed", results=found)
        return signals.ToolDone(call_id, "", item)

    def listed(self, command: ListTools) -> signals.ToolsListed:
        """What comes of asking an MCP server for its tools."""
        label = command.tool.server_label
        if label == "down":
            gone = msgspec.structs.replace(command.item, error="it does not answer")
            return signals.ToolsListed(label, gone)
        tools = [McpListedTool(name=name, input_schema={"type": "object"}) for name in MCP_TOOLS]
        return signals.ToolsListed(label, msgspec.structs.replace(command.item, tools=tools))

    def ended(self, call_id: str, item: McpCall) -> signals.ToolDone:
        """What comes of a call of an MCP server's tool."""
        status = MCP_TOOLS[item.name]
        if status == "failed":
            error = McpProtocolError(code=-32603, message="broken")
            return signals.ToolDone(call_id, "", msgspec.structs.replace(item, status=status, error=error))
        if status == "completed":
            done = msgspec.structs.replace(item, status=status, output=f"result of {call_id}")
            return signals.ToolDone(call_id, "", done)
        question = McpElicitationRequest(
            id="",
            server_label=item.server_label,
            name=item.name,
            arguments=item.arguments,
            message="Which one?",
            expires_at=9,
            requested_schema={"type": "object", "properties": {}},
        )
        return signals.ToolDone(call_id, "", msgspec.structs.replace(item, status=status), (question,))

    def checked(self, command: CheckContent) -> Violation | None:
        """What the shields say."""
        del command
        return None

    def counted(self, command: CountTokens) -> int:
        """What the tokenizer says."""
        return estimate(command.call.request, command.call.transcript)

    def compacted(self, command: Compact) -> signals.Compacted | signals.NotCompacted:
        """What becomes of a compaction."""
        del command
        return signals.Compacted(summary="what was said")

    def heard(self, step: int) -> list[ModelSignal]:
        """What the model call of this number answers."""
        pieces_, finish = self.script.steps[min(step, len(self.script.steps) - 1)]
        self.played.kinds_made += [kind for piece in pieces_ for kind in _types_of(piece)]
        return signals_of(pieces_, finish, self.script.streamed, step)

    def _hear(self, signal: ModelSignal) -> list[Command]:
        self._count += 1
        if self.script.fault and self._count == self.script.fault_at:
            fault = (
                signals.Failed("server_error", "gone")
                if self.script.fault == "failed"
                else signals.Cancelled()
            )
            return self._apply(self.loop.feed(fault))
        kinds = {
            signals.TextDelta: "output_text",
            signals.RefusalDelta: "refusal",
            signals.ReasoningDelta: "reasoning_text",
            signals.ArgumentsDelta: "arguments",
        }
        if isinstance(
            signal, signals.TextDelta | signals.RefusalDelta | signals.ReasoningDelta | signals.ArgumentsDelta
        ):
            if isinstance(signal, signals.TextDelta) and self.loop.citations is not None:
                self._show(signal.slot, self.loop.citations.feed(signal.slot, signal.text))
            elif signal.text and self.writer.is_open(signal.slot) and not self.played.finishes:
                self.writer.delta(signal.slot, kinds[type(signal)], signal.text)
            return []
        if isinstance(signal, signals.SummaryDelta):
            if not self.played.finishes:
                self.writer.summary(signal.slot, signal.index, signal.text)
            return []
        if isinstance(signal, signals.ItemDone) and self.loop.citations is not None:
            self._show(signal.slot, self.loop.citations.finish(signal.slot))
        return self._apply(self.loop.feed(signal))

    def _show(self, slot: int, shown: Iterable[Piece_]) -> None:
        for one in shown if not self.played.finishes else ():
            if isinstance(one, str):
                self.writer.delta(slot, "output_text", one)
            else:
                self.writer.annotate(slot, one)

    def _apply(self, made: Iterable[Step]) -> list[Command]:
        commands: list[Command] = []
        for step in made:
            match step:
                case OpenItem(slot=slot, item=item):
                    kind = str(item.__struct_config__.tag)
                    self.writer.open(slot, msgspec.structs.replace(item, id=self.ids.new(kind)))
                case CloseItem(slot=slot, item=item, status=status):
                    self.writer.close(slot, _shown(closed(item, self.writer.item_id(slot), status)))
                case CallModel():
                    self.played.calls.append(step)
                    commands.append(step)
                case CountTokens():
                    commands.append(step)
                case Compact():
                    self.played.compactions.append(step)
                    commands.append(step)
                case ListTools():
                    self.played.listings.append(step)
                    commands.append(step)
                case CallTool():
                    self.played.tool_calls.append(step)
                    commands.append(step)
                case CheckContent():
                    self.played.checks.append(step)
                    commands.append(step)
                case StepEnd() | CallEnd():
                    self.played.marks.append(step)
                case Finish():
                    self.played.finishes.append(step)
        return commands

    def _end(self) -> None:
        for slot, item in self.writer.partial():
            self.writer.close(slot, item)
        finish = self.played.finishes[0] if self.played.finishes else Finish("failed", error_code="x")
        state = ResponseState.finished(finish, now=2, usage=self.loop.usage, service_tier=None)
        self.played.final = self.response.whole(state, encode_items(self.writer.finished_items()))
        self.writer.end(state.status, self.played.final)
        self.played.events = self.writer.take()


def _shown(item: signals.OutputItem) -> signals.OutputItem:
    return shown_list(item) if isinstance(item, McpListTools) else item
