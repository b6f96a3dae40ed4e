"""Bodies that are not plain JSON: their media type, their `content-encoding`, and how much they may grow.

A compressed body is taken apart as it comes, a little at a time, so that one which would become gigabytes is
refused as soon as it passes the limit, whatever its size on the wire. The hot path never comes here.
"""

from typing import Literal, Protocol

from antiphon.core.errors import InvalidRequest, PayloadTooLarge, UnsupportedMediaType

JSON = b"application/json"
FORM = b"application/x-www-form-urlencoded"
ENCODINGS = ("gzip", "deflate", "zstd")
MAX_WINDOW = 8 * 1024 * 1024
"""What a decoder of the content encoding zstd has to support, and no more (RFC 9659, section 3)."""
MAX_MEMBERS = 1000
"""Files that are compressed in parallel are some of them in a row; millions of empty ones would only cost time."""
_INFLATED = 64 * 1024
_ZSTD_SLICE = 256
"""Bytes given to the zstd decoder at once: its smallest block, of 4 bytes, can become 128 KB, so 8 MB at most."""


class _UnsupportedEncoding(UnsupportedMediaType):
    @property
    def headers(self) -> dict[str, str]:
        """What is accepted instead (RFC 9110, section 15.5.16)."""
        return {"accept-encoding": ", ".join(ENCODINGS)}


class Decoder(Protocol):
    """Takes a compressed body piece by piece."""

    def feed(self, data: bytes) -> None:
        """Raises PayloadTooLarge, or InvalidRequest when it is corrupt."""
        ...

    def finish(self) -> bytes:
        """The whole body. Raises InvalidRequest when it is truncated."""
        ...


def media_kind(media: bytes) -> Literal["json", "form"]:
    """What a `content-type` says the body is. Raises UnsupportedMediaType."""
    kind, _, parameters = media.partition(b";")
    kind = kind.strip().lower()
    is_json = kind == JSON or kind.endswith(b"+json")
    if not is_json and kind != FORM:
        raise UnsupportedMediaType(
            f'content-type "{_shown(kind)}" is not read here; send JSON with `content-type: application/json`.'
        )
    for parameter in parameters.split(b";"):
        name, _, value = parameter.partition(b"=")
        charset = value.strip().strip(b'"').lower()
        if name.strip().lower() == b"charset" and charset not in (b"utf-8", b"utf8"):
            raise UnsupportedMediaType(
                f'charset "{_shown(charset)}" is not read here; send the body in UTF-8.'
            )
    return "json" if is_json else "form"


def refuse_form() -> UnsupportedMediaType:
    """The error of a route that takes JSON alone."""
    return UnsupportedMediaType(
        "this route does not read forms; send JSON with `content-type: application/json`."
    )


def decoder(content_encoding: bytes, limit: int) -> Decoder | None:
    """What undoes a `content-encoding`; None where there is nothing to undo. `limit` is in bytes.

    Raises UnsupportedMediaType, naming what is supported, for others and for several on top of one another.
    """
    names = [name.strip().lower() for name in content_encoding.split(b",")]
    asked = [name for name in names if name not in (b"", b"identity")]
    if not asked:
        return None
    if len(asked) > 1:
        raise _UnsupportedEncoding(
            f'content-encoding "{_shown(content_encoding)}" is several on top of one another; compress the'
            f" body once, with one of {', '.join(ENCODINGS)}."
        )
    match asked[0]:
        case b"gzip" | b"x-gzip":
            return _Deflated(limit, "gzip")
        case b"deflate":
            return _Deflated(limit, "deflate")
        case b"zstd":
            return _Zstandard(limit)
        case other:
            raise _UnsupportedEncoding(
                f'content-encoding "{_shown(other)}" is not read here; send the body as it is, or in one of'
                f" {', '.join(ENCODINGS)}."
            )


def too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"the body is larger than {limit} bytes, the limit of this server.")


class _Inflating(Protocol):
    """One gzip member or zstd frame, as both libraries decode it."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...


class _Deflate(_Inflating, Protocol):
    @property
    def unconsumed_tail(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _Zstd(_Inflating, Protocol):
    def decompress(self, data: bytes) -> bytes: ...


class _Body:
    """The parts of a body that grows up to a limit, out of a number of members that has one too."""

    def __init__(self, limit: int) -> None:
        self._members = 0
        self._limit = limit
        self._size = 0
        self._parts: list[bytes] = []

    def add(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > self._limit:
            self._parts.clear()
            raise _too_large_unpacked(self._limit)
        self._parts.append(part)

    def begin_member(self) -> None:
        self._members += 1
        if self._members > MAX_MEMBERS:
            raise InvalidRequest(
                f"the compressed body is in more than {MAX_MEMBERS} pieces; compress it in one."
            )

    def whole(self) -> bytes:
        return b"".join(self._parts)


class _Deflated:
    """gzip (RFC 1952, several members too) and deflate (RFC 1950, and bare RFC 1951 as many clients send it)."""

    def __init__(self, limit: int, kind: Literal["gzip", "deflate"]) -> None:
        self._kind = kind
        self._body = _Body(limit)
        self._inflate: _Deflate | None = None
        self._begun = b""

    def feed(self, data: bytes) -> None:
        import zlib

        if self._inflate is None:
            self._begun += data
            if len(self._begun) < 2:
                return
            data, self._begun = self._begun, b""
            self._body.begin_member()
            self._inflate = zlib.decompressobj(self._window_bits(data))
        try:
            while data:
                if self._inflate.eof:
                    if self._kind == "deflate":
                        raise _corrupt(self._kind, "something follows its end")
                    self._body.begin_member()
                    self._inflate = zlib.decompressobj(31)
                self._body.add(self._inflate.decompress(data, _INFLATED))
                data = self._inflate.unconsumed_tail or self._inflate.unused_data
        except zlib.error as error:
            raise _corrupt(self._kind, str(error)) from None

    def finish(self) -> bytes:
        if self._inflate is None:
            raise _truncated(self._kind)
        while not self._inflate.eof:
            # What the last call had no room for; nothing comes when the end is missing.
            more = self._inflate.decompress(b"", _INFLATED)
            if not more:
                raise _truncated(self._kind)
            self._body.add(more)
        return self._body.whole()

    def _window_bits(self, data: bytes) -> int:
        if self._kind == "gzip":
            return 31
        has_header = data[0] & 0x0F == 8 and int.from_bytes(data[:2]) % 31 == 0
        return 15 if has_header else -15


class _Zstandard:
    """Zstandard (RFC 8878), several frames too."""

    def __init__(self, limit: int) -> None:
        self._body = _Body(limit)
        self._frame: _Zstd | None = None

    def feed(self, data: bytes) -> None:
        import zstandard

        try:
            while data:
                if self._frame is None or self._frame.eof:
                    self._body.begin_member()
                    self._frame = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW).decompressobj()
                part, data = data[:_ZSTD_SLICE], data[_ZSTD_SLICE:]
                self._body.add(self._frame.decompress(part))
                if self._frame.eof:
                    data = self._frame.unused_data + data
        except zstandard.ZstdError as error:
            raise _corrupt("zstd", str(error)) from None

    def finish(self) -> bytes:
        if self._frame is None or not self._frame.eof:
            raise _truncated("zstd")
        return self._body.whole()


def _too_large_unpacked(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(
        f"the body is larger than {limit} bytes when it is decompressed, the limit of this server."
    )


def _corrupt(kind: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"the body is not valid {kind}: {why}.")


def _truncated(kind: str) -> InvalidRequest:
    return InvalidRequest(f"the {kind} body ends too early; send all of it.")


def _shown(header: bytes) -> str:
    return header.decode("latin-1")[:100]
