"""What holds for a run with rules of its own: shields, limits of its steps, and marks where steps begin and end."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, event, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from antiphon.core.commands import CheckContent, Finish, Step
from antiphon.core.items import CallOutput, InputText, Message, Reasoning
from antiphon.core.loop import Loop
from antiphon.core.marks import CallEnd, StepEnd
from antiphon.core.shields import Violation
from antiphon.core.transcript import Transcript
from antiphon.core.turn_rules import TurnRules
from tests.properties.scripts import SERVER_TOOLS, Played, Player, Script, scripts
from tests.properties.test_loop import (
    PROPERTIES,
    items_of,
    questions_end_the_response,
    what_the_client_is_to_answer_is_not_answered_here,
)

ASKED = Message(role="user", content=[InputText(text="what was asked")])
STOP = Violation(violation_level="error", user_message="no", metadata={"shield": "s"})
WARN = Violation(violation_level="warn")


@dataclass(frozen=True)
class Case:
    """`stops`: at which touch points the shields object."""

    script: Script
    rules: TurnRules
    stops: frozenset[str]


@dataclass
class Judged(Player):
    """A player whose shields object where a case says so, and warn everywhere else."""

    stops: frozenset[str] = frozenset()

    def checked(self, command: CheckContent) -> Violation:
        return STOP if command.touchpoint in self.stops else WARN


shield_ids = st.sampled_from([(), ("a",), ("a", "b")])
rules = st.builds(
    TurnRules,
    input_shields=shield_ids,
    output_shields=shield_ids,
    max_steps=st.sampled_from([None, 1, 2, 3]),
    max_step_tokens=st.sampled_from([None, 5, 50]),
    marks=st.just(value=True),
)
cases = st.builds(
    Case, scripts, rules, st.frozensets(st.sampled_from(["user-input", "assistant-output"]), max_size=2)
)


def play(case: Case, loop: type[Loop] = Loop) -> Played:
    player = Judged(case.script, rules=case.rules, transcript=Transcript(None, (), (ASKED,)))
    player.stops = case.stops
    player.loop = loop(case.script.request, player.transcript, SERVER_TOOLS, rules=case.rules)
    return player.play()


def ended(played: Played) -> Finish:
    return played.finishes[0]


def model_calls_are_bounded(case: Case, played: Played) -> bool:
    limit = case.rules.max_steps
    return limit is None or len(played.calls) <= limit


def steps_are_bounded(case: Case, played: Played) -> bool:
    limit = case.rules.max_step_tokens
    return limit is None or all((call.max_output_tokens or 0) <= limit for call in played.calls)


def input_is_checked_first(case: Case, played: Played) -> bool:
    checks = [one for one in played.checks if one.touchpoint == "user-input"]
    if not case.rules.input_shields:
        return not checks
    said = [message.text for message in checks[0].messages] if checks else []
    if len(checks) != 1 or checks[0].shields != case.rules.input_shields or said != ["what was asked"]:
        return False
    return "user-input" not in case.stops or not (played.calls or played.listings or played.tool_calls)


def output_is_checked_before_the_end(case: Case, played: Played) -> bool:
    checks = [one for one in played.checks if one.touchpoint == "assistant-output"]
    shown = [item for item in items_of(played) if item["type"] == "message"]
    stopped = bool(case.rules.input_shields) and "user-input" in case.stops
    if not case.rules.output_shields or stopped:
        return not checks
    if ended(played).status not in ("completed", "incomplete"):
        return len(checks) <= 1
    said = "\n".join(message.text for check in checks for message in check.messages)
    texts = [_text(part) for item in shown for part in item["content"] if _text(part) != "no"]
    return len(checks) <= 1 and all(text in said for text in texts)


def _text(part: dict[str, Any]) -> str:
    return str(part.get("text", part.get("refusal")))


def results_and_thoughts_are_checked_too(case: Case, played: Played) -> bool:
    """Of the last model call's transcript, whose items are all that came before it."""
    checks = [one for one in played.checks if one.touchpoint == "assistant-output"]
    said = "\n".join(message.text for check in checks for message in check.messages)
    for item in played.calls[-1].transcript.items if checks and played.calls else ():
        if isinstance(item, CallOutput) and str(item.output) not in said:
            return False
        if isinstance(item, Reasoning) and any(
            part.text not in said for part in (*item.summary, *(item.content or ()))
        ):
            return False
    return True


def violations_end_the_run_with_a_refusal(case: Case, played: Played) -> bool:
    objected = [one for one in played.checks if one.touchpoint in case.stops]
    if not objected or ended(played).status in ("failed", "cancelled"):
        return True
    last = items_of(played)[-1] if items_of(played) else {}
    return ended(played).status == "completed" and last.get("content") == [
        {"type": "refusal", "refusal": "no"}
    ]


def each_model_call_has_its_mark(case: Case, played: Played) -> bool:
    ends = [one for one in played.marks if isinstance(one, StepEnd)]
    broke_off = ended(played).status in ("failed", "cancelled")
    return len(ends) == len(played.calls) or (broke_off and len(ends) == len(played.calls) - 1)


def each_call_of_the_servers_is_marked_once(case: Case, played: Played) -> bool:
    """Behind the step that made it, and in front of the next one."""
    waiting: list[str] = []
    for one in played.marks:
        if isinstance(one, CallEnd):
            if one.call_id not in waiting:
                return False
            waiting.remove(one.call_id)
        elif waiting:
            return False
        else:
            waiting = [] if one.is_last or one.finish in ("length", "content_filter") else list(one.servers)
    asked = {item["type"] for item in items_of(played)} & {
        "mcp_approval_request",
        "antiphon:mcp_elicitation_request",
    }
    return not waiting or bool(asked) or ended(played).status in ("failed", "cancelled")


def calls_of_the_clients_are_shown(case: Case, played: Played) -> bool:
    shown = {item.get("call_id") for item in items_of(played)}
    for one in played.marks:
        if isinstance(one, StepEnd) and any(
            call.call_id not in shown for call in one.calls if call.call_id not in one.servers
        ):
            return False
    return True


RULES: list[Callable[[Case, Played], bool]] = [
    model_calls_are_bounded,
    steps_are_bounded,
    input_is_checked_first,
    output_is_checked_before_the_end,
    results_and_thoughts_are_checked_too,
    violations_end_the_run_with_a_refusal,
    each_model_call_has_its_mark,
    each_call_of_the_servers_is_marked_once,
    calls_of_the_clients_are_shown,
]


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases)
def test_every_rule_holds_for_every_script(case: Case) -> None:
    played = play(case)
    event(f"end: {ended(played).status}")
    event(f"checks: {len(played.checks)}")
    for keeps in RULES:
        assert keeps(case, played), keeps.__name__
    for holds in (*PROPERTIES, what_the_client_is_to_answer_is_not_answered_here):
        if holds is questions_end_the_response and "assistant-output" in case.stops:
            continue  # the refusal stands behind the question
        assert holds(played), holds.__name__


# --- seeded faults ------------------------------------------------------------------------------------------------
class Endless(Loop):
    """Goes on behind its limit."""

    @property
    def _is_over(self) -> bool:
        return False


class Generous(Loop):
    def _step_tokens(self) -> int | None:
        return 1000


class Unguarded(Loop):
    """Asks the model before the shields."""

    def start(self) -> Iterator[Step]:
        yield from self._start()


class Rash(Loop):
    """Ends without asking."""

    def _end(self, finish: Finish) -> Iterator[Step]:
        yield self._finish(finish)


class Forgetful(Loop):
    """Asks about what the model said last alone."""

    def _add(self, *items: Any) -> None:
        self._made.clear()
        super()._add(*items)


class Lenient(Loop):
    """Takes every violation for a warning."""

    def _content_checked(self, violation: Violation | None) -> Iterator[Step]:
        yield from super()._content_checked(None)


class Silent(Loop):
    """Does not say that a step ended whose calls are the server's."""

    def feed(self, signal: Any) -> Iterator[Step]:
        for step in super().feed(signal):
            if not (isinstance(step, StepEnd) and step.servers):
                yield step


class Nameless(Loop):
    """Takes every call for one of the server's."""

    def _step_end(self, finish: Any) -> StepEnd:
        end = super()._step_end(finish)
        return StepEnd(end.finish, end.calls, tuple(call.call_id for call in end.calls), end.rejected)


class Inventive(Loop):
    """Marks calls that were not let through."""

    def _step_end(self, finish: Any) -> StepEnd:
        end = super()._step_end(finish)
        return StepEnd(end.finish, (*end.calls, *(one.call for one in end.rejected)), end.servers)


@pytest.mark.parametrize(
    ("loop", "caught_by"),
    [
        (Endless, model_calls_are_bounded),
        (Generous, steps_are_bounded),
        (Unguarded, input_is_checked_first),
        (Rash, output_is_checked_before_the_end),
        (Forgetful, output_is_checked_before_the_end),
        (Forgetful, results_and_thoughts_are_checked_too),
        (Lenient, violations_end_the_run_with_a_refusal),
        (Silent, each_model_call_has_its_mark),
        (Nameless, each_call_of_the_servers_is_marked_once),
        (Inventive, calls_of_the_clients_are_shown),
    ],
)
def test_a_seeded_fault_is_found(loop: type[Loop], caught_by: Callable[[Case, Played], bool]) -> None:
    try:
        find(
            cases,
            lambda case: not caught_by(case, play(case, loop)),
            settings=settings(max_examples=20_000, deadline=None, phases=[Phase.generate]),
        )
    except NoSuchExample:
        pytest.fail(f"{caught_by.__name__} never noticed the fault")
