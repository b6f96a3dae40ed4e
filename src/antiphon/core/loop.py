"""The agentic loop: read top to bottom it is the specification of a run. No I/O, no clock: signals in, steps out.

It decides which items and calls are let through, when the model is asked again, and how the response ends. Deltas do
not pass through it. A call that the request does not permit (not among `tools`, outside `allowed_tools`, a second one
with `parallel_tool_calls: false`) never becomes an output item; the model is told and asked again. So it is with a
call of a client-run tool whose arguments cannot be read. A tool search of the server's own is made here. MCP servers
whose tools the conversation does not know are asked for them first; then calls go on that the user has approved or
answered a question for; a call that needs approval, or an answer, ends the response. Before a model call it asks how
full the context is, where the request wants it compacted, and has it compacted when it is. Where there are shields,
they are asked about what came in before anything else is done, and about what was made before the end.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeGuard, assert_never

from antiphon.core import compacting, guarding, mcp_turn, signals, tool_search
from antiphon.core.citations import Citations
from antiphon.core.client_tools import BadArguments
from antiphon.core.commands import (
    CallModel,
    CheckContent,
    CloseItem,
    Compact,
    CountTokens,
    Finish,
    OpenItem,
    Step,
)
from antiphon.core.compaction import compaction_item, seen_of
from antiphon.core.guarding import Guarding
from antiphon.core.hosted_items import (
    McpApprovalRequest,
    McpElicitationRequest,
    ToolSearchCall,
    ToolSearchOutput,
)
from antiphon.core.hosted_tools import AnyTool
from antiphon.core.ids import STOPPED_INPUT, STOPPED_OUTPUT
from antiphon.core.in_words import again
from antiphon.core.items import (
    Call,
    CallOutput,
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    InputText,
    ItemStatus,
    Message,
)
from antiphon.core.marks import Rejected, StepEnd
from antiphon.core.mcp_turn import McpBeginning
from antiphon.core.permission import Permission
from antiphon.core.prompt_turn import prompt_turns
from antiphon.core.request import ResponseRequest
from antiphon.core.seen import TranscriptItem
from antiphon.core.server_calls import MAX_TOOL_CALLS, ServerCalls
from antiphon.core.shields import Violation
from antiphon.core.signals import FinishReason, ItemDone, ModelItem, Signal
from antiphon.core.toolbox import Toolbox, wants_text
from antiphon.core.transcript import Transcript, searches
from antiphon.core.turn_rules import PLAIN, TurnRules
from antiphon.core.usage import Usage

MAX_REJECTED_STEPS = 3
DEFAULT_MAX_STEPS = 64


@dataclass(slots=True)
class Loop:
    """One response, from its first model call to exactly one `Finish`."""

    request: ResponseRequest
    transcript: Transcript
    server_tools: frozenset[str] = frozenset()
    streamed: bool = True
    usage: Usage | None = None
    service_tier: str | None = None
    stop_sequence: str | None = None
    finished: bool = False
    brought: Sequence[AnyTool] = ()
    """The definitions of tools that the conversation has loaded."""
    mcp: McpBeginning = mcp_turn.NOTHING
    """What the conversation knows of MCP servers, and the calls of theirs that go on."""
    rules: TurnRules = PLAIN
    citations: Citations | None = field(init=False)
    """What makes citations of the markers in the model's texts; None where none is to be expected."""
    _toolbox: Toolbox = field(init=False)
    _permission: Permission = field(init=False)
    _steps: int = 0
    _rejected_steps: int = 0
    _repaired: bool = False
    _admitted: set[int] = field(default_factory=set[int])
    _refused: dict[int, str] = field(default_factory=dict[int, str])
    _calls: list[Call] = field(default_factory=list[Call])
    _rejections: list[tuple[Call, str]] = field(default_factory=list[tuple[Call, str]])
    _step_calls: int = 0
    _held: ItemDone | None = None
    _line: list[int] = field(default_factory=list[int])
    """Slots that are shown when they are complete, in the model's order: calls that become items of another type, and
    whatever began behind one of them.
    """
    _complete: dict[int, tuple[ItemDone, ItemStatus]] = field(
        default_factory=dict[int, tuple[ItemDone, ItemStatus]]
    )
    _searched: bool = False
    _summary_tokens: int = 0
    ours: ServerCalls = field(init=False)
    """The calls and lists that this server makes itself."""
    _fullness: compacting.Fullness = field(init=False)
    _split: compacting.Split | None = None
    _guarding: Guarding = field(init=False)
    _made: list[TranscriptItem] = field(default_factory=list[TranscriptItem])
    """What came to the transcript in this response, where shields are to be asked about it."""
    _ending: Finish | None = None
    """How the response ends if the shields that are being asked let it."""

    def __post_init__(self) -> None:
        self._fullness = compacting.Fullness(compacting.threshold_of(self.request))
        self._guarding = Guarding(self.rules, self.transcript.items)
        self.ours = ServerCalls(self.request, self.mcp, marks=self.rules.marks)
        self._use(Toolbox(self.request, self.brought, self.ours.servers.lists))
        earlier = searches(self.transcript.history)
        may_cite = wants_text(self.request) and (earlier or self._toolbox.searches_files)
        self.citations = self.ours.citations = Citations.of(earlier) if may_cite else None

    def _use(self, toolbox: Toolbox) -> None:
        self._toolbox = toolbox
        self._permission = Permission.of(self.request, toolbox)

    def start(self) -> Iterator[Step]:
        check = self.check_of_input()
        if check is not None:
            yield check
        else:
            yield from self._start()

    def check_of_input(self) -> CheckContent | None:
        """What shields are asked before anything else; None where there are none."""
        return self._guarding.of_input()

    def _start(self) -> Iterator[Step]:
        if compacting.is_triggered(self.request):
            self._split = compacting.whole(self.transcript)
            yield Compact(self.planned(), required=True)
        elif (
            self.mcp is mcp_turn.NOTHING and not self.ours.servers.unlisted
        ):  # no MCP server has a part in it
            yield from self._ask()
        else:
            yield from self._begin()

    def feed(self, signal: Signal) -> Iterator[Step]:
        """Advance by one signal. Signals after the end are ignored: tools may answer late."""
        if self.finished:
            return
        match signal:
            case signals.ItemStarted(slot=slot, item=item):
                yield from self._release("completed")
                if self._admit(slot, item):
                    yield OpenItem(slot, self._outward(item))
            case signals.ItemDone():
                yield from self._item_done(signal)
            case signals.StepDone(finish=finish, usage=usage, service_tier=tier):
                self._count(usage, tier)
                self.stop_sequence = signal.stop_sequence
                cut = finish in ("length", "content_filter")
                yield from self._release_all("incomplete" if cut else "completed")
                self._fullness.measured(usage, self.transcript)
                if self.rules.marks:
                    yield self._step_end(finish)
                yield from self._after_step(finish)
            case signals.ToolDone():
                yield from self.ours.done(signal)
                yield from self._when_all_are_done()
            case signals.ToolsListed():
                yield from self._tools_listed(signal)
            case signals.Sampled(item=item, usage=usage):
                self._count(usage, None)
                yield from self.ours.show(item)
            case signals.Invalid(usage=usage):
                self._count(usage, None)
                yield from self._release_all("completed")
                if self.rules.marks:
                    yield StepEnd("stop")
                yield from self._repair(signal)
            case signals.ContentChecked(violation=violation):
                yield from self._content_checked(violation)
            case signals.Counted(tokens=tokens):
                yield from self._ask_or_compact(tokens)
            case signals.Compacted():
                yield from self._go_on_compacted(signal)
            case signals.NotCompacted(usage=usage):
                self._count_compaction(usage)
                self._fullness.give_up()
                yield self._call_model()
            case signals.Failed(code=code, message=message):
                yield from self._release_all("completed")
                yield self._finish(Finish("failed", error_code=code, error_message=message))
            case signals.Cancelled():
                yield from self._release_all("completed")
                yield self._finish(Finish("cancelled"))
            case _:
                assert_never(signal)

    # --- items --------------------------------------------------------------------------------------------
    def _admit(self, slot: int, item: ModelItem) -> bool:
        """May this item be shown now? Calls need permission; the answer holds for all signals of the slot."""
        if slot in self._admitted or slot in self._refused or slot in self._line:
            return False
        if isinstance(item, Call):
            reason = self._permission.refusal(item.name, self._step_calls, self._steps)
            if reason is None and self._last_step:
                reason = "the limit of model calls is reached; answer without tools"
            if reason is not None:
                self._refused[slot] = reason
                return False
            self._step_calls += 1
            if self._is_ours(item):
                self._refused[slot] = ""
                return False
        if self._line or (isinstance(item, Call) and self._toolbox.is_whole(item.name)):
            self._line.append(slot)
            return False
        self._admitted.add(slot)
        return True

    def _item_done(self, signal: ItemDone) -> Iterator[Step]:
        yield from self._release("completed")
        slot, item = signal.slot, signal.item
        if self._admit(slot, item):
            yield OpenItem(slot, self._outward(item))
        if slot in self._admitted or slot in self._line:
            self._held = self._cited(signal)
        elif isinstance(item, Call):
            if self._refused[slot]:
                self._rejections.append((item, self._refused[slot]))
            else:
                self._calls.append(item)

    def _cited(self, done: ItemDone) -> ItemDone:
        if self.citations is None or not isinstance(done.item, Message):
            return done
        return ItemDone(done.slot, self.citations.cleaned(done.item))

    def _release(self, status: ItemStatus) -> Iterator[Step]:
        """Close the item that is done. It waits for the next signal, since only that tells if it was cut short."""
        held, self._held = self._held, None
        if held is None:
            return
        if held.slot not in self._line:
            yield from self._close(held, status)
            return
        self._complete[held.slot] = (held, status)
        while self._line and self._line[0] in self._complete:
            yield from self._show_complete(self._line[0])

    def _release_all(self, status: ItemStatus) -> Iterator[Step]:
        """At the end also what waits behind a call that was not completed."""
        yield from self._release(status)
        for slot in [slot for slot in self._line if slot in self._complete]:
            yield from self._show_complete(slot)

    def _show_complete(self, slot: int) -> Iterator[Step]:
        """What waited in the line. A client-run call that was cut short is not shown: it could not be read."""
        self._line.remove(slot)
        done, status = self._complete.pop(slot)
        if not (isinstance(done.item, Call) and self._toolbox.is_whole(done.item.name)):
            yield OpenItem(slot, self._outward(done.item))
            yield from self._close(done, status)
            return
        self._refused[slot] = ""
        if status == "completed":
            yield from self._whole_call(done.item)

    def _close(self, done: ItemDone, status: ItemStatus) -> Iterator[Step]:
        self._refused[done.slot] = ""
        self._admitted.discard(done.slot)
        if status == "completed" or not isinstance(done.item, Call):
            self._add(done.item)
        if isinstance(done.item, Call) and status == "completed":
            self._calls.append(done.item)
        yield CloseItem(done.slot, self._outward(done.item), status)

    def _outward(self, item: ModelItem) -> ModelItem:
        return self._toolbox.outward(item) if isinstance(item, Call) else item

    def _whole_call(self, call: Call) -> Iterator[Step]:
        """A complete call of a tool that is no function for the client: its own item, or a search that is made now."""
        try:
            if isinstance(call, FunctionCall) and self._toolbox.is_search(call.name):
                yield from self._search(call)
                return
            item = self._toolbox.item_of(call)
        except BadArguments as error:
            self._rejections.append((call, f"this call of {call.name} cannot be used: {error}"))
            return
        self._add(call)
        self._calls.append(call)
        yield from self.ours.show(item)

    def _search(self, call: FunctionCall) -> Iterator[Step]:
        """Raises BadArguments."""
        arguments = tool_search.arguments_of(call)
        over = self.ours.is_over_limit()
        found = [] if over else tool_search.find(arguments, self._toolbox.findable)
        loaded = tool_search.definitions(found)
        text = MAX_TOOL_CALLS if over else tool_search.said([one.face.name for one in found])
        self._add(call, _answer(call, text))
        self._searched = True
        if over:
            return
        self._use(self._toolbox.with_loaded(loaded))
        asked = ToolSearchCall(call_id=None, execution="server", arguments=arguments, status="completed")
        yield from self.ours.show(asked)
        yield from self.ours.show(
            ToolSearchOutput(call_id=None, execution="server", tools=loaded, status="completed")
        )

    # --- steps --------------------------------------------------------------------------------------------
    @property
    def _last_step(self) -> bool:
        limit = self.request.max_infer_iters or DEFAULT_MAX_STEPS
        if self.rules.max_steps is not None:
            limit = self.rules.max_steps + 1  # the run is over before that
        return self._steps >= max(limit, 2) or self._rejected_steps >= MAX_REJECTED_STEPS

    def _ask(self) -> Iterator[Step]:
        """Ask the model, after a look at how full the context is."""
        if not self._fullness.matters:
            yield self._call_model()
        elif (tokens := self._fullness.of(self.transcript)) is None:
            yield CountTokens(self.planned())
        else:
            yield from self._ask_or_compact(tokens)

    def _ask_or_compact(self, tokens: int) -> Iterator[Step]:
        split = self._fullness.split(tokens, self.transcript)
        if split is None:
            yield self._call_model()
            return
        self._split = split
        yield Compact(replace(self.planned(), transcript=split.to_sum_up(self.transcript.instructions)))

    def _go_on_compacted(self, made: signals.Compacted) -> Iterator[Step]:
        """Show the compaction; then ask the model, for whom it stands for what came before."""
        self._count_compaction(made.usage)
        split, self._split = self._split, None
        if split is None:
            return  # nobody asked for it
        triggered = compacting.is_triggered(self.request)
        item = compaction_item(split.replaced_by(made, replaces=not triggered or self._continues))
        yield from self.ours.show(item)
        if triggered:
            yield self._finish(Finish("completed"))
            return
        in_front = prompt_turns(self.transcript.history)
        self.transcript = Transcript(self.transcript.instructions, in_front, tuple(seen_of(item)))
        self._fullness.forget()
        yield self._call_model()

    @property
    def _continues(self) -> bool:
        return bool(self.request.previous_response_id or self.request.conversation)

    def _call_model(self) -> CallModel:
        self._steps += 1
        self._admitted.clear()
        self._refused.clear()
        self._line.clear()
        self._complete.clear()
        self._calls.clear()
        self._rejections.clear()
        self._searched = False
        self._step_calls = 0
        return self.planned(self._steps)

    def planned(self, step: int | None = None) -> CallModel:
        """The model call as it is made in this step, or would be in the next one."""
        choice = "none" if self._last_step else self._permission.choice_for(step or self._steps + 1)
        request = self._toolbox.request()
        return CallModel(request, self.transcript, choice, self._step_tokens(), self.streamed)

    def tokens_left(self) -> int | None:
        limit = self.request.max_output_tokens
        if limit is None or self.usage is None:
            return limit
        return limit - (self.usage.output_tokens - self._summary_tokens)

    def _step_tokens(self) -> int | None:
        """What the next model call may generate."""
        limits = [one for one in (self.tokens_left(), self.rules.max_step_tokens) if one is not None]
        return min(limits, default=None)

    @property
    def _is_over(self) -> bool:
        """Whether the rules of the run allow no further model call."""
        return self.rules.max_steps is not None and self._steps >= self.rules.max_steps

    def _step_end(self, finish: FinishReason) -> StepEnd:
        """The mark of a step that has ended."""
        calls = tuple(self._toolbox.own_name(call) for call in self._calls)
        servers = tuple(call.call_id for call in self._calls if self._is_ours(call))
        rejected = tuple(Rejected(call, f"Error: {reason}") for call, reason in self._rejections)
        return StepEnd(finish, calls, servers, rejected, is_last=self._is_over and bool(calls or rejected))

    def _after_step(self, finish: FinishReason) -> Iterator[Step]:
        if finish == "length":
            yield from self._end(Finish("incomplete", incomplete_reason="max_output_tokens"))
        elif finish == "content_filter":
            yield from self._end(Finish("incomplete", incomplete_reason="content_filter"))
        elif self._is_over:
            yield from self._end(Finish("completed"))
        elif server_calls := [call for call in self._calls if self._is_ours(call)]:
            yield from self.ours.run(server_calls, self._toolbox)
            yield from self._when_all_are_done()
        elif self._searched and not self._calls:
            yield from self._answer_rejections()
        elif self._calls or not self._rejections:
            yield from self._end(Finish("completed"))
        elif self._last_step:
            message = "the model kept calling tools that this request does not permit"
            yield self._finish(Finish("failed", error_code="server_error", error_message=message))
        else:
            self._rejected_steps += 1
            yield from self._answer_rejections()

    def _answer_rejections(self) -> Iterator[Step]:
        calls = [call for call, _ in self._rejections]
        answers = [_answer(call, f"Error: {reason}") for call, reason in self._rejections]
        self._add(*calls, *answers)
        yield from self._next_step()

    def _next_step(self) -> Iterator[Step]:
        left = self.tokens_left()
        if left is not None and left <= 0:
            yield from self._end(Finish("incomplete", incomplete_reason="max_output_tokens"))
        else:
            yield from self._ask()

    def _is_ours(self, call: Call) -> TypeGuard[FunctionCall]:
        """Whether the server runs this call."""
        if not isinstance(call, FunctionCall):
            return False
        return call.name in self.server_tools or self._toolbox.hosted(call.name) is not None

    def _when_all_are_done(self) -> Iterator[Step]:
        """The step, or the calls that went on, have their answers: tell the model, unless others have to act."""
        if self.ours.is_running:
            return
        answers = self.ours.take()
        if not answers and not self.ours.asked:
            return  # a repeated answer
        calls = [call for call in self._calls if call.call_id in answers]
        said = [answers[call.call_id] for call in calls]
        refused = [call for call, _ in self._rejections]
        told = [_answer(call, f"Error: {reason}") for call, reason in self._rejections]
        self._add(*calls, *refused, *said, *told)
        if self.ours.asked or any(call.call_id not in answers for call in self._calls):
            yield from self._end(Finish("completed"))  # the client owes the rest
        else:
            yield from self._next_step()

    # --- MCP servers --------------------------------------------------------------------------------------
    def _begin(self) -> Iterator[Step]:
        yield from self.ours.list_tools()
        if not self.ours.is_listing:
            yield from self._go_on()

    def _tools_listed(self, signal: signals.ToolsListed) -> Iterator[Step]:
        if not self.ours.is_listing:
            return
        yield from self.ours.listed(signal)
        if self.ours.is_listing:
            return
        self._use(Toolbox(self.request, self.brought, self.ours.servers.lists))
        if self.ours.asked:
            yield self._finish(Finish("completed"))
        else:
            yield from self._go_on()

    def _go_on(self) -> Iterator[Step]:
        """With the calls that the user has answered for, then with the model."""
        if self.mcp.resumed:
            yield from self.ours.resume(self._toolbox)
            self._calls += self.ours.resumed
            yield from self._when_all_are_done()
        elif (lacking := self._toolbox.lacking()) is not None:
            yield self._finish(Finish("failed", error_code="server_error", error_message=lacking))
        else:
            yield from self._ask()

    def _repair(self, invalid: signals.Invalid) -> Iterator[Step]:
        """What was held broke its format or grammar: tell the model once, then give up."""
        item, problem = invalid.item, invalid.problem
        if self._repaired:
            what = (
                f"its input for the tool {item.name} does not match the tool's grammar"
                if isinstance(item, CustomToolCall)
                else "its answer does not match text.format"
            )
            message = f"the model was asked twice, and {what}: {problem}"
            yield self._finish(Finish("failed", error_code="server_error", error_message=message))
            return
        self._repaired = True
        if isinstance(item, CustomToolCall):
            answers = [_answer(call, _invalid_call(call, item, problem)) for call in invalid.calls]
            self._add(*invalid.calls, *answers)
        else:
            advice = again(self.request, problem)
            self._add(item, Message(role="user", content=[InputText(text=advice)]))
        yield from self._next_step()

    def digests(self, asked: McpApprovalRequest | McpElicitationRequest) -> tuple[str, str]:
        """What the user's answer to an item that was shown is held to. See `McpTurn.digests`."""
        return self.ours.servers.digests(asked)

    # --- shields ------------------------------------------------------------------------------------------
    def _end(self, finish: Finish) -> Iterator[Step]:
        """End so, if the shields let what was made pass."""
        check = self._guarding.of_output(self._made)
        if check is None:
            yield self._finish(finish)
        else:
            self._ending = finish
            yield check

    def _content_checked(self, violation: Violation | None) -> Iterator[Step]:
        if violation is not None and guarding.ends(violation):
            stopped = STOPPED_INPUT if self._ending is None else STOPPED_OUTPUT
            yield from self.ours.show(guarding.refusal(violation), stopped)
            yield self._finish(Finish("completed"))
        elif self._ending is not None:
            yield self._finish(self._ending)
        else:
            yield from self._start()

    # --- the end ------------------------------------------------------------------------------------------
    def _add(self, *items: TranscriptItem) -> None:
        self.transcript = self.transcript.plus(*items)
        if self.rules.output_shields:
            self._made += items

    def _count(self, usage: Usage | None, tier: str | None) -> None:
        if usage is not None:
            self.usage = usage if self.usage is None else self.usage + usage
        self.service_tier = tier or self.service_tier

    def _count_compaction(self, usage: Usage | None) -> None:
        """It costs, and is no part of what `max_output_tokens` bounds."""
        self._count(usage, None)
        self._summary_tokens += usage.output_tokens if usage is not None else 0

    def _finish(self, finish: Finish) -> Finish:
        self.finished = True
        return finish


def _answer(call: Call, text: str) -> CallOutput:
    if isinstance(call, CustomToolCall):
        return CustomToolCallOutput(call_id=call.call_id, output=text)
    return FunctionCallOutput(call_id=call.call_id, output=text)


def _invalid_call(call: Call, invalid: CustomToolCall, problem: str) -> str:
    if call is invalid:
        return f"Error: the input does not match the grammar of this tool: {problem}. Call it again."
    return "Error: not run, since another call of this step was invalid. Make this call again too."
