"""How bytes become a blob that a file can take, and how blobs that nobody took are removed.

Each blob is noted in the store before it is written and until it is removed (`FileStore.begin_blob`). Whatever dies in
between, a sweep finds what it left by those notes, and only by them: blobs of other databases, and those that another
process is writing, are never touched.
"""

import contextlib
import hashlib
import logging
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from antiphon.core.errors import AntiphonError, BlobsUnavailable, InvalidRequest, PayloadTooLarge
from antiphon.ports import Clock, Ids
from antiphon.ports.files import BlobStore, FileStore

log = logging.getLogger("antiphon.files")

LEASE_S = 900
"""For so long a blob may be written without a sign of life before it counts as left over. No request may be silent for
as long (`web.multipart`)."""
RENEWED_S = 60
_AT_ONCE = 1000
_MOST_FAILURES = 10


@dataclass(frozen=True, slots=True)
class Received:
    """A blob that is whole, and that nothing has yet. The digests are in hex; `md5` is "" unless it was asked for."""

    blob: str
    bytes: int
    sha256: str
    md5: str


@dataclass(frozen=True, slots=True)
class Receiver:
    store: FileStore
    blobs: BlobStore
    clock: Clock
    ids: Ids

    async def receive(
        self, content: AsyncIterable[bytes], limit: int, param: str, *, md5: bool = False
    ) -> Received:
        """Write a blob as its content comes. When this raises, or its caller is cancelled, nothing is left of it.

        Raises PayloadTooLarge as soon as there are more than `limit` bytes, InvalidRequest when there are none, both
        with `param`; BlobsUnavailable, StoreUnavailable, and what `content` raises.
        """
        name = self.ids.new("")
        key = f"{name[-2:]}/{name}"
        await self.store.begin_blob(key, self.clock.now() + LEASE_S)
        digests = [hashlib.sha256(), *([hashlib.md5(usedforsecurity=False)] if md5 else [])]
        passing = _Passing(self, key, limit, param, digests)
        try:
            await self.blobs.put(key, passing.through(content))
        except BaseException:
            await self.remove([key])
            raise
        if not passing.bytes:
            await self.remove([key])
            raise InvalidRequest(f"`{param}` is empty; send at least one byte.", param=param)
        sha256, *more = [digest.hexdigest() for digest in digests]
        return Received(key, passing.bytes, sha256, more[0] if more else "")

    async def remove(self, keys: Sequence[str]) -> None:
        """Remove blobs that are left over. What cannot be removed now is tried again by the next sweep."""
        removed: list[str] = []
        failures = 0
        for key in keys:
            try:
                await self.blobs.delete(key)
                removed.append(key)
            except BlobsUnavailable as error:
                log.warning("a blob that is left over could not be removed yet: %s", error)
                failures += 1
                if failures == _MOST_FAILURES:  # it is the store, and not one of its blobs
                    break
        with contextlib.suppress(AntiphonError):
            await self.store.forget_blobs(removed)

    async def sweep(self) -> None:
        """Remove what writes left that were broken off, and blobs that nobody takes any more."""
        await self.blobs.sweep()
        await self.remove_left_over()

    async def remove_left_over(self) -> None:
        """What fails here is for the next sweep."""
        with contextlib.suppress(AntiphonError):
            await self.remove(await self.store.left_over_blobs(self.clock.now(), _AT_ONCE))


class _Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...


class _Passing:
    """Bytes on their way into a blob: counted, summed up, and its lease renewed."""

    def __init__(
        self, receiver: Receiver, key: str, limit: int, param: str, digests: Sequence[_Digest]
    ) -> None:
        self._receiver = receiver
        self._key = key
        self._limit = limit
        self._param = param
        self._renewed = receiver.clock.now()
        self.bytes = 0
        self._digests = digests

    async def through(self, content: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        async for piece in content:
            self.bytes += len(piece)
            if self.bytes > self._limit:
                raise too_large(self._limit, self._param)
            for digest in self._digests:
                digest.update(piece)
            await self._renew()
            yield piece

    async def _renew(self) -> None:
        now = self._receiver.clock.now()
        if now - self._renewed < RENEWED_S:
            return
        self._renewed = now
        if not await self._receiver.store.keep_blob(self._key, now + LEASE_S):
            raise given_up()


def too_large(limit: int, param: str) -> PayloadTooLarge:
    return PayloadTooLarge(f"`{param}` is larger than {limit} bytes, the limit of this server.", param=param)


def given_up() -> BlobsUnavailable:
    return BlobsUnavailable(
        "what was sent was given up, since it did not come on for too long; send it again from its beginning."
    )
