"""`SqliteKnowledge`: vector stores, their files and batches, over a database that other stores share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import apsw

from antiphon.core.wire import encode
from antiphon.ports import Owner
from antiphon.ports.knowledge import (
    FileCounts,
    IngestionClaim,
    KnowledgePage,
    StoredBatch,
    StoredVectorFile,
    StoredVectorStore,
    StoreSummary,
)
from antiphon.storage import queries
from antiphon.storage.alone import Presence
from antiphon.storage.database import Database
from antiphon.storage.listing import unknown_cursor

_SQL = queries.load("knowledge.sqlite")
_FIRST = (-1, -1)
_LAST = (2**63 - 1, 2**63 - 1)
_Bindings = dict[str, Any]
T = TypeVar("T")


class SqliteKnowledge:
    """A `VectorStoreRecords`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._presence = Presence(database.path.with_name(database.path.name + "-workers"))

    # --- stores -----------------------------------------------------------------------------------------------
    async def begin_store(self, owner: Owner, store: StoredVectorStore, due_at: int) -> bool:
        bindings = {**_bindings(owner, store), "due_at": due_at}
        return await self._database.write(partial(_any, "begin_store", bindings))

    async def add_store(
        self, owner: Owner, store: StoredVectorStore, files: Sequence[StoredVectorFile] = ()
    ) -> None:
        await self._write(partial(_add_store, owner, store, files))

    async def get_store(self, owner: Owner, store_id: str) -> StoreSummary | None:
        return await self._database.read_behind(partial(_summary, _of(owner, store_id)))

    async def find_stores(self, owner: Owner, store_ids: Sequence[str]) -> dict[str, StoredVectorStore]:
        bindings = {**_of(owner, ""), "ids": encode(list(store_ids)).decode()}
        rows = await self._database.read_behind(partial(_all, "find_stores", bindings))
        return {row[0]: _store(row) for row in rows}

    async def list_stores(self, owner: Owner, page: KnowledgePage) -> Sequence[StoreSummary]:
        return await self._database.read_behind(partial(_list_stores, owner, page))

    async def update_store(self, owner: Owner, store: StoredVectorStore) -> StoreSummary | None:
        return await self._write(partial(_update_store, owner, store))

    async def move_store(self, owner: Owner, store: StoredVectorStore) -> bool:
        return await self._database.write(partial(_any, "move_store", _bindings(owner, store)))

    async def live_stores(self) -> Sequence[tuple[Owner, StoredVectorStore]]:
        rows = await self._database.read_behind(partial(_all, "live_stores", {}))
        return [(Owner(row[0], row[1]), _store(row[2:])) for row in rows]

    async def touch_store(self, owner: Owner, store_id: str, now: int) -> None:
        await self._database.write(partial(_any, "touch_store", {**_of(owner, store_id), "now": now}))

    async def delete_store(self, owner: Owner, store_id: str) -> StoredVectorStore | None:
        row = await self._database.write(partial(_first, "delete_store", _of(owner, store_id)))
        return None if row is None else _store(row)

    async def expire_stores(self, now: int, limit: int) -> int:
        return await self._write(partial(_expire, {"now": now, "limit": limit}))

    async def ending_stores(self, now: int, limit: int) -> Sequence[tuple[Owner, StoredVectorStore]]:
        bindings = {"now": now, "limit": limit}
        rows = await self._database.read_behind(partial(_all, "ending_stores", bindings))
        return [(Owner(row[0], row[1]), _store(row[2:])) for row in rows]

    async def forget_store(self, owner: Owner, store_id: str) -> None:
        bindings = _of(owner, store_id)
        if await self._write(partial(_forget_expired, bindings)):
            return
        if await self._database.write(partial(_any, "is_deleted", bindings)):
            while await self._database.write(partial(_any, "forget_files", bindings)):
                pass
            await self._write(partial(_forget_deleted, bindings))

    # --- files and batches ------------------------------------------------------------------------------------
    async def put_files(
        self, owner: Owner, files: Sequence[StoredVectorFile], batch: StoredBatch | None = None
    ) -> bool:
        return not files or await self._write(partial(_put_files, owner, files, batch))

    async def get_file(self, owner: Owner, store_id: str, file_id: str) -> StoredVectorFile | None:
        row = self._database.read_row(_SQL["get_files"], _files_of(owner, store_id, [file_id]))
        return None if row is None else StoredVectorFile(*row)

    async def get_files(
        self, owner: Owner, store_id: str, file_ids: Sequence[str]
    ) -> dict[str, StoredVectorFile]:
        bindings = _files_of(owner, store_id, file_ids)
        rows = await self._database.read_behind(partial(_all, "get_files", bindings))
        return {row[1]: StoredVectorFile(*row) for row in rows}

    async def list_files(
        self, owner: Owner, store_id: str, page: KnowledgePage
    ) -> Sequence[StoredVectorFile]:
        return await self._database.read_behind(partial(_list_files, owner, store_id, page))

    async def set_attributes(
        self, owner: Owner, store_id: str, file_id: str, attributes: bytes
    ) -> StoredVectorFile | None:
        bindings = {**_file(owner, store_id, file_id), "attributes": attributes}
        row = await self._database.write(partial(_first, "set_attributes", bindings))
        return None if row is None else StoredVectorFile(*row)

    async def remove_file(self, owner: Owner, store_id: str, file_id: str) -> bool:
        return await self._write(partial(_remove_file, _file(owner, store_id, file_id)))

    async def stores_of_file(self, owner: Owner, file_id: str) -> Sequence[str]:
        rows = await self._database.read_behind(partial(_all, "stores_of_file", _of(owner, file_id)))
        return [row[0] for row in rows]

    async def get_batch(
        self, owner: Owner, store_id: str, batch_id: str
    ) -> tuple[StoredBatch, FileCounts] | None:
        bindings = {**_of(owner, batch_id), "store_id": store_id}
        return await self._database.read_behind(partial(_batch, bindings))

    async def cancel_batch(self, owner: Owner, store_id: str, batch_id: str) -> None:
        await self._write(partial(_cancel_batch, {**_of(owner, batch_id), "store_id": store_id}))

    # --- jobs -------------------------------------------------------------------------------------------------
    async def claim(self, token: str, now: int, until: int) -> IngestionClaim | None:
        bindings = {"token": token, "now": now, "until": until}
        return await self._write(partial(_claim, "next_job", bindings))

    async def claim_file(
        self, owner: Owner, store_id: str, file_id: str, token: str, now: int, until: int
    ) -> IngestionClaim | None:
        bindings = {**_file(owner, store_id, file_id), "token": token, "now": now, "until": until}
        return await self._write(partial(_claim, "job_of_file", bindings))

    async def renew(self, claim: IngestionClaim, until: int) -> bool:
        return await self._database.write(partial(_any, "renew", {**_claimed(claim), "until": until}))

    async def release(self, claim: IngestionClaim) -> None:
        bindings = {**_claimed(claim), "until": None, "uncounted": 1}
        await self._database.write(partial(_any, "let_go", bindings))

    async def defer(self, claim: IngestionClaim, until: int) -> None:
        bindings = {**_claimed(claim), "until": until, "uncounted": 0}
        await self._database.write(partial(_any, "let_go", bindings))

    async def finish(
        self, claim: IngestionClaim, file: StoredVectorFile | None = None, *, clean: bool = False
    ) -> bool:
        return await self._write(partial(_finish, claim, file, "clean" if clean else None))

    async def next_due(self) -> int | None:
        (row,) = await self._database.read_behind(partial(_all, "next_due", {}))
        return None if row[0] is None else int(row[0])

    async def take_over(self) -> int:
        """As the port says. Processes know of each other by a lock on a file beside the database, which the system
        takes from a dead one: on a network file system that has no such locks, claims end by their time alone.
        """
        if not await self._presence.enter():
            return 0
        freed = await self._database.write(partial(_count, "take_over", {}))
        self._presence.share()
        return freed

    def close(self) -> None:
        self._presence.leave()

    async def _write(self, work: Callable[[apsw.Connection], T]) -> T:
        return await self._database.write(work, several_statements=True)


# --- what runs on a connection --------------------------------------------------------------------------------
def _all(statement: str, bindings: _Bindings, connection: apsw.Connection) -> list[tuple[Any, ...]]:
    return list(queries.execute(connection, _SQL[statement], bindings))


def _first(statement: str, bindings: _Bindings, connection: apsw.Connection) -> tuple[Any, ...] | None:
    """All rows are read: a statement that writes is done when it has given its last."""
    rows = _all(statement, bindings, connection)
    return rows[0] if rows else None


def _any(statement: str, bindings: _Bindings, connection: apsw.Connection) -> bool:
    return bool(_all(statement, bindings, connection))


def _count(statement: str, bindings: _Bindings, connection: apsw.Connection) -> int:
    queries.execute(connection, _SQL[statement], bindings)
    return connection.changes()


def _of(owner: Owner, id_: str) -> _Bindings:
    return {"id": id_, "tenant": owner.tenant, "subject": owner.subject}


def _file(owner: Owner, store_id: str, file_id: str) -> _Bindings:
    return {**_of(owner, file_id), "store_id": store_id}


def _files_of(owner: Owner, store_id: str, file_ids: Sequence[str]) -> _Bindings:
    return {**_file(owner, store_id, ""), "ids": encode(list(file_ids)).decode()}


def _claimed(claim: IngestionClaim) -> _Bindings:
    return {**_file(claim.owner, claim.file.store_id, claim.file.file_id), "token": claim.token}


def _bindings(owner: Owner, store: StoredVectorStore) -> _Bindings:
    return {
        **_of(owner, store.id),
        "name": store.name,
        "description": store.description,
        "created_at": store.created_at,
        "last_active_at": store.last_active_at,
        "metadata": store.metadata,
        "provider_id": store.provider_id,
        "embedding_model": store.embedding_model,
        "dimension": store.dimension,
        "expires_after_days": store.expires_after_days,
        "generation": store.generation,
        "expires_at": store.expires_at,
    }


def _store(row: Sequence[Any]) -> StoredVectorStore:
    *columns, state = row[:12]
    store = StoredVectorStore(*columns)
    return store if state == "live" else replace(store, expired=True)


def _add_store(
    owner: Owner, store: StoredVectorStore, files: Sequence[StoredVectorFile], connection: apsw.Connection
) -> None:
    queries.execute(connection, _SQL["forget_store"], _of(owner, store.id))  # it was begun
    queries.execute(connection, _SQL["add_store"], _bindings(owner, store))
    for file in files:
        _put_file(owner, file, connection)


def _summary(bindings: _Bindings, connection: apsw.Connection) -> StoreSummary | None:
    row = _first("get_store", bindings, connection)
    if row is None:
        return None
    *counts, usage_bytes = row[12:]
    return StoreSummary(_store(row), FileCounts(*counts), usage_bytes)


def _list_stores(owner: Owner, page: KnowledgePage, connection: apsw.Connection) -> list[StoreSummary]:
    ids = _page(connection, "store_position", "list_stores", _of(owner, ""), page, "vector store")
    found = [_summary(_of(owner, row[0]), connection) for row in ids]
    return [one for one in found if one is not None]  # one may be deleted between the two statements


def _list_files(
    owner: Owner, store_id: str, page: KnowledgePage, connection: apsw.Connection
) -> list[StoredVectorFile]:
    bindings = {**_file(owner, store_id, ""), "status": page.status, "batch_id": page.batch_id}
    rows = _page(connection, "file_position", "list_files", bindings, page, "file")
    return [StoredVectorFile(*row) for row in rows]


def _page(
    connection: apsw.Connection,
    position: str,
    statement: str,
    bindings: _Bindings,
    page: KnowledgePage,
    kind: str,
) -> list[tuple[Any, ...]]:
    after, before = (
        None if cursor is None else _position(connection, position, {**bindings, "id": cursor}, param, kind)
        for param, cursor in (("after", page.after), ("before", page.before))
    )
    older, newer = (before, after) if page.newest_first else (after, before)
    backwards = before is not None and after is None  # the page ends where the cursor is
    newest_first = page.newest_first != backwards
    bindings = {**bindings, "limit": page.limit}
    bindings["older_at"], bindings["older_number"] = older or _FIRST
    bindings["newer_at"], bindings["newer_number"] = newer or _LAST
    rows = _all(f"{statement}_{'newest' if newest_first else 'oldest'}_first", bindings, connection)
    return rows[::-1] if backwards else rows


def _position(
    connection: apsw.Connection, statement: str, bindings: Mapping[str, Any], param: str, kind: str
) -> tuple[int, int]:
    row = queries.execute(connection, _SQL[statement], bindings).fetchone()
    if row is None:
        raise unknown_cursor(bindings["id"], param, kind)
    return row[0], row[1]


def _update_store(owner: Owner, store: StoredVectorStore, connection: apsw.Connection) -> StoreSummary | None:
    queries.execute(connection, _SQL["update_store"], _bindings(owner, store))
    return _summary(_of(owner, store.id), connection)


def _expire(bindings: _Bindings, connection: apsw.Connection) -> int:
    expired = _all("expire_stores", bindings, connection)
    for store_id, tenant, subject in expired:
        queries.execute(connection, _SQL["cancel_store"], _of(Owner(tenant, subject), store_id))
    return len(expired)


def _forget_expired(bindings: _Bindings, connection: apsw.Connection) -> bool:
    if not _any("store_expired", bindings, connection):
        return False
    queries.execute(connection, _SQL["forget_removed"], bindings)
    return True


def _forget_deleted(bindings: _Bindings, connection: apsw.Connection) -> None:
    queries.execute(connection, _SQL["forget_batches"], bindings)
    queries.execute(connection, _SQL["forget_store"], bindings)


def _put_files(
    owner: Owner,
    files: Sequence[StoredVectorFile],
    batch: StoredBatch | None,
    connection: apsw.Connection,
) -> bool:
    used = {**_of(owner, files[0].store_id), "now": max(file.created_at for file in files)}
    if not _any("touch_store", used, connection):
        return False
    if batch is not None:
        made = {**_of(owner, batch.id), "store_id": batch.store_id, "created_at": batch.created_at}
        queries.execute(connection, _SQL["add_batch"], made)
    for file in files:
        _put_file(owner, file, connection)
    return True


def _put_file(owner: Owner, file: StoredVectorFile, connection: apsw.Connection) -> None:
    bindings = {
        "file_id": file.file_id,
        "tenant": owner.tenant,
        "subject": owner.subject,
        "store_id": file.store_id,
        "created_at": file.created_at,
        "attributes": file.attributes,
        "chunking": file.chunking,
        "batch_id": file.batch_id,
    }
    queries.execute(connection, _SQL["put_file"], bindings)


def _remove_file(bindings: _Bindings, connection: apsw.Connection) -> bool:
    if not _any("remove_file", bindings, connection):
        return False
    queries.execute(connection, _SQL["remove_from_expired"], bindings)
    return True


def _batch(bindings: _Bindings, connection: apsw.Connection) -> tuple[StoredBatch, FileCounts] | None:
    row = _first("get_batch", bindings, connection)
    if row is None:
        return None
    counted: dict[str, int] = {
        str(status): count for status, count in _all("count_batch", bindings, connection)
    }
    counted.pop("removed", None)
    id_, store_id, created_at, cancelled = row
    return StoredBatch(id_, store_id, created_at, bool(cancelled)), FileCounts(**counted)


def _cancel_batch(bindings: _Bindings, connection: apsw.Connection) -> None:
    if _any("cancel_batch", bindings, connection):
        queries.execute(connection, _SQL["cancel_batch_files"], bindings)


def _claim(statement: str, bindings: _Bindings, connection: apsw.Connection) -> IngestionClaim | None:
    found = _first(statement, bindings, connection)
    if found is None:
        return None
    (row,) = _all("claim", {**bindings, "number": found[0]}, connection)
    *file, tenant, subject, attempts, task = row
    return IngestionClaim(Owner(tenant, subject), StoredVectorFile(*file), bindings["token"], attempts, task)


def _finish(
    claim: IngestionClaim, file: StoredVectorFile | None, task: str | None, connection: apsw.Connection
) -> bool:
    bindings = _claimed(claim)
    if file is not None:
        ended = {
            **bindings,
            "status": file.status,
            "usage_bytes": file.usage_bytes,
            "error_code": file.error_code,
            "error_message": file.error_message,
            "task": task,
        }
        return _any("finish", ended, connection)
    row = _first("finish_task", bindings, connection)
    if row is not None and row[0] == "removed":
        queries.execute(connection, _SQL["forget_file"], bindings)
    return row is not None
