"""A route over providers that fail as they are told, for the tests of routing."""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import msgspec

from antiphon.core.commands import CallModel
from antiphon.core.errors import (
    AntiphonError,
    ProviderUnavailable,
)
from antiphon.core.items import Message
from antiphon.core.request import ResponseRequest
from antiphon.core.signals import ModelSignal, StepDone
from antiphon.core.transcript import PastTurn, Transcript
from antiphon.core.wire import encode
from antiphon.models.breaker import BreakerSettings
from antiphon.models.health import Guarded, UpstreamHealth
from antiphon.models.route import Candidate, Route
from antiphon.models.router import Draw, RoutedCall, RoutedModel, routed_models
from antiphon.ports import Constraint, ModelInfo, ModelProvider, UpstreamCompaction, UpstreamReply
from antiphon.testing import FakeClock


@dataclass
class Reply:
    """A passed-on answer that tells whether somebody still reads it."""

    provider: "FakeModel"

    async def read(self) -> bytes:
        return self.provider.answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self.provider.answer

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.provider.closed += 1


@dataclass
class FakeModel:
    """A provider whose answers are `errors`, in order, then success. `asked` are the models it was asked for."""

    provider_id: str
    errors: list[AntiphonError] = field(default_factory=list[AntiphonError])
    break_after_head: AntiphonError | None = None
    loose: frozenset[Constraint] = frozenset()
    leaves_out: Sequence[str] = ()
    gate: asyncio.Event | None = None
    waiting: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    """Released once for each call that stands at the gate."""
    asked: list[str] = field(default_factory=list[str])
    bodies: list[Any] = field(default_factory=list[Any])
    closed: int = 0
    answer: bytes = b"{}"
    """What is passed on."""

    def _fail(self, model: str) -> None:
        self.asked.append(model)
        if self.errors:
            raise self.errors.pop(0)

    async def stream(self, model: str, call: CallModel) -> AsyncGenerator[Sequence[ModelSignal], None]:
        try:
            if self.gate is not None:
                self.waiting.release()
                await self.gate.wait()
            self._fail(model)
            yield ()
            if self.break_after_head is not None:
                raise self.break_after_head
            yield (StepDone("stop"),)
        finally:
            self.closed += 1

    def unenforced(self, request: ResponseRequest) -> frozenset[Constraint]:
        return self.loose

    def dropped(self, request: ResponseRequest) -> Sequence[str]:
        return self.leaves_out

    async def open(self, path: str, body: bytes, *, model: str) -> UpstreamReply:
        self.bodies.append(msgspec.json.decode(body))
        self._fail(model)
        return Reply(self)

    async def count_tokens(self, model: str, call: CallModel) -> int | None:
        return None

    async def compact(self, model: str, call: CallModel) -> UpstreamCompaction | None:
        return None

    async def list_models(self) -> Sequence[ModelInfo]:
        return ()

    async def aclose(self) -> None:
        pass


@dataclass
class PatientModel(FakeModel):
    """One that repeats inside, unless told that somebody else can be asked."""

    hasty: FakeModel = field(default_factory=lambda: FakeModel("patient"))

    def without_waiting(self) -> ModelProvider:
        return self.hasty


A, B, C = "a/one", "b/two", "c/three"
DOWN = ProviderUnavailable("x", "it is down")


@dataclass
class World:
    """A route over the providers a, b and c, under a clock that stands still."""

    route: Route
    draw: Draw = random.Random(1).random
    clock: FakeClock = field(default_factory=FakeClock)
    settings: BreakerSettings = BreakerSettings()
    a: FakeModel = field(default_factory=lambda: FakeModel("a"))
    b: FakeModel = field(default_factory=lambda: FakeModel("b"))
    c: FakeModel = field(default_factory=lambda: FakeModel("c"))
    health: UpstreamHealth = field(init=False)
    routed: RoutedModel = field(init=False)

    def __post_init__(self) -> None:
        self.health = UpstreamHealth(self.clock, self.settings)
        providers = {one.provider_id: Guarded(one, self.health) for one in (self.a, self.b, self.c)}
        (self.routed,) = routed_models({"smart": self.route}, providers, {}, self.health, self.draw)

    @property
    def asked(self) -> list[str]:
        return [one.provider_id for one in (self.a, self.b, self.c) for _ in one.asked]

    async def run(self, call: CallModel | None = None, preferred: str = "") -> str:
        """Stream one call to its end; who served it."""
        routed = RoutedCall(self.routed)
        routed.prefer(preferred)
        async for _ in routed.stream("smart", call or calling()):
            pass
        assert routed.chosen is not None
        return routed.chosen.name

    async def pass_on(self, body: dict[str, Any] | None = None) -> str:
        routed = RoutedCall(self.routed)
        data = encode({"model": "smart", "messages": [], **(body or {})})
        async with await routed.open("/chat/completions", data, model="smart"):
            pass
        assert routed.chosen is not None
        return routed.chosen.name


def to(*names: str, **settings: Any) -> Route:
    candidates = [Candidate(model=name) for name in names]
    return Route(candidates=tuple(candidates), **settings)


def ruled(**rules: dict[str, Any]) -> Route:
    """Candidates a, b and c with their rules."""
    names = {"a": A, "b": B, "c": C}
    return msgspec.convert(
        {"candidates": [{"model": names[key], "when": rule} for key, rule in rules.items()]}, Route
    )


def calling(
    said: str = "hi", *, history: tuple[PastTurn, ...] = (), stream: bool = True, **more: Any
) -> CallModel:
    request = ResponseRequest.parse(encode({"model": "smart", "input": said, **more}))
    items = (Message(role="user", content=said),)
    return CallModel(request, Transcript(None, history, items), stream=stream)
