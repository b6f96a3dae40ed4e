"""What holds for every run whose context is compacted on the way. Each property is shown to catch a seeded fault."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, event, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from antiphon.core import compacting, signals
from antiphon.core.body import ContextManagement
from antiphon.core.commands import CallModel, Compact, Finish, Step
from antiphon.core.compacting import Split, asked
from antiphon.core.compaction import SeenItem, read, seen_of
from antiphon.core.hosted_items import Compaction, CompactionTrigger
from antiphon.core.items import (
    Call,
    CallOutput,
    FunctionCall,
    FunctionCallOutput,
    InputText,
    Message,
    OutputText,
    Reasoning,
    ReasoningText,
)
from antiphon.core.loop import Loop
from antiphon.core.server_calls import ServerCalls
from antiphon.core.transcript import Transcript, sendable
from antiphon.core.usage import Usage
from tests.properties.scripts import SERVER_TOOLS, Command, Played, Player, Script, scripts
from tests.properties.test_loop import SCRIPTED_PROPERTIES

THRESHOLD = 1_000
SUMMARY_TOKENS = 9


def _user(text: str) -> list[SeenItem]:
    return [Message(role="user", content=[InputText(text=text)])]


def _turn(number: int, kind: str, size: int) -> list[SeenItem]:
    """A stretch of a dialogue; `size` characters of it are somebody's words."""
    text = f"{kind} {number} " + "x" * size
    call: SeenItem = FunctionCall(call_id=f"past_{number}", name="weather", arguments=f'"{number}"')
    output: SeenItem = FunctionCallOutput(call_id=f"past_{number}", output=text)
    match kind:
        case "asked":
            return _user(text)
        case "said":
            return [Message(role="assistant", content=[OutputText(text=text, annotations=[])])]
        case "called":
            return [Reasoning(content=[ReasoningText(text="hm")]), call, output]
        case _:  # a client that puts a message between a call and its output
            return [call, *_user(f"late {number}"), output]


turns = st.lists(
    st.tuples(
        st.sampled_from(["asked", "asked", "said", "called", "late"]), st.sampled_from([0, 40, 900, 5_000])
    ),
    max_size=8,
)
outcomes = st.sampled_from(["summary", "summary", "summary", "upstream", "fails"])


@dataclass(frozen=True)
class FullScript:
    """A dialogue, what the model answers, how full each answer says the context is, and what compactions become."""

    script: Script
    past: list[tuple[str, int]]
    tokens: list[int]
    outcomes: list[str]
    triggered: bool

    @property
    def items(self) -> list[SeenItem]:
        dialogue = [item for at, (kind, size) in enumerate(self.past) for item in _turn(at, kind, size)]
        return [*dialogue, *_user("now")]


full_scripts = st.builds(
    FullScript,
    scripts,
    turns,
    st.lists(st.sampled_from([10, 990, 3_000]), min_size=1, max_size=4),
    st.lists(outcomes, min_size=1, max_size=3),
    st.sampled_from([False, False, False, True]),
)


@dataclass
class FullPlayed(Played):
    begun_with: list[SeenItem] = field(default_factory=list[SeenItem])
    made: list[Compaction] = field(default_factory=list[Compaction])
    calls_before: list[int] = field(default_factory=list[int])
    """For each compaction, the model calls that came before it."""
    failed: int = 0
    spent: list[int] = field(default_factory=list[int])
    """For each model call, the output tokens of the model calls before it."""


class FullPlayer(Player):
    def __init__(self, full: FullScript, make_loop: type[Loop] = Loop) -> None:
        request = msgspec.structs.replace(
            full.script.request,
            context_management=[ContextManagement(type="compaction", compact_threshold=THRESHOLD)],
            input=[*_user("now"), CompactionTrigger()] if full.triggered else "now",
        )
        script = Script(
            request, full.script.steps, full.script.streamed, full.script.fault, full.script.fault_at
        )
        self.full = full
        super().__init__(script, played=FullPlayed(begun_with=full.items))
        self.loop = make_loop(request, Transcript(items=tuple(full.items)), SERVER_TOOLS)
        self._output_tokens = 0

    @property
    def seen(self) -> FullPlayed:
        assert isinstance(self.played, FullPlayed)
        return self.played

    def compacted(self, command: Compact) -> signals.Compacted | signals.NotCompacted:
        at = len(self.seen.made) + self.seen.failed
        usage = Usage(input_tokens=1, output_tokens=SUMMARY_TOKENS, total_tokens=1 + SUMMARY_TOKENS)
        outcome = self.full.outcomes[min(at, len(self.full.outcomes) - 1)]
        if outcome == "fails" and not command.required:
            self.seen.failed += 1
            return signals.NotCompacted(usage)
        if outcome == "upstream":
            return signals.Compacted(upstream="openai:blob", usage=usage)
        return signals.Compacted(summary=f"summary {at}", usage=usage)

    def heard(self, step: int) -> list[signals.ModelSignal]:
        tokens = self.full.tokens[min(step, len(self.full.tokens) - 1)]
        self.seen.spent.append(self._output_tokens)
        self._output_tokens += 1
        usage = Usage(input_tokens=tokens, output_tokens=1, total_tokens=tokens + 1)
        return [
            msgspec.structs.replace(one, usage=usage) if isinstance(one, signals.StepDone) else one
            for one in super().heard(step)
        ]

    def _apply(self, made: Any) -> list[Command]:
        return super()._apply(self._noting(made))

    def _noting(self, made: Any) -> Any:
        for step in made:
            item = getattr(step, "item", None)
            if isinstance(item, Compaction) and "Close" in type(step).__name__:
                self.seen.made.append(item)
                self.seen.calls_before.append(len(self.seen.calls))
            yield step


def _play(full: FullScript, make_loop: type[Loop] = Loop) -> FullPlayed:
    player = FullPlayer(full, make_loop)
    player.play()
    return player.seen


def _pairs(items: tuple[SeenItem, ...]) -> bool:
    calls = sorted(item.call_id for item in items if isinstance(item, Call))
    return calls == sorted(item.call_id for item in items if isinstance(item, CallOutput))


# --- properties -------------------------------------------------------------------------------------------------
def a_call_and_its_output_stay_together(played: FullPlayed) -> bool:
    shown = [
        *(one.call.transcript.items for one in played.compactions),
        *(one.transcript.items for one in played.calls),
    ]
    return all(_pairs(items) for items in shown)


def the_model_sees_only_what_a_compaction_stands_for_and_what_followed(played: FullPlayed) -> bool:
    for item, before in zip(played.made, played.calls_before, strict=True):
        if before < len(played.calls):
            transcript = played.calls[before].transcript
            if transcript.history or list(transcript.items) != list(seen_of(item)):
                return False
    return True


def every_compaction_is_shown_once(played: FullPlayed) -> bool:
    output: list[dict[str, Any]] = json.loads(played.final)["output"]
    shown = [item for item in output if item["type"] == "compaction"]
    wanted = len(played.compactions) - played.failed
    ended = [one.status for one in played.finishes]
    return len(shown) == len(played.made) == wanted or ended in (["cancelled"], ["failed"])


def what_is_summed_up_and_what_is_kept_are_all(played: FullPlayed) -> bool:
    if not played.compactions or not played.made or played.calls_before[0]:
        return True
    first = read(played.made[0])
    kept = [*first.after] if first.upstream else [*first.before, *first.after]
    together = [*played.compactions[0].call.transcript.items, *kept]
    return sorted(map(repr, together)) == sorted(map(repr, sendable(played.begun_with)))


def the_last_thing_asked_is_always_heard(played: FullPlayed) -> bool:
    return all(_user("now")[0] in call.transcript.items for call in played.calls)


def summaries_are_no_part_of_the_answer(played: FullPlayed) -> bool:
    for call, spent in zip(played.calls, played.spent, strict=True):
        limit = call.request.max_output_tokens
        if limit is not None and call.max_output_tokens != limit - spent:
            return False
    return True


def a_trigger_asks_no_model(played: FullPlayed) -> bool:
    triggered = [one for one in played.compactions if one.required]
    return not triggered or (not played.calls and played.finishes == [Finish("completed")])


HELD: list[Callable[[FullPlayed], bool]] = [
    a_call_and_its_output_stay_together,
    the_model_sees_only_what_a_compaction_stands_for_and_what_followed,
    every_compaction_is_shown_once,
    what_is_summed_up_and_what_is_kept_are_all,
    the_last_thing_asked_is_always_heard,
    summaries_are_no_part_of_the_answer,
    a_trigger_asks_no_model,
]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(full_scripts)
def test_every_property_holds_with_compactions(full: FullScript) -> None:
    played = _play(full)
    event(f"compactions: {min(len(played.compactions), 3)}")
    event(f"in the middle: {any(played.calls_before)}")
    for holds in HELD:
        assert holds(played), holds.__name__
    for holds_always in SCRIPTED_PROPERTIES:
        assert holds_always(played), holds_always.__name__


@given(turns, st.sampled_from([1_000, 4_000]))
def test_a_split_keeps_the_last_thing_that_was_asked(past: list[tuple[str, int]], threshold: int) -> None:
    full = FullScript(None, past, [1], ["summary"], triggered=False)  # type: ignore[arg-type]  # its items only
    split = compacting.split(Transcript(items=tuple(full.items)), threshold)
    assert asked((*split.before, *split.after))[-1:] == asked(full.items)[-1:]
    assert _pairs(split.summed_up)
    assert _pairs((*split.before, *split.after))


# --- seeded faults ----------------------------------------------------------------------------------------------
class KeepsTheHistory(Loop):
    def _go_on_compacted(self, made: signals.Compacted) -> Any:
        before = self.transcript
        for step in super()._go_on_compacted(made):
            self.transcript = before
            yield CallModel(step.request, before, step.tool_choice) if isinstance(step, CallModel) else step


class ShowsNoCompaction(ServerCalls):
    def show(self, item: signals.OutputItem, kind: str = "") -> Iterator[Step]:
        return iter(()) if isinstance(item, Compaction) else super().show(item, kind)


class HidesTheCompaction(Loop):
    def __post_init__(self) -> None:
        super().__post_init__()
        self.ours = ShowsNoCompaction(self.request, self.mcp)


class BillsTheSummary(Loop):
    def _count_compaction(self, usage: Usage | None) -> None:
        self._count(usage, None)


class AnswersATrigger(Loop):
    def _finish(self, finish: Finish) -> Any:
        first = compacting.is_triggered(self.request) and not self._steps
        return self._call_model() if first else super()._finish(finish)


def _in_the_middle(transcript: Transcript, threshold: int) -> Split:
    del threshold
    items = transcript.all_items()
    return Split(tuple(items[: len(items) // 2]), after=tuple(items[len(items) // 2 :]))


def _all_of_it(transcript: Transcript, threshold: int) -> Split:
    del threshold
    return compacting.whole(transcript)


def _the_first_half_twice(transcript: Transcript, threshold: int) -> Split:
    found = _SPLIT(transcript, threshold)
    return Split((*found.summed_up, *found.summed_up), found.before, found.after)


_SPLIT = compacting.split


@pytest.mark.parametrize(
    ("loop", "split", "caught_by"),
    [
        (KeepsTheHistory, _SPLIT, the_model_sees_only_what_a_compaction_stands_for_and_what_followed),
        (HidesTheCompaction, _SPLIT, every_compaction_is_shown_once),
        (BillsTheSummary, _SPLIT, summaries_are_no_part_of_the_answer),
        (AnswersATrigger, _SPLIT, a_trigger_asks_no_model),
        (Loop, _in_the_middle, a_call_and_its_output_stay_together),
        (Loop, _all_of_it, the_last_thing_asked_is_always_heard),
        (Loop, _the_first_half_twice, what_is_summed_up_and_what_is_kept_are_all),
    ],
)
def test_a_seeded_fault_is_found(
    loop: type[Loop],
    split: Callable[[Transcript, int], Split],
    caught_by: Callable[[FullPlayed], bool],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compacting, "split", split)
    try:
        find(
            full_scripts,
            lambda full: not caught_by(_play(full, loop)),
            settings=settings(max_examples=20_000, deadline=None, phases=[Phase.generate]),
        )
    except NoSuchExample:
        pytest.fail(f"{caught_by.__name__} never noticed the fault")
