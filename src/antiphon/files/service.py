"""Files: kept, listed, read, deleted, and removed when their time has come."""

from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Sequence
from contextlib import aclosing

from antiphon.core.errors import BlobsUnavailable, Conflict, NotFound
from antiphon.files.receiving import Received, Receiver, given_up, too_large
from antiphon.ports import Clock, Ids, Owner
from antiphon.ports.files import BlobMissing, BlobStore, FilePage, FileStore, StoredFile

PREFIX = "file-"
BATCH_LIFE_S = 30 * 86_400
"""Files for batches expire after 30 days unless something else was said (`FileExpirationAfter` of the OpenAPI)."""
_AT_ONCE = 1000

BeforeDelete = Callable[[Owner, str], Awaitable[None]]


class FileService:
    """Files of their owners. Another owner's file answers exactly as an unknown one, and so does one that expired."""

    def __init__(
        self, store: FileStore, blobs: BlobStore, clock: Clock, ids: Ids, *, max_file_bytes: int
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._clock = clock
        self._ids = ids
        self.max_file_bytes = max_file_bytes
        self.receiver = Receiver(store, blobs, clock, ids)
        self.before_delete: BeforeDelete | None = None
        """Asked before a file goes: takes it out of wherever it is used, or raises Conflict while that cannot be."""

    async def get(self, owner: Owner, file_id: str, param: str = "file_id") -> StoredFile:
        """Raises NotFound, with `param`."""
        file = await self._store.get_file(owner, file_id)
        if file is None or self.has_expired(file):
            raise NotFound(
                f'there is no file "{file_id[:200]}"; it may have been deleted, or have expired. GET /v1/files lists'
                " those there are.",
                param=param,
            )
        return file

    async def find(self, owner: Owner, file_ids: Sequence[str]) -> dict[str, StoredFile]:
        """Those of the ids that there are, by one query."""
        found = await self._store.get_files(owner, file_ids)
        return {file_id: file for file_id, file in found.items() if not self.has_expired(file)}

    async def list_page(
        self, owner: Owner, *, limit: int, newest_first: bool, after: str | None, purpose: str | None
    ) -> Sequence[StoredFile]:
        """At most `limit` by age, behind `after`. Raises InvalidRequest for a cursor that is none."""
        page = FilePage(limit, newest_first, after, purpose, now=self._clock.now())
        return await self._store.list_files(owner, page)

    async def content(
        self, file: StoredFile, start: int = 0, end: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        """The bytes from `start` up to, without, `end`, in pieces. Close it when it is not read to its end.

        Raises BlobsUnavailable.
        """
        try:
            async with aclosing(self._blobs.read(file.blob, start, end)) as pieces:
                async for piece in pieces:
                    yield piece
        except BlobMissing:
            raise missing(file) from None

    async def read(self, file: StoredFile, limit: int) -> bytes:
        """All of it. Raises PayloadTooLarge for more than `limit` bytes, BlobsUnavailable."""
        if file.bytes > limit:
            raise too_large(limit, "file_id")
        async with aclosing(self.content(file)) as pieces:
            return b"".join([piece async for piece in pieces])

    async def create(
        self,
        owner: Owner,
        filename: str,
        purpose: str,
        media_type: str,
        content: AsyncIterable[bytes],
        expires_after_s: int | None = None,
    ) -> StoredFile:
        """A new file, durable when it is returned. When this raises nothing is left of it.

        Raises PayloadTooLarge and InvalidRequest (empty) with `param` "file", BlobsUnavailable, StoreUnavailable.
        """
        received = await self.receiver.receive(content, self.max_file_bytes, "file")
        return await self.add(owner, received, filename, purpose, media_type, expires_after_s)

    async def add(
        self,
        owner: Owner,
        received: Received,
        filename: str,
        purpose: str,
        media_type: str,
        expires_after_s: int | None = None,
    ) -> StoredFile:
        """A file of what was received.

        When this is cancelled, or raises StoreUnavailable, a blob that the file did not take is left to the sweep:
        nobody knows yet whether it did.
        """
        file = self.made_of(received, filename, purpose, media_type, expires_after_s)
        if not await self._store.add_file(owner, file):
            await self.receiver.remove([received.blob])
            raise given_up()
        return file

    def made_of(
        self,
        received: Received,
        filename: str,
        purpose: str,
        media_type: str,
        expires_after_s: int | None = None,
    ) -> StoredFile:
        """The row of a file that is new now. It is stored nowhere yet."""
        now = self._clock.now()
        life = BATCH_LIFE_S if expires_after_s is None and purpose == "batch" else expires_after_s
        return StoredFile(
            id=self._ids.new(PREFIX),
            purpose=purpose,
            filename=filename,
            media_type=media_type,
            bytes=received.bytes,
            created_at=now,
            expires_at=None if life is None else now + life,
            blob=received.blob,
            sha256=received.sha256,
        )

    async def delete(self, owner: Owner, file_id: str) -> None:
        """Raises NotFound, and Conflict while it is being read into a vector store."""
        file = await self.get(owner, file_id)
        if not await self._delete(owner, file):
            await self.get(owner, file_id)  # somebody else was faster

    async def sweep(self) -> None:
        """Remove files whose time has come, and blobs that nothing has."""
        for owner, file in await self._store.expired_files(self._clock.now(), _AT_ONCE):
            try:
                await self._delete(owner, file)
            except Conflict:
                continue  # in use for the moment; nobody can see it any more, and the next sweep tries again
        await self.receiver.sweep()

    def has_expired(self, file: StoredFile) -> bool:
        return file.expires_at is not None and file.expires_at <= self._clock.now()

    async def _delete(self, owner: Owner, file: StoredFile) -> bool:
        if self.before_delete is not None:
            await self.before_delete(owner, file.id)
        gone = await self._store.delete_file(owner, file.id)
        if gone is None:
            return False
        await self.receiver.remove([gone.blob])
        return True


def missing(file: StoredFile) -> BlobsUnavailable:
    return BlobsUnavailable(
        f'the bytes of file "{file.id}" are not where they were kept; delete it, and upload it again.'
    )
