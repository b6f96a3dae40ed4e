"""Files: what is known of them (`FileStore`) and what they hold (`BlobStore`)."""

from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from antiphon.ports.owners import Owner

UploadStatus = Literal["pending", "completed", "cancelled", "expired"]
MAX_PARTS = 2_000
"""Of one upload."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file. Its bytes are in the blob store under `blob`; `sha256` is their digest in hex. Times are Unix seconds."""

    id: str
    purpose: str
    filename: str
    media_type: str
    bytes: int
    created_at: int
    expires_at: int | None
    blob: str
    sha256: str


@dataclass(frozen=True, slots=True)
class FilePage:
    """Which files to list. `after` is an id in that order, itself left out. What has expired by `now` is left out."""

    limit: int
    newest_first: bool = True
    after: str | None = None
    purpose: str | None = None
    now: int = 0


@dataclass(frozen=True, slots=True)
class StoredUpload:
    """A file that comes in parts. `bytes` is how many were announced; `file_id` is set when it is completed."""

    id: str
    purpose: str
    filename: str
    media_type: str
    bytes: int
    created_at: int
    expires_at: int
    status: UploadStatus = "pending"
    file_id: str | None = None
    file_expires_after_s: int | None = None


@dataclass(frozen=True, slots=True)
class StoredPart:
    """One part of an upload; its bytes are in the blob store under `blob`."""

    id: str
    upload_id: str
    bytes: int
    created_at: int
    blob: str


class FileStore(Protocol):
    """Files and uploads. Another owner's id answers exactly as an unknown one.

    What is written is durable when the call returns; StoreUnavailable says that nothing was.

    A blob is known here before it is written, and until it has been removed: `begin_blob`, then the file or part that
    holds it, or a removal. So whatever dies between them leaves nothing behind, however many processes share the blob
    store, and no blob is ever removed that this store has not begun itself.
    """

    async def begin_blob(self, key: str, due_at: int) -> None:
        """Note a blob that is about to be written. Unless a file or a part takes it before `due_at`, it is left
        over.
        """
        ...

    async def keep_blob(self, key: str, due_at: int) -> bool:
        """Give a blob that is still being written more time. False when it is left over by now."""
        ...

    async def left_over_blobs(self, now: int, limit: int) -> Sequence[str]:
        """The keys of blobs that are to be removed: nothing can take them from now on. They are told of again until
        they are forgotten.
        """
        ...

    async def forget_blobs(self, keys: Sequence[str]) -> None:
        """They have been removed, or were never written."""
        ...

    async def add_file(self, owner: Owner, file: StoredFile) -> bool:
        """Add a file, which takes its blob. False, and nothing changed, when that was not begun, or is left over."""
        ...

    async def get_file(self, owner: Owner, file_id: str) -> StoredFile | None:
        """None when unknown, foreign or deleted. One that has expired is still here until it is deleted."""
        ...

    async def get_files(self, owner: Owner, file_ids: Sequence[str]) -> dict[str, StoredFile]:
        """Those of the ids that there are, by one query."""
        ...

    async def list_files(self, owner: Owner, page: FilePage) -> Sequence[StoredFile]:
        """At most `limit` by age, those of the same second in the order in which they were added.

        Raises InvalidRequest with `param` "after" for an unknown, foreign or deleted cursor.
        """
        ...

    async def delete_file(self, owner: Owner, file_id: str) -> StoredFile | None:
        """Forget it; its blob is left over. The file as it was, None when unknown."""
        ...

    async def expired_files(self, now: int, limit: int) -> Sequence[tuple[Owner, StoredFile]]:
        """Files of anybody whose time has come."""
        ...

    async def add_upload(self, owner: Owner, upload: StoredUpload) -> None: ...

    async def get_upload(self, owner: Owner, upload_id: str) -> StoredUpload | None: ...

    async def add_part(self, owner: Owner, part: StoredPart, limit: int) -> bool:
        """Add a part, which takes its blob. False, and nothing changed, when its upload is not pending, when its parts
        together would exceed `limit` bytes or `MAX_PARTS`, and as of `add_file`.
        """
        ...

    async def get_parts(self, owner: Owner, upload_id: str) -> Sequence[StoredPart]:
        """In the order in which they were added. None of an upload that is not pending any more."""
        ...

    async def complete_upload(self, owner: Owner, upload_id: str, file: StoredFile) -> bool:
        """Add the file, complete the upload and forget its parts, whose blobs are left over, in one transaction.
        False, and nothing changed, when it is not pending any more, and as of `add_file`.
        """
        ...

    async def end_upload(self, owner: Owner, upload_id: str, status: UploadStatus) -> StoredUpload | None:
        """Move a pending upload to `cancelled` or `expired`, and forget its parts as `complete_upload` does. The
        upload as it is then; None when unknown. One that is not pending stays as it is.
        """
        ...

    async def expired_uploads(self, now: int, limit: int) -> Sequence[tuple[Owner, StoredUpload]]:
        """Pending uploads of anybody whose time has come."""
        ...

    async def forget_uploads(self, before: int) -> None:
        """Forget the uploads of anybody that have ended and would have expired by then."""
        ...


class BlobStore(Protocol):
    """Bytes under a key. A key is `[a-z0-9/_-]+`, made by us, never by a caller.

    Raises BlobsUnavailable when the store behind it fails.
    """

    async def put(self, key: str, content: AsyncIterable[bytes]) -> None:
        """Write a blob as its content comes, in bounded memory. Whole and durable when it returns; when it raises, or
        the process dies, no blob of this key can be read.
        """
        ...

    def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        """The bytes from `start` up to, without, `end`, in pieces. Close it unless it was read to its end.

        Raises BlobMissing before the first piece.
        """
        ...

    async def delete(self, key: str) -> None:
        """Remove a blob; none there is fine."""
        ...

    async def sweep(self) -> None:
        """Remove what writes that were broken off have left, of any process, and of none that goes on."""
        ...

    async def aclose(self) -> None: ...


class BlobMissing(Exception):
    """There is no blob of this key."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a URL held. `media_type` is what its server said, without parameters; `filename` is a guess, perhaps ""."""

    content: bytes
    media_type: str
    filename: str


class Fetcher(Protocol):
    """The one way to whatever address a caller names."""

    async def fetch(self, url: str, param: str, *, max_bytes: int | None = None) -> Fetched:
        """Get a URL, its redirects followed. Raises FetchRefused, with this `param`."""
        ...

    async def aclose(self) -> None: ...
