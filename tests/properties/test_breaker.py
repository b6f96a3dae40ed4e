"""The circuit breaker over generated lives: what it lets through, when it opens, and how it closes again."""

from dataclasses import dataclass, field
from typing import Literal

from hypothesis import event, given, settings
from hypothesis import strategies as st

from antiphon.models.breaker import Breaker, BreakerSettings

Act = Literal[
    "ask",
    "succeed",
    "fail",
    "fail and ask to rest",
    "give up",
    "wait",
    "set the clock back",
]
LOOSE: list[Act] = [
    "ask",
    "succeed",
    "fail",
    "fail and ask to rest",
    "give up",
    "wait",
    "set the clock back",
]
FAILED: list[Act] = ["ask", "fail"]
WHOLE_CALLS: list[list[Act]] = [FAILED, FAILED, FAILED, FAILED, ["ask", "succeed"], ["ask", "give up"]]
SETTINGS = st.builds(
    BreakerSettings,
    failures=st.integers(1, 4),
    window_s=st.integers(1, 20),
    open_s=st.integers(1, 20),
    half_open_probes=st.integers(1, 3),
)


def one_act(act: Act) -> list[Act]:
    return [act]


# Calls that fail at once, and waits: of loose acts alone hardly any life gets as far as a probe.
LIVES = st.lists(
    st.tuples(
        st.one_of(st.sampled_from(WHOLE_CALLS), st.sampled_from(LOOSE).map(one_act)),
        st.integers(1, 25),
    ),
    max_size=60,
).map(lambda script: [(act, number) for acts, number in script for act in acts])


@dataclass
class Life:
    """A breaker, the permits that are out, and what happened to it."""

    breaker: Breaker
    now: int = 1_000_000
    out: list[int] = field(default_factory=list[int])
    rest_s: int = 0

    def act(self, act: Act, number: int) -> None:
        match act:
            case "ask":
                permit = self.breaker.ask(self.now)
                if permit is not None:
                    self.out.append(permit)
            case "wait":
                self.now += number
            case "set the clock back":
                self.now -= number
            case _ if self.out:
                self.end(act, self.out.pop(number % len(self.out)), number)
            case _:
                pass

    def end(self, act: Act, permit: int, number: int) -> None:
        if act == "succeed":
            self.breaker.succeeded(permit, self.now)
        elif act == "fail":
            self.breaker.failed(permit, self.now)
        elif act == "fail and ask to rest":
            self.breaker.failed(permit, self.now, number)
        else:
            self.breaker.gave_up(permit)


@given(SETTINGS, LIVES)
@settings(max_examples=400)
def test_it_opens_only_after_enough_failures_and_lets_nobody_through_for_as_long_as_it_says(
    chosen: BreakerSettings, script: list[tuple[Act, int]]
) -> None:
    life = Life(Breaker(chosen))
    failures = 0
    for act, number in script:
        before, promised, start = life.breaker.state, life.breaker.retry_in_s(life.now), life.now
        asked, refuses = len(life.out), life.breaker.refuses(life.now)
        life.act(act, number)
        if act == "ask":
            assert (len(life.out) == asked) == refuses
        after = life.breaker.state
        if before != after:
            event(f"{before} -> {after} by {act}")
        if act in {"fail", "fail and ask to rest"} and before == "closed":
            failures += 1
        if (before, after) == ("closed", "open"):
            assert failures >= chosen.failures
        if after != "closed":
            failures = 0
        if act == "ask" and promised and life.now == start:
            assert len(life.out) == asked
        assert (before, after) not in {("closed", "half_open"), ("open", "closed")}
        assert 0 <= life.breaker.retry_in_s(life.now) <= max(chosen.open_s, 25)


@given(SETTINGS, LIVES)
@settings(max_examples=400)
def test_whatever_happened_it_closes_once_the_upstream_is_well_and_time_has_passed(
    chosen: BreakerSettings, script: list[tuple[Act, int]]
) -> None:
    life = Life(Breaker(chosen))
    for act, number in script:
        life.act(act, number)
    event(f"ended {life.breaker.state}")
    life.now += 100
    for _ in range(chosen.half_open_probes + 1):
        permit = life.breaker.ask(life.now)
        assert permit is not None
        life.breaker.succeeded(permit, life.now)
    assert life.breaker.state == "closed"
    assert life.breaker.ask(life.now) is not None


@given(SETTINGS, st.integers(0, 10))
def test_no_more_probes_than_allowed_are_under_way_at_once(chosen: BreakerSettings, more: int) -> None:
    breaker = opened(chosen)
    later = chosen.open_s
    permits = [breaker.ask(later) for _ in range(chosen.half_open_probes + more)]
    assert breaker.state == "half_open"
    assert sum(permit is not None for permit in permits) == chosen.half_open_probes


@given(SETTINGS, st.sampled_from(["succeed", "fail", "give up"]), st.integers(0, 60))
def test_the_end_of_a_call_from_before_a_change_changes_nothing(
    chosen: BreakerSettings, act: Act, later: int
) -> None:
    breaker = Breaker(chosen)
    late = breaker.ask(0)
    assert late is not None
    for _ in range(chosen.failures):
        breaker.failed(late, 0)
    assert breaker.state == "open"
    breaker.ask(later)
    state = breaker.state
    Life(breaker, later).end(act, late, 1)
    assert breaker.state == state


@given(SETTINGS, st.integers(1, 200))
def test_failures_further_apart_than_the_window_never_open_it(chosen: BreakerSettings, count: int) -> None:
    breaker = Breaker(BreakerSettings(failures=2, window_s=chosen.window_s, open_s=chosen.open_s))
    for at in range(count):
        permit = breaker.ask(at * chosen.window_s)
        assert permit is not None
        breaker.failed(permit, at * chosen.window_s)
    assert breaker.state == "closed"


@given(st.integers(2, 20), st.integers(1, 100))
def test_an_upstream_that_answers_more_often_than_it_fails_stays_in_use(failures: int, rounds: int) -> None:
    breaker = Breaker(BreakerSettings(failures=failures))
    for _ in range(rounds):
        for ok in (False, True, True):
            permit = breaker.ask(5)
            assert permit is not None
            if ok:
                breaker.succeeded(permit, 5)
            else:
                breaker.failed(permit, 5)
    assert breaker.state == "closed"


def opened(chosen: BreakerSettings) -> Breaker:
    breaker = Breaker(chosen)
    for _ in range(chosen.failures):
        breaker.failed(0, 0)
    assert breaker.state == "open"
    return breaker
