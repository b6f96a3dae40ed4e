"""Uploads: files that come in parts, in any order and at the same time, and are put together at the end."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from antiphon.core.errors import BlobsUnavailable, Conflict, InvalidRequest, NotFound
from antiphon.core.wire import UnsetType
from antiphon.files.names import checked_name
from antiphon.files.receiving import Received, given_up, too_large
from antiphon.files.service import FileService
from antiphon.files.shapes import CompleteUpload, CreateUpload, life_of
from antiphon.ports import Clock, Ids, Owner
from antiphon.ports.files import (
    MAX_PARTS,
    BlobMissing,
    BlobStore,
    FileStore,
    StoredFile,
    StoredPart,
    StoredUpload,
)
from antiphon.web.multipart import plain_media_type

PREFIX, PART_PREFIX = "upload_", "part_"
LIFE_S = 3600
"""An upload expires an hour after it was made (the official documentation)."""
REMEMBERED_S = 86_400
"""How much longer one that has ended is remembered, so that completing it again gives the same answer."""
PART_BYTES = 64 * 1024 * 1024
"""What a part may have (the official documentation)."""
SENT_AGAIN = 3
"""How many times its size the parts of an upload may add up to: a part whose answer got lost is sent again, and the
official clients try three times.
"""
_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class UploadService:
    files: FileService
    store: FileStore
    blobs: BlobStore
    clock: Clock
    ids: Ids
    max_upload_bytes: int

    @property
    def max_part_bytes(self) -> int:
        return min(PART_BYTES, self.files.max_file_bytes)

    async def create(self, owner: Owner, body: CreateUpload) -> StoredUpload:
        """Raises PayloadTooLarge, and InvalidRequest for its name."""
        if body.bytes > self.max_upload_bytes:
            raise too_large(self.max_upload_bytes, "bytes")
        now = self.clock.now()
        upload = StoredUpload(
            id=self.ids.new(PREFIX),
            purpose=body.purpose,
            filename=checked_name(body.filename, "filename"),
            media_type=plain_media_type(body.mime_type) or "application/octet-stream",
            bytes=body.bytes,
            created_at=now,
            expires_at=now + LIFE_S,
            file_expires_after_s=life_of(body.expires_after),
        )
        await self.store.add_upload(owner, upload)
        return upload

    async def pending(self, owner: Owner, upload_id: str) -> StoredUpload:
        """Raises NotFound, and Conflict for one that has ended."""
        upload = await self._get(owner, upload_id)
        if upload.status != "pending":
            raise _ended(upload)
        return upload

    async def add_part(self, owner: Owner, upload: StoredUpload, received: Received) -> StoredPart:
        """A part of what was received.

        Raises Conflict when the upload has ended meanwhile, InvalidRequest when there is too much of it. As of
        `FileService.add` when this is cancelled.
        """
        part = StoredPart(
            self.ids.new(PART_PREFIX), upload.id, received.bytes, self.clock.now(), received.blob
        )
        if await self.store.add_part(owner, part, SENT_AGAIN * upload.bytes):
            return part
        await self.files.receiver.remove([received.blob])
        await self.pending(owner, upload.id)
        raise InvalidRequest(
            f"the parts of an upload of {upload.bytes} bytes have {SENT_AGAIN * upload.bytes} bytes together, and are"
            f" {MAX_PARTS}, at most; cancel it, and begin another one.",
            param="data",
        )

    async def complete(
        self, owner: Owner, upload_id: str, body: CompleteUpload
    ) -> tuple[StoredUpload, StoredFile | None]:
        """The upload and its file, None when that was deleted since. Completing it again gives the same.

        Raises NotFound; Conflict for one that was cancelled or has expired; InvalidRequest for parts that it does not
        have, that are not as many bytes as were announced, or of another `md5`: it is still pending then.
        """
        upload = await self._get(owner, upload_id)
        if upload.status == "pending":
            parts = _chosen(upload, await self.store.get_parts(owner, upload_id), body.part_ids)
            upload = await self._put_together(owner, upload, parts, body.md5)
        if upload.status != "completed" or upload.file_id is None:
            raise _ended(upload)
        return upload, await self.store.get_file(owner, upload.file_id)

    async def cancel(self, owner: Owner, upload_id: str) -> StoredUpload:
        """Raises NotFound, and Conflict for one that was completed or has expired."""
        upload = await self._get(owner, upload_id)
        if upload.status == "pending":
            ended = await self.store.end_upload(owner, upload_id, "cancelled")
            await self.files.receiver.remove_left_over()
            upload = ended or upload
        if upload.status != "cancelled":
            raise _ended(upload)
        return upload

    async def sweep(self) -> None:
        """End uploads whose time has come, and forget those that ended long ago."""
        now = self.clock.now()
        for owner, upload in await self.store.expired_uploads(now, _AT_ONCE):
            await self.store.end_upload(owner, upload.id, "expired")
        await self.store.forget_uploads(now - REMEMBERED_S)

    async def _get(self, owner: Owner, upload_id: str) -> StoredUpload:
        """The upload, ended if its time has come. Raises NotFound."""
        upload = await self.store.get_upload(owner, upload_id)
        if upload is not None and upload.status == "pending" and upload.expires_at <= self.clock.now():
            upload = await self.store.end_upload(owner, upload_id, "expired")
        if upload is None:
            raise NotFound(
                f'there is no upload "{upload_id[:200]}"; one that has ended is forgotten after a day.',
                param="upload_id",
            )
        return upload

    async def _put_together(
        self,
        owner: Owner,
        upload: StoredUpload,
        parts: Sequence[StoredPart],
        md5: str | UnsetType | None,
    ) -> StoredUpload:
        """Make the file. The upload as it is then: of several requests that do this at once one does, and the others
        find it completed.
        """
        try:
            received = await self._received(upload, parts, md5 if isinstance(md5, str) else None)
        except BlobsUnavailable:
            now = await self._get(owner, upload.id)
            if now.status == "pending":
                raise
            return now  # its parts were gone because it ended
        file = self.files.made_of(
            received, upload.filename, upload.purpose, upload.media_type, upload.file_expires_after_s
        )
        if not await self.store.complete_upload(owner, upload.id, file):
            await self.files.receiver.remove([received.blob])
        await self.files.receiver.remove_left_over()
        now = await self._get(owner, upload.id)
        if now.status == "pending":
            raise given_up()
        return now

    async def _received(self, upload: StoredUpload, parts: Sequence[StoredPart], md5: str | None) -> Received:
        """One blob of the parts. Raises InvalidRequest for another `md5`."""
        receiver = self.files.receiver
        received = await receiver.receive(
            self._bytes_of(parts), upload.bytes, "part_ids", md5=md5 is not None
        )
        if md5 is not None and received.md5 != md5.lower():
            await receiver.remove([received.blob])
            raise InvalidRequest(
                f"the parts together have the MD5 {received.md5}, not this one; nothing was changed.",
                param="md5",
            )
        return received

    async def _bytes_of(self, parts: Sequence[StoredPart]) -> AsyncIterator[bytes]:
        for part in parts:
            try:
                async with aclosing(self.blobs.read(part.blob)) as content:
                    async for piece in content:
                        yield piece
            except BlobMissing:  # the upload was cancelled, completed or has expired meanwhile
                raise BlobsUnavailable(
                    f'the bytes of part "{part.id}" are gone; see whether the upload has ended, or begin another one.'
                ) from None


def _chosen(
    upload: StoredUpload, parts: Sequence[StoredPart], part_ids: Sequence[str]
) -> Sequence[StoredPart]:
    """The parts of these ids, in their order. Raises InvalidRequest."""
    known = {part.id: part for part in parts}
    chosen: list[StoredPart] = []
    for at, part_id in enumerate(part_ids):
        part = known.pop(part_id, None)
        if part is None:
            twice = any(one.id == part_id for one in chosen)
            why = "is there twice" if twice else "is no part of this upload"
            raise InvalidRequest(f'"{part_id[:200]}" {why}.', param=f"part_ids[{at}]")
        chosen.append(part)
    total = sum(part.bytes for part in chosen)
    if total != upload.bytes:
        raise InvalidRequest(
            f"these parts have {total} bytes together, and {upload.bytes} were announced; add what is missing, or"
            " begin another upload.",
            param="part_ids",
        )
    return chosen


def _ended(upload: StoredUpload) -> Conflict:
    end = {"completed": "was completed", "cancelled": "was cancelled", "expired": "has expired"}
    return Conflict(
        f'the upload "{upload.id}" {end.get(upload.status, "has ended")}; begin another one with POST /v1/uploads.',
        param="upload_id",
    )
