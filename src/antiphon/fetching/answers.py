"""Reading what a URL holds: bounded as it comes and as it unpacks, with the type and the name that its server gives."""

import re
import zlib
from urllib.parse import unquote

import aiohttp
from yarl import URL

from antiphon.fetching.urls import Refused
from antiphon.ports.files import Fetched

_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,127}/[a-z0-9!#$&^_.+-]{1,127}")
_NAME_IN_UTF8 = re.compile(r";\s*filename\*\s*=\s*utf-8'[^']*'([^;\s]+)", re.IGNORECASE)
_NAME = re.compile(r';\s*filename\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s"]+))', re.IGNORECASE)
_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_MAX_NAME = 255
_PACKED = frozenset({"gzip", "x-gzip", "deflate"})
_ANY_HEADER = 32 + zlib.MAX_WBITS  # of gzip or of zlib, as found


async def read(response: aiohttp.ClientResponse, url: URL, max_bytes: int) -> Fetched:
    """The whole answer. Raises Refused when it is larger, once unpacked, than `max_bytes`."""
    if response.content_length is not None and response.content_length > max_bytes:
        raise too_large(max_bytes)
    unpack = Unpacking(response.headers.get("content-encoding", ""), max_bytes)
    content = bytearray()
    async for piece in response.content.iter_any():
        content += unpack.feed(piece, max_bytes - len(content))
    unpack.finish()
    return Fetched(bytes(content), _media_type(response), _filename(response, url))


def too_large(max_bytes: int) -> Refused:
    return Refused(f"holds more than {max_bytes} bytes, the limit here")


class Unpacking:
    """We ask for plain bytes, and some servers pack them all the same."""

    def __init__(self, coding: str, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        name = coding.strip().lower()
        self._stream = None
        if name in _PACKED:
            self._stream = zlib.decompressobj(_ANY_HEADER)
        elif name not in {"", "identity"}:
            raise Refused("is packed in a way that was not asked for and is not known here")

    def feed(self, piece: bytes, room: int) -> bytes:
        """The bytes that a piece stands for, at most `room` of them. Raises Refused for more."""
        if self._stream is None:
            plain = piece
        else:
            try:
                plain = self._stream.decompress(piece, room + 1)
            except zlib.error:
                raise Refused("holds packed bytes that are damaged") from None
        if len(plain) > room:
            raise too_large(self._max_bytes)
        return plain

    def finish(self) -> None:
        if self._stream is not None and not self._stream.eof:
            raise Refused("holds packed bytes that end too early")


def _media_type(response: aiohttp.ClientResponse) -> str:
    said = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return said if _TYPE.fullmatch(said) else ""


def _filename(response: aiohttp.ClientResponse, url: URL) -> str:
    """What Content-Disposition says (RFC 6266), else the end of the path; "" where neither gives a name."""
    said = response.headers.get("content-disposition", "")
    if found := _NAME_IN_UTF8.search(said):
        return plain_name(unquote(found[1]))
    if found := _NAME.search(said):
        return plain_name(re.sub(r"\\(.)", r"\1", found[1] or found[2] or ""))
    return plain_name(unquote(url.raw_path.rpartition("/")[2]))


def plain_name(text: str) -> str:
    """The last part of a path, without what is unfit for a file's name."""
    name = _UNFIT.sub("", re.split(r"[/\\]", text)[-1]).strip()
    return "" if name in {".", ".."} else name[:_MAX_NAME]
