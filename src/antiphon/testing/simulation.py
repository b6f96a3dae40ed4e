"""A seeded scheduler: coroutines run in virtual time, and which ready task goes next is drawn from a seed.

With the ports in memory a whole server runs in it: no socket, no thread, no waiting. Thousands of interleavings pass
in a second, and each comes again with its seed.
"""

import asyncio
import random
import selectors
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, MutableMapping, MutableSet
from dataclasses import dataclass, field
from typing import Any, TypeVar

from starlette.types import ASGIApp, Message, Scope

from antiphon.core.wire import decode_json, encode
from antiphon.ports import Owner, StoredConversation, StoredResponse
from antiphon.storage.memory import MemoryStore
from antiphon.storage.memory_conversations import MemoryConversations

T = TypeVar("T")


class Deadlock(Exception):
    """Every task waits for another one, and no timer is left."""


class SimulatedLoop(asyncio.SelectorEventLoop):
    """Time jumps to the next timer. Tasks that are ready at the same moment run in an order drawn from the seed.

    Only tasks change places: that callbacks run in the order in which they were added is a promise of asyncio.
    """

    _ready: deque[asyncio.Handle]

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._clock = _VirtualSelector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now

    def _run_once(self) -> None:
        if len(self._ready) > 1:
            handles = list(self._ready)
            at = [position for position, handle in enumerate(handles) if _is_task(handle)]
            drawn = self.random.sample(at, len(at))
            for position, other in zip(at, drawn, strict=True):
                self._ready[position] = handles[other]
        super()._run_once()  # type: ignore[misc]  # typeshed leaves out asyncio's own


def _is_task(handle: asyncio.Handle) -> bool:
    callback = getattr(handle, "_callback", None)
    return isinstance(getattr(callback, "__self__", None), asyncio.Task)


class _VirtualSelector(selectors.DefaultSelector):
    """Waits for no descriptor: a wait moves the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Deadlock
        # A little more than asked for, or rounding would leave the timer a hair in the future for ever.
        self.now += timeout + 1e-9 if timeout > 0 else 0.0
        return []


def simulate(seed: int, main: Callable[[random.Random], Coroutine[Any, Any, T]]) -> T:
    """Run `main` under the seed; it gets a source of randomness of its own from the same seed."""
    with asyncio.Runner(loop_factory=lambda: SimulatedLoop(seed)) as runner:
        return runner.run(main(random.Random(seed)))


class SlowConversations(MemoryConversations):
    """Conversations whose calls take a drawn time, as those of their store do."""

    def __init__(
        self,
        rows: MutableMapping[tuple[Owner, str], StoredResponse],
        hidden: MutableSet[tuple[Owner, str]],
        purge: Callable[[Owner, str], None],
        check_open: Callable[[], None],
        pause: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(rows, hidden, purge, check_open)
        self._pause = pause

    async def get(self, owner: Owner, conversation_id: str) -> StoredConversation | None:
        await self._pause()
        return await super().get(owner, conversation_id)

    async def append(
        self, owner: Owner, conversation_id: str, turn: StoredResponse, *, continues: str | None
    ) -> None:
        writing = asyncio.ensure_future(self._append_later(owner, conversation_id, turn, continues))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            await asyncio.wait([writing])
            raise

    async def _append_later(
        self, owner: Owner, conversation_id: str, turn: StoredResponse, continues: str | None
    ) -> None:
        await self._pause()
        await super().append(owner, conversation_id, turn, continues=continues)


class SlowStore(MemoryStore):
    """A store whose every call takes a drawn time, and whose writes go on when their caller is cancelled."""

    def __init__(self, drawn: random.Random, at_most_s: float = 0.05) -> None:
        super().__init__()
        self._drawn = drawn
        self._at_most_s = at_most_s
        self.conversations = SlowConversations(
            self._rows, self._hidden, self._purge, self._check_open, self._pause
        )
        self._writing: set[asyncio.Task[None]] = set()

    async def put_response(self, owner: Owner, response: StoredResponse) -> None:
        await asyncio.shield(self._write(owner, response))

    async def get_response(self, owner: Owner, response_id: str) -> StoredResponse | None:
        await self._pause()
        return await super().get_response(owner, response_id)

    def _write(self, owner: Owner, response: StoredResponse) -> Awaitable[None]:
        task = asyncio.ensure_future(self._put_later(owner, response))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)
        return task

    async def _put_later(self, owner: Owner, response: StoredResponse) -> None:
        await self._pause()
        await super().put_response(owner, response)

    async def _pause(self) -> None:
        await asyncio.sleep(self._drawn.random() * self._at_most_s)


class EarlyAckStore(SlowStore):
    """A seeded fault, for tests of tests: says that a write is done before it is."""

    async def put_response(self, owner: Owner, response: StoredResponse) -> None:
        self._write(owner, response)


@dataclass(slots=True)
class Answer:
    """What an in-memory HTTP exchange brought."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    ended: bool = False
    """The server closed the answer; false when the client left before."""

    @property
    def json(self) -> Any:
        return decode_json(self.body)

    @property
    def events(self) -> list[Any]:
        """The data of a stream of events, in order."""
        lines = self.body.decode().split("\n")
        return [decode_json(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]


async def exchange(
    app: ASGIApp,
    method: str,
    path: str,
    body: Mapping[str, object] | None = None,
    *,
    leave_after_s: float | None = None,
) -> Answer:
    """One HTTP request to an ASGI application in this process. The client may leave before the answer ends."""
    answer, gone = Answer(), asyncio.Event()
    messages: list[Message] = [
        {"type": "http.request", "body": encode(body) if body else b"", "more_body": False}
    ]

    async def receive() -> Message:
        if messages:
            return messages.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        await asyncio.sleep(0)
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        elif not gone.is_set():
            answer.body += message.get("body", b"")
            answer.ended = not message.get("more_body", False)

    loop = asyncio.get_running_loop()
    leaving = loop.call_later(leave_after_s, gone.set) if leave_after_s is not None else None
    try:
        await app(_scope(method, path), receive, send)
    finally:
        gone.set()
        if leaving is not None:
            leaving.cancel()
    return answer


def _scope(method: str, path: str) -> Scope:
    path, _, query = path.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(b"content-type", b"application/json"), (b"host", b"simulation")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
