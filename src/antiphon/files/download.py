"""What a file holds, as an answer that no browser runs."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from starlette.types import Send

from antiphon.files.names import disposition
from antiphon.files.ranges import has_it, wanted
from antiphon.files.service import FileService, missing
from antiphon.ports.files import StoredFile
from antiphon.web.http import Request
from antiphon.web.sse import Watch

_SAFE = [
    (b"content-type", b"application/octet-stream"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; sandbox"),
    (b"cache-control", b"private, no-cache, no-transform"),
    (b"accept-ranges", b"bytes"),
]
"""Whatever a user uploaded, and called it: a browser saves it, and shows or runs nothing of it."""


@dataclass(frozen=True, slots=True)
class Download:
    """A reply with a file's bytes, or a range of them. Nothing is read ahead of a slow reader."""

    files: FileService
    file: StoredFile

    async def respond(self, request: Request, send: Send) -> None:
        """Raises RangeNotSatisfiable, InvalidRequest and BlobsUnavailable before its head is sent."""
        etag = f'"{self.file.sha256}"'
        if has_it(request.headers, etag):
            await self._send_head(send, request, 304, etag, [])
            await send({"type": "http.response.body"})
            return
        part = wanted(request.headers, self.file.bytes, etag)
        start, end = part or (0, self.file.bytes)
        more = [(b"content-length", b"%d" % (end - start))]
        if part is not None:
            more.append((b"content-range", b"bytes %d-%d/%d" % (start, end - 1, self.file.bytes)))
        status = 200 if part is None else 206
        if request.scope["method"] == "HEAD":
            await self._send_head(send, request, status, etag, more)
            await send({"type": "http.response.body"})
            return
        async with aclosing(self.files.content(self.file, start, end)) as content:
            first = await anext(content, b"")
            if not first:  # no file is empty, and no range
                raise missing(self.file)
            await self._send_head(send, request, status, etag, more)
            with Watch(request.receive):
                await _send_body(send, first, content)

    async def _send_head(
        self, send: Send, request: Request, status: int, etag: str, more: list[tuple[bytes, bytes]]
    ) -> None:
        headers = [
            *_SAFE,
            *more,
            (b"etag", etag.encode()),
            (b"content-disposition", disposition(self.file.filename).encode("ascii")),
            (b"x-request-id", request.request_id.encode("latin-1")),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})


async def _send_body(send: Send, first: bytes, content: AsyncGenerator[bytes, None]) -> None:
    await send({"type": "http.response.body", "body": first, "more_body": True})
    async for piece in content:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body"})
