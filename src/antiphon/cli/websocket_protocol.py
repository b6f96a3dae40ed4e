"""uvicorn's WebSocket protocol with two changes: sockets have last words, and several messages leave at once."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from antiphon.web.socket import FRAMES

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent

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


def _head(size: int) -> bytes:
    """What stands before a server's text message of so many bytes."""
    if size < 126:
        return _TEXT + size.to_bytes(1, "big")
    if size < 65_536:
        return _TEXT + b"\x7e" + size.to_bytes(2, "big")
    return _TEXT + b"\x7f" + size.to_bytes(8, "big")
