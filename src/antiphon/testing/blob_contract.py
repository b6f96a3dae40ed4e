"""What every `BlobStore` promises, as tests. Subclass `BlobStoreContract` and give it a fixture `blobs`.

As `store_contract`, which says more. `PIECES` are larger than what any of our stores takes at once.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

from antiphon.ports.files import BlobMissing, BlobStore

KEY, OTHER = "a1/one", "a1/two"
PIECES = [bytes([65 + at % 26]) * 700_001 for at in range(15)]
NO_KEYS = (
    "",
    "/",
    "/etc/passwd",
    "../up",
    "a/../b",
    "a//b",
    "a/",
    ".writing/x",
    "a.b",
    "a\x00b",
    "A",
    "a\\b",
    "ä",
)


class Broken(Exception):
    """What the content of a blob breaks off with."""


async def given(pieces: Sequence[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def broken_off(pieces: Sequence[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
    raise Broken


async def whole(blobs: BlobStore, key: str, start: int = 0, end: int | None = None) -> bytes:
    async with aclosing(blobs.read(key, start, end)) as content:
        return b"".join([piece async for piece in content])


async def is_missing(blobs: BlobStore, key: str) -> bool:
    try:
        await whole(blobs, key)
    except BlobMissing:
        return True
    return False


class BlobStoreContract:
    """The promises. Test names are the sentences that are false when they fail."""

    async def test_what_was_put_is_what_is_read(self, blobs: BlobStore) -> None:
        await blobs.put(KEY, given([b"hello ", b"", b"world"]))
        assert await whole(blobs, KEY) == b"hello world"
        assert await is_missing(blobs, OTHER)

    async def test_a_large_blob_is_put_and_read_in_pieces(self, blobs: BlobStore) -> None:
        await blobs.put(KEY, given(PIECES))
        sizes = list[int]()
        async with aclosing(blobs.read(KEY)) as content:
            async for piece in content:
                sizes.append(len(piece))
        assert sum(sizes) == sum(map(len, PIECES))
        assert max(sizes) <= 2 * 1024 * 1024
        assert await whole(blobs, KEY) == b"".join(PIECES)

    async def test_a_blob_may_be_empty(self, blobs: BlobStore) -> None:
        await blobs.put(KEY, given([]))
        assert await whole(blobs, KEY) == b""

    async def test_a_range_is_read_and_nothing_beside_it(self, blobs: BlobStore) -> None:
        data = bytes(range(256)) * 4
        await blobs.put(KEY, given([data]))
        for start, end in [(0, 1), (0, 1024), (5, 10), (1000, 1024), (1023, 1024), (3, 3), (7, None)]:
            assert await whole(blobs, KEY, start, end) == data[start:end], (start, end)
        assert await whole(blobs, KEY, 1000, 5000) == data[1000:]
        assert await whole(blobs, KEY, 1024, None) == b""
        assert await whole(blobs, KEY, 2000, 3000) == b""

    async def test_a_read_may_end_early(self, blobs: BlobStore) -> None:
        await blobs.put(KEY, given(PIECES))
        async with aclosing(blobs.read(KEY)) as content:
            assert (await anext(content)).startswith(b"AAAA")
        assert await whole(blobs, KEY, 0, 4) == b"AAAA"

    async def test_content_that_breaks_off_leaves_no_blob(self, blobs: BlobStore) -> None:
        for key, pieces in ((KEY, []), (OTHER, PIECES)):
            try:
                await blobs.put(key, broken_off(pieces))
            except Broken:
                pass
            else:
                raise AssertionError("the error of the content is the caller's to see")
            assert await is_missing(blobs, key)

    async def test_a_put_that_is_cancelled_leaves_no_blob(self, blobs: BlobStore) -> None:
        for key, pieces in ((KEY, [b"some"]), (OTHER, PIECES)):
            waiting = asyncio.Event()

            async def endless(
                pieces: Sequence[bytes] = pieces, waiting: asyncio.Event = waiting
            ) -> AsyncIterator[bytes]:
                for piece in pieces:
                    yield piece
                waiting.set()
                await asyncio.Event().wait()

            putting = asyncio.ensure_future(blobs.put(key, endless()))
            await waiting.wait()
            putting.cancel()
            assert isinstance(
                (await asyncio.gather(putting, return_exceptions=True))[0], asyncio.CancelledError
            )
            assert await is_missing(blobs, key)

    async def test_a_sweep_spares_what_is_there_and_what_is_being_written(self, blobs: BlobStore) -> None:
        await blobs.put(KEY, given([b"there"]))
        begun, swept = asyncio.Event(), asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            for piece in PIECES:
                yield piece
            begun.set()
            await swept.wait()
            yield b"end"

        putting = asyncio.ensure_future(blobs.put(OTHER, slow()))
        await begun.wait()
        await blobs.sweep()
        swept.set()
        await putting
        assert await whole(blobs, KEY) == b"there"
        assert await whole(blobs, OTHER) == b"".join(PIECES) + b"end"

    async def test_many_are_put_at_once(self, blobs: BlobStore) -> None:
        keys = [f"{at:02x}/many-{at}" for at in range(20)]
        await asyncio.gather(*(blobs.put(key, given([key.encode()])) for key in keys))
        assert await asyncio.gather(*(whole(blobs, key) for key in keys)) == [key.encode() for key in keys]

    async def test_a_deleted_blob_is_gone_and_deleting_it_again_is_fine(self, blobs: BlobStore) -> None:
        await blobs.put(KEY, given([b"one"]))
        await blobs.put(OTHER, given([b"two"]))
        await blobs.delete(KEY)
        await blobs.delete(KEY)
        await blobs.delete("nowhere/at_all")
        assert await is_missing(blobs, KEY)
        assert await whole(blobs, OTHER) == b"two"

    async def test_what_is_no_key_touches_nothing(self, blobs: BlobStore) -> None:
        for key in NO_KEYS:
            for call in (blobs.put(key, given([b"x"])), blobs.delete(key), whole(blobs, key)):
                try:
                    await call
                except ValueError:
                    continue
                raise AssertionError(f"{key!r} was taken for a key")
