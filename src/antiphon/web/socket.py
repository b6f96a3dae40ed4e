"""A WebSocket as its handler sees it: whole messages in, text frames out, and how it is refused and closed.

A slow reader holds `send` up, and so whoever writes: nothing is buffered here. What is sent to a client that has
gone is dropped; that it has gone is told by `receive`, once.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping

from starlette.types import Receive, Scope, Send

from antiphon.core.errors import AntiphonError, PermissionDenied
from antiphon.core.wire import encode
from antiphon.ports import Owner
from antiphon.web.bodies import JSON

FRAMES = "antiphon.frames"
"""The extension of servers that take several text messages at once: `{"type": "antiphon.frames", "texts": […]}`."""
MAX_REASON_BYTES = 120


class SocketClosed(Exception):
    """The client is gone."""


class Socket:
    """One WebSocket. `owner` is whose data it may see; `ending` is set when the server is about to stop."""

    __slots__ = (
        "_extensions",
        "_lock",
        "_receive",
        "_send",
        "accepted",
        "closed",
        "ending",
        "headers",
        "owner",
        "request_id",
    )

    def __init__(
        self,
        scope: Scope,
        headers: Mapping[bytes, bytes],
        receive: Receive,
        send: Send,
        owner: Owner,
        request_id: str,
    ) -> None:
        self.headers = headers
        self.owner = owner
        self.request_id = request_id
        self.ending = asyncio.Event()
        self.accepted = False
        self.closed = False
        self._extensions: Mapping[str, object] = scope.get("extensions") or {}
        self._receive = receive
        self._send = send
        self._lock = asyncio.Lock()

    async def accept(self) -> None:
        self.accepted = True
        headers = [(b"x-request-id", self.request_id.encode("latin-1"))]
        await self._deliver({"type": "websocket.accept", "headers": headers})

    async def refuse(self, error: AntiphonError) -> None:
        """Answer the upgrade with a status and the envelope, where the server can; else with its plain 403."""
        if "websocket.http.response" not in self._extensions:
            await self._deliver({"type": "websocket.close", "code": 1008})
            return
        body = encode(error.envelope())
        headers = [(b"content-type", JSON), (b"x-request-id", self.request_id.encode("latin-1"))]
        headers += [
            (name.encode("latin-1"), value.encode("latin-1")) for name, value in error.headers.items()
        ]
        await self._deliver(
            {"type": "websocket.http.response.start", "status": error.status, "headers": headers}
        )
        await self._deliver({"type": "websocket.http.response.body", "body": body})

    async def receive(self) -> str | bytes:
        """The next message, text or binary. Raises SocketClosed."""
        message = await self._receive()
        if message["type"] == "websocket.receive":
            text: str | None = message.get("text")
            return text if text is not None else message["bytes"]
        self.closed = True
        raise SocketClosed

    async def send(self, texts: list[bytes]) -> None:
        """One text frame each, in order and with nothing in between. Waits while the reader's buffers are full."""
        async with self._lock:
            if FRAMES in self._extensions:
                await self._deliver({"type": FRAMES, "texts": texts})
                return
            for text in texts:
                await self._deliver({"type": "websocket.send", "text": text.decode()})

    async def close(self, code: int, reason: str) -> None:
        async with self._lock:
            await self._deliver(
                {"type": "websocket.close", "code": code, "reason": reason[:MAX_REASON_BYTES]}
            )
            self.closed = True

    async def _deliver(self, message: dict[str, object]) -> None:
        if self.closed:
            return
        # What a server raises once the client is gone: an OSError by the ASGI specification (2.4), RuntimeError by
        # uvicorn when the protocol itself has closed the connection.
        with contextlib.suppress(OSError, RuntimeError):
            await self._send(message)


SocketHandler = Callable[[Socket], Awaitable[None]]


def check_origin(headers: Mapping[bytes, bytes]) -> None:
    """Refuse the pages of other sites: a browser lets each of them open a WebSocket to a server on this machine.

    Only for callers without a key, which no page can send along. Raises PermissionDenied.
    """
    origin = headers.get(b"origin")
    if origin is None:
        return
    scheme, _, host = origin.lower().partition(b"://")
    asked = headers.get(b"host", b"").lower()
    if _with_port(host, scheme) != _with_port(asked, scheme):
        raise PermissionDenied(
            "a page of another site may not open a WebSocket to a server without API keys; configure"
            " `server.auth.keys`, or connect from a program."
        )


def _with_port(host: bytes, scheme: bytes) -> bytes:
    if host.rpartition(b":")[2].isdigit():
        return host
    return host + (b":443" if scheme in (b"https", b"wss") else b":80")
