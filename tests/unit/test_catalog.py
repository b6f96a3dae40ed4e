"""Names of models: who serves what, and what happens when a provider is down."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest

from antiphon.core.commands import CallModel
from antiphon.core.errors import InvalidRequest, ModelNotFound, ProviderUnavailable
from antiphon.core.request import ResponseRequest
from antiphon.core.signals import ModelSignal
from antiphon.models.catalog import Catalog, Model, NamedModel
from antiphon.ports import Constraint, ModelInfo, ModelProvider, UpstreamCompaction, UpstreamReply


@dataclass
class FakeClock:
    time: int = 1000

    def now(self) -> int:
        return self.time

    def now_us(self) -> int:
        return self.time * 1_000_000


@dataclass
class FakeProvider:
    """Lists `names`, or is down. `gate` holds listings back."""

    provider_id: str
    names: list[str] = field(default_factory=list[str])
    down: bool = False
    asked: int = 0
    gate: asyncio.Event | None = None
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def count_tokens(self, model: str, call: CallModel) -> int | None:
        return None

    async def compact(self, model: str, call: CallModel) -> UpstreamCompaction | None:
        return None

    async def list_models(self) -> Sequence[ModelInfo]:
        self.asked += 1
        self.reached.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.down:
            raise ProviderUnavailable(self.provider_id, "down")
        return [ModelInfo(name, 5, "maker") for name in self.names]

    def unenforced(self, request: ResponseRequest) -> frozenset[Constraint]:
        return frozenset()

    def dropped(self, request: ResponseRequest) -> Sequence[str]:
        return ()

    async def stream(self, model: str, call: CallModel) -> AsyncIterator[Sequence[ModelSignal]]:
        raise AssertionError("the catalog asks for no answers")
        yield ()

    async def open(self, path: str, body: bytes, *, model: str) -> UpstreamReply:
        raise AssertionError("the catalog passes nothing on")

    async def aclose(self) -> None:
        pass


def catalog(
    *providers: FakeProvider, named: Sequence[NamedModel] = (), clock: FakeClock | None = None
) -> Catalog:
    table: dict[str, ModelProvider] = {one.provider_id: one for one in providers}
    return Catalog(table, named, clock=clock or FakeClock())


async def test_a_model_has_its_full_name_and_its_bare_one_where_that_is_unique() -> None:
    a, b = FakeProvider("a", ["one", "both"]), FakeProvider("b", ["two", "both"])
    models = catalog(a, b)
    for name, provider, upstream in [
        ("one", a, "one"),
        ("a/one", a, "one"),
        ("b/both", b, "both"),
        ("two", b, "two"),
    ]:
        resolved = await models.resolve(name)
        assert (resolved.provider, resolved.upstream_model) == (provider, upstream)
        assert resolved.model_id == f"{provider.provider_id}/{upstream}"
    with pytest.raises(InvalidRequest, match='"a/both", "b/both"') as caught:
        await models.resolve("both")
    assert caught.value.param == "model"


async def test_names_with_slashes_are_names() -> None:
    models = catalog(FakeProvider("vllm", ["Qwen/Qwen3"]))
    assert (await models.resolve("Qwen/Qwen3")).upstream_model == "Qwen/Qwen3"
    assert (await models.resolve("vllm/Qwen/Qwen3")).upstream_model == "Qwen/Qwen3"


async def test_an_unknown_model_is_answered_with_what_is_served() -> None:
    with pytest.raises(ModelNotFound, match="a/one") as caught:
        await catalog(FakeProvider("a", ["one"])).resolve("nine")
    assert (caught.value.status, caught.value.param) == (404, "model")


async def test_no_name_is_a_bad_request() -> None:
    with pytest.raises(InvalidRequest):
        await catalog(FakeProvider("a", ["one"])).resolve("")


async def test_known_names_ask_nobody_and_unknown_ones_not_too_often() -> None:
    clock, provider = FakeClock(), FakeProvider("a", ["one"])
    models = catalog(provider, clock=clock)
    for _ in range(5):
        await models.resolve("one")
        with pytest.raises(ModelNotFound):
            await models.resolve("nine")
    assert provider.asked == 1
    provider.names.append("nine")
    clock.time += 5
    assert (await models.resolve("nine")).upstream_model == "nine"
    assert provider.asked == 2


async def test_the_list_is_asked_for_again_when_it_is_old() -> None:
    clock, provider = FakeClock(), FakeProvider("a", ["one"])
    models = catalog(provider, clock=clock)
    assert list(await models.list()) == [Model(id="a/one", created=5, owned_by="maker")]
    clock.time += 59
    await models.list()
    assert provider.asked == 1
    clock.time += 1
    await models.list()
    assert provider.asked == 2


async def test_a_provider_that_is_down_hides_nobody_and_keeps_what_it_had() -> None:
    clock, good, bad = FakeClock(), FakeProvider("good", ["one"]), FakeProvider("bad", ["two"])
    models = catalog(good, bad, clock=clock)
    await models.list()
    bad.down = True
    clock.time += 60
    assert [model.id for model in await models.list()] == ["good/one", "bad/two"]
    assert set(models.failures) == {"bad"}
    bad.down = False
    clock.time += 60
    await models.list()
    assert not models.failures


async def test_models_of_a_provider_that_cannot_list_are_reached_by_their_full_name() -> None:
    provider = FakeProvider("azure", down=True)
    models = catalog(provider)
    resolved = await models.resolve("azure/my-deployment")
    assert (resolved.provider, resolved.upstream_model) == (provider, "my-deployment")
    with pytest.raises(ModelNotFound):
        await models.resolve("my-deployment")


async def test_callers_at_the_same_time_share_one_round_and_one_may_leave() -> None:
    provider = FakeProvider("a", ["one"], gate=asyncio.Event())
    models = catalog(provider)
    callers = [asyncio.create_task(models.resolve("one")) for _ in range(3)]
    await provider.reached.wait()
    callers[0].cancel()
    assert provider.gate is not None
    provider.gate.set()
    answers = await asyncio.gather(*callers, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert [one.upstream_model for one in answers[1:] if not isinstance(one, BaseException)] == ["one", "one"]
    assert provider.asked == 1


async def test_closing_stops_a_round_that_hangs() -> None:
    provider = FakeProvider("a", ["one"], gate=asyncio.Event())
    models = catalog(provider)
    caller = asyncio.create_task(models.list())
    await provider.reached.wait()
    await models.aclose()
    with pytest.raises(asyncio.CancelledError):
        await caller


async def test_the_operators_names_win_and_are_listed_first() -> None:
    provider = FakeProvider("a", ["one", "fast"])
    models = catalog(provider, named=[NamedModel("fast", "a", "one")])
    assert (await models.resolve("fast")).upstream_model == "one"
    assert [model.id for model in await models.list()] == ["fast", "a/one", "a/fast"]
    assert provider.asked == 1


async def test_one_model_is_got_under_the_name_asked_for() -> None:
    models = catalog(FakeProvider("a", ["one"]))
    assert await models.get("one") == Model(id="one", created=5, owned_by="maker")
    assert await models.get("a/one") == Model(id="a/one", created=5, owned_by="maker")
    with pytest.raises(ModelNotFound):
        await models.get("nine")
