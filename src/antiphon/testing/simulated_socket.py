"""A WebSocket to an ASGI application in the same process: no port, no thread, and in virtual time if wanted."""

import asyncio
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from starlette.types import ASGIApp, Message, Scope

from antiphon.core.wire import decode_json, encode


class SocketOver(Exception):
    """The server closed the connection; `code` is how, 1000 and up."""

    def __init__(self, code: int) -> None:
        super().__init__(f"closed with {code}")
        self.code = code


class UpgradeRefused(Exception):
    """The server did not accept; `status` and `body` are its answer."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"refused with {status}")
        self.status = status
        self.body = body


class SimulatedSocket:
    """Use as `async with`. `room` is how many frames the server may send ahead of `receive`; then it waits."""

    def __init__(
        self,
        app: ASGIApp,
        path: str = "/v1/responses",
        headers: Mapping[str, str] | None = None,
        *,
        room: int = 1_000_000,
    ) -> None:
        self._app = app
        self._scope: Scope = {
            "type": "websocket",
            "asgi": {"version": "3.0"},
            "path": path,
            "headers": [(name.encode(), value.encode()) for name, value in (headers or {}).items()],
            "query_string": b"",
            "extensions": {"websocket.http.response": {}},
        }
        self._room = room
        self._changed = asyncio.Condition()
        self._incoming: asyncio.Queue[Message] = asyncio.Queue()
        self._frames: deque[str] = deque()
        self._refusal: tuple[int, bytes] | None = None
        self._accepted = False
        self._gone = False
        self._code = 0
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Raises UpgradeRefused."""
        self._incoming.put_nowait({"type": "websocket.connect"})
        self._task = asyncio.create_task(self._serve())
        async with self._changed:
            await self._changed.wait_for(lambda: self._accepted or self._code != 0)
        if not self._accepted:
            await self._task
            raise UpgradeRefused(*(self._refusal or (403, b"")))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.leave()

    async def send(self, frame: Mapping[str, object] | str | bytes) -> None:
        """One frame: an object as JSON text, a text as it is, bytes as a binary frame."""
        if isinstance(frame, bytes):
            self._incoming.put_nowait({"type": "websocket.receive", "bytes": frame})
            return
        text = frame if isinstance(frame, str) else encode(frame).decode()
        self._incoming.put_nowait({"type": "websocket.receive", "text": text})

    async def receive(self) -> Any:
        """The next frame's JSON. Raises SocketOver."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._frames or self._code)
            if not self._frames:
                raise SocketOver(self._code)
            frame = self._frames.popleft()
            self._changed.notify_all()
        return decode_json(frame)

    async def leave(self) -> None:
        """Close from this side, and wait until the server has let go."""
        if not self._code:
            self._incoming.put_nowait({"type": "websocket.disconnect", "code": 1000})
        async with self._changed:
            self._gone = True
            self._changed.notify_all()
        if self._task is not None:
            await self._task

    @property
    def unread(self) -> int:
        return len(self._frames)

    async def _serve(self) -> None:
        await self._app(self._scope, self._incoming.get, self._take)

    async def _take(self, message: Message) -> None:
        await asyncio.sleep(0)
        async with self._changed:
            await self._changed.wait_for(lambda: len(self._frames) < self._room or self._gone)
            if self._gone:
                raise OSError("the client is gone")
            self._hear(message)
            self._changed.notify_all()

    def _hear(self, message: Message) -> None:
        match message["type"]:
            case "websocket.accept":
                self._accepted = True
            case "websocket.send":
                self._frames.append(message["text"])
            case "websocket.close":
                self._code = message["code"]
                self._incoming.put_nowait({"type": "websocket.disconnect", "code": self._code})
            case "websocket.http.response.start":
                self._refusal = (message["status"], b"")
            case _:
                assert self._refusal is not None
                self._refusal = (self._refusal[0], message["body"])
                self._code = 1006
