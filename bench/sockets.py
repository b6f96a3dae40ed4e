"""The load generator for WebSockets: connections that stay open, and the least framing that is right.

`run` sends N `response.create` frames over connections that are open. Each holds one response at a time.
"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from bench.load import REPLY_LIMIT_S, BadReply, Connection, Outcome, connections

_UPGRADE = (
    b"GET /v1/responses HTTP/1.1\r\nhost: 127.0.0.1\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
_ENDS = (b'{"type":"response.completed"', b'{"type":"response.failed"', b'{"type":"error"')


class _Client(Connection):
    def __init__(self) -> None:
        super().__init__()
        self._data = b""
        self._open = False

    def data_received(self, data: bytes) -> None:
        if self._first_token_s < 0 and b"token " in data:
            self._first_token_s = time.perf_counter() - self._sent_at
        self._data += data
        if not self._open:
            head, end, self._data = self._data.partition(b"\r\n\r\n")
            if not end:
                self._data = head
                return
            self._open = True
            self.answer(int(head[9:12]), b"")
        self._read_frames()

    def _read_frames(self) -> None:
        at, data = 0, self._data
        while len(data) - at >= 2:
            start, size = at + 2, data[at + 1]
            if size > 125:
                start += 2 if size == 126 else 8
                size = int.from_bytes(data[at + 2 : start], "big")
            if start + size > len(data):
                break
            at = start + size
            if data.startswith(_ENDS, start):
                self.answer(200, data[start:at])
        self._data = data[at:]


@asynccontextmanager
async def upgraded(port: int, count: int) -> AsyncGenerator[list[_Client]]:
    """So many sockets whose upgrade was answered."""
    async with connections(port, count, _Client) as clients:
        for client in clients:
            reply = await asyncio.wait_for(client.send(_UPGRADE), REPLY_LIMIT_S)
            if reply.status != 101:
                raise BadReply(f"the upgrade was answered with {reply.status}")
        yield clients


async def run(clients: Sequence[_Client], frame: bytes, n: int) -> Outcome:
    """Ask n times, each answer a completed response."""
    outcome = Outcome()
    loop = asyncio.get_running_loop()
    left = iter(range(n))

    async def worker(client: _Client) -> None:
        for _ in left:
            reply = await asyncio.wait_for(client.send(frame), REPLY_LIMIT_S)
            if not reply.body.startswith(_ENDS[0]):
                raise BadReply(f"no completed response: {reply.body[:600]!r}")
            reply.body = b""
            outcome.replies.append(reply)

    start = loop.time()
    async with asyncio.TaskGroup() as group:
        for client in clients:
            group.create_task(worker(client))
    outcome.seconds = loop.time() - start
    return outcome


def create(body: dict[str, Any]) -> bytes:
    """A `response.create` frame, masked with zeros, which change nothing."""
    text = json.dumps({"type": "response.create", **body}, separators=(",", ":")).encode()
    size = len(text)
    head = bytes((0x81, 0x80 | size)) if size < 126 else b"\x81\xfe" + size.to_bytes(2, "big")
    return head + b"\0\0\0\0" + text
