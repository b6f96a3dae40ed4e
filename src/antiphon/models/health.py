"""How the upstreams do: what is under way at each model of each provider, and its circuit breaker.

`Guarded` stands before a provider. While the breaker of a model is open, a call to it fails at once; else the call
goes through and its head, or the lack of one, is counted. What breaks off after the head is not: the next call tells.
"""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self, cast

from antiphon.core.commands import CallModel
from antiphon.core.errors import (
    ProviderError,
    ProviderProtocolError,
    ProviderRateLimited,
    ProviderTimeout,
    ProviderUnavailable,
)
from antiphon.core.request import ResponseRequest
from antiphon.core.signals import ModelSignal
from antiphon.models.breaker import Breaker, BreakerSettings, State
from antiphon.ports import (
    Clock,
    Constraint,
    Intake,
    ModelInfo,
    ModelProvider,
    Patient,
    TakesFiles,
    UpstreamCompaction,
    UpstreamReply,
)

log = logging.getLogger("antiphon.models")
COUNTED = (ProviderUnavailable, ProviderTimeout, ProviderProtocolError, ProviderRateLimited)
"""Errors by which an upstream fails. A refusal of one request (400, 404, 401) shows that it is alive.

A rate limit counts only where it says when to come back: else the next request may well be let through, and an open
breaker would turn a limit into an outage. Routes leave such an upstream alone for `LIMITED_S`.
"""

LIMITED_S = 1

KEPT = 1_000
"""Models that are remembered; above it those that are calm and idle are forgotten."""


@dataclass(frozen=True, slots=True)
class UpstreamState:
    """One model of one provider, for an operator to look at. `retry_in_s` is 0 where it may be asked."""

    provider_id: str
    model: str
    state: State
    in_flight: int
    retry_in_s: int
    last_error: str | None


@dataclass(slots=True)
class _Line:
    """The way to one model of one provider."""

    provider_id: str
    model: str
    breaker: Breaker | None
    in_flight: int = 0
    last: ProviderError | None = None


class UpstreamHealth:
    """One per server, shared by every request. `own` are the settings of providers that have some."""

    def __init__(
        self,
        clock: Clock,
        settings: BreakerSettings | None = None,
        own: Mapping[str, BreakerSettings] | None = None,
    ) -> None:
        self._clock = clock
        self._settings = settings or BreakerSettings()
        self._own = own or {}
        self._lines: dict[tuple[str, str], _Line] = {}
        self._forget_above = KEPT

    def states(self) -> list[UpstreamState]:
        """Every model that was asked lately."""
        now = self._clock.now()
        return [_state(line, now) for line in self._lines.values()]

    def in_flight(self, provider_id: str, model: str) -> int:
        """The calls that are under way there now."""
        line = self._lines.get((provider_id, model))
        return 0 if line is None else line.in_flight

    def rank(self, provider_id: str, model: str) -> int:
        """0: may be asked; 1: asked to be left alone for a while; 2: its breaker would refuse at once."""
        line = self._lines.get((provider_id, model))
        if line is None or line.breaker is None:
            return 0
        now = self._clock.now()
        return 2 if line.breaker.refuses(now) else int(line.breaker.resting(now))

    def begin(self, provider_id: str, model: str) -> "Attempt":
        """A call is about to be made. Raises what the upstream failed with last while its breaker is open."""
        line = self._lines.get((provider_id, model)) or self._new_line(provider_id, model)
        breaker = line.breaker
        permit: int | None = 0
        if breaker is not None:
            now = 0 if breaker.calm else self._clock.now()
            permit = breaker.ask(now)
            if permit is None:
                raise _refusal(line, max(1, breaker.retry_in_s(now)))
        line.in_flight += 1
        return Attempt(line, permit or 0, self._clock)

    def _new_line(self, provider_id: str, model: str) -> _Line:
        if len(self._lines) >= self._forget_above:
            self._forget()
        settings = self._own.get(provider_id, self._settings)
        line = _Line(provider_id, model, Breaker(settings) if settings.enabled else None)
        self._lines[provider_id, model] = line
        return line

    def _forget(self) -> None:
        now = self._clock.now()
        self._lines = {
            key: line
            for key, line in self._lines.items()
            if line.in_flight or (line.breaker is not None and not line.breaker.idle(now))
        }
        self._forget_above = max(KEPT, 2 * len(self._lines))


@dataclass(slots=True)
class Attempt:
    """One call. `answered` or `failed` once, then `left` when it is over, which may be told again."""

    line: _Line
    permit: int
    clock: Clock
    over: bool = False

    def answered(self) -> None:
        """The head is here."""
        breaker = self.line.breaker
        if breaker is None or breaker.calm:
            return
        before = breaker.state
        breaker.succeeded(self.permit, self.clock.now())
        if breaker.state != before:
            log.warning("%s/%s answers again", self.line.provider_id, self.line.model)

    def failed(self, error: BaseException) -> None:
        """The call ended without a head."""
        self.left()
        line, breaker = self.line, self.line.breaker
        if isinstance(error, COUNTED):
            line.last = error
        if breaker is None:
            return
        if isinstance(error, ProviderRateLimited) and not _rest_s(error):
            breaker.rest(self.clock.now(), LIMITED_S)
            self.answered()
        elif isinstance(error, COUNTED):
            now, before = self.clock.now(), breaker.state
            breaker.failed(self.permit, now, _rest_s(error))
            if breaker.state == "open" != before:
                rest = breaker.retry_in_s(now)
                log.warning("%s/%s is left alone for %s s: %s", line.provider_id, line.model, rest, error)
        elif isinstance(error, ProviderError):
            self.answered()
        else:
            breaker.gave_up(self.permit)

    def gave_up(self) -> None:
        """It came to no call."""
        self.left()
        if self.line.breaker is not None:
            self.line.breaker.gave_up(self.permit)

    def left(self) -> None:
        if not self.over:
            self.over = True
            self.line.in_flight -= 1


class Guarded:
    """A provider behind its breakers. Everything but the calls is the provider's own."""

    __slots__ = ("_health", "_provider", "provider_id")

    def __init__(self, provider: ModelProvider, health: UpstreamHealth) -> None:
        self._provider = provider
        self._health = health
        self.provider_id = provider.provider_id

    def intake(self) -> Intake:
        """See `ports.TakesFiles`."""
        return self._provider.intake() if isinstance(self._provider, TakesFiles) else Intake()

    def unenforced(self, request: ResponseRequest) -> frozenset[Constraint]:
        """See `ports.ModelProvider.unenforced`."""
        return self._provider.unenforced(request)

    def stream(self, model: str, call: CallModel) -> AsyncIterator[Sequence[ModelSignal]]:
        """See `ports.ModelProvider.stream`."""
        batches = cast(
            "AsyncGenerator[Sequence[ModelSignal], None]", self._provider.stream(model, call)
        )  # `aclose` is in the contract of the port
        return _GuardedStream(batches, self._health, self.provider_id, model)

    def dropped(self, request: ResponseRequest) -> Sequence[str]:
        return self._provider.dropped(request)

    async def open(self, path: str, body: bytes, *, model: str) -> UpstreamReply:
        """See `ports.ModelProvider.open`."""
        attempt = self._health.begin(self.provider_id, model)
        try:
            reply = await self._provider.open(path, body, model=model)
        except BaseException as error:
            attempt.failed(error)
            raise
        attempt.answered()
        return _GuardedReply(reply, attempt)

    async def count_tokens(self, model: str, call: CallModel) -> int | None:
        """See `ports.ModelProvider.count_tokens`. An upstream that is left alone is not asked; no breaker hears."""
        if self._health.rank(self.provider_id, model):
            return None
        return await self._provider.count_tokens(model, call)

    async def compact(self, model: str, call: CallModel) -> UpstreamCompaction | None:
        """See `ports.ModelProvider.compact`."""
        attempt = self._health.begin(self.provider_id, model)
        try:
            made = await self._provider.compact(model, call)
        except BaseException as error:
            attempt.failed(error)
            raise
        if made is None:  # nobody was asked
            attempt.gave_up()
        else:
            attempt.answered()
            attempt.left()
        return made

    async def list_models(self) -> Sequence[ModelInfo]:
        return await self._provider.list_models()

    async def aclose(self) -> None:
        await self._provider.aclose()

    def without_waiting(self) -> ModelProvider:
        """See `ports.Patient`."""
        inner = self._provider
        return Guarded(inner.without_waiting(), self._health) if isinstance(inner, Patient) else self


class _GuardedStream:
    """Watches for the head. From then on `async for` goes over the provider's own iterator: no step per batch."""

    __slots__ = ("_attempt", "_batches", "_health", "_model", "_provider_id")

    def __init__(
        self,
        batches: AsyncGenerator[Sequence[ModelSignal], None],
        health: UpstreamHealth,
        provider_id: str,
        model: str,
    ) -> None:
        self._batches = batches
        self._health = health
        self._provider_id = provider_id
        self._model = model
        self._attempt: Attempt | None = None

    def __aiter__(self) -> AsyncIterator[Sequence[ModelSignal]]:
        return self if self._attempt is None else self._batches

    async def __anext__(self) -> Sequence[ModelSignal]:
        if self._attempt is not None:
            return await anext(self._batches)
        attempt = self._attempt = self._health.begin(self._provider_id, self._model)
        try:
            head = await anext(self._batches)
        except BaseException as error:
            attempt.failed(error)
            raise
        attempt.answered()
        return head

    async def aclose(self) -> None:
        try:
            await self._batches.aclose()
        finally:
            if self._attempt is not None:
                self._attempt.left()


class _GuardedReply:
    """A reply that tells when it is over."""

    __slots__ = ("_attempt", "_reply")

    def __init__(self, reply: UpstreamReply, attempt: Attempt) -> None:
        self._reply = reply
        self._attempt = attempt

    async def read(self) -> bytes:
        return await self._reply.read()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._reply.__aiter__()

    async def __aenter__(self) -> Self:
        await self._reply.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._reply.__aexit__(kind, error, trace)
        finally:
            self._attempt.left()


def _state(line: _Line, now: int) -> UpstreamState:
    retry_in_s = 0 if line.breaker is None else line.breaker.retry_in_s(now)
    state: State = "closed" if line.breaker is None else line.breaker.state
    if state == "open" and not retry_in_s:
        state = "half_open"  # as the next call will find it
    last_error = None if line.last is None else line.last.message
    return UpstreamState(line.provider_id, line.model, state, line.in_flight, retry_in_s, last_error)


def _rest_s(error: ProviderError) -> int | None:
    """What the upstream asked for by `Retry-After`, in seconds."""
    asked = error.retry_after or ""
    return int(asked) if asked.isdecimal() else None


def _refusal(line: _Line, retry_in_s: int) -> ProviderError:
    """Rate limits stay rate limits; all else is an upstream that cannot be had."""
    last = line.last
    kind = ProviderRateLimited if isinstance(last, ProviderRateLimited) else ProviderUnavailable
    said = f" The last failure: {last.message}" if last is not None else ""
    return kind(
        line.provider_id,
        f'provider "{line.provider_id}" kept failing for "{line.model}" and is left alone;'
        f" try again in {retry_in_s} s.{said}",
        retry_after=str(retry_in_s),
    )
