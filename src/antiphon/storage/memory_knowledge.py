"""`MemoryKnowledge`: vector stores, their files and batches, in dictionaries."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Literal, TypeVar

from antiphon.ports import Owner
from antiphon.ports.knowledge import (
    FileCounts,
    IngestionClaim,
    IngestionTask,
    KnowledgePage,
    StoredBatch,
    StoredVectorFile,
    StoredVectorStore,
    StoreSummary,
)
from antiphon.storage.listing import unknown_cursor

State = Literal["live", "expiring", "expired", "deleted"]
T = TypeVar("T")


@dataclass(slots=True)
class _Store:
    number: int
    store: StoredVectorStore
    state: State = "live"
    due_at: int = 0
    """When a deleted one is to be cleared away."""

    @property
    def shown(self) -> StoredVectorStore:
        return replace(self.store, expired=self.state != "live")


@dataclass(slots=True)
class _File:
    """A file in a store. `removed` hides it; `lost` says that the holder of `claim` has nothing to say any more."""

    number: int
    file: StoredVectorFile
    task: IngestionTask | None = "read"
    claim: str | None = None
    lost: bool = False
    claimed_until: int | None = None
    attempts: int = 0
    removed: bool = False

    def begin(self, task: IngestionTask | None) -> None:
        """Something else is to be done now; who was at it before loses his claim."""
        self.task = task
        self.attempts = 0
        self.lost = self.claim is not None
        if self.claim is None:
            self.claimed_until = None

    def end(self) -> None:
        self.task = self.claim = self.claimed_until = None
        self.attempts = 0


_FileKey = tuple[Owner, str, str]


class MemoryKnowledge:
    """A `VectorStoreRecords` that forgets when the process ends, and keeps every other promise."""

    def __init__(self, check_open: Callable[[], None]) -> None:
        """`check_open` raises StoreUnavailable when the store that this one belongs to is closed."""
        self._check_open = check_open
        self._numbers = count(1)
        self._stores: dict[tuple[Owner, str], _Store] = {}
        self._files: dict[_FileKey, _File] = {}
        self._batches: dict[_FileKey, StoredBatch] = {}

    # --- stores -----------------------------------------------------------------------------------------------
    async def begin_store(self, owner: Owner, store: StoredVectorStore, due_at: int) -> bool:
        self._check_open()
        there = self._stores.get((owner, store.id))
        if there is not None and (there.state != "deleted" or there.due_at <= store.created_at):
            return False
        self._stores[owner, store.id] = _Store(next(self._numbers), store, "deleted", due_at)
        return True

    async def add_store(
        self, owner: Owner, store: StoredVectorStore, files: Sequence[StoredVectorFile] = ()
    ) -> None:
        self._check_open()
        self._stores[owner, store.id] = _Store(next(self._numbers), store)
        for file in files:
            self._put(owner, file)

    async def get_store(self, owner: Owner, store_id: str) -> StoreSummary | None:
        row = self._visible(owner, store_id)
        return None if row is None else self._summary(owner, row)

    async def find_stores(self, owner: Owner, store_ids: Sequence[str]) -> dict[str, StoredVectorStore]:
        rows = {store_id: self._visible(owner, store_id) for store_id in store_ids}
        return {store_id: row.shown for store_id, row in rows.items() if row is not None}

    async def list_stores(self, owner: Owner, page: KnowledgePage) -> Sequence[StoreSummary]:
        self._check_open()
        rows = [row for key, row in self._stores.items() if key[0] == owner and row.state != "deleted"]
        rows.sort(key=lambda row: (row.store.created_at, row.number))
        cut = _cut(rows, [row.store.id for row in rows], page, "vector store")
        return [self._summary(owner, row) for row in cut]

    async def update_store(self, owner: Owner, store: StoredVectorStore) -> StoreSummary | None:
        row = self._visible(owner, store.id)
        if row is None:
            return None
        old = row.store
        row.store = replace(
            old,
            name=store.name,
            description=store.description,
            metadata=store.metadata,
            last_active_at=store.last_active_at,
            expires_after_days=store.expires_after_days,
        )
        return self._summary(owner, row)

    async def move_store(self, owner: Owner, store: StoredVectorStore) -> bool:
        row = self._live(owner, store.id)
        if row is not None:
            row.store = replace(
                row.store,
                provider_id=store.provider_id,
                embedding_model=store.embedding_model,
                dimension=store.dimension,
                generation=store.generation,
            )
        return row is not None

    async def live_stores(self) -> Sequence[tuple[Owner, StoredVectorStore]]:
        rows = [(owner, row) for (owner, _), row in self._stores.items() if row.state == "live"]
        rows.sort(key=lambda one: (one[1].store.created_at, one[1].number))
        return [(owner, row.shown) for owner, row in rows]

    async def touch_store(self, owner: Owner, store_id: str, now: int) -> None:
        row = self._live(owner, store_id)
        if row is not None:
            row.store = replace(row.store, last_active_at=max(row.store.last_active_at, now))

    async def delete_store(self, owner: Owner, store_id: str) -> StoredVectorStore | None:
        row = self._visible(owner, store_id)
        if row is None:
            return None
        row.state = "deleted"
        return row.store

    async def expire_stores(self, now: int, limit: int) -> int:
        self._check_open()
        due = [
            (owner, row)
            for (owner, _), row in self._stores.items()
            if row.state == "live" and row.store.expires_at is not None and row.store.expires_at <= now
        ]
        due.sort(key=lambda one: one[1].store.expires_at or 0)
        for owner, row in due[:limit]:
            row.state = "expiring"
            for file in self._files_of(owner, row.store.id):
                file.task = None
                if file.file.status == "in_progress":
                    file.file = replace(file.file, status="cancelled")
        return len(due[:limit])

    async def ending_stores(self, now: int, limit: int) -> Sequence[tuple[Owner, StoredVectorStore]]:
        self._check_open()
        rows = [
            (row.number, owner, replace(row.store, expired=row.state == "expiring"))
            for (owner, store_id), row in self._stores.items()
            if (row.state == "expiring" or (row.state == "deleted" and row.due_at <= now))
            and not any(
                file.claim is not None and (file.claimed_until or 0) > now
                for file in self._files_of(owner, store_id)
            )
        ]
        return [(owner, store) for _, owner, store in sorted(rows, key=lambda one: one[0])[:limit]]

    async def forget_store(self, owner: Owner, store_id: str) -> None:
        self._check_open()
        row = self._stores.get((owner, store_id))
        if row is None or row.state in ("live", "expired"):
            return
        gone = row.state == "deleted"
        for key in [key for key in self._files if key[:2] == (owner, store_id)]:
            if gone or self._files[key].removed:
                del self._files[key]
        if not gone:
            row.state = "expired"
            return
        del self._stores[owner, store_id]
        for key in [key for key in self._batches if key[:2] == (owner, store_id)]:
            del self._batches[key]

    # --- files and batches ------------------------------------------------------------------------------------
    async def put_files(
        self, owner: Owner, files: Sequence[StoredVectorFile], batch: StoredBatch | None = None
    ) -> bool:
        self._check_open()
        if not files:
            return True
        if self._live(owner, files[0].store_id) is None:
            return False
        await self.touch_store(owner, files[0].store_id, max(file.created_at for file in files))
        if batch is not None:
            self._batches[owner, batch.store_id, batch.id] = batch
        for file in files:
            self._put(owner, file)
        return True

    async def get_file(self, owner: Owner, store_id: str, file_id: str) -> StoredVectorFile | None:
        row = self._file(owner, store_id, file_id)
        return None if row is None else row.file

    async def get_files(
        self, owner: Owner, store_id: str, file_ids: Sequence[str]
    ) -> dict[str, StoredVectorFile]:
        rows = {file_id: self._file(owner, store_id, file_id) for file_id in file_ids}
        return {file_id: row.file for file_id, row in rows.items() if row is not None}

    async def list_files(
        self, owner: Owner, store_id: str, page: KnowledgePage
    ) -> Sequence[StoredVectorFile]:
        if self._visible(owner, store_id) is None:
            rows: list[_File] = []
        else:
            rows = [row for row in self._files_of(owner, store_id) if not row.removed]
        rows.sort(key=lambda row: (row.file.created_at, row.number))
        cut = _between(rows, [row.file.file_id for row in rows], page, "file")
        files = [row.file for row in cut]
        wanted = [
            file
            for file in files
            if page.status in (None, file.status) and page.batch_id in (None, file.batch_id)
        ]
        return _limited(wanted, page)

    async def set_attributes(
        self, owner: Owner, store_id: str, file_id: str, attributes: bytes
    ) -> StoredVectorFile | None:
        row = self._file(owner, store_id, file_id)
        if row is None or self._live(owner, store_id) is None:
            return None
        row.file = replace(row.file, attributes=attributes)
        row.begin("label" if row.task is None and row.file.status == "completed" else row.task)
        return row.file

    async def remove_file(self, owner: Owner, store_id: str, file_id: str) -> bool:
        row = self._file(owner, store_id, file_id)
        if row is None:
            return False
        row.removed = True
        row.begin("clean")
        if self._stores[owner, store_id].state == "expired":
            del self._files[owner, store_id, file_id]
        return True

    async def stores_of_file(self, owner: Owner, file_id: str) -> Sequence[str]:
        self._check_open()
        rows = [
            row
            for key, row in self._files.items()
            if (key[0], key[2]) == (owner, file_id) and self._file(*key) is not None
        ]
        return [row.file.store_id for row in sorted(rows, key=lambda row: row.number)]

    async def get_batch(
        self, owner: Owner, store_id: str, batch_id: str
    ) -> tuple[StoredBatch, FileCounts] | None:
        if self._visible(owner, store_id) is None:
            return None
        batch = self._batches.get((owner, store_id, batch_id))
        if batch is None:
            return None
        return batch, _counts(
            [row for row in self._files_of(owner, store_id) if row.file.batch_id == batch_id]
        )

    async def cancel_batch(self, owner: Owner, store_id: str, batch_id: str) -> None:
        self._check_open()
        batch = self._batches.get((owner, store_id, batch_id))
        if batch is None:
            return
        self._batches[owner, store_id, batch_id] = replace(batch, cancelled=True)
        for row in self._files_of(owner, store_id):
            if row.file.batch_id == batch_id and row.file.status == "in_progress" and not row.removed:
                row.file = replace(row.file, status="cancelled")
                row.begin("clean")

    # --- jobs -------------------------------------------------------------------------------------------------
    async def claim(self, token: str, now: int, until: int) -> IngestionClaim | None:
        self._check_open()
        due = [
            (owner, row)
            for owner, row in self._jobs()
            if row.claimed_until is None or row.claimed_until <= now
        ]
        if not due:
            return None
        owner, row = min(due, key=lambda one: one[1].number)
        return _claimed(owner, row, token, until)

    async def claim_file(
        self, owner: Owner, store_id: str, file_id: str, token: str, now: int, until: int
    ) -> IngestionClaim | None:
        self._check_open()
        row = self._files.get((owner, store_id, file_id))
        if row is None or row.task is None or self._live(owner, store_id) is None:
            return None
        if row.claim is not None and (row.claimed_until or 0) > now:
            return None
        return _claimed(owner, row, token, until)

    async def renew(self, claim: IngestionClaim, until: int) -> bool:
        row = self._held(claim)
        if row is None:
            return False
        row.claimed_until = until
        return True

    async def release(self, claim: IngestionClaim) -> None:
        self._let_go(claim, None, uncounted=1)

    async def defer(self, claim: IngestionClaim, until: int) -> None:
        self._let_go(claim, until, uncounted=0)

    async def finish(
        self, claim: IngestionClaim, file: StoredVectorFile | None = None, *, clean: bool = False
    ) -> bool:
        row = self._held(claim)
        if row is None:
            return False
        row.end()
        if file is not None:
            row.task = "clean" if clean else None
            row.file = replace(
                row.file,
                status=file.status,
                usage_bytes=file.usage_bytes,
                error_code=file.error_code,
                error_message=file.error_message,
            )
        elif row.removed:
            del self._files[claim.owner, claim.file.store_id, claim.file.file_id]
        return True

    async def next_due(self) -> int | None:
        self._check_open()
        return min((row.claimed_until or 0 for _, row in self._jobs()), default=None)

    async def take_over(self) -> int:
        """Nothing outlives the process."""
        return 0

    # --- rows -------------------------------------------------------------------------------------------------
    def _visible(self, owner: Owner, store_id: str) -> _Store | None:
        self._check_open()
        row = self._stores.get((owner, store_id))
        return None if row is None or row.state == "deleted" else row

    def _live(self, owner: Owner, store_id: str) -> _Store | None:
        row = self._visible(owner, store_id)
        return row if row is not None and row.state == "live" else None

    def _files_of(self, owner: Owner, store_id: str) -> list[_File]:
        return [row for key, row in self._files.items() if key[:2] == (owner, store_id)]

    def _file(self, owner: Owner, store_id: str, file_id: str) -> _File | None:
        row = self._files.get((owner, store_id, file_id))
        visible = row is not None and not row.removed and self._visible(owner, store_id) is not None
        return row if visible else None

    def _summary(self, owner: Owner, row: _Store) -> StoreSummary:
        files = self._files_of(owner, row.store.id)
        usage = sum(
            one.file.usage_bytes for one in files if one.file.status == "completed" and not one.removed
        )
        return StoreSummary(row.shown, _counts(files), usage)

    def _put(self, owner: Owner, file: StoredVectorFile) -> None:
        key = (owner, file.store_id, file.file_id)
        fresh = replace(file, status="in_progress", usage_bytes=0, error_code=None, error_message=None)
        row = self._files.get(key)
        if row is None:
            self._files[key] = _File(next(self._numbers), fresh)
            return
        row.file = fresh
        row.removed = False
        row.begin("read")

    def _jobs(self) -> list[tuple[Owner, _File]]:
        return [
            (owner, row)
            for (owner, store_id, _), row in self._files.items()
            if row.task is not None and self._live(owner, store_id) is not None
        ]

    def _held(self, claim: IngestionClaim) -> _File | None:
        """The row of a claim that is good."""
        row = self._row(claim)
        alive = self._live(claim.owner, claim.file.store_id) is not None
        return row if row is not None and alive and not row.lost else None

    def _row(self, claim: IngestionClaim) -> _File | None:
        row = self._files.get((claim.owner, claim.file.store_id, claim.file.file_id))
        return row if row is not None and row.claim == claim.token else None

    def _let_go(self, claim: IngestionClaim, until: int | None, *, uncounted: int) -> None:
        self._check_open()
        row = self._row(claim)
        if row is None:
            return
        if not row.lost:
            row.attempts -= uncounted
        row.claimed_until = None if row.lost else until
        row.claim, row.lost = None, False


def _claimed(owner: Owner, row: _File, token: str, until: int) -> IngestionClaim:
    row.claim, row.lost, row.claimed_until = token, False, until
    row.attempts += 1
    return IngestionClaim(owner, row.file, token, row.attempts, row.task or "read")


def _counts(rows: Sequence[_File]) -> FileCounts:
    statuses = [row.file.status for row in rows if not row.removed]
    return FileCounts(
        *(statuses.count(status) for status in ("in_progress", "completed", "failed", "cancelled"))
    )


def _cut(rows: Sequence[T], ids: Sequence[str], page: KnowledgePage, kind: str) -> Sequence[T]:
    return _limited(_between(rows, ids, page, kind), page)


def _between(rows: Sequence[T], ids: Sequence[str], page: KnowledgePage, kind: str) -> Sequence[T]:
    """The rows (oldest first, with their ids) between the cursors, in the order of the page."""
    places = list(range(len(rows)))
    if page.newest_first:
        places.reverse()
    ordered = [ids[place] for place in places]
    start, end = 0, len(ordered)
    for param, cursor in (("after", page.after), ("before", page.before)):
        if cursor is not None and cursor not in ordered:
            raise unknown_cursor(cursor, param, kind)
    if page.after is not None:
        start = ordered.index(page.after) + 1
    if page.before is not None:
        end = ordered.index(page.before)
    return [rows[place] for place in places[start:end]]


def _limited(rows: Sequence[T], page: KnowledgePage) -> Sequence[T]:
    backwards = page.before is not None and page.after is None
    return rows[-page.limit :] if backwards else rows[: page.limit]
