"""Many servers asked at once, and calls that belong to no run."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from antiphon.core.mcp import Sampled, Sampling
from antiphon.ports.mcp import CallResult, SamplingRefused

T = TypeVar("T")
K = TypeVar("K")
LISTED_AT_ONCE: Final = 64
"""So many that hang keep no other from being listed."""
PATIENCE_S: Final = 10.0
"""How long a list waits for all servers together: clients have little more patience."""


async def asked_together(
    keys: Sequence[K], ask: Callable[[K], Awaitable[T]], patience_s: float = PATIENCE_S
) -> list[tuple[K, T | None]]:
    """What came of asking each, in their order; None where it did not answer in time. Raises what `ask` raises."""
    turns = asyncio.Semaphore(LISTED_AT_ONCE)
    until = asyncio.get_running_loop().time() + patience_s

    async def one(key: K) -> tuple[K, T | None]:
        try:
            async with asyncio.timeout_at(until), turns:
                return key, await ask(key)
        except TimeoutError:
            return key, None

    return await asyncio.gather(*(one(key) for key in keys))


class NoRun:
    """The `CallHost` of calls that belong to no response: what comes back is passed on, and nothing kept. There is no
    model that a server could have called.
    """

    keeps = False

    def __init__(self) -> None:
        self.taken: CallResult | None = None

    def take(self, result: CallResult) -> None:
        self.taken = result

    async def sample(self, asked: Sampling) -> Sampled:
        del asked
        raise SamplingRefused("this call belongs to no response, so there is no model to be called")
