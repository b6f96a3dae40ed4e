"""The events and marks of a run → the steps of its turn, and the chunks of its stream. No I/O; ids and times come in.

A model call is an inference step; each call that this server runs is a step of its own, in the order in which the model
made them, although they run at once; the calls that are the client's are one step, which ends when the turn is resumed.
What a stream says of a step is what is stored of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, assert_never, cast

import msgspec

from antiphon.agents.chunks import CALL_DELTA_END, DELTA_END, chunk, delta_heads, error_chunk
from antiphon.agents.record import Pending, TurnRecord, iso
from antiphon.agents.rendering import Generation, shown_call, shown_step, shown_turn
from antiphon.agents.shapes import (
    Attachment,
    CompletionMessage,
    InferenceStep,
    ShieldCallStep,
    Step,
    StepComplete,
    StepProgress,
    StepStart,
    StepType,
    StopReason,
    TextItem,
    ToolCall,
    ToolCallDelta,
    ToolExecutionStep,
    ToolResponse,
    TurnAwaitingInput,
    TurnComplete,
    TurnStart,
)
from antiphon.core import marks
from antiphon.core.guarding import REFUSED, ends
from antiphon.core.items import Call, CustomToolCall, FunctionCall
from antiphon.core.marks import CallEnd, ShieldsBegin, ShieldsEnd, StepEnd
from antiphon.core.shields import Violation
from antiphon.core.wire import UNSET, JsonObject, decode_json
from antiphon.core.writer import Event

Ended = Literal["completed", "incomplete", "failed", "cancelled"]
"""How a response ends."""
UNFINISHED = "Error: this call did not come to an end."
CANCELLED = "the turn was cancelled before its end"


class _Delta(msgspec.Struct, gc=False):
    delta: msgspec.Raw


class _ItemEvent(msgspec.Struct):
    item: FunctionCall


class _Error(msgspec.Struct):
    message: str | None = None


class _Response(msgspec.Struct):
    error: _Error | None = None


class _ResponseEvent(msgspec.Struct):
    response: _Response


_DELTA = msgspec.json.Decoder(_Delta)
_ITEM = msgspec.json.Decoder(_ItemEvent)
_RESPONSE = msgspec.json.Decoder(_ResponseEvent)
_STEP_END = msgspec.json.Decoder(StepEnd)
_CALL_END = msgspec.json.Decoder(CallEnd)
_SHIELDS_BEGIN = msgspec.json.Decoder(ShieldsBegin)
_SHIELDS_END = msgspec.json.Decoder(ShieldsEnd)
_FUNCTION_CALL = b'"type":"function_call"'


@dataclass(frozen=True, slots=True)
class Output:
    """What of a tool's output is its text, and what was attached to it."""

    text: str
    attachments: Sequence[Attachment] = ()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a projection gets from outside. `now` is Unix microseconds; `output_of` takes attachments out of what a tool
    said.
    """

    new_id: Callable[[], str]
    now: Callable[[], int]
    generation: Generation = "text"
    output_of: Callable[[str], Output] = Output


@dataclass(slots=True)
class _Inference:
    """A model call that goes on. `pieces` are the insides of JSON strings; the heads stand before deltas."""

    step_id: str
    started_at: int
    text_head: bytes
    call_head: bytes
    pieces: list[bytes] = field(default_factory=list[bytes])
    arguments: list[bytes] = field(default_factory=list[bytes])
    parsed: set[str] = field(default_factory=set[str])
    """The ids of the calls that were shown whole."""

    @property
    def text(self) -> str:
        return _joined(self.pieces)


@dataclass(frozen=True, slots=True)
class _Execution:
    """A call that this server makes, and the step that it is."""

    step_id: str
    started_at: int
    call: ToolCall


class TurnProjection:
    """Follows one run of a turn. Its record is changed as steps become complete; `end` says how the run ended."""

    def __init__(
        self, record: TurnRecord, around: Surroundings, *, opening: bytes, streams: bool = True
    ) -> None:
        """`opening` is what a stream says first. Without `streams` no chunks are made."""
        self.record = record
        self._around = around
        self._opening = opening
        self._streams = streams
        self._out: list[bytes] = []
        self._inference: _Inference | None = None
        self._answer: CompletionMessage | None = None
        self._waiting: list[_Execution] = []
        self._answers: dict[str, CallEnd] = {}
        self._pending: Pending | None = None
        self._shields: tuple[str, int] = ("", 0)
        self._violation: Violation | None = None
        self._last = 0

    # --- what comes in --------------------------------------------------------------------------------------
    def frame(self, events: Sequence[Event]) -> bytes:
        """The chunks for these, behind those that `hear` made."""
        self.hear(events)
        out = self._out
        made = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        return made

    def hear(self, events: Sequence[Event]) -> None:
        """Take note; the chunks leave with the next `frame`. Pieces of text that came at once are said at once."""
        texts: list[bytes] = []
        for event in events:
            if event.type == "response.output_text.delta":  # nine events of ten
                texts.append(event.data)
                continue
            if texts:
                self._text(texts)
                texts.clear()
            self._take(event)
        if texts:
            self._text(texts)

    def _take(self, event: Event) -> None:
        match event.type:
            case "response.function_call_arguments.delta":
                self._arguments(event.data)
            case "response.refusal.delta":
                self._text([event.data])
            case "response.output_item.done":
                self._item_done(event.data)
            case "response.created":
                self._out.append(self._opening)
            case marks.STEP_STARTED:
                self._begin_inference()
            case marks.STEP_DONE:
                self._end_inference(_STEP_END.decode(event.data))
            case marks.CALL_DONE:
                done = _CALL_END.decode(event.data)
                self._answers[done.call_id] = done
                self._go_on()
            case marks.SHIELDS_STARTED:
                self._begin_shields(_SHIELDS_BEGIN.decode(event.data))
            case marks.SHIELDS_DONE:
                self._end_shields(_SHIELDS_END.decode(event.data))
            case "response.completed" | "response.incomplete":
                self._say_turn()
            case "response.failed":
                error = _RESPONSE.decode(event.data).response.error
                self._out.append(error_chunk((error and error.message) or CANCELLED))
            case _:  # whole parts that were seen in pieces, thoughts, and items that marks tell of
                return

    # --- model calls ----------------------------------------------------------------------------------------
    def _begin_inference(self) -> None:
        if self._inference is not None:  # asked again with a shorter transcript
            return
        step_id = self._around.new_id()
        self._inference = _Inference(step_id, self._now(), *delta_heads(step_id))
        self._answer = None
        self._start("inference", step_id)

    def _text(self, events: Sequence[bytes]) -> None:
        step = self._inference
        if step is None:
            return  # what a shield says instead of an answer
        said = b"".join([bytes(_DELTA.decode(data).delta)[1:-1] for data in events])
        step.pieces.append(said)
        if self._streams:
            self._out.append(b'%b"%b"%b' % (step.text_head, said, DELTA_END))

    def _arguments(self, data: bytes) -> None:
        step = self._inference
        if step is None:
            return
        delta = bytes(_DELTA.decode(data).delta)
        step.arguments.append(delta[1:-1])
        if self._streams:
            self._out.append(step.call_head + delta + CALL_DELTA_END)

    def _item_done(self, data: bytes) -> None:
        step = self._inference
        if step is None or _FUNCTION_CALL not in data:
            return
        call = _ITEM.decode(data).item
        if call.status == "incomplete":
            self._progress("inference", step.step_id, _joined(step.arguments), "failed")
        else:
            self._show_whole(step, self._call(call))
        step.arguments.clear()

    def _show_whole(self, step: _Inference, call: ToolCall) -> None:
        step.parsed.add(call.call_id)
        self._progress("inference", step.step_id, call, "succeeded")

    def _end_inference(self, end: StepEnd) -> None:
        step = self._inference
        if step is None:
            return
        self._inference = None
        calls = [self._call(call) for call in (*end.calls, *(one.call for one in end.rejected))]
        for call in calls:
            if call.call_id not in step.parsed:
                self._show_whole(step, call)
        answer = CompletionMessage(
            content="" if calls else step.text, stop_reason=_stop_reason(end, calls), tool_calls=calls
        )
        self._complete(
            InferenceStep(
                turn_id=self.record.id,
                step_id=step.step_id,
                started_at=iso(step.started_at),
                completed_at=iso(self._now()),
                model_response=answer,
            )
        )
        self._answer = answer
        if end.finish in ("length", "content_filter"):
            return  # nothing comes of what was called before the cut
        if end.is_last:
            self._answer = msgspec.structs.replace(answer, stop_reason="end_of_turn")
        else:
            self._carry_out(end, calls)

    def _carry_out(self, end: StepEnd, calls: Sequence[ToolCall]) -> None:
        """What comes of the calls: each of this server's is a step, those of the client are one."""
        now = self._now()
        for one, call in zip(end.rejected, calls[len(end.calls) :], strict=True):
            execution = _Execution(self._around.new_id(), now, call)
            self._begin_execution(execution)
            self._end_execution(execution, one.told)
        ours = set(end.servers)
        made = calls[: len(end.calls)]
        idle = not self._waiting
        self._waiting += [
            _Execution(self._around.new_id(), now, call) for call in made if call.call_id in ours
        ]
        theirs = tuple(call for call in made if call.call_id not in ours)
        self._pending = Pending(self._around.new_id(), now, theirs) if theirs else None
        if idle and self._waiting:
            self._begin_execution(self._waiting[0])

    # --- calls of this server -------------------------------------------------------------------------------
    def _go_on(self) -> None:
        """With the calls whose turn it is: one step is complete before the next one starts."""
        while self._waiting and (done := self._answers.pop(self._waiting[0].call.call_id, None)):
            self._end_execution(self._waiting.pop(0), done.output, done.metadata)
            if self._waiting:
                self._begin_execution(self._waiting[0])

    def _give_up(self) -> None:
        """On calls that nothing came of: their run broke off, or a server asks what nobody can answer here."""
        for one in self._waiting:
            self._answers.setdefault(one.call.call_id, CallEnd(one.call.call_id, UNFINISHED))
        self._go_on()

    def _begin_execution(self, execution: _Execution) -> None:
        self._start("tool_execution", execution.step_id)
        self._progress("tool_execution", execution.step_id, execution.call, "in_progress")

    def _end_execution(self, execution: _Execution, said: str, metadata: JsonObject | None = None) -> None:
        """What a tool of this server said is a list of one text, as Llama Stack's clients read it."""
        output = self._around.output_of(said)
        self.record.attachments += output.attachments
        call = execution.call
        response = ToolResponse(
            call_id=call.call_id,
            tool_name=call.tool_name,
            content=[TextItem(text=output.text)],
            metadata=metadata or UNSET,
        )
        self._complete(
            ToolExecutionStep(
                turn_id=self.record.id,
                step_id=execution.step_id,
                started_at=iso(execution.started_at),
                completed_at=iso(self._now()),
                tool_calls=[call],
                tool_responses=[response],
            )
        )

    # --- shields --------------------------------------------------------------------------------------------
    def _begin_shields(self, asked: ShieldsBegin) -> None:
        self._give_up()
        self._shields = (self._around.new_id(), self._now())
        self._start("shield_call", self._shields[0], {"touchpoint": asked.touchpoint})

    def _end_shields(self, end: ShieldsEnd) -> None:
        step_id, started_at = self._shields
        self._complete(
            ShieldCallStep(
                turn_id=self.record.id,
                step_id=step_id,
                started_at=iso(started_at),
                completed_at=iso(self._now()),
                violation=end.violation,
            )
        )
        if ends(end.violation):
            self._violation = end.violation

    # --- the end --------------------------------------------------------------------------------------------
    def end(self, status: Ended, error: JsonObject | None = None) -> TurnRecord:
        """The record as the run leaves it. Asked before the terminal event is heard."""
        record = self.record
        record.completed_at = self._now()
        record.error = error
        record.output = self._final()
        pending = None
        match status:
            case "completed" | "incomplete":
                waits = status == "completed" and self._violation is None
                pending = self._pending if waits else None
                record.status = "completed" if pending is None else "awaiting_input"
            case "failed" | "cancelled":
                record.status = status
                record.output = CompletionMessage(content=self._said(), stop_reason="end_of_turn")
            case _:
                assert_never(status)
        record.inner = msgspec.structs.replace(record.inner, pending=pending, until=0)
        return record

    def _said(self) -> str:
        """What the model had said when the run broke off."""
        return self._inference.text if self._inference is not None else ""

    def _final(self) -> CompletionMessage:
        self._give_up()
        if self._violation is not None:
            return CompletionMessage(
                content=self._violation.user_message or REFUSED, stop_reason="end_of_turn"
            )
        if self._answer is None:
            return CompletionMessage(content="", stop_reason="end_of_turn")
        if self._pending is not None:
            return msgspec.structs.replace(self._answer, tool_calls=list(self._pending.calls))
        return self._answer

    def _say_turn(self) -> None:
        """The last chunk. With calls it says that input is awaited, as Llama Stack does, also where nothing comes of
        them; the stop reason tells the two apart.
        """
        if not self._streams:
            return
        turn = shown_turn(self.record.shown(), self._around.generation)
        said = turn.output_message
        awaits = said.tool_calls and said.stop_reason != "out_of_tokens"
        self._out.append(chunk(TurnAwaitingInput(turn=turn) if awaits else TurnComplete(turn=turn)))

    # --- inside ---------------------------------------------------------------------------------------------
    def _now(self) -> int:
        """Each time later than the one before, however fast it goes."""
        self._last = max(self._around.now(), self._last + 1)
        return self._last

    def _call(self, call: Call) -> ToolCall:
        arguments = call.input if isinstance(call, CustomToolCall) else call.arguments
        return ToolCall(call_id=call.call_id, tool_name=call.name, arguments=arguments or "{}")

    def _start(self, kind: StepType, step_id: str, metadata: JsonObject | None = None) -> None:
        if self._streams:
            self._out.append(chunk(StepStart(step_type=kind, step_id=step_id, metadata=metadata or {})))

    def _progress(
        self,
        kind: StepType,
        step_id: str,
        call: str | ToolCall,
        status: Literal["in_progress", "failed", "succeeded"],
    ) -> None:
        if self._streams:
            shown = call if isinstance(call, str) else shown_call(call, self._around.generation)
            delta = ToolCallDelta(tool_call=shown, parse_status=status)
            self._out.append(chunk(StepProgress(step_type=kind, step_id=step_id, delta=delta)))

    def _complete(self, step: Step) -> None:
        self.record.steps.append(step)
        if self._streams:
            self._out.append(completed(step, self._around.generation))


def started(turn_id: str, steps: Sequence[Step], generation: Generation) -> bytes:
    """What the stream of a new turn says first. `steps` were taken before a model was asked."""
    said = [chunk(TurnStart(turn_id=turn_id))]
    for step in steps:
        begun = StepStart(step_type=_kind_of(step), step_id=step.step_id)
        said += [chunk(begun), completed(step, generation)]
    return b"".join(said)


def completed(step: Step, generation: Generation) -> bytes:
    details = shown_step(step, generation)
    return chunk(StepComplete(step_type=_kind_of(step), step_id=step.step_id, step_details=details))


def _kind_of(step: Step) -> StepType:
    return cast("StepType", step.__struct_config__.tag)  # the tags of `Step` are these


def _stop_reason(end: StepEnd, calls: Sequence[ToolCall]) -> StopReason:
    if end.finish == "length":
        return "out_of_tokens"
    return "end_of_message" if calls else "end_of_turn"


def _joined(pieces: Sequence[bytes]) -> str:
    """The text of JSON strings without their quotes."""
    text: str = decode_json(b'"%b"' % b"".join(pieces))
    return text
