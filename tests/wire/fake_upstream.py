"""A small HTTP server on a real socket that answers what a test tells it, one connection at a time or many."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Handler = Callable[["Exchange"], Awaitable[None]]


@dataclass(slots=True)
class Exchange:
    """One request, and the connection it came on."""

    head: bytes
    body: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def headers(self) -> dict[str, str]:
        lines = self.head.decode().split("\r\n")[1:]
        pairs = (line.split(":", 1) for line in lines if ":" in line)
        return {name.strip().lower(): value.strip() for name, value in pairs}

    @property
    def target(self) -> str:
        return self.head.decode().split(" ", 2)[1]

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def reply(
        self, status: int, body: bytes, *headers: str, content_type: str = "application/json"
    ) -> None:
        lines = [
            f"HTTP/1.1 {status} Whatever",
            f"content-type: {content_type}",
            f"content-length: {len(body)}",
            *headers,
        ]
        await self.send("\r\n".join([*lines, "", ""]).encode() + body)

    async def begin_stream(self) -> None:
        await self.send(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        )

    async def chunk(self, data: bytes) -> None:
        await self.send(b"%x\r\n%b\r\n" % (len(data), data))

    async def end_stream(self) -> None:
        await self.send(b"0\r\n\r\n")

    async def gone(self) -> None:
        """Returns when the client has closed the connection."""
        while await self.reader.read(1024):
            pass


@dataclass(slots=True)
class FakeUpstream:
    """Answers the n-th request with the n-th handler, and every later one with the last."""

    handlers: tuple[Handler, ...]
    port: int = 0
    exchanges: list[Exchange] = field(default_factory=list[Exchange])
    connections: int = 0
    _writers: list[asyncio.StreamWriter] = field(default_factory=list[asyncio.StreamWriter])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                exchange = Exchange(head, b"", reader, writer)
                exchange.body = await reader.readexactly(int(exchange.headers.get("content-length", "0")))
                number = len(self.exchanges)
                self.exchanges.append(exchange)
                await self.handlers[min(number, len(self.handlers) - 1)](exchange)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def drop_all(self) -> None:
        for writer in self._writers:
            writer.close()


@asynccontextmanager
async def fake_upstream(*handlers: Handler) -> AsyncGenerator[FakeUpstream, None]:
    fake = FakeUpstream(handlers)
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    fake.port = server.sockets[0].getsockname()[1]
    try:
        yield fake
    finally:
        server.close()
        fake.drop_all()
        await server.wait_closed()
