"""`/v1/responses` as a WebSocket: `response.create` frames in, the events of their responses out.

Frames with one `stream_id` are a lane: answered in order, one at a time. Lanes go side by side; frames without
`stream_id` are a lane too. The runs and the events are those of SSE.
"""

import asyncio
import logging
from collections import deque
from dataclasses import dataclass

from antiphon.config.settings import WebSocketSettings
from antiphon.core.errors import AntiphonError, ShuttingDown, SocketTooOld, TooManyWaiting
from antiphon.core.writer import Event
from antiphon.responses.routes import response_headers
from antiphon.responses.service import ResponseService
from antiphon.responses.socket_frames import Asked, Refused, error_frame, nested_error, read, with_more
from antiphon.responses.socket_memory import SocketMemory
from antiphon.runs.runner import Run
from antiphon.web.routing import SocketRoute
from antiphon.web.socket import Socket, SocketClosed
from antiphon.web.sse import last_words
from antiphon.web.streams import OpenStreams

log = logging.getLogger("antiphon.http")
FINISH_S = 300.0
"""How long responses may go on when their connection has reached its age."""
GOING_AWAY, FAILED, RESTARTING = 1001, 1011, 1012
"""Codes of RFC 6455, section 7.4.1, and of the registry that it made. Official clients connect again after each."""


@dataclass(frozen=True, slots=True)
class ResponseSockets:
    """Makes a `Connection` of each WebSocket."""

    service: ResponseService
    streams: OpenStreams
    settings: WebSocketSettings
    max_frame_bytes: int
    lenient: bool = False

    async def serve(self, socket: Socket) -> None:
        await socket.accept()
        await Connection(self, socket).serve()

    def table(self) -> list[SocketRoute]:
        return [
            SocketRoute(
                "/v1/responses",
                self.serve,
                "Create responses over a connection that stays open, with state of its own",
                frames="CreateFrame",
                events="Event",
            )
        ]


class Connection:
    """One WebSocket: its lanes, its memory, and its end."""

    def __init__(self, sockets: ResponseSockets, socket: Socket) -> None:
        self._sockets = sockets
        self._settings = sockets.settings
        self._socket = socket
        self._memory = SocketMemory(sockets.settings.memory_bytes)
        self._lanes: dict[str | None, deque[Asked | Refused]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._places = asyncio.Semaphore(sockets.settings.max_lanes)
        self._waiting = 0
        self._waiting_bytes = 0
        self._refusal: AntiphonError | None = None

    async def serve(self) -> None:
        """Until the client leaves, the connection is too old, or the server stops."""
        reader = asyncio.create_task(self._read())
        ending = asyncio.create_task(self._socket.ending.wait())
        code, reason = FAILED, "the server failed"
        try:
            age = self._settings.max_age_s
            await asyncio.wait({reader, ending}, timeout=age, return_when=asyncio.FIRST_COMPLETED)
            if reader.done():
                await reader
            elif ending.done():
                self._refusal = ShuttingDown()
                code, reason = RESTARTING, "the server is shutting down"
                await self._drain(reader, None)
            else:
                self._refusal = SocketTooOld(age)
                code, reason = GOING_AWAY, "the connection is too old"
                await self._drain(reader, FINISH_S)
        except asyncio.CancelledError:
            code, reason = RESTARTING, "the server is shutting down"
            raise
        finally:
            await self._end_tasks(reader, ending)
            await last_words(self._goodbye(code, reason))

    async def _drain(self, reader: "asyncio.Task[None]", grace_s: float | None) -> None:
        """Let the running responses end; those that wait are refused. Also over when the client leaves."""
        if self._tasks:
            lanes = asyncio.ensure_future(asyncio.wait(set(self._tasks)))
            await asyncio.wait({lanes, reader}, timeout=grace_s, return_when=asyncio.FIRST_COMPLETED)
            lanes.cancel()

    async def _end_tasks(self, *tasks: "asyncio.Task[object]") -> None:
        """Lanes that are cancelled store how their responses ended, and tell a client that is still there."""
        everything = [*tasks, *self._tasks]
        for task in everything:
            task.cancel()
        await asyncio.gather(*everything, return_exceptions=True)

    async def _goodbye(self, code: int, reason: str) -> None:
        if isinstance(self._refusal, SocketTooOld):
            await self._say(self._refusal, None)
        await self._socket.close(code, reason)

    # --- frames in ----------------------------------------------------------------------------------------
    async def _read(self) -> None:
        """Take frames to their lanes. Always ready to read, or a client that leaves would not be noticed."""
        sockets = self._sockets
        while True:
            try:
                message = await self._socket.receive()
            except SocketClosed:
                return
            frame = read(message, sockets.max_frame_bytes, lenient=sockets.lenient)
            if self._refusal is not None:
                await self._say(self._refusal, frame.stream_id)
            elif self._is_full(frame.size_bytes):
                await self._say(TooManyWaiting(self._settings.max_waiting), frame.stream_id)
            else:
                self._queue(frame)

    def _is_full(self, more_bytes: int) -> bool:
        """One frame may always wait, or a large one could never be sent."""
        if not self._waiting:
            return False
        full = self._waiting_bytes + more_bytes > self._sockets.max_frame_bytes
        return full or self._waiting >= self._settings.max_waiting

    def _queue(self, frame: Asked | Refused) -> None:
        self._waiting += 1
        self._waiting_bytes += frame.size_bytes
        lane = self._lanes.get(frame.stream_id)
        if lane is not None:
            lane.append(frame)
            return
        self._lanes[frame.stream_id] = deque([frame])
        task = asyncio.create_task(self._run_lane(frame.stream_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- lanes --------------------------------------------------------------------------------------------
    async def _run_lane(self, name: str | None) -> None:
        """Answer the frames of a lane until none is left. A lane that is idle is forgotten."""
        lane = self._lanes[name]
        try:
            while lane:
                async with self._places:
                    frame = lane.popleft()
                    self._waiting -= 1
                    self._waiting_bytes -= frame.size_bytes
                    await self._answer(frame)
        finally:
            del self._lanes[name]

    async def _answer(self, frame: Asked | Refused) -> None:
        """A response, or why there is none: then what the frame would have continued is forgotten, as OpenAI does."""
        if self._refusal is not None:
            await self._say(self._refusal, frame.stream_id)
            return
        error = frame.error if isinstance(frame, Refused) else await self._respond(frame)
        if error is not None:
            self._memory.forget(frame.continues)
            await self._say(error, frame.stream_id)

    async def _respond(self, frame: Asked) -> AntiphonError | None:
        """Run the response to its end. The error that came before it began, if one did."""
        try:
            await self._run(frame)
        except AntiphonError as error:
            return error
        except Exception:
            log.exception("a response on socket %s failed", self._socket.request_id)
            return _internal(self._socket.request_id)
        return None

    async def _run(self, frame: Asked) -> None:
        sockets, owner = self._sockets, self._socket.owner
        with sockets.streams.one(), self._memory.in_use(frame.continues):
            async with sockets.service.turn(owner, frame.request):
                run = await sockets.service.prepare(owner, frame.request, self._memory)
                run.unknown = frame.unknown
                sender = EventSender(self._socket, run, frame.stream_id)
                run.emit = sender.emit
                try:
                    await (run.execute() if frame.generate else run.skip())
                except asyncio.CancelledError:
                    if run.begun and not self._socket.closed:
                        run.emit = sender.emit
                        await last_words(run.flush())
                    raise
        if run.state.status == "failed":
            self._memory.forget(frame.continues)

    async def _say(self, error: AntiphonError, stream_id: str | None) -> None:
        await self._socket.send([error_frame(error, stream_id)])


class EventSender:
    """Sends the events of one run, a frame each."""

    __slots__ = ("_echo", "_run", "_socket", "_started")

    def __init__(self, socket: Socket, run: Run, stream_id: str | None) -> None:
        self._socket = socket
        self._run = run
        self._echo = {"stream_id": stream_id} if stream_id is not None else {}
        self._started = False

    async def emit(self, events: list[Event]) -> None:
        texts = [nested_error(event) if event.type == "error" else event.data for event in events]
        if not self._started:
            self._started = True
            texts[0] = with_more(texts[0], {"headers": response_headers(self._run)})
        if self._echo:
            texts = [with_more(text, self._echo) for text in texts]
        await self._socket.send(texts)


def _internal(request_id: str) -> AntiphonError:
    return AntiphonError(f"the server failed on this frame; its log has the reason under {request_id}.")
