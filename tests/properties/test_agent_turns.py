"""Whatever a run does, the stream of its turn is legal, and what is stored of the turn is what was streamed."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, event, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from antiphon.agents.chunks import chunk
from antiphon.agents.content import text_of
from antiphon.agents.projection import Ended, Surroundings, TurnProjection, started
from antiphon.agents.record import Inner, TurnRecord
from antiphon.agents.rendering import Generation, shown_turn
from antiphon.agents.shapes import (
    CreateTurn,
    Step,
    StepComplete,
    ToolExecutionStep,
    TurnComplete,
    UserMessage,
)
from antiphon.core import marks
from antiphon.core.commands import CallTool, CheckContent
from antiphon.core.items import InputText, Message
from antiphon.core.loop import Loop
from antiphon.core.marks import CallEnd, ShieldsBegin, ShieldsEnd, StepEnd, mark
from antiphon.core.shields import Violation
from antiphon.core.signals import ModelSignal
from antiphon.core.transcript import Transcript
from antiphon.core.wire import encode
from tests.properties.scripts import SERVER_TOOLS, Command, Played, Player, Script, scripts
from tests.properties.test_turn_rules import STOP, WARN, rules

Json = dict[str, Any]
TURN = "11111111-1111-4111-8111-111111111111"
ASKED = Message(role="user", content=[InputText(text="what was asked")])
BODY = CreateTurn(messages=[UserMessage(content="what was asked")])
TERMINAL = ("response.completed", "response.incomplete", "response.failed")


@dataclass(frozen=True)
class Case:
    """`stops`: where shields object. `backwards`: tools that run at once end in the other order. `batch`: how many
    events come at once.
    """

    script: Script
    rules: Any
    stops: frozenset[str]
    backwards: bool
    batch: int
    generation: Generation


cases = st.builds(
    Case,
    scripts,
    rules,
    st.frozensets(st.sampled_from(["user-input", "assistant-output"]), max_size=1),
    st.booleans(),
    st.integers(1, 9),
    st.sampled_from(["object", "text"]),
)


@dataclass
class Marking(Player):
    """A player that writes marks between the events, as the runner does."""

    stops: frozenset[str] = frozenset()
    backwards: bool = False

    def heard(self, step: int) -> list[ModelSignal]:
        self.writer.mark(mark(marks.STEP_STARTED))
        return super().heard(step)

    def checked(self, command: CheckContent) -> Violation | None:
        violation = STOP if command.touchpoint in self.stops else WARN
        self.writer.mark(mark(marks.SHIELDS_STARTED, ShieldsBegin(command.touchpoint)))
        self.writer.mark(mark(marks.SHIELDS_DONE, ShieldsEnd(command.touchpoint, violation)))
        return violation

    def _apply(self, made: Iterable[Any]) -> list[Command]:
        commands: list[Command] = []
        for step in made:
            if isinstance(step, StepEnd):
                self.writer.mark(mark(marks.STEP_DONE, step))
            elif isinstance(step, CallEnd):
                self.writer.mark(mark(marks.CALL_DONE, step))
            commands += super()._apply([step])
        tools = [one for one in commands if isinstance(one, CallTool)]
        if self.backwards and len(tools) == len(commands):
            commands.reverse()
        return commands


@dataclass
class Told:
    """What came of a case: the payloads of the stream, and what is stored."""

    payloads: list[Json]
    error: Json | None
    record: TurnRecord
    played: Played
    ends: list[StepEnd] = field(default_factory=list[StepEnd])

    @property
    def status(self) -> str:
        return self.played.finishes[0].status if self.played.finishes else "failed"

    def of(self, kind: str) -> list[Json]:
        return [one for one in self.payloads if one["event_type"] == kind]


def play(case: Case) -> Played:
    player = Marking(case.script, rules=case.rules, transcript=Transcript(None, (), (ASKED,)))
    player.stops, player.backwards = case.stops, case.backwards
    player.loop = Loop(case.script.request, player.transcript, SERVER_TOOLS, rules=case.rules)
    return player.play()


def project(
    case: Case, projection: type[TurnProjection] = TurnProjection, *, streams: bool = True
) -> tuple[bytes, TurnRecord, Played]:
    """The stream of a case, and the record of its turn."""
    played = play(case)
    counts = iter(range(10**6))
    times = iter(range(10**6))
    record = TurnRecord(TURN, "s", BODY.messages, 0, Inner(asked=BODY), response_ids=["resp_1"])
    around = Surroundings(lambda: f"step-{next(counts)}", lambda: next(times), case.generation)
    made = projection(record, around, opening=started(TURN, [], case.generation), streams=streams)
    last = next(at for at, one in enumerate(played.events) if one.type in ("error", *TERMINAL))
    stream = [made.frame(played.events[at : min(at + case.batch, last)]) for at in range(0, last, case.batch)]
    finish = played.finishes[0].status if played.finishes else "failed"
    error = {"message": "gone"} if finish == "failed" else None
    ended: Ended = finish
    made.end(ended, error)
    stream.append(made.frame(played.events[last:]))
    return b"".join(stream), record, played


def tell(case: Case, projection: type[TurnProjection] = TurnProjection) -> Told:
    stream, record, played = project(case, projection)
    blocks = stream.decode().split("\n\n")
    assert blocks.pop() == ""
    data = [json.loads(block.removeprefix("data: ")) for block in blocks]
    error = data.pop()["error"] if "error" in data[-1] else None
    ends = [one for one in played.marks if isinstance(one, StepEnd)]
    return Told([one["event"]["payload"] for one in data], error, record, played, ends)


# --- what holds -------------------------------------------------------------------------------------------------
def steps_come_one_after_another(case: Case, told: Told) -> bool:
    """Each begins, goes on, and is complete before the next one begins; only a run that broke off leaves one open."""
    if told.payloads[0] != {"event_type": "turn_start", "turn_id": TURN}:
        return False
    going: tuple[str, str] | None = None
    for one in told.payloads[1:]:
        kind = one["event_type"]
        if kind in ("turn_complete", "turn_awaiting_input"):
            if one is not told.payloads[-1] or going is not None:
                return False
            continue
        step = (one["step_type"], one["step_id"])
        if (kind == "step_start") != (going is None) or (kind != "step_start" and going != step):
            return False
        going = None if kind == "step_complete" else step
    return going is None or told.error is not None


def it_ends_once(case: Case, told: Told) -> bool:
    ends = len(told.of("turn_complete")) + len(told.of("turn_awaiting_input"))
    whole = told.status in ("completed", "incomplete")
    return (ends, told.error is None) == ((1, True) if whole else (0, False))


def what_is_stored_was_streamed(case: Case, told: Told) -> bool:
    shown = json.loads(encode(shown_turn(told.record.shown(), case.generation)))
    if [one["step_details"] for one in told.of("step_complete")] != shown["steps"]:
        return False
    ends = [*told.of("turn_complete"), *told.of("turn_awaiting_input")]
    return all(one["turn"] == shown for one in ends)


def deltas_make_the_answer(case: Case, told: Told) -> bool:
    answers = {one["step_id"]: one["step_details"] for one in told.of("step_complete")}
    texts: dict[str, str] = {}
    calls: dict[str, list[Json]] = {}
    for one in told.of("step_progress"):
        delta, step_id = one["delta"], one["step_id"]
        if one["step_type"] != "inference":
            continue
        if delta["type"] == "text":
            texts[step_id] = texts.get(step_id, "") + delta["text"]
        elif delta["parse_status"] == "succeeded":
            calls.setdefault(step_id, []).append(delta["tool_call"])
    for step_id, step in answers.items():
        if step["step_type"] != "inference":
            continue
        said = step["model_response"]
        by_id = sorted(said["tool_calls"], key=lambda call: str(call["call_id"]))
        if by_id != sorted(calls.get(step_id, []), key=lambda call: str(call["call_id"])):
            return False
        if said["content"] != ("" if said["tool_calls"] else texts.get(step_id, "")):
            return False
        if said["tool_calls"] and said["stop_reason"] == "end_of_turn":
            return False
    return True


def every_call_of_the_server_is_a_step(case: Case, told: Told) -> bool:
    """In the order in which the model made them, each with what came of it."""
    made = [
        call.call_id
        for end in told.ends
        if not end.is_last and end.finish not in ("length", "content_filter")
        for call in end.calls
        if call.call_id in end.servers
    ]
    outputs = {one.call_id: one.output for one in told.played.marks if isinstance(one, CallEnd)}
    rejected = {one.call.call_id: one.told for end in told.ends for one in end.rejected}
    steps = [one for one in told.record.steps if isinstance(one, ToolExecutionStep)]
    found = [one.tool_calls[0].call_id for one in steps if one.tool_calls[0].call_id not in rejected]
    if any(len(one.tool_calls) != 1 or len(one.tool_responses) != 1 for one in steps):
        return False
    said = {one.tool_calls[0].call_id: text_of(one.tool_responses[0].content) for one in steps}
    return found == made and all(said[one] == text for one, text in outputs.items() if one in said)


def it_waits_for_the_clients_calls(case: Case, told: Told) -> bool:
    last = told.ends[-1] if told.ends else StepEnd("stop")
    theirs = [call.call_id for call in last.calls if call.call_id not in last.servers]
    stopped = any(one.touchpoint in case.stops for one in told.played.checks)
    waits = told.status == "completed" and bool(theirs) and not last.is_last and not stopped
    record = told.record
    if (record.status == "awaiting_input") != waits or (record.inner.pending is not None) != waits:
        return False
    if not waits:
        return True
    said = record.output
    return said.stop_reason == "end_of_message" and [one.call_id for one in said.tool_calls] == theirs


def cuts_are_told(case: Case, told: Told) -> bool:
    if told.status != "incomplete" or any(one.touchpoint in case.stops for one in told.played.checks):
        return True
    cut = bool(told.ends) and told.ends[-1].finish == "length"
    return (told.record.output.stop_reason == "out_of_tokens") == cut


def shields_have_the_last_word(case: Case, told: Told) -> bool:
    stopped = any(one.touchpoint in case.stops for one in told.played.checks)
    if not stopped or told.status in ("failed", "cancelled"):
        return True
    return told.record.output.content == STOP.user_message and told.record.status == "completed"


RULES: list[Callable[[Case, Told], bool]] = [
    steps_come_one_after_another,
    it_ends_once,
    what_is_stored_was_streamed,
    deltas_make_the_answer,
    every_call_of_the_server_is_a_step,
    it_waits_for_the_clients_calls,
    cuts_are_told,
    shields_have_the_last_word,
]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases)
def test_every_rule_holds_for_every_script(case: Case) -> None:
    told = tell(case)
    event(f"status: {told.record.status}")
    event(f"steps: {min(len(told.record.steps), 6)}")
    event(f"server calls at once: {min(max((len(end.servers) for end in told.ends), default=0), 3)}")
    for holds in RULES:
        assert holds(case, told), holds.__name__


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases)
def test_a_caller_without_a_stream_gets_the_same_turn(case: Case) -> None:
    _, streamed, _ = project(case)
    said, whole, _ = project(case, streams=False)
    assert msgspec.json.decode(encode(whole.shown())) == msgspec.json.decode(encode(streamed.shown()))
    assert b"step_" not in said


# --- seeded faults ----------------------------------------------------------------------------------------------
class Forgetful(TurnProjection):
    """Does not keep what shields said."""

    def _complete(self, step: Step) -> None:
        super()._complete(step)
        if step.__struct_config__.tag == "shield_call":
            self.record.steps.pop()


class Hasty(TurnProjection):
    """Says of each call that it is done when it is, while another one's step is open."""

    def _go_on(self) -> None:
        for at, execution in enumerate(self._waiting):
            done = self._answers.pop(execution.call.call_id, None)
            if done is not None:
                del self._waiting[at]
                self._end_execution(execution, done.output)
                return


class Wordy(TurnProjection):
    """Keeps the text of an answer that has calls."""

    def _end_inference(self, end: StepEnd) -> None:
        text = self._inference.text if self._inference is not None else ""
        super()._end_inference(end)
        for at, step in enumerate(self.record.steps):
            if step.__struct_config__.tag == "inference" and at == len(self.record.steps) - 1 and text:
                said = msgspec.structs.replace(step.model_response, content=text)  # type: ignore[union-attr]
                self.record.steps[at] = msgspec.structs.replace(step, model_response=said)


class Patient(TurnProjection):
    """Waits for the client's calls also when the limit is reached."""

    def _end_inference(self, end: StepEnd) -> None:
        super()._end_inference(msgspec.structs.replace(end, is_last=False))


class Silent(TurnProjection):
    """Says nothing of the last step."""

    def _say_turn(self) -> None:
        turn = shown_turn(self.record.shown(), self._around.generation)
        self._out.append(chunk(TurnComplete(turn=msgspec.structs.replace(turn, steps=turn.steps[:-1]))))


class Mute(TurnProjection):
    """Leaves deltas out that come before a call."""

    def _show_whole(self, step: Any, call: Any) -> None:
        step.pieces.clear()
        super()._show_whole(step, call)

    def _complete(self, step: Step) -> None:
        self.record.steps.append(step)
        if step.__struct_config__.tag != "tool_execution":
            kind: Any = step.__struct_config__.tag
            self._out.append(chunk(StepComplete(step_type=kind, step_id=step.step_id, step_details=step)))


def catches(caught_by: Callable[[Case, Told], bool], fault: type[TurnProjection], case: Case) -> bool:
    return not caught_by(case, tell(case, fault))


@pytest.mark.parametrize(
    ("fault", "caught_by"),
    [
        (Forgetful, what_is_stored_was_streamed),
        (Hasty, steps_come_one_after_another),
        (Wordy, what_is_stored_was_streamed),
        (Patient, it_waits_for_the_clients_calls),
        (Silent, what_is_stored_was_streamed),
        (Mute, steps_come_one_after_another),
    ],
)
def test_a_seeded_fault_is_found(
    fault: type[TurnProjection], caught_by: Callable[[Case, Told], bool]
) -> None:
    try:
        find(
            cases,
            lambda case: catches(caught_by, fault, case),
            settings=settings(max_examples=20_000, deadline=None, phases=[Phase.generate]),
        )
    except NoSuchExample:
        pytest.fail(f"{caught_by.__name__} never noticed the fault")
