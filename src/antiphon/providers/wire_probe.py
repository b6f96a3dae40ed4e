"""Asks a server once whether it has `/responses`."""

import asyncio
from contextvars import Context
from dataclasses import dataclass
from typing import Literal

from antiphon.core.errors import ProviderError
from antiphon.providers.site import Site

Wire = Literal["chat", "responses"]
LIMIT_S = 3.0
REST_S = 10
"""After a question that got no answer, calls go on without asking for so long."""


@dataclass(slots=True)
class WireProbe:
    """The wire of one server. `known` is None until the server has said something.

    The question is a `POST` of an empty object: a server that has the route misses its fields (400, 422), one that has
    it not says so (404, 405, 501). Anything else (a refused key, a limit, silence) says nothing.
    """

    site: Site
    path: str
    limit_s: float = LIMIT_S
    known: Wire | None = None
    _asking: asyncio.Task[None] | None = None
    _rests_until: int = 0

    async def wire(self) -> Wire | None:
        """The wire; None while nothing is known. Callers at the same time wait for one question."""
        if self.known is not None:
            return self.known
        if self._asking is None:
            if self.site.upstream.client.clock.now() < self._rests_until:
                return None
            # In a context of its own: whoever watches what this call sends shall not take the question for it.
            self._asking = asyncio.create_task(self._ask(), context=Context())
        await asyncio.shield(self._asking)
        return self.known

    async def _ask(self) -> None:
        try:
            async with asyncio.timeout(self.limit_s):
                status, body = await self.site.question(self.path, b"{}")
            self.known = _told(status, body)
        except (ProviderError, TimeoutError):
            pass
        finally:
            self._asking = None
            if self.known is None:
                self._rests_until = self.site.upstream.client.clock.now() + REST_S

    async def aclose(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait({self._asking})


def _told(status: int, body: bytes) -> Wire | None:
    if status in (404, 405, 501):
        return "chat"
    if status in (200, 400, 422) and body.lstrip().startswith(b"{"):
        return "responses"
    return None
