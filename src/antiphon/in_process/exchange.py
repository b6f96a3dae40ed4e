"""One request to an ASGI application in the same process, and its answer as it is made."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Scope

HIGH_WATER_BYTES = 64 * 1024
"""A reader that lags behind by so much holds the application up, as a full socket would."""


class BrokenOff(Exception):
    """The application ended before its answer was whole."""


@dataclass(frozen=True, slots=True)
class Head:
    status: int
    headers: Sequence[tuple[bytes, bytes]]


class Exchange:
    """One request and its answer. It may be made anywhere; its methods run on the loop of the application."""

    def __init__(self, app: ASGIApp, scope: Scope, body: bytes) -> None:
        self._app = app
        self._scope = scope
        self._body: bytes | None = body
        self._head: Head | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._complete = False  # the last part was sent
        self._over = False  # the application has returned
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._gone = asyncio.Event()

    def begin(self) -> "asyncio.Task[None]":
        """Start the application on this request."""
        return asyncio.get_running_loop().create_task(self._run())

    async def head(self) -> Head:
        """The status and the headers, when they are there. Raises BrokenOff when none will come."""
        while self._head is None:
            await self._change()
        return self._head

    async def take(self) -> tuple[bytes, bool]:
        """What was sent since the last time, at least one part, and whether more may follow. Raises BrokenOff."""
        while not self._parts and not self._complete:
            await self._change()
        data = b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        self._room.set()
        return data, not self._complete

    def disconnect(self) -> None:
        """Nobody reads any more. The application hears of it as of a closed connection."""
        self._gone.set()
        self._room.set()

    async def _change(self) -> None:
        if self._over:
            raise BrokenOff
        self._changed.clear()
        await self._changed.wait()

    async def _run(self) -> None:
        try:
            with suppress(
                Exception
            ):  # the application has logged it; here it is an answer that ends too early
                await self._app(self._scope, self._receive, self._send)
        finally:
            self._over = True
            self._changed.set()

    async def _receive(self) -> Message:
        body, self._body = self._body, None
        if body is not None:
            return {"type": "http.request", "body": body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if self._gone.is_set():
            return
        if message["type"] == "http.response.start":
            self._head = Head(message["status"], list(message["headers"]))
        else:
            self._take_in(message)
        self._changed.set()
        while self._size > HIGH_WATER_BYTES and not self._gone.is_set():
            self._room.clear()
            await self._room.wait()

    def _take_in(self, message: Message) -> None:
        data: bytes = message.get("body", b"")
        if data and self._scope["method"] != "HEAD":
            self._parts.append(data)
            self._size += len(data)
        if not message.get("more_body"):
            self._complete = True
            self._gone.set()  # a finished exchange is a closed one, for whoever still watches it
