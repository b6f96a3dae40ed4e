"""`S3Blobs`: blobs as objects of a bucket, of AWS or of anything that speaks its protocol.

An object is there when it is whole. A blob of more than one piece is a multipart upload, which is aborted when its
content breaks off; only the death of the process leaves one open, unseen, for the bucket's lifecycle rule to end
(`AbortIncompleteMultipartUpload`).
"""

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Generator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

import msgspec
from msgspec import Meta

from antiphon.blobs.keys import checked
from antiphon.core.errors import BlobsUnavailable
from antiphon.ports.adapters import AdapterConfigError
from antiphon.ports.files import BlobMissing

if TYPE_CHECKING:  # an extra, loaded by servers that use it
    from obstore.store import ClientConfig, RetryConfig, S3Config, S3Store

log = logging.getLogger("antiphon.files")

PIECE_BYTES = 256 * 1024
_CHUNK_BYTES = 8 * 1024 * 1024
_AT_ONCE = 2
"""Chunks of one blob that are on their way together: 16 MB, and one that is being filled."""
_RETRIES = 3
_PATIENCE = timedelta(seconds=30)
_CODE = re.compile(r"<Code>(\w{1,64})</Code>")
_Text = Annotated[str, Meta(min_length=1)]


class S3Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`config` of `remote::s3`, by Llama Stack's names. Without a key the AWS variables, and the machine's role, say
    who asks.
    """

    bucket_name: _Text
    region: _Text = "us-east-1"
    endpoint_url: str | None = None
    aws_access_key_id: str | None = None
    aws_secret_access_key: str | None = None
    aws_session_token: str | None = None
    prefix: str = ""


class S3Blobs:
    """A `BlobStore` that any number of processes may share."""

    def __init__(self, store: "S3Store", prefix: str = "") -> None:
        self._store = store
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    @classmethod
    def from_config(cls, config: Mapping[str, Any], folder: Path | None = None) -> Self:
        """Nothing is kept in `folder`. Raises AdapterConfigError."""
        del folder
        try:
            settings = msgspec.convert(dict(config), S3Settings)
        except msgspec.ValidationError as error:
            raise AdapterConfigError(_key_of(str(error)), f"config of remote::s3: {error}") from None
        if bool(settings.aws_access_key_id) != bool(settings.aws_secret_access_key):
            raise AdapterConfigError(
                "aws_access_key_id",
                "aws_access_key_id and aws_secret_access_key go together; give both or none.",
            )
        endpoint = settings.endpoint_url or ""
        if endpoint and not endpoint.startswith(("https://", "http://")):
            raise AdapterConfigError("endpoint_url", "endpoint_url begins with https:// or http://.")
        return cls(_open(settings, endpoint), settings.prefix)

    async def put(self, key: str, content: AsyncIterable[bytes]) -> None:
        import obstore

        path = self._path(key)
        with _explained(path):
            first, ended = await _first_chunk(content)
            if ended:
                await obstore.put_async(self._store, path, first, use_multipart=False)
                return
            await self._put_chunks(path, _Feed(first, content))

    async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        import obstore

        if end is not None and end <= start:
            return
        path = self._path(key)
        with suppress(_BehindTheEnd), _explained(path):
            reply = await obstore.get_async(self._store, path, options=_range(start, end))
            async for piece in reply.stream(min_chunk_size=PIECE_BYTES):
                yield bytes(piece)

    async def delete(self, key: str) -> None:
        import obstore

        path = self._path(key)
        with suppress(BlobMissing), _explained(path):
            await obstore.delete_async(self._store, path)

    async def sweep(self) -> None:
        """Nothing is seen of what was broken off; the bucket's lifecycle rule ends it."""

    async def aclose(self) -> None:
        """Connections are the library's."""

    def _path(self, key: str) -> str:
        return self._prefix + checked(key)

    async def _put_chunks(self, path: str, feed: "_Feed") -> None:
        """A multipart upload. When the caller is cancelled it is aborted, which the library does for errors alone."""
        import obstore

        putting = asyncio.ensure_future(
            obstore.put_async(
                self._store, path, feed, chunk_size=_CHUNK_BYTES, max_concurrency=_AT_ONCE, use_multipart=True
            )
        )
        try:
            await asyncio.shield(putting)
        except asyncio.CancelledError:
            feed.stop()
            await asyncio.wait({putting})
            putting.exception()
            raise


class _BehindTheEnd(Exception):
    """A read of nothing."""


class _Stopped(Exception):
    """Told to the library in place of a cancellation."""


class _Feed:
    """Content that can be stopped from outside, while it is being waited for."""

    def __init__(self, first: bytes, content: AsyncIterable[bytes]) -> None:
        self._first = first
        self._content = aiter(content)
        self._next: asyncio.Future[bytes] | None = None
        self._stopped = False

    def stop(self) -> None:
        self._stopped = True
        if self._next is not None:
            self._next.cancel()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._stopped:
            raise _Stopped
        if self._first:
            first, self._first = self._first, b""
            return first
        self._next = asyncio.ensure_future(anext(self._content))
        try:
            return await self._next
        except asyncio.CancelledError:
            raise _Stopped from None


async def _first_chunk(content: AsyncIterable[bytes]) -> tuple[bytes, bool]:
    """The first chunk's worth of bytes, or a little more; whether that is all."""
    pieces: list[bytes] = []
    size = 0
    content = aiter(content)
    async for piece in content:
        pieces.append(piece)
        size += len(piece)
        if size >= _CHUNK_BYTES:
            return b"".join(pieces), False
    return b"".join(pieces), True


def _open(settings: S3Settings, endpoint: str) -> "S3Store":
    try:
        from obstore.store import S3Store
    except ImportError:
        raise AdapterConfigError(
            "", 'remote::s3 needs a library: pip install "antiphon[s3]", and start the server again.'
        ) from None
    given: S3Config = {"region": settings.region}
    if endpoint:
        given["endpoint"] = endpoint
    if settings.aws_access_key_id and settings.aws_secret_access_key:
        given["access_key_id"] = settings.aws_access_key_id
        given["secret_access_key"] = settings.aws_secret_access_key
    if settings.aws_session_token:
        given["session_token"] = settings.aws_session_token
    client: ClientConfig = {
        "allow_http": endpoint.startswith("http://"),
        "connect_timeout": "10s",
        "timeout": "5m",
    }
    retry: RetryConfig = {"max_retries": _RETRIES, "retry_timeout": _PATIENCE}
    return S3Store(settings.bucket_name, config=given, client_options=client, retry_config=retry)


def _range(start: int, end: int | None) -> Any:
    if end is not None:
        return {"range": (start, end)}
    return {"range": {"offset": start}} if start else None


@contextmanager
def _explained(path: str) -> Generator[None, None, None]:
    """An error of the library as one of ours. Its text names addresses and keys: only its kind is told."""
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, FileNotFoundError) as error:
        code = (_CODE.search(str(error)) or [None, None])[1]
        if isinstance(error, FileNotFoundError) and code != "NoSuchBucket":
            raise BlobMissing(path) from None
        if code == "InvalidRange":
            raise _BehindTheEnd from None
        log.warning("the bucket of files refused: %s %s", type(error).__name__, code or "")
        raise BlobsUnavailable(
            f"the bucket of files cannot be used now ({code or type(error).__name__}). Nothing was changed; see that"
            " it is there, that it can be reached, and that its key may read, write and delete in it."
        ) from None


def _key_of(message: str) -> str:
    """The field that msgspec's message is about: `… - at `$.region``, or ``… unknown field `x```."""
    found = re.search(r"at `\$\.(\w+)`", message) or re.search(r"field `(\w+)`", message)
    return found[1] if found else ""
