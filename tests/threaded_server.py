"""A model server that tests control and watch: aiohttp on a port of the system's choice, in a thread of its own.

Waits are for states (`wait_for`), never for a time.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

from aiohttp import web

LIMIT_S = 20.0


class _Seen(Protocol):
    requests: list[dict[str, Any]]


SeenT = TypeVar("SeenT", bound=_Seen)


class ThreadedServer(Generic[SeenT]):
    """`url` is its base URL with `/v1`; `seen` what it observed, guarded by a condition; a context manager."""

    max_body: ClassVar[int] = 1024 * 1024

    def __init__(self, seen: SeenT) -> None:
        self.seen = seen
        self.url = ""
        self._changed = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._started = threading.Event()
        self._stop = asyncio.Event()

    def routes(self) -> list[web.RouteDef]:
        """What is served."""
        return []

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(LIMIT_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(LIMIT_S)

    def wait_for(self, what: str, state: Callable[[SeenT], bool]) -> None:
        """Return as soon as `state` is true; fail with `what` when it is not within a generous limit."""
        with self._changed:
            assert self._changed.wait_for(lambda: state(self.seen), LIMIT_S), f"never saw: {what}"

    def last_request(self) -> dict[str, Any]:
        with self._changed:
            return self.seen.requests[-1]

    def _note(self, change: Callable[[SeenT], None]) -> None:
        with self._changed:
            change(self.seen)
            self._changed.notify_all()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        app = web.Application(client_max_size=self.max_body)
        app.router.add_routes(self.routes())
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        self._started.set()
        await self._stop.wait()
        await runner.cleanup()
