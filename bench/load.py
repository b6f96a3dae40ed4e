"""A load generator over raw asyncio: keep-alive connections and the least HTTP/1.1 parsing that is right.

`run` sends N requests over C connections at once and gives what came back. A connection holds one request
at a time.
"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

_END = b"\r\n0\r\n\r\n"
REPLY_LIMIT_S = 120.0


@dataclass(slots=True)
class Reply:
    """One answer. Times are seconds from sending; `first_token_s` is that of the first `token `, or -1."""

    status: int
    body: bytes
    seconds: float
    first_token_s: float


class Connection(asyncio.Protocol):
    """One connection that holds one request at a time. Subclasses read what comes, and say when it was the answer."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._sent_at = 0.0
        self._first_token_s = -1.0
        self._reply: asyncio.Future[Reply] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(exc or ConnectionError("the server closed the connection"))

    def send(self, request: bytes) -> asyncio.Future[Reply]:
        if self._transport is None:
            raise ConnectionError("the server closed the connection")
        self._first_token_s = -1.0
        self._reply = self._loop.create_future()
        self._sent_at = time.perf_counter()
        self._transport.write(request)
        return self._reply

    def answer(self, status: int, body: bytes) -> None:
        if self._reply is not None and not self._reply.done():
            took = time.perf_counter() - self._sent_at
            self._reply.set_result(Reply(status, body, took, self._first_token_s))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


ConnectionT = TypeVar("ConnectionT", bound=Connection)


@asynccontextmanager
async def connections(
    port: int, count: int, make: Callable[[], ConnectionT]
) -> AsyncGenerator[list[ConnectionT]]:
    loop = asyncio.get_running_loop()
    clients: list[ConnectionT] = []
    try:
        for _ in range(count):
            _, client = await loop.create_connection(make, "127.0.0.1", port)
            clients.append(client)
        yield clients
    finally:
        for client in clients:
            client.close()


class _Client(Connection):
    """HTTP/1.1."""

    def __init__(self) -> None:
        super().__init__()
        self._clear()

    def _clear(self) -> None:
        self._parts: list[bytes] = []
        self._head = b""
        self._tail = b""
        self._left = -1

    def send(self, request: bytes) -> asyncio.Future[Reply]:
        self._clear()
        return super().send(request)

    def data_received(self, data: bytes) -> None:
        if not self._head:
            data = b"".join([*self._parts, data])
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._parts = [data]
                return
            self._parts = []
            self._head, data = data[:end].lower(), data[end + 2 :]
            self._left = self._length()
            data = data if self._left < 0 else data[2:]
        self._parts.append(data)
        if self._first_token_s < 0 and b"token " in data:
            self._first_token_s = time.perf_counter() - self._sent_at
        if self._left >= 0:
            self._left -= len(data)
            if self._left <= 0:
                self._finish()
            return
        self._tail = (self._tail + data)[-len(_END) :]
        if self._tail == _END:
            self._finish()

    def _length(self) -> int:
        """The content length, or -1 for a chunked body. JSON text cannot hold the bytes that end one."""
        at = self._head.find(b"content-length:")
        if at < 0:
            return -1
        return int(self._head[at + 15 :].split(b"\r\n", 1)[0])

    def _finish(self) -> None:
        self.answer(int(self._head[9:12]), b"".join(self._parts))


@dataclass(slots=True)
class Outcome:
    """What a load run saw."""

    seconds: float = 0.0
    replies: list[Reply] = field(default_factory=list["Reply"])

    def percentile(self, share: float) -> float:
        """Latency in ms at `share` (0..1)."""
        return _percentile([reply.seconds for reply in self.replies], share) * 1e3

    def first_token_ms(self, share: float) -> float:
        seen = [reply.first_token_s for reply in self.replies if reply.first_token_s >= 0]
        return _percentile(seen, share) * 1e3


def _percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


class BadReply(Exception):
    """An answer that the row did not expect; a speed figure over errors would be worth nothing."""


async def run(
    port: int,
    requests: Sequence[bytes],
    *,
    at_once: int,
    expect: bytes = b"",
    statuses: Sequence[int] = (),
    gap_s: float = 0.0,
    on_reply: Callable[[int, Reply], None] | None = None,
) -> Outcome:
    """Send each request once, `at_once` at a time.

    Each must answer with `expect` in its body, and with 200 or its entry of `statuses`.

    With `gap_s` the starts are spread over time: request i is not sent before i * gap_s.
    """
    outcome = Outcome()
    queue = iter(enumerate(requests))
    loop = asyncio.get_running_loop()

    async def worker(client: _Client, start: float) -> None:
        for index, request in queue:
            if gap_s:
                await asyncio.sleep(max(0.0, start + index * gap_s - loop.time()))
            reply = await asyncio.wait_for(client.send(request), REPLY_LIMIT_S)
            if reply.status != (statuses[index] if statuses else 200) or expect not in reply.body:
                raise BadReply(f"status {reply.status}, without {expect!r}: {reply.body[:600]!r}")
            if on_reply is not None:
                on_reply(index, reply)
            reply.body = b""
            outcome.replies.append(reply)

    async with connections(port, min(at_once, len(requests)), _Client) as clients:
        start = loop.time()
        async with asyncio.TaskGroup() as group:
            for client in clients:
                group.create_task(worker(client, start))
        outcome.seconds = loop.time() - start
    return outcome


def post(path: str, body: dict[str, Any]) -> bytes:
    data = json.dumps(body, separators=(",", ":")).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        f"accept: */*\r\ncontent-length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data
