"""The circuit breaker of one upstream model: a state machine without a clock of its own.

    closed ──(enough calls fail)──► open ──(its time has passed)──► half_open ──(all probes pass)──► closed
                                     ▲                                  │
                                     └────────────(a probe fails)───────┘

Times are Unix seconds and come in as arguments. A clock that was set back ends a rest instead of prolonging it.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Annotated, Literal, dataclass_transform

import msgspec
from msgspec import Meta

LONGEST_REST_S = 3600
"""An upstream that asks for more is asked again after this."""

State = Literal["closed", "open", "half_open"]
Seconds = Annotated[int, Meta(ge=1, le=LONGEST_REST_S)]
Count = Annotated[int, Meta(ge=1, le=10_000)]


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class Closed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mapping of the configuration. A key that is not a field is refused."""


class BreakerSettings(Closed):
    """Written under `server.breaker`, and under `breaker` of one provider."""

    enabled: Annotated[bool, Meta(description="Whether an upstream that keeps failing is left alone.")] = True
    failures: Annotated[
        Count, Meta(description="So many failures within `window_s`, more than half of the calls, open it.")
    ] = 5
    window_s: Annotated[Seconds, Meta(description="How far back failures count.")] = 30
    open_s: Annotated[
        Seconds,
        Meta(description="How long nothing is sent, where the upstream names no time by `Retry-After`."),
    ] = 10
    half_open_probes: Annotated[
        Count, Meta(description="So many calls are let through after that; all must pass to close it.")
    ] = 1


@dataclass(slots=True)
class Breaker:
    """`ask` before a call; with the permit it gives, tell how the call ended: exactly one of the three."""

    settings: BreakerSettings
    state: State = "closed"
    _epoch: int = 0
    _seconds: deque[tuple[int, int, int]] = field(default_factory=deque[tuple[int, int, int]])
    _opened_at: int = 0
    _open_for: int = 0
    _places_taken: int = 0
    _passed: int = 0
    _probed_at: int = 0
    _rest_from: int = 0
    _rest_for: int = 0

    @property
    def calm(self) -> bool:
        """Nothing failed lately: a success need not be told."""
        return self.state == "closed" and not self._seconds

    def ask(self, now: int) -> int | None:
        """A permit for one call; None when the upstream is to be left alone."""
        if self.state == "closed":
            return self._epoch
        if self.refuses(now):
            return None
        if self.state == "open":
            self._enter("half_open")
        if self._places_taken >= self.settings.half_open_probes:
            self._free_a_place()  # a probe that hangs must not keep the door shut
        self._places_taken += 1
        self._probed_at = now
        return self._epoch

    def succeeded(self, permit: int, now: int) -> None:
        """The upstream answered, be it with a refusal of this request."""
        if permit != self._epoch:
            return
        if self.state == "half_open":
            self._free_a_place()
            self._passed += 1
            if self._passed >= self.settings.half_open_probes:
                self._enter("closed")
        elif self._seconds:
            self._count(now, failed=False)

    def failed(self, permit: int, now: int, rest_s: int | None = None) -> None:
        """The upstream did not do its part. `rest_s` is what it asked for by `Retry-After`."""
        if rest_s is not None:
            self.rest(now, rest_s)
        if permit != self._epoch:
            return
        if self.state == "half_open":
            self._open(now, rest_s)
            return
        self._count(now, failed=True)
        calls, failures = (sum(counts) for counts in list(zip(*self._seconds, strict=True))[1:])
        if failures >= self.settings.failures and 2 * failures > calls:
            self._open(now, rest_s)

    def rest(self, now: int, rest_s: int) -> None:
        """The upstream wants to be left alone for so long. `ask` does not refuse; `resting` tells."""
        self._rest_from, self._rest_for = now, min(rest_s, LONGEST_REST_S)

    def gave_up(self, permit: int) -> None:
        """The call ended without telling anything about the upstream: it was cancelled, or never sent."""
        if permit == self._epoch and self.state == "half_open":
            self._free_a_place()

    def refuses(self, now: int) -> bool:
        """Whether `ask` would give no permit now."""
        if self.state == "half_open":
            full = self._places_taken >= self.settings.half_open_probes
            return full and _within(now, self._probed_at, self.settings.open_s)
        return self.retry_in_s(now) > 0

    def retry_in_s(self, now: int) -> int:
        """How long nothing is sent from now on, not even a probe; 0 when that time has passed."""
        if self.state == "open" and _within(now, self._opened_at, self._open_for):
            return self._opened_at + self._open_for - now
        return 0

    def resting(self, now: int) -> bool:
        """Whether the upstream asked to be left alone until later. Somebody with a choice should."""
        return _within(now, self._rest_from, self._rest_for)

    def idle(self, now: int) -> bool:
        """Whether it may be forgotten: it knows nothing that still counts."""
        self._forget(now)
        return self.calm and not self.resting(now)

    def _count(self, now: int, *, failed: bool) -> None:
        """One entry for each second: (when, calls, failures)."""
        self._forget(now)
        if self._seconds and self._seconds[-1][0] == now:
            _, calls, failures = self._seconds.pop()
            self._seconds.append((now, calls + 1, failures + failed))
        elif failed or self._seconds:
            self._seconds.append((now, 1, int(failed)))

    def _forget(self, now: int) -> None:
        """What is out of the window, and seconds without a failure before the first that has one."""
        seconds, window = self._seconds, self.settings.window_s
        while seconds and not (seconds[0][2] and _within(now, seconds[0][0], window)):
            seconds.popleft()

    def _free_a_place(self) -> None:
        self._places_taken = max(0, self._places_taken - 1)

    def _open(self, now: int, rest_s: int | None) -> None:
        self._enter("open")
        self._opened_at = now
        self._open_for = self.settings.open_s if rest_s is None else min(max(rest_s, 1), LONGEST_REST_S)

    def _enter(self, state: State) -> None:
        self.state = state
        self._epoch += 1
        self._seconds.clear()
        self._places_taken = self._passed = 0


def _within(now: int, since: int, length: int) -> bool:
    return 0 <= now - since < length
