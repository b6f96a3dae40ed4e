"""What the routes of files and uploads take and give. Source: `CreateFileRequest`, `OpenAIFile`, `CreateUploadRequest`,
`Upload` and their neighbours in the official OpenAPI.
"""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from antiphon.core.wire import UNSET, UnsetType, Wire
from antiphon.ports.files import MAX_PARTS, StoredFile, StoredPart, StoredUpload, UploadStatus

Purpose = Literal["assistants", "batch", "fine-tune", "vision", "user_data", "evals"]
"""What a file may be uploaded for."""

OUTPUT_PURPOSES: Final = ("assistants_output", "batch_output", "fine-tune-results")
"""Purposes of files that a server makes."""

_Binary = Annotated[str, Meta(extra_json_schema={"format": "binary"})]


class FileExpiry(Wire):
    """How long a file is kept, in seconds from when it is made."""

    anchor: Literal["created_at"]
    seconds: Annotated[int, Meta(ge=3600, le=2_592_000)]


class NewFile(Wire):
    """The form of `POST /v1/files`. `expires_after` is two fields, `expires_after[anchor]` and
    `expires_after[seconds]`, or one of JSON.
    """

    file: _Binary
    purpose: Purpose
    expires_after: FileExpiry | UnsetType | None = UNSET


class File(Wire):
    """Times are Unix seconds. `status` says nothing any more, but clients look for it."""

    id: str
    bytes: int
    created_at: int
    filename: str
    purpose: str
    object: Literal["file"] = "file"
    status: Literal["processed"] = "processed"
    expires_at: int | UnsetType = UNSET


class FileList(Wire):
    data: list[File]
    has_more: bool
    first_id: str | None
    last_id: str | None
    object: Literal["list"] = "list"


class DeletedFile(Wire):
    id: str
    deleted: bool = True
    object: Literal["file"] = "file"


class CreateUpload(Wire):
    """`bytes` is the size of the whole file, `expires_after` that of the file and not of the upload."""

    filename: Annotated[str, Meta(min_length=1)]
    purpose: Purpose
    bytes: Annotated[int, Meta(ge=1)]
    mime_type: Annotated[str, Meta(min_length=1, max_length=255)]
    expires_after: FileExpiry | UnsetType | None = UNSET


class AddUploadPart(Wire):
    """The form of `POST /v1/uploads/{upload_id}/parts`."""

    data: _Binary


class CompleteUpload(Wire):
    """`part_ids` are in the order of the file; `md5`, in hex, is that of the whole."""

    part_ids: Annotated[list[str], Meta(min_length=1, max_length=MAX_PARTS)]
    md5: Annotated[str, Meta(pattern="^[0-9A-Fa-f]{32}$")] | UnsetType | None = UNSET


class Upload(Wire):
    """`file` is there when it is completed."""

    id: str
    created_at: int
    filename: str
    bytes: int
    purpose: str
    status: UploadStatus
    expires_at: int
    object: Literal["upload"] = "upload"
    file: File | UnsetType = UNSET


class UploadPart(Wire):
    id: str
    created_at: int
    upload_id: str
    object: Literal["upload.part"] = "upload.part"


TYPES: Final = {
    "AddUploadPart": AddUploadPart,
    "CompleteUpload": CompleteUpload,
    "NewFile": NewFile,
    "CreateUpload": CreateUpload,
    "DeletedFile": DeletedFile,
    "File": File,
    "FileList": FileList,
    "Upload": Upload,
    "UploadPart": UploadPart,
}
"""For the OpenAPI document."""


def shown_file(stored: StoredFile) -> File:
    return File(
        id=stored.id,
        bytes=stored.bytes,
        created_at=stored.created_at,
        filename=stored.filename,
        purpose=stored.purpose,
        expires_at=UNSET if stored.expires_at is None else stored.expires_at,
    )


def shown_upload(stored: StoredUpload, file: StoredFile | None = None) -> Upload:
    """`file` is what it became, None while it has not, and when that was deleted."""
    return Upload(
        id=stored.id,
        created_at=stored.created_at,
        filename=stored.filename,
        bytes=stored.bytes,
        purpose=stored.purpose,
        status=stored.status,
        expires_at=stored.expires_at,
        file=UNSET if file is None else shown_file(file),
    )


def shown_part(stored: StoredPart) -> UploadPart:
    return UploadPart(id=stored.id, created_at=stored.created_at, upload_id=stored.upload_id)


def life_of(expires_after: FileExpiry | UnsetType | None) -> int | None:
    """In seconds; None where nothing was said."""
    return expires_after.seconds if isinstance(expires_after, msgspec.Struct) else None
