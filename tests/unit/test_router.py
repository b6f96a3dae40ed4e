"""Routed models: who is asked, in which order, and when somebody else is."""

import asyncio
import random
from collections import Counter

import msgspec
import pytest

from antiphon.core.commands import CallModel
from antiphon.core.errors import (
    AntiphonError,
    ProviderAuthFailed,
    ProviderContextLength,
    ProviderModelUnknown,
    ProviderProtocolError,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    UnsupportedParameter,
)
from antiphon.core.items import Message, Reasoning
from antiphon.core.transcript import Transcript
from antiphon.models.breaker import BreakerSettings
from antiphon.models.catalog import Catalog, Model, NamedModel
from antiphon.models.health import Guarded, UpstreamHealth, UpstreamState
from antiphon.models.route import CAUSES, Route, cause_of
from antiphon.models.router import RoutedCall, routed_models
from antiphon.ports import Constraint, ModelProvider
from antiphon.testing import FakeClock
from tests.unit.routing import DOWN, A, B, C, FakeModel, PatientModel, World, calling, ruled, to


# --- fallback ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("error", [DOWN, ProviderRateLimited("a", "slow"), ProviderTimeout("a", "late")])
async def test_a_candidate_that_fails_before_its_head_is_left_for_the_next(error: AntiphonError) -> None:
    world = World(to(A, B), a=FakeModel("a", [error, error]))
    assert await world.run() == B
    assert await world.pass_on() == B
    assert world.b.bodies == [{"model": "two", "messages": []}]


async def test_each_word_of_fallback_on_means_its_error_and_no_other() -> None:
    assert [cause_of(kind("a", "no")) for kind in CAUSES] == list(CAUSES.values())
    for word in CAUSES.values():
        for kind, cause in CAUSES.items():
            world = World(to(A, B, fallback_on=(word,)), a=FakeModel("a", [kind("a", "no")]))
            if cause == word:
                assert await world.run() == B
            else:
                with pytest.raises(kind):
                    await world.run()
                assert world.asked == ["a"]


async def test_other_errors_are_raised_as_they_are() -> None:
    for error in (ProviderRejected("a", "bad", param="temperature"), ProviderAuthFailed("a", "key")):
        for way in ("run", "pass_on"):
            world = World(to(A, B), a=FakeModel("a", [error]))
            with pytest.raises(type(error)) as caught:
                await getattr(world, way)()
            assert caught.value is error
            assert world.asked == ["a"]


async def test_after_the_head_nobody_else_is_asked() -> None:
    broken = ProviderProtocolError("a", "broke off")
    world = World(
        to(A, B, fallback_on=("protocol_error", "unavailable")), a=FakeModel("a", break_after_head=broken)
    )
    with pytest.raises(ProviderProtocolError, match="broke off"):
        await world.run()
    assert world.asked == ["a"]


async def test_when_all_failed_the_last_error_is_raised_and_names_them_all() -> None:
    limited = ProviderRateLimited("b", "too fast", retry_after="7")
    for way in ("run", "pass_on"):
        world = World(
            to(A, B, C), a=FakeModel("a", [DOWN]), b=FakeModel("b", [limited]), c=FakeModel("c", [DOWN])
        )
        with pytest.raises(ProviderUnavailable) as caught:
            await getattr(world, way)()
        assert caught.value.message == (
            'model "smart": all of its candidates failed. a/one: unavailable: it is down'
            " b/two: rate_limited: too fast c/three: unavailable: it is down"
        )
        assert caught.value.headers == {"retry-after": "7"}


async def test_the_one_candidate_of_a_route_fails_in_its_own_words() -> None:
    world = World(to(A), a=FakeModel("a", [DOWN]))
    with pytest.raises(ProviderUnavailable) as caught:
        await world.run()
    assert caught.value is DOWN


async def test_a_candidate_that_cannot_honour_a_parameter_is_passed_over() -> None:
    cannot = [UnsupportedParameter(f"{name} cannot", param="top_k") for name in "abc"]
    world = World(to(A, B, fallback_on=()), a=FakeModel("a", [cannot[0]]))
    assert await world.run() == B
    world = World(to(A, B), a=FakeModel("a", [cannot[0]]), b=FakeModel("b", [cannot[1]]))
    with pytest.raises(UnsupportedParameter, match="a cannot") as caught:
        await world.run()
    assert caught.value.param == "top_k"
    world = World(to(A, B), a=FakeModel("a", [cannot[0]]), b=FakeModel("b", [DOWN]))
    with pytest.raises(ProviderUnavailable, match=r"a/one: cannot honour it: a cannot b/two: unavailable"):
        await world.run()


async def test_on_a_lenient_server_the_candidate_that_honours_all_goes_first() -> None:
    world = World(to(A, B, C), a=FakeModel("a", leaves_out=("top_k",)), b=FakeModel("b", [DOWN]))
    call = RoutedCall(world.routed)
    assert list(call.dropped(calling().request)) == []
    assert await world.run() == C
    world.c.errors, world.b.errors = [DOWN], [DOWN]
    assert await world.run() == A
    async for _ in call.stream("smart", calling()):
        pass
    assert list(call.dropped(calling().request)) == []


async def test_a_patient_candidate_is_not_waited_for_while_somebody_else_can_be_asked() -> None:
    health = UpstreamHealth(FakeClock())
    patient, other = PatientModel("patient"), FakeModel("b")
    patient.hasty.errors = [DOWN, DOWN, DOWN]
    providers: dict[str, ModelProvider] = {"patient": Guarded(patient, health), "b": Guarded(other, health)}
    first, last = routed_models(
        {"first": to("patient/m", B), "last": to(B, "patient/m")}, providers, {}, health
    )
    async for _ in RoutedCall(first).stream("first", calling()):
        pass
    assert (patient.hasty.asked, patient.asked, other.asked) == (["m"], [], ["two"])
    other.errors = [DOWN]
    async for _ in RoutedCall(last).stream("last", calling()):
        pass
    assert (patient.hasty.asked, patient.asked) == (["m"], ["m"])


async def test_a_caller_that_leaves_while_a_candidate_is_asked_closes_it_and_asks_nobody_else() -> None:
    world = World(to(A, B), a=FakeModel("a", gate=asyncio.Event()))
    task = asyncio.create_task(world.run())
    await world.a.waiting.acquire()
    assert world.health.in_flight("a", "one") == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (world.a.closed, world.asked, world.health.in_flight("a", "one")) == (1, [], 0)


# --- who is first --------------------------------------------------------------------------------------------
def weighted(**weights: float) -> Route:
    names = {"a": A, "b": B, "c": C}
    candidates = [{"model": names[key], "weight": weight} for key, weight in weights.items()]
    return msgspec.convert({"candidates": candidates, "strategy": "weighted"}, Route)


async def test_weights_are_kept_to_and_a_seed_draws_the_same_again() -> None:
    async def draws() -> list[str]:
        world = World(weighted(a=3, b=1, c=0), draw=random.Random(42).random)
        return [await world.run() for _ in range(2000)]

    drawn = await draws()
    assert drawn == await draws()
    counts = Counter(drawn)
    assert set(counts) == {A, B}
    assert 0.72 < counts[A] / 2000 < 0.78


async def test_a_weight_of_zero_is_asked_when_the_others_fail() -> None:
    world = World(weighted(a=0, b=1), b=FakeModel("b", [DOWN]))
    assert await world.run() == A
    assert world.asked == ["a", "b"]


async def test_the_same_prompt_cache_key_draws_the_same_candidate() -> None:
    world = World(weighted(a=1, b=1))
    served = {
        key: {await world.run(calling(prompt_cache_key=key)) for _ in range(8)} for key in "pqrstuvwxyz"
    }
    assert all(len(one) == 1 for one in served.values())
    assert {name for one in served.values() for name in one} == {A, B}
    passed = {
        key: {await world.pass_on({"prompt_cache_key": key}) for _ in range(8)} for key in "pqrstuvwxyz"
    }
    assert all(len(one) == 1 for one in passed.values())


async def test_a_null_prompt_cache_key_is_none() -> None:
    world = World(weighted(a=1, b=1))
    assert {await world.pass_on({"prompt_cache_key": None}) for _ in range(64)} == {A, B}


async def test_the_least_busy_by_weight_is_first() -> None:
    route = msgspec.convert(
        {"candidates": [{"model": A, "weight": 2}, {"model": B}], "strategy": "least_busy"}, Route
    )
    world = World(route, a=FakeModel("a", gate=asyncio.Event()), b=FakeModel("b", gate=asyncio.Event()))
    both = asyncio.Semaphore(0)
    world.a.waiting = world.b.waiting = both
    tasks: list[asyncio.Task[str]] = []
    for _ in range(30):
        tasks.append(asyncio.create_task(world.run()))
        await both.acquire()
    assert (world.health.in_flight("a", "one"), world.health.in_flight("b", "two")) == (20, 10)
    for one in (world.a, world.b):
        assert one.gate is not None
        one.gate.set()
    await asyncio.gather(*tasks)
    assert (world.health.in_flight("a", "one"), world.health.in_flight("b", "two")) == (0, 0)


async def test_a_passed_on_answer_is_under_way_until_it_was_read() -> None:
    world = World(to(A))
    routed = RoutedCall(world.routed)
    async with await routed.open("/chat/completions", b'{"model":"smart"}', model="smart") as reply:
        assert world.health.in_flight("a", "one") == 1
        assert await reply.read() == b"{}"
        assert [chunk async for chunk in reply] == [b"{}"]
    assert (world.health.in_flight("a", "one"), world.a.closed) == (0, 1)


# --- sticky --------------------------------------------------------------------------------------------------
async def test_the_candidate_that_answered_a_chain_goes_on_with_it_while_it_works() -> None:
    world = World(to(A, B))
    assert await world.run(preferred=B) == B
    world.b.errors = [DOWN]
    assert await world.run(preferred=B) == A
    assert await world.run(preferred="gone/model") == A
    assert await World(to(A, B, sticky=False)).run(preferred=B) == A


async def test_a_chain_is_not_stuck_to_a_candidate_whose_rules_it_has_outgrown() -> None:
    world = World(ruled(a={"max_input_tokens": 50}, b={}))
    assert await world.run(preferred=A) == A
    assert await world.run(calling("x" * 1000), preferred=A) == B


async def test_reasoning_that_a_client_sends_back_goes_to_the_provider_that_can_read_it() -> None:
    def call(*blobs: str) -> CallModel:
        items = [Reasoning(encrypted_content=blob) for blob in blobs]
        return CallModel(
            calling().request, Transcript(None, (), (*items, Message(role="user", content="go on")))
        )

    world = World(to(A, B))
    assert await world.run(call("b:thought")) == B
    assert await world.run(call("b:thought", "a:later")) == A
    assert await world.run(call("gone:thought", "no origin")) == A
    assert await world.run(call("b:thought"), preferred=A) == A
    assert await World(to(A, B, sticky=False)).run(call("b:thought")) == A
    world.b.errors = [DOWN]
    assert await world.run(call("b:thought")) == A


async def test_the_steps_of_one_run_stay_with_one_candidate_also_without_sticky() -> None:
    world = World(to(A, B, sticky=False), a=FakeModel("a", [DOWN]))
    routed = RoutedCall(world.routed)
    for _ in range(3):
        async for _ in routed.stream("smart", calling()):
            pass
    assert world.asked == ["a", "b", "b", "b"]


# --- who answers ---------------------------------------------------------------------------------------------
async def test_formats_are_enforced_as_the_one_that_answers_does_and_before_that_as_all_do() -> None:
    loose = FakeModel("b", loose=frozenset[Constraint](("json_schema",)))
    call = calling()
    for errors, expected in (([], frozenset[Constraint]()), ([DOWN], loose.loose)):
        world = World(to(A, B), a=FakeModel("a", list(errors)), b=loose)
        routed = RoutedCall(world.routed)
        assert routed.unenforced(call.request) == loose.loose
        stream = routed.stream("smart", call)
        await anext(stream)
        assert routed.unenforced(call.request) == expected
        await stream.aclose()


async def test_the_catalog_gives_each_request_its_own_view() -> None:
    health = UpstreamHealth(FakeClock())
    a, b = FakeModel("a", [DOWN]), FakeModel("b")
    providers: dict[str, ModelProvider] = {"a": a, "b": b}
    routed = routed_models({"smart": to("quick", B)}, providers, {"quick": ("a", "one")}, health)
    named = [NamedModel("quick", "a", "one")]
    catalog = Catalog(providers, named, clock=FakeClock(), routed=routed, health=health)
    first, second = await catalog.resolve("smart"), await catalog.resolve("smart")
    assert first.served_by() == ""
    for resolved in (first, second):
        async for _ in resolved.provider.stream(resolved.upstream_model, calling()):
            pass
    assert (first.served_by(), first.answering_model()) == (B, "two")
    assert (second.served_by(), second.answering_model()) == (A, "one")
    assert (await catalog.resolve("quick")).served_by() == A
    assert Model(id="smart", created=0, owned_by="antiphon") in await catalog.list()
    assert await catalog.get("smart") == Model(id="smart", created=0, owned_by="antiphon")
    assert await first.provider.list_models() == ()
    await first.provider.aclose()


# --- with breakers -------------------------------------------------------------------------------------------
async def test_a_candidate_that_keeps_failing_is_not_asked_until_its_time_has_passed() -> None:
    world = World(to(A, B), settings=BreakerSettings(failures=2, open_s=10), a=FakeModel("a", [DOWN] * 2))
    for _ in range(5):
        assert await world.run() == B
    assert world.asked == ["a"] * 2 + ["b"] * 5
    world.clock.at += 10
    assert [await world.run() for _ in range(2)] == [A, A]


async def test_a_probe_that_is_refused_shows_that_the_upstream_is_well_again() -> None:
    refused = ProviderRejected("a", "bad", param="temperature")
    world = World(to(A), settings=BreakerSettings(failures=1, open_s=10), a=FakeModel("a", [DOWN, refused]))
    with pytest.raises(ProviderUnavailable):
        await world.run()
    world.clock.at += 10
    with pytest.raises(ProviderRejected):
        await world.run()
    assert [one.state for one in world.health.states()] == ["closed"]


async def test_an_operator_sees_how_each_upstream_does() -> None:
    settings = BreakerSettings(failures=1, open_s=10)
    world = World(to(A, B), settings=settings, a=FakeModel("a", [DOWN]))
    catalog = Catalog({}, clock=world.clock, routed=[world.routed], health=world.health)
    assert catalog.breakers() == {"closed": 0, "open": 0, "half_open": 0}
    await world.run()
    world.clock.at += 4
    assert world.health.states() == [
        UpstreamState("a", "one", "open", 0, 6, "it is down"),
        UpstreamState("b", "two", "closed", 0, 0, None),
    ]
    assert catalog.breakers() == {"closed": 1, "open": 1, "half_open": 0}
    world.clock.at += 6
    assert catalog.breakers() == {"closed": 1, "open": 0, "half_open": 1}
    await world.run()
    assert catalog.breakers() == {"closed": 2, "open": 0, "half_open": 0}


async def test_models_that_nobody_asks_any_more_are_forgotten() -> None:
    health = UpstreamHealth(FakeClock(), BreakerSettings(failures=1))
    health.begin("a", "failed").failed(DOWN)
    under_way = health.begin("a", "under way")
    for number in range(3000):
        attempt = health.begin("a", f"made up {number}")
        attempt.failed(ProviderModelUnknown("a", "?"))
    names = {one.model for one in health.states()}
    assert {"failed", "under way"} <= names
    assert len(names) <= 1001
    under_way.left()


async def test_a_probe_that_was_cancelled_does_not_keep_a_candidate_away_for_ever() -> None:
    world = World(to(A, B), settings=BreakerSettings(failures=1, open_s=10), a=FakeModel("a", [DOWN]))
    assert await world.run() == B
    world.clock.at += 10
    world.a.gate = asyncio.Event()
    probe = asyncio.create_task(world.run())
    await world.a.waiting.acquire()
    assert await world.run() == B  # while the probe is under way
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    world.a.gate = None
    assert await world.run() == A


async def test_a_candidate_that_asked_to_be_left_alone_is_asked_last_until_then() -> None:
    world = World(to(A, B), a=FakeModel("a", [ProviderRateLimited("a", "slow", retry_after="30")]))
    assert [await world.run() for _ in range(3)] == [B, B, B]
    assert world.a.asked == ["one"]
    world.b.errors = [DOWN]
    assert await world.run() == A
    world.clock.at += 30
    assert await world.run() == A


async def test_a_limit_that_names_no_time_opens_no_breaker() -> None:
    limits: list[AntiphonError] = [
        ProviderRateLimited("a", "slow", retry_after=asked) for asked in (None, "0") for _ in range(20)
    ]
    world = World(to(A), settings=BreakerSettings(failures=1), a=FakeModel("a", limits))
    for _ in range(40):
        with pytest.raises(ProviderRateLimited, match="slow"):
            await world.run()
    assert len(world.a.asked) == 40
    world = World(to(A, B), a=FakeModel("a", [ProviderRateLimited("a", "slow")]))
    assert [await world.run() for _ in range(3)] == [B, B, B]
    assert len(world.a.asked) == 1
    world.clock.at += 1
    assert await world.run() == A


async def test_a_limit_that_keeps_naming_a_time_is_kept_to() -> None:
    limits: list[AntiphonError] = [ProviderRateLimited("a", "slow", retry_after="20") for _ in range(3)]
    world = World(to(A), settings=BreakerSettings(failures=3), a=FakeModel("a", limits))
    for _ in range(5):
        with pytest.raises(ProviderRateLimited) as caught:
            await world.run()
        assert caught.value.headers == {"retry-after": "20"}
    assert len(world.a.asked) == 3
    world.clock.at += 20
    assert await world.run() == A


async def test_when_every_breaker_is_open_the_answer_says_when_to_come_back() -> None:
    world = World(
        to(A, B),
        settings=BreakerSettings(failures=1, open_s=10),
        a=FakeModel("a", [ProviderUnavailable("a", "no", retry_after="4")]),
        b=FakeModel("b", [DOWN]),
    )
    with pytest.raises(ProviderUnavailable, match="all of its candidates failed"):
        await world.run()
    with pytest.raises(ProviderUnavailable) as caught:
        await world.run()
    assert world.asked == ["a", "b"]
    assert caught.value.headers == {"retry-after": "4"}
    assert "try again in 4 s. The last failure: no" in caught.value.message


async def test_context_overflow_goes_on_to_the_bigger_model_and_its_breaker_stays_shut() -> None:
    errors: list[AntiphonError] = [ProviderContextLength("a", "too long", param="input") for _ in range(20)]
    world = World(
        to(A, B, fallback_on=("context_length", "model_unknown")),
        settings=BreakerSettings(failures=1),
        a=FakeModel("a", [*errors, ProviderModelUnknown("a", "?")]),
    )
    for _ in range(21):
        assert await world.run() == B
    assert len(world.a.asked) == 21
