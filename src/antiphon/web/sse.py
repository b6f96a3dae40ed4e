"""Server-sent events: framing, heartbeats, and what happens when the reader is slow or goes away.

An event is `event: TYPE`, one `data:` line and an empty line; an event is never split over chunks, several ready
ones may share one. A slow reader holds `send` up, and so the upstream: nothing is buffered here.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

from starlette.types import Receive, Send

from antiphon.core.writer import Event

HEARTBEAT = b": keep-alive\n\n"
LAST_WORDS_S = 1.0
DONE = b"data: [DONE]\n\n"
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]


async def last_words(saying: Awaitable[None]) -> None:
    """Tell the reader how its stream ends while the server stops; one that is too slow for it is left."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(saying, LAST_WORDS_S)


def frame(events: list[Event]) -> bytes:
    pieces: list[bytes] = []
    for event in events:
        pieces += (_lines_before(event.type), event.data, b"\n\n")
    return b"".join(pieces)


@lru_cache
def _lines_before(event_type: str) -> bytes:
    return b"event: %b\ndata: " % event_type.encode()


@dataclass(frozen=True, slots=True)
class Framing:
    """How events go over the wire, what keeps a silent stream alive, and what ends one."""

    frame: Callable[[list[Event]], bytes] = frame
    heartbeat: bytes = HEARTBEAT
    end: bytes = b""


PLAIN = Framing()


class SseSender:
    """Sends chunks of one stream; the head goes out with the first."""

    __slots__ = ("_framing", "_headers", "_lock", "_request_id", "_send", "started", "writes")

    def __init__(
        self,
        send: Send,
        request_id: str,
        headers: Callable[[], Mapping[str, str]] = dict[str, str],
        framing: Framing = PLAIN,
    ) -> None:
        """`headers` is asked when the head goes out: a route knows only then who answers."""
        self._framing = framing
        self._send = send
        self._headers = headers
        self._request_id = request_id
        self._lock = asyncio.Lock()
        self.started = False
        self.writes = 0

    async def emit(self, events: list[Event]) -> None:
        chunk = self._framing.frame(events)
        if chunk:
            await self.write(chunk)

    async def write(self, chunk: bytes) -> None:
        """Send a chunk of whole events. Waits while the reader's buffers are full."""
        async with self._lock:
            self.writes += 1
            if not self.started:
                await self.start()
            await self._send({"type": "http.response.body", "body": chunk, "more_body": True})

    async def start(self) -> None:
        self.started = True
        headers = [*_HEADERS, (b"x-request-id", self._request_id.encode("latin-1"))]
        headers += [
            (name.encode("latin-1"), value.encode("latin-1")) for name, value in self._headers().items()
        ]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def heartbeat(self) -> None:
        """A sign of life between events, unless one is being sent right now."""
        if self.started and not self._lock.locked():
            await self.write(self._framing.heartbeat)

    async def finish(self, last: bytes = b"") -> None:
        async with self._lock:
            if not self.started:
                await self.start()
            await self._send({"type": "http.response.body", "body": last, "more_body": False})


class Watch:
    """Watches a request while its task works: a client that goes away cancels the task, silence calls `on_silence`.

    It costs a timer until `GRACE_S` has passed, since most requests are answered before; then one task.
    """

    GRACE_S = 0.05
    __slots__ = ("_every_s", "_loop", "_on_silence", "_receive", "_target", "_task", "_timer", "gone")

    def __init__(
        self,
        receive: Receive,
        *,
        on_silence: Callable[[], Awaitable[None]] | None = None,
        every_s: float = 15.0,
    ) -> None:
        self._receive = receive
        self._on_silence = on_silence
        self._every_s = every_s
        self._loop = asyncio.get_running_loop()
        self._target = asyncio.current_task()
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self.gone = False

    def __enter__(self) -> Self:
        self._timer = self._loop.call_later(self.GRACE_S, self._spawn)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> bool:
        """Ends the watch. The cancellation that it caused itself ends here too."""
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
        if self.gone and kind is asyncio.CancelledError and self._target is not None:
            self._target.uncancel()
            return True
        return False

    def _spawn(self) -> None:
        self._task = self._loop.create_task(self._watch())

    async def _watch(self) -> None:
        receiving = asyncio.ensure_future(self._receive())
        try:
            while True:
                timeout = self._every_s if self._on_silence is not None else None
                done, _ = await asyncio.wait({receiving}, timeout=timeout)
                if done:
                    if receiving.result()["type"] == "http.disconnect":
                        self._leave()
                        return
                    receiving = asyncio.ensure_future(self._receive())
                elif self._on_silence is not None:
                    await self._on_silence()
        finally:
            receiving.cancel()

    def _leave(self) -> None:
        self.gone = True
        if self._target is not None:
            self._target.cancel()
