"""Which bodies are read, how compressed ones are taken apart, and that a bomb costs neither memory nor time."""

import gzip
import random
import tracemalloc
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pytest
import zstandard
from starlette.types import Message

from antiphon.core.errors import InvalidRequest, PayloadTooLarge, UnsupportedMediaType
from antiphon.core.request import ResponseRequest
from antiphon.web.auth import ANONYMOUS
from antiphon.web.bodies import MAX_MEMBERS
from antiphon.web.http import NO_PARAMS, ClientGone, Request

LIMIT = 1024 * 1024
BODY = b'{"model":"demo","input":"' + b"hello " * 500 + b'"}'


def raw_deflate(data: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-15)
    return deflate.compress(data) + deflate.flush()


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


PACKED: Mapping[str, tuple[bytes, Callable[[bytes], bytes]]] = {
    "gzip": (b"gzip", gzip.compress),
    "x-gzip": (b"X-GZip", gzip.compress),
    "deflate": (b"deflate", zlib.compress),
    "bare deflate": (b"deflate", raw_deflate),
    "zstd": (b"zstd", zstd),
    "zstd beside identity": (b"identity, zstd", zstd),
}


class Feed:
    """What a server hands to the application: `taken` counts the pieces that were asked for."""

    def __init__(self, parts: Iterable[bytes], *, cut_off: bool = False) -> None:
        self._messages = self._all(parts, cut_off)
        self.taken = 0

    @staticmethod
    def _all(parts: Iterable[bytes], cut_off: bool) -> Iterator[Message]:
        for part in parts:
            yield {"type": "http.request", "body": part, "more_body": True}
        yield {"type": "http.disconnect"} if cut_off else {"type": "http.request", "body": b""}

    async def __call__(self) -> Message:
        self.taken += 1
        return next(self._messages)


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


async def read(
    feed: Feed | bytes, headers: Mapping[bytes, bytes], *, form: type[Any] | None = None, limit: int = LIMIT
) -> bytes:
    source = Feed([feed]) if isinstance(feed, bytes) else feed
    return await Request({}, headers, source, ANONYMOUS, "req_1", NO_PARAMS, limit).json_body(form)


@pytest.mark.parametrize("case", PACKED)
@pytest.mark.parametrize("size", [1, 7, 100_000])
async def test_a_compressed_body_is_read_in_pieces_of_any_size(case: str, size: int) -> None:
    encoding, pack = PACKED[case]
    assert await read(Feed(pieces(pack(BODY), size)), {b"content-encoding": encoding}) == BODY


@pytest.mark.parametrize("case", PACKED)
async def test_a_body_that_hardly_shrinks_comes_back_whole(case: str) -> None:
    noise = random.Random(7).randbytes(LIMIT)
    encoding, pack = PACKED[case]
    headers = {b"content-encoding": encoding}
    assert await read(Feed(pieces(pack(noise), 50_000)), headers) == noise


@pytest.mark.parametrize("case", PACKED)
async def test_a_truncated_body_is_400(case: str) -> None:
    encoding, pack = PACKED[case]
    packed = pack(BODY)
    for kept in (0, 1, len(packed) // 2, len(packed) - 1):
        with pytest.raises(InvalidRequest, match=r"ends too early|empty"):
            await read(packed[:kept], {b"content-encoding": encoding})


@pytest.mark.parametrize("case", PACKED)
async def test_a_corrupt_body_is_400(case: str) -> None:
    encoding, pack = PACKED[case]
    packed = pack(BODY)
    for wrong in (b"\xff" * 40, packed + b"trailing"):
        with pytest.raises(InvalidRequest, match=r"not valid|too early"):
            await read(wrong, {b"content-encoding": encoding})


@pytest.mark.parametrize("case", ["gzip", "zstd"])
async def test_several_members_are_one_body_but_not_any_number(case: str) -> None:
    encoding, pack = PACKED[case]
    headers = {b"content-encoding": encoding}
    assert await read(Feed([pack(b"ab") + pack(b""), pack(b"cd")]), headers) == b"abcd"
    with pytest.raises(InvalidRequest, match="pieces"):
        await read(pack(b"") * (MAX_MEMBERS + 1), headers)


@pytest.mark.parametrize("case", PACKED)
async def test_the_limit_is_that_of_the_decompressed_body(case: str) -> None:
    encoding, pack = PACKED[case]
    headers = {b"content-encoding": encoding}
    assert len(await read(pack(b"x" * LIMIT), headers)) == LIMIT
    with pytest.raises(PayloadTooLarge, match="decompressed"):
        await read(pack(b"x" * (LIMIT + 1)), headers)


def gzip_bomb(size: int) -> Iterator[bytes]:
    """Ten megabytes on the wire for ten gigabytes, made as it is asked for."""
    deflate = zlib.compressobj(9, wbits=31)
    zeros = bytes(1024 * 1024)
    for _ in range(size // len(zeros)):
        yield deflate.compress(zeros)
    yield deflate.flush()


def zstd_bomb(size: int) -> bytes:
    """Blocks of 4 bytes that stand for 128 KB each (`RLE_Block`, RFC 8878, section 3.1.1.2)."""
    head = zstandard.MAGIC_NUMBER.to_bytes(4, "little") + bytes([0x00, 0x58])  # a window of 2 MB
    block = ((128 * 1024 << 3) | (1 << 1)).to_bytes(3, "little") + b"0"
    last = ((128 * 1024 << 3) | (1 << 1) | 1).to_bytes(3, "little") + b"0"
    return head + block * (size // (128 * 1024) - 1) + last


@pytest.mark.parametrize("case", ["gzip", "zstd"])
async def test_a_bomb_of_ten_gigabytes_is_413_after_the_first_pieces_and_in_little_memory(case: str) -> None:
    size = 10 * 1024**3
    feed = Feed(gzip_bomb(size) if case == "gzip" else pieces(zstd_bomb(size), 4096))
    tracemalloc.start()
    try:
        with pytest.raises(PayloadTooLarge):
            await read(feed, {b"content-encoding": case.encode()})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert feed.taken < 20
    assert peak < 16 * LIMIT


def test_the_zstd_bomb_is_one() -> None:
    size = 4 * 128 * 1024
    assert zstandard.ZstdDecompressor().decompressobj().decompress(zstd_bomb(size)) == b"0" * size


async def test_a_window_that_would_need_much_memory_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=27)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    packed = packer.compress(b"{}") + packer.flush()
    with pytest.raises(InvalidRequest, match="zstd"):
        await read(packed, {b"content-encoding": b"zstd"})


@pytest.mark.parametrize("encoding", [b"br", b"compress", b"gzip, gzip", b"zstd,deflate", b"\xff"])
async def test_an_encoding_that_is_not_read_is_415_and_says_which_are(encoding: bytes) -> None:
    with pytest.raises(UnsupportedMediaType, match="gzip, deflate, zstd") as caught:
        await read(BODY, {b"content-encoding": encoding})
    assert caught.value.headers == {"accept-encoding": "gzip, deflate, zstd"}


@pytest.mark.parametrize(
    "media",
    [
        b"application/json",
        b"application/json; charset=utf-8",
        b'Application/JSON;charset="UTF-8"',
        b"application/vnd.api+json; profile=x",
    ],
)
async def test_json_by_any_of_its_names_is_read(media: bytes) -> None:
    assert await read(BODY, {b"content-type": media}) == BODY


@pytest.mark.parametrize(
    ("media", "said"),
    [
        (b"text/plain", "application/json"),
        (b"multipart/form-data; boundary=x", "application/json"),
        (b"application/x-www-form-urlencoded", "does not read forms"),
        (b"application/json; charset=latin-1", "UTF-8"),
        (b"application/json; charset=utf-16", "UTF-8"),
        (b"", "application/json"),
    ],
)
async def test_another_media_type_or_charset_is_415_with_advice(media: bytes, said: str) -> None:
    with pytest.raises(UnsupportedMediaType, match=said):
        await read(BODY, {b"content-type": media})


async def test_a_compressed_form_is_read() -> None:
    headers = {b"content-type": b"application/x-www-form-urlencoded", b"content-encoding": b"gzip"}
    packed = gzip.compress(b"model=demo&input=hi")
    assert await read(packed, headers, form=ResponseRequest) == b'{"model":"demo","input":"hi"}'


async def test_an_announced_size_over_the_limit_is_refused_before_anything_is_read() -> None:
    for more in ({}, {b"content-encoding": b"gzip"}):
        feed = Feed([BODY])
        with pytest.raises(PayloadTooLarge):
            await read(feed, {b"content-length": b"%d" % (LIMIT + 1), **more})
        assert feed.taken == 0


async def test_a_client_that_leaves_in_the_middle_is_gone() -> None:
    for headers in ({}, {b"content-encoding": b"gzip"}):
        with pytest.raises(ClientGone):
            await read(Feed([gzip.compress(BODY)[:20]], cut_off=True), headers)
