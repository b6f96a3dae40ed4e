"""`SqliteFiles`: the store of files and uploads over a database that other stores share."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import apsw

from antiphon.core.wire import encode
from antiphon.ports import Owner
from antiphon.ports.files import MAX_PARTS, FilePage, StoredFile, StoredPart, StoredUpload, UploadStatus
from antiphon.storage import queries
from antiphon.storage.database import Database
from antiphon.storage.listing import unknown_cursor

_SQL = queries.load("files.sqlite")
_FIRST = (-1, -1)
_LAST = (2**63 - 1, 2**63 - 1)


class SqliteFiles:
    """A `FileStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin_blob(self, key: str, due_at: int) -> None:
        await self._database.write(partial(_run, "begin_blob", {"key": key, "due_at": due_at}))

    async def keep_blob(self, key: str, due_at: int) -> bool:
        return bool(await self._database.write(partial(_run, "keep_blob", {"key": key, "due_at": due_at})))

    async def left_over_blobs(self, now: int, limit: int) -> Sequence[str]:
        rows = await self._database.write(partial(_run, "claim_left_over", {"now": now, "limit": limit}))
        return [row[0] for row in rows]

    async def forget_blobs(self, keys: Sequence[str]) -> None:
        await self._database.write(partial(_forget_blobs, keys), several_statements=True)

    async def add_file(self, owner: Owner, file: StoredFile) -> bool:
        return await self._database.write(partial(_add_file, owner, file), several_statements=True)

    async def get_file(self, owner: Owner, file_id: str) -> StoredFile | None:
        row = self._database.read_row(_SQL["get_file"], _of(owner, file_id))
        return None if row is None else StoredFile(*row)

    async def get_files(self, owner: Owner, file_ids: Sequence[str]) -> dict[str, StoredFile]:
        bindings = {**_of(owner, ""), "ids": encode(list(file_ids)).decode()}
        rows = await self._database.read_behind(partial(_run, "get_files", bindings))
        return {row[0]: StoredFile(*row) for row in rows}

    async def list_files(self, owner: Owner, page: FilePage) -> Sequence[StoredFile]:
        return await self._database.read_behind(partial(_list, owner, page))

    async def delete_file(self, owner: Owner, file_id: str) -> StoredFile | None:
        return await self._database.write(partial(_delete_file, owner, file_id), several_statements=True)

    async def expired_files(self, now: int, limit: int) -> Sequence[tuple[Owner, StoredFile]]:
        rows = await self._database.read_behind(partial(_run, "expired_files", {"now": now, "limit": limit}))
        return [(Owner(tenant, subject), StoredFile(*row)) for tenant, subject, *row in rows]

    async def add_upload(self, owner: Owner, upload: StoredUpload) -> None:
        await self._database.write(partial(_run, "add_upload", {**_of(owner, upload.id), **_columns(upload)}))

    async def get_upload(self, owner: Owner, upload_id: str) -> StoredUpload | None:
        row = self._database.read_row(_SQL["get_upload"], _of(owner, upload_id))
        return None if row is None else StoredUpload(*row)

    async def add_part(self, owner: Owner, part: StoredPart, limit: int) -> bool:
        return await self._database.write(partial(_add_part, owner, part, limit), several_statements=True)

    async def get_parts(self, owner: Owner, upload_id: str) -> Sequence[StoredPart]:
        rows = await self._database.read_behind(partial(_run, "get_parts", _of(owner, upload_id)))
        return [StoredPart(*row) for row in rows]

    async def complete_upload(self, owner: Owner, upload_id: str, file: StoredFile) -> bool:
        work = partial(_complete, owner, upload_id, file)
        return await self._database.write(work, several_statements=True)

    async def end_upload(self, owner: Owner, upload_id: str, status: UploadStatus) -> StoredUpload | None:
        work = partial(_end, owner, upload_id, status)
        return await self._database.write(work, several_statements=True)

    async def expired_uploads(self, now: int, limit: int) -> Sequence[tuple[Owner, StoredUpload]]:
        bindings = {"now": now, "limit": limit}
        rows = await self._database.read_behind(partial(_run, "expired_uploads", bindings))
        return [(Owner(tenant, subject), StoredUpload(*row)) for tenant, subject, *row in rows]

    async def forget_uploads(self, before: int) -> None:
        await self._database.write(partial(_run, "forget_uploads", {"before": before}))


def _of(owner: Owner, id: str) -> dict[str, Any]:
    return {"id": id, "tenant": owner.tenant, "subject": owner.subject}


def _columns(row: StoredFile | StoredUpload | StoredPart) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__slots__}


def _run(statement: str, bindings: dict[str, Any], connection: apsw.Connection) -> list[tuple[Any, ...]]:
    return list(queries.execute(connection, _SQL[statement], bindings))


def _forget_blobs(keys: Sequence[str], connection: apsw.Connection) -> None:
    for key in keys:
        _run("forget_blob", {"key": key}, connection)


def _add_file(owner: Owner, file: StoredFile, connection: apsw.Connection) -> bool:
    if not _run("take_blob", {"key": file.blob}, connection):
        return False
    _run("add_file", {**_of(owner, file.id), **_columns(file)}, connection)
    return True


def _list(owner: Owner, page: FilePage, connection: apsw.Connection) -> list[StoredFile]:
    at = _LAST if page.newest_first else _FIRST
    if page.after is not None:
        found = _run("file_position", _of(owner, page.after), connection)
        if not found:
            raise unknown_cursor(page.after, "after", "file")
        at = (found[0][0], found[0][1])
    bindings = {
        **_of(owner, ""),
        "after_at": at[0],
        "after_number": at[1],
        "purpose": page.purpose,
        "now": page.now,
        "limit": page.limit,
    }
    statement = "list_newest_first" if page.newest_first else "list_oldest_first"
    return [StoredFile(*row) for row in _run(statement, bindings, connection)]


def _delete_file(owner: Owner, file_id: str, connection: apsw.Connection) -> StoredFile | None:
    rows = _run("delete_file", _of(owner, file_id), connection)
    if not rows:
        return None
    file = StoredFile(*rows[0])
    _run("leave_blob", {"key": file.blob}, connection)
    return file


def _add_part(owner: Owner, part: StoredPart, limit: int, connection: apsw.Connection) -> bool:
    bindings = {**_of(owner, part.id), **_columns(part), "limit": limit, "most_parts": MAX_PARTS}
    if not _run("room_for_part", bindings, connection):
        return False
    if not _run("take_blob", {"key": part.blob}, connection):
        return False
    _run("add_part", bindings, connection)
    return True


def _complete(owner: Owner, upload_id: str, file: StoredFile, connection: apsw.Connection) -> bool:
    upload = _run("get_upload", _of(owner, upload_id), connection)
    if not upload or StoredUpload(*upload[0]).status != "pending" or not _add_file(owner, file, connection):
        return False
    return _move(owner, upload_id, "completed", file.id, connection)


def _end(
    owner: Owner, upload_id: str, status: UploadStatus, connection: apsw.Connection
) -> StoredUpload | None:
    _move(owner, upload_id, status, None, connection)
    rows = _run("get_upload", _of(owner, upload_id), connection)
    return StoredUpload(*rows[0]) if rows else None


def _move(
    owner: Owner, upload_id: str, status: UploadStatus, file_id: str | None, connection: apsw.Connection
) -> bool:
    """Out of `pending`, its parts forgotten and their blobs left over. False when it is not pending."""
    named = _of(owner, upload_id)
    if not _run("move_upload", {**named, "status": status, "file_id": file_id}, connection):
        return False
    _run("leave_parts", named, connection)
    _run("forget_parts", named, connection)
    return True
