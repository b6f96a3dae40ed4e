"""uvicorn's HTTP protocol, with two changes: a response leaves in one write, and an offer of HTTP/2 is passed over.

Java's HTTP client makes that offer in its first request. The parser takes what follows an upgrade for another
protocol, and so the body of that request would be lost.
"""

import re
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_OFFER = re.compile(rb"\r\nupgrade:[ \t]*h2c[ \t]*(?=\r\n|\Z)", re.IGNORECASE)
_STATUS_LINE = b"HTTP/1.1 "


class HttpProtocol(HttpToolsProtocol):
    def connection_made(self, transport: Any) -> None:
        self._joining = HeadJoined(transport)
        super().connection_made(cast("Any", self._joining))

    def data_received(self, data: bytes) -> None:
        """RFC 9110, section 7.8: a server may ignore the header `Upgrade`."""
        if b"h2c" in data and not self._inside_a_body():
            head, end, rest = data.partition(b"\r\n\r\n")
            data = _OFFER.sub(b"", head) + end + rest
        super().data_received(data)

    def on_response_complete(self) -> None:
        self._joining.flush()  # the answer to a HEAD has nothing behind its head
        super().on_response_complete()

    def handle_websocket_upgrade(self) -> None:
        self.transport = self._joining.transport
        super().handle_websocket_upgrade()

    def _inside_a_body(self) -> bool:
        cycle = self.cycle
        return bool(cycle) and cycle.more_body


class HeadJoined:
    """A transport that keeps the head of a response back until its body comes: each write is a system call."""

    __slots__ = ("_head", "transport")

    def __init__(self, transport: Any) -> None:
        self.transport = transport
        self._head = b""

    def write(self, data: bytes) -> None:
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(_STATUS_LINE) and not data.startswith(b"100", len(_STATUS_LINE)):
            self._head = data
            return
        self.transport.write(data)

    def flush(self) -> None:
        if self._head:
            self.write(b"")

    def close(self) -> None:
        self.flush()
        self.transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.transport, name)
