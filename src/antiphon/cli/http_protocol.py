"""uvicorn's HTTP protocol, with one change: an offer to go on in HTTP/2 is passed over, as a server may.

Java's HTTP client makes that offer in its first request. The parser takes what follows an upgrade for another
protocol, and so the body of that request would be lost.
"""

import re

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_OFFER = re.compile(rb"\r\nupgrade:[ \t]*h2c[ \t]*(?=\r\n|\Z)", re.IGNORECASE)


class HttpProtocol(HttpToolsProtocol):
    def data_received(self, data: bytes) -> None:
        """RFC 9110, section 7.8: a server may ignore the header `Upgrade`."""
        if b"h2c" in data and not self._inside_a_body():
            head, end, rest = data.partition(b"\r\n\r\n")
            data = _OFFER.sub(b"", head) + end + rest
        super().data_received(data)

    def _inside_a_body(self) -> bool:
        cycle = self.cycle
        return bool(cycle) and cycle.more_body
