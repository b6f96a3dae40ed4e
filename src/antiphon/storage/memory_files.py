"""`MemoryFiles`: the store of files and uploads in dictionaries."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from antiphon.ports import Owner
from antiphon.ports.files import MAX_PARTS, FilePage, StoredFile, StoredPart, StoredUpload, UploadStatus
from antiphon.storage.listing import by_age

_REMOVING = -1


class MemoryFiles:
    """A `FileStore` that forgets when the process ends, and keeps every other promise."""

    def __init__(self, check_open: Callable[[], None]) -> None:
        """`check_open` raises StoreUnavailable when the store that this one belongs to is closed."""
        self._check_open = check_open
        self._files: dict[tuple[Owner, str], StoredFile] = {}  # in the order in which they were added
        self._uploads: dict[tuple[Owner, str], StoredUpload] = {}
        self._parts: dict[tuple[Owner, str], list[StoredPart]] = {}
        self._left_over: dict[str, int] = {}  # when they are due; `_REMOVING` once somebody began to

    async def begin_blob(self, key: str, due_at: int) -> None:
        self._check_open()
        self._left_over[key] = due_at

    async def keep_blob(self, key: str, due_at: int) -> bool:
        self._check_open()
        if not self._can_take(key):
            return False
        self._left_over[key] = due_at
        return True

    async def left_over_blobs(self, now: int, limit: int) -> Sequence[str]:
        self._check_open()
        due = sorted((due_at, key) for key, due_at in self._left_over.items() if due_at <= now)
        keys = [key for _, key in due[:limit]]
        self._leave(keys)
        return keys

    async def forget_blobs(self, keys: Sequence[str]) -> None:
        self._check_open()
        for key in keys:
            self._left_over.pop(key, None)

    async def add_file(self, owner: Owner, file: StoredFile) -> bool:
        self._check_open()
        if not self._can_take(file.blob):
            return False
        del self._left_over[file.blob]
        self._files[owner, file.id] = file
        return True

    async def get_file(self, owner: Owner, file_id: str) -> StoredFile | None:
        self._check_open()
        return self._files.get((owner, file_id))

    async def get_files(self, owner: Owner, file_ids: Sequence[str]) -> dict[str, StoredFile]:
        self._check_open()
        return {id: self._files[owner, id] for id in file_ids if (owner, id) in self._files}

    async def list_files(self, owner: Owner, page: FilePage) -> Sequence[StoredFile]:
        self._check_open()
        own = (file for key, file in self._files.items() if key[0] == owner)
        files = by_age(own, newest_first=page.newest_first, after=page.after, kind="file")
        return [file for file in files if _on(page, file)][: page.limit]

    async def delete_file(self, owner: Owner, file_id: str) -> StoredFile | None:
        self._check_open()
        file = self._files.pop((owner, file_id), None)
        if file is not None:
            self._leave([file.blob])
        return file

    async def expired_files(self, now: int, limit: int) -> Sequence[tuple[Owner, StoredFile]]:
        self._check_open()
        due = [
            (file.expires_at, owner, file)
            for (owner, _), file in self._files.items()
            if file.expires_at is not None and file.expires_at <= now
        ]
        due.sort(key=lambda one: one[0])
        return [(owner, file) for _, owner, file in due[:limit]]

    async def add_upload(self, owner: Owner, upload: StoredUpload) -> None:
        self._check_open()
        self._uploads[owner, upload.id] = upload
        self._parts[owner, upload.id] = []

    async def get_upload(self, owner: Owner, upload_id: str) -> StoredUpload | None:
        self._check_open()
        return self._uploads.get((owner, upload_id))

    async def add_part(self, owner: Owner, part: StoredPart, limit: int) -> bool:
        self._check_open()
        parts = self._parts.get((owner, part.upload_id))  # None when it is not pending
        if parts is None or not self._can_take(part.blob):
            return False
        if len(parts) >= MAX_PARTS or sum(one.bytes for one in parts) + part.bytes > limit:
            return False
        del self._left_over[part.blob]
        parts.append(part)
        return True

    async def get_parts(self, owner: Owner, upload_id: str) -> Sequence[StoredPart]:
        self._check_open()
        return list(self._parts.get((owner, upload_id), ()))

    async def complete_upload(self, owner: Owner, upload_id: str, file: StoredFile) -> bool:
        self._check_open()
        if (owner, upload_id) not in self._parts or not await self.add_file(owner, file):
            return False
        self._move(owner, upload_id, "completed", file.id)
        return True

    async def end_upload(self, owner: Owner, upload_id: str, status: UploadStatus) -> StoredUpload | None:
        self._check_open()
        if (owner, upload_id) in self._parts:
            self._move(owner, upload_id, status, None)
        return self._uploads.get((owner, upload_id))

    async def expired_uploads(self, now: int, limit: int) -> Sequence[tuple[Owner, StoredUpload]]:
        self._check_open()
        due = [
            (owner, upload)
            for (owner, _), upload in self._uploads.items()
            if upload.status == "pending" and upload.expires_at <= now
        ]
        return sorted(due, key=lambda one: one[1].expires_at)[:limit]

    async def forget_uploads(self, before: int) -> None:
        self._check_open()
        for key, upload in [*self._uploads.items()]:
            if upload.status != "pending" and upload.expires_at <= before:
                del self._uploads[key]

    def _can_take(self, blob: str) -> bool:
        return self._left_over.get(blob, _REMOVING) != _REMOVING

    def _leave(self, keys: Sequence[str]) -> None:
        self._left_over.update(dict.fromkeys(keys, _REMOVING))

    def _move(self, owner: Owner, upload_id: str, status: UploadStatus, file_id: str | None) -> None:
        upload = self._uploads[owner, upload_id]
        self._uploads[owner, upload_id] = replace(upload, status=status, file_id=file_id)
        self._leave([part.blob for part in self._parts.pop((owner, upload_id))])


def _on(page: FilePage, file: StoredFile) -> bool:
    expired = file.expires_at is not None and file.expires_at <= page.now
    return page.purpose in (None, file.purpose) and not expired
