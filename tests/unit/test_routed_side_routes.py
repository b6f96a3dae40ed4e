"""Counting and compacting through circuit breakers and routes."""

from dataclasses import dataclass, field

import pytest

from antiphon.core.commands import CallModel
from antiphon.core.compaction import UpstreamContext
from antiphon.core.errors import AntiphonError, ProviderError, ProviderRejected, ProviderUnavailable
from antiphon.core.transcript import Transcript
from antiphon.models.breaker import BreakerSettings
from antiphon.models.router import RoutedCall
from antiphon.models.token_count import TokenCount, count_tokens
from antiphon.ports import UpstreamCompaction
from tests.unit.routing import DOWN, A, B, FakeModel, World, calling, to


@dataclass
class Helpful(FakeModel):
    """Counts 7, and compacts, unless told to fail."""

    side_errors: list[AntiphonError] = field(default_factory=list[AntiphonError])
    sides: list[str] = field(default_factory=list[str])

    async def count_tokens(self, model: str, call: CallModel) -> int | None:
        self.sides.append(model)
        if self.side_errors:
            raise self.side_errors.pop(0)
        return 7

    async def compact(self, model: str, call: CallModel) -> UpstreamCompaction | None:
        self.sides.append(model)
        if self.side_errors:
            raise self.side_errors.pop(0)
        return UpstreamCompaction(f"{self.provider_id}:blob")


def world() -> World:
    return World(to(A, B), a=Helpful("a"), b=Helpful("b"), settings=BreakerSettings(failures=1))


def sides(one: FakeModel) -> list[str]:
    assert isinstance(one, Helpful)
    return one.sides


async def test_the_first_candidate_counts() -> None:
    there = world()
    assert await count_tokens(RoutedCall(there.routed), "smart", calling()) == TokenCount(7, exact=True)
    assert (sides(there.a), sides(there.b)) == (["one"], [])


async def test_a_tokenizer_opens_no_breaker_and_one_behind_an_open_breaker_is_not_asked() -> None:
    there = world()
    assert isinstance(there.a, Helpful)
    there.a.side_errors = [DOWN, DOWN]
    guarded = there.routed.options[0].provider
    assert (await count_tokens(guarded, "one", calling())).exact is False
    assert there.health.rank("a", "one") == 0
    there.a.errors = [DOWN]
    with pytest.raises(ProviderError):
        await anext(aiter(guarded.stream("one", calling())))
    assert there.health.rank("a", "one") == 2
    assert (await count_tokens(guarded, "one", calling())).exact is False
    assert sides(there.a) == ["one"]


async def test_who_compacted_goes_on() -> None:
    there = world()
    routed = RoutedCall(there.routed)
    routed.prefer(B)
    made = await routed.compact("smart", calling())
    assert made == UpstreamCompaction("b:blob")
    async for _ in routed.stream("smart", calling()):
        pass
    assert there.asked == ["b"]


async def test_a_compaction_that_came_back_goes_to_its_maker() -> None:
    there = world()
    call = calling()
    items = (UpstreamContext(blob="b:blob"), *call.transcript.items)
    await there.run(CallModel(call.request, Transcript(None, (), items)))
    assert there.asked == ["b"]


async def test_a_candidate_that_is_down_leaves_the_compaction_to_a_summary() -> None:
    there = world()
    assert isinstance(there.a, Helpful)
    there.a.side_errors = [ProviderUnavailable("a", "it is down")]
    assert await RoutedCall(there.routed).compact("smart", calling()) is None
    there.a.side_errors = [ProviderRejected("a", "no")]
    there.clock.at += 60
    with pytest.raises(ProviderRejected):
        await RoutedCall(there.routed).compact("smart", calling())
