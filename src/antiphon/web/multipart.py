"""`multipart/form-data` as it comes (RFC 7578): part after part, and of none more than a message in memory."""

import asyncio
import logging
import re
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from antiphon.core.errors import InvalidRequest, PayloadTooLarge, RequestTimeout, UnsupportedMediaType
from antiphon.web.http import ClientGone, Request

if TYPE_CHECKING:  # loaded by the first form
    from python_multipart import MultipartParser

MEDIA = b"multipart/form-data"
MAX_PARTS = 16
MAX_HEADERS = 8
MAX_HEADER_BYTES = 8 * 1024
OVERHEAD_BYTES = MAX_PARTS * MAX_HEADERS * MAX_HEADER_BYTES
"""What boundaries, headers and small fields may take up beside a file."""
PATIENCE_S = 60.0
"""For so long nothing may come in the middle of a body."""

_TOKEN = rb"[!#$%&'*+\-.0-9A-Z^_`a-z|~]+"
_PARAMETER = re.compile(rb"\s*;\s*(" + _TOKEN + rb")\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|([^\s;\"]*))", re.DOTALL)
_BOUNDARY = re.compile(rb"[!-~](?:[ -~]{0,68}[!-~])?")
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}", re.ASCII)
_ESCAPED = re.compile(r"%22|%0[DdAa]")


@dataclass(frozen=True, slots=True)
class Part:
    """A part that begins. `filename` is as the client wrote it, None where the part is a plain field; `media_type` is
    without parameters, "" where it is not said or makes no sense.
    """

    name: str
    filename: str | None
    media_type: str


class Multipart:
    """The parts of one request. Ask for a part, then for its content; what is not asked for is passed over."""

    def __init__(self, request: Request, *, max_bytes: int, patience_s: float = PATIENCE_S) -> None:
        """`max_bytes` is what the whole body may have.

        Raises UnsupportedMediaType for what is no such form, InvalidRequest for one without a boundary,
        PayloadTooLarge for one that announces more.
        """
        self._receive = request.receive
        self._patience_s = patience_s
        self._max_bytes = max_bytes
        self._bytes = 0
        self._more = True
        self._parsing = _Parsing(_boundary(request))
        announced = request.headers.get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > max_bytes:
            raise _too_large(max_bytes)

    async def next_part(self) -> Part | None:
        """None behind the last one.

        Raises InvalidRequest for what is no form, or ends too early; PayloadTooLarge; RequestTimeout; ClientGone.
        """
        while True:
            while self._parsing.events:
                event = self._parsing.events.popleft()
                if isinstance(event, Part):
                    return event
            if self._parsing.ended:
                await self._read_to_its_end()
                return None
            await self._read_more()

    async def content(self) -> AsyncGenerator[bytes, None]:
        """What the part holds, as it comes. Raises as `next_part` does."""
        while True:
            while self._parsing.events:
                event = self._parsing.events.popleft()
                if not isinstance(event, bytes):
                    return
                yield event
            await self._read_more()

    async def text(self, part: Part, max_bytes: int) -> str:
        """A field of text. Raises InvalidRequest, with `param`, for what is too long or no UTF-8."""
        pieces: list[bytes] = []
        size = 0
        async with aclosing(self.content()) as content:
            async for piece in content:
                pieces.append(piece)
                size += len(piece)
                if size > max_bytes:
                    raise InvalidRequest(f"`{part.name}` has more than {max_bytes} bytes.", param=part.name)
        try:
            return b"".join(pieces).decode()
        except UnicodeDecodeError:
            raise InvalidRequest(f"`{part.name}` is not valid UTF-8.", param=part.name) from None

    async def _read_more(self) -> None:
        if not self._more:
            raise InvalidRequest("the form ends too early: its last boundary is missing; send all of it.")
        self._parsing.feed(await self._message())

    async def _read_to_its_end(self) -> None:
        """What follows the last boundary means nothing, but a client that goes away before has not sent its request."""
        while self._more:
            await self._message()

    async def _message(self) -> bytes:
        try:
            async with asyncio.timeout(self._patience_s):
                message = await self._receive()
        except TimeoutError:
            raise RequestTimeout(self._patience_s) from None
        if message["type"] == "http.disconnect":
            raise ClientGone
        body: bytes = message.get("body", b"")
        self._more = message.get("more_body", False)
        self._bytes += len(body)
        if self._bytes > self._max_bytes:
            raise _too_large(self._max_bytes)
        return body


class _Parsing:
    """The parser's callbacks as events: a `Part`, its content as bytes, None at its end."""

    def __init__(self, boundary: bytes) -> None:
        self.events: deque[Part | bytes | None] = deque()
        self.ended = False
        self._begun_at_all = False
        self._parts = 0
        self._name = b""
        self._value = b""
        self._headers: dict[bytes, bytes] = {}
        self._parser = self._make(boundary)

    def feed(self, data: bytes) -> None:
        """Raises InvalidRequest for what is no form."""
        from python_multipart.exceptions import FormParserError

        if not self._begun_at_all:  # the parser's own way depends on how the body was cut
            data = data.lstrip(b"\r\n")
            self._begun_at_all = bool(data)
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise InvalidRequest(
                f"the form cannot be read: {error}. Let your HTTP library write it."
            ) from None

    def _make(self, boundary: bytes) -> "MultipartParser":
        from python_multipart import MultipartParser

        logging.getLogger("python_multipart").setLevel(logging.ERROR)  # each bad form would be a warning
        return MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._begun,
                "on_part_data": self._data,
                "on_part_end": self._part_end,
                "on_end": self._end,
            },
            max_header_count=MAX_HEADERS,
            max_header_size=MAX_HEADER_BYTES,
        )

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise InvalidRequest(f"the form has more than {MAX_PARTS} parts.")
        self._headers = {}

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        name = self._name.lower()
        if name in self._headers:
            raise InvalidRequest(f"a part of the form has two headers {_shown(name)}.")
        self._headers[name] = self._value
        self._name = self._value = b""

    def _begun(self) -> None:
        self.events.append(_part(self._headers))

    def _data(self, data: bytes, start: int, end: int) -> None:
        self.events.append(data[start:end])

    def _part_end(self) -> None:
        self.events.append(None)

    def _end(self) -> None:
        self.ended = True


def _boundary(request: Request) -> bytes:
    media = request.headers.get(b"content-type", b"")
    kind, semicolon, parameters = media.partition(b";")
    if kind.strip().lower() != MEDIA:
        raise UnsupportedMediaType(
            f'content-type "{_shown(kind.strip())}" is not read here; send a form as `multipart/form-data`.'
        )
    encoding = request.headers.get(b"content-encoding", b"identity").strip().lower()
    if encoding not in (b"", b"identity"):
        raise UnsupportedMediaType(
            f'content-encoding "{_shown(encoding)}" is not read with forms; send the form as it is.'
        )
    boundary = _parameters(semicolon + parameters).get("boundary", "").encode("latin-1", "replace")
    if not _BOUNDARY.fullmatch(boundary):
        raise InvalidRequest(
            "the content-type of a form names its boundary, 1 to 70 visible characters:"
            " `multipart/form-data; boundary=…`. Leave that header to your HTTP library."
        )
    return boundary


def _part(headers: dict[bytes, bytes]) -> Part:
    disposition = headers.get(b"content-disposition", b"")
    kind, semicolon, rest = disposition.partition(b";")
    parameters = _parameters(semicolon + rest)
    if kind.strip().lower() != b"form-data" or not parameters.get("name"):
        raise InvalidRequest(
            'a part of the form has no name; each begins with `content-disposition: form-data; name="…"`.'
        )
    encoding = headers.get(b"content-transfer-encoding", b"binary").strip().lower()
    if encoding not in (b"binary", b"8bit", b"7bit"):
        raise InvalidRequest(
            f'content-transfer-encoding "{_shown(encoding)}" is not read here; send the bytes as they are.',
            param=parameters["name"][:100],
        )
    media = plain_media_type(headers.get(b"content-type", b"").decode("latin-1"))
    return Part(_unescaped(parameters["name"])[:200], _filename(parameters), media)


def plain_media_type(said: str) -> str:
    """Without parameters, in small letters; "" for what is none."""
    media = said.partition(";")[0].strip().lower()
    return media if _MEDIA_TYPE.fullmatch(media) else ""


def _parameters(text: bytes) -> dict[str, str]:
    """`; a=b; c="d"` as a mapping. Raises InvalidRequest for what is none, for one given twice, and for bad UTF-8."""
    found: dict[str, str] = {}
    at = 0
    text = text.rstrip(b" \t;")
    while at < len(text):
        match = _PARAMETER.match(text, at)
        if match is None:
            raise InvalidRequest("a header of the form cannot be read; let your HTTP library write it.")
        at = match.end()
        name = match[1].decode("ascii").lower()
        if name in found:
            raise InvalidRequest(f"a header of the form says `{name[:50]}` twice.")
        raw = match[3] if match[2] is None else re.sub(rb'\\(["\\])', rb"\1", match[2])
        try:
            found[name] = raw.decode()
        except UnicodeDecodeError:
            raise InvalidRequest(f"`{name[:50]}` in a header of the form is not valid UTF-8.") from None
    return found


def _filename(parameters: dict[str, str]) -> str | None:
    """`filename*` (RFC 5987) before `filename`, in which `"` and line breaks are escaped as browsers do."""
    extended = parameters.get("filename*")
    if extended is None:
        plain = parameters.get("filename")
        return None if plain is None else _unescaped(plain)
    charset, _, rest = extended.partition("'")
    _, quote, encoded = rest.partition("'")
    if charset.lower() not in ("utf-8", "iso-8859-1") or not quote:
        raise InvalidRequest(
            "`filename*` is written as `UTF-8''` and the name, percent-encoded.", param="file"
        )
    try:
        return unquote_to_bytes(encoded).decode(charset)
    except UnicodeDecodeError:
        raise InvalidRequest(f"`filename*` is not valid {charset}.", param="file") from None


def _unescaped(text: str) -> str:
    """As the HTML standard writes names in forms: `%22`, `%0D` and `%0A`, and nothing else, are escapes."""
    return _ESCAPED.sub(lambda match: chr(int(match[0][1:], 16)), text)


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"the body is larger than {limit} bytes, the limit of this server.", param="file")


def _shown(header: bytes) -> str:
    return header.decode("latin-1")[:100]
