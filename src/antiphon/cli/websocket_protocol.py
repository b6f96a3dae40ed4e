"""uvicorn's WebSocket protocol with three changes: sockets have last words, several messages leave at once, and an
upgrade that cannot be read is answered.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from antiphon.core.errors import InvalidRequest
from antiphon.core.wire import encode
from antiphon.web.socket import FRAMES

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent

_ERROR = encode(
    InvalidRequest(
        "the upgrade to WebSocket cannot be read; send a GET with fewer than 100 fields."
    ).envelope()
)
_UNREADABLE = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: application/json\r\n" + (
    b"content-length: %d\r\n\r\n%b" % (len(_ERROR), _ERROR)
)
_TEXT = b"\x81"  # the final frame of a text message (RFC 6455, section 5.2)


class WebSocketProtocol(WebSocketsSansIOProtocol):
    def __init__(self, end: Callable[[], None], **connection: Any) -> None:
        super().__init__(**connection)
        self._end = end

    def shutdown(self) -> None:
        """Uvicorn would close an open socket here, whatever runs on it. The application does that itself, when it
        has heard that the server stops, or when it is cancelled at the end of the grace.
        """
        if self.handshake_complete and not self.close_sent:
            self._end()
        else:
            super().shutdown()

    def data_received(self, data: bytes) -> None:
        """Uvicorn leaves an upgrade that is none (not by GET, too many fields) without an answer, for ever."""
        super().data_received(data)
        if not self.handshake_initiated and self.conn.handshake_exc is not None:
            self.transport.write(_UNREADABLE)
            self.transport.close()

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        if self.handshake_initiated and not self.close_sent:
            cast("Any", self.scope)["extensions"][FRAMES] = {}

    async def send(self, message: "ASGISendEvent") -> None:
        if cast("str", message["type"]) != FRAMES:
            await super().send(message)
            return
        await self.writable.wait()
        if self.disconnected or self.close_sent or self.transport.is_closing():
            return
        texts: list[bytes] = cast("Any", message)["texts"]
        self.transport.write(b"".join([piece for text in texts for piece in (_head(len(text)), text)]))


@lru_cache(4096)
def _head(size: int) -> bytes:
    """What stands before a server's text message of so many bytes."""
    if size < 126:
        return _TEXT + size.to_bytes(1, "big")
    if size < 65_536:
        return _TEXT + b"\x7e" + size.to_bytes(2, "big")
    return _TEXT + b"\x7f" + size.to_bytes(8, "big")
