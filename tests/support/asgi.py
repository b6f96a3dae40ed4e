"""An ASGI application on a loopback port of the system's choice, in a thread and a loop of its own."""

import asyncio
import socket
import threading
from typing import Self

import uvicorn
from starlette.types import ASGIApp

LIMIT_S = 20.0


class AsgiServer:
    """`port` and `url` (without a path) are known inside the context. Requests that run at its end are cancelled."""

    def __init__(self, app: ASGIApp) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        # asyncio does so only for sockets that name their protocol; each answer would wait 40 ms for an ACK
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        config = uvicorn.Config(
            app,
            interface="asgi3",
            lifespan="on",
            ws="none",
            log_level="critical",
            proxy_headers=False,
            timeout_graceful_shutdown=0,
        )
        self._server = _Server(config)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def call(self, what: "asyncio.Event") -> None:
        """Set an event of the server's loop, from any thread."""
        self._loop.call_soon_threadsafe(what.set)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            try:
                runner.run(self._server.serve(sockets=[self._socket]))
            finally:
                self._server.settled.set()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._server.settled.wait(LIMIT_S), "the server did not start in time"
        assert self._server.started, "the application did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(LIMIT_S)
        self._socket.close()


class _Server(uvicorn.Server):
    """One that tells when it listens, or never will."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.settled = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.settled.set()
