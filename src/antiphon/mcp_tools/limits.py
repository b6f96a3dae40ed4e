"""How many calls run at once, shared out fairly: of those who wait, the one that runs least goes first."""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


class NoPlace(Exception):
    """None became free in time."""


Waiting = deque[asyncio.Future[None]]


@dataclass(slots=True)
class _Gate:
    """The calls of one key. `running` counts them by party, `waiting` holds the parties in the order of arrival."""

    running: Counter[str] = field(default_factory=Counter[str])
    waiting: OrderedDict[str, Waiting] = field(default_factory=OrderedDict[str, Waiting])
    total: int = 0


@dataclass(slots=True)
class FairLimit:
    """At most `limit` at once by key. Within a key there are parties, as the tenants that call one server: a place that
    becomes free goes to the waiting party that has the fewest. Nothing is kept of a key that nobody uses.
    """

    limit: int
    _gates: dict[str, _Gate] = field(default_factory=dict[str, _Gate])

    @property
    def keys(self) -> int:
        """How many keys are in use now."""
        return len(self._gates)

    @asynccontextmanager
    async def place(self, key: str, party: str, patience_s: float) -> AsyncGenerator[None, None]:
        """Hold a place for as long as the block runs. Raises NoPlace when none became free in time."""
        gate = self._gates.setdefault(key, _Gate())
        if gate.total < self.limit:
            _take(gate, party)
        else:
            await self._wait(key, gate, party, patience_s)
        try:
            yield
        finally:
            self._leave(key, gate, party)

    async def _wait(self, key: str, gate: _Gate, party: str, patience_s: float) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        gate.waiting.setdefault(party, deque()).append(turn)
        try:
            async with asyncio.timeout(patience_s):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():  # the place was given in the same moment
                self._leave(key, gate, party)
            else:
                _forget(gate, party, turn)
            if isinstance(error, TimeoutError):
                raise NoPlace from None
            raise

    def _leave(self, key: str, gate: _Gate, party: str) -> None:
        gate.total -= 1
        gate.running[party] -= 1
        if not gate.running[party]:
            del gate.running[party]
        while gate.waiting and gate.total < self.limit:
            chosen = min(gate.waiting, key=lambda one: gate.running[one])
            turn = gate.waiting[chosen].popleft()
            if not gate.waiting[chosen]:
                del gate.waiting[chosen]
            if not turn.done():
                _take(gate, chosen)
                turn.set_result(None)
        if not gate.total and not gate.waiting:
            self._gates.pop(key, None)


def _take(gate: _Gate, party: str) -> None:
    gate.total += 1
    gate.running[party] += 1


def _forget(gate: _Gate, party: str, turn: "asyncio.Future[None]") -> None:
    """Somebody gave up waiting. The gate stays: whoever holds its places removes it."""
    waiting = gate.waiting.get(party)
    if waiting is not None and turn in waiting:
        waiting.remove(turn)
        if not waiting:
            del gate.waiting[party]
