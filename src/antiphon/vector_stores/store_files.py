"""The files of vector stores, and batches of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from antiphon.core.chunking_strategy import ChunkingStrategy, ContextualStrategy
from antiphon.core.errors import Conflict, InvalidRequest, ModelNotFound, NotFound
from antiphon.core.wire import UNSET, encode
from antiphon.files.service import FileService
from antiphon.models.catalog import Catalog
from antiphon.ports import Clock, Ids, Owner
from antiphon.ports.files import FileStore, StoredFile
from antiphon.ports.knowledge import (
    FileStatus,
    KnowledgePage,
    StoredBatch,
    StoredVectorFile,
    StoredVectorStore,
    VectorStoreRecords,
)
from antiphon.vector_stores.answers import (
    FileBatchObject,
    FileContentPage,
    VectorStoreFileList,
    VectorStoreFileObject,
    batch_shown,
    content_shown,
    file_shown,
)
from antiphon.vector_stores.indexes import Indexes, collection_of
from antiphon.vector_stores.ingestion import Ingestion
from antiphon.vector_stores.refusals import expired, has_expired, unknown_batch, unknown_file, unknown_store
from antiphon.vector_stores.shapes import (
    AddFile,
    CreateFileBatch,
    CreateVectorStore,
    UpdateFile,
    checked_strategy,
    stored_attributes,
)
from antiphon.web.paging import Page

BATCH_PREFIX = "vsfb_"
SEARCHABLE = ("assistants", "assistants_output", "batch_output", "user_data", "vision")
"""Purposes of files that may be taken in; the others are data of other APIs."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A file that is to be taken in; `param` and `strategy_param` say where the request names it, and how."""

    file_id: str
    param: str
    attributes: bytes
    strategy: ChunkingStrategy | None
    strategy_param: str = "chunking_strategy"


@dataclass(frozen=True, slots=True)
class StoreFiles:
    records: VectorStoreRecords
    files: FileService
    file_rows: FileStore
    indexes: Indexes
    catalog: Catalog
    ingestion: Ingestion
    clock: Clock
    ids: Ids
    context_model: str = ""

    # --- files ------------------------------------------------------------------------------------------------
    async def add(self, owner: Owner, store_id: str, body: AddFile) -> VectorStoreFileObject:
        """Begin to take a file in, anew where the store has it already. Raises NotFound, InvalidRequest."""
        await self._open_store(owner, store_id)
        attributes = stored_attributes(body.attributes)
        asked = _Asked(body.file_id, "file_id", attributes, body.chunking_strategy or None)
        await self._put(owner, store_id, await self._jobs(owner, [asked], self.clock.now()))
        return await self.get(owner, store_id, body.file_id)

    async def get(self, owner: Owner, store_id: str, file_id: str) -> VectorStoreFileObject:
        """Raises NotFound."""
        await self._store(owner, store_id)
        return file_shown(await self._file(owner, store_id, file_id))

    async def list_page(
        self,
        owner: Owner,
        store_id: str,
        page: Page,
        status: FileStatus | None = None,
        batch_id: str | None = None,
    ) -> VectorStoreFileList:
        """Raises NotFound, and InvalidRequest for a cursor that names none of them."""
        await self._store(owner, store_id)
        if batch_id is not None and await self.records.get_batch(owner, store_id, batch_id) is None:
            raise unknown_batch(batch_id)
        newest_first = page.order == "desc"
        asked = KnowledgePage(page.limit + 1, newest_first, page.after, page.before, status, batch_id)
        found = await self.records.list_files(owner, store_id, asked)
        rows = found[-page.limit :] if page.backwards else found[: page.limit]
        return VectorStoreFileList(
            data=[file_shown(one) for one in rows],
            first_id=rows[0].file_id if rows else "",
            last_id=rows[-1].file_id if rows else "",
            has_more=len(found) > page.limit,
        )

    async def update(
        self, owner: Owner, store_id: str, file_id: str, body: UpdateFile
    ) -> VectorStoreFileObject:
        """Other attributes, which searches go by when this returns. Raises NotFound, InvalidRequest."""
        await self._open_store(owner, store_id)
        attributes = stored_attributes(body.attributes)
        file = await self.records.set_attributes(owner, store_id, file_id, attributes)
        if file is None:
            raise unknown_file(store_id, file_id)
        if file.status == "completed":
            await self.ingestion.do_now(owner, store_id, file_id)
        else:
            await self.ingestion.interrupt(owner, store_id, file_id)
            self.ingestion.wake()
        return file_shown(file)

    async def remove(self, owner: Owner, store_id: str, file_id: str) -> None:
        """No search finds it any more when this returns; the file itself stays. Raises NotFound."""
        await self._store(owner, store_id)
        if not await self.records.remove_file(owner, store_id, file_id):
            raise unknown_file(store_id, file_id)
        await self.ingestion.do_now(owner, store_id, file_id)

    async def content(
        self,
        owner: Owner,
        store_id: str,
        file_id: str,
        *,
        limit: int,
        after: str | None = None,
        embeddings: bool = False,
        metadata: bool = False,
    ) -> FileContentPage:
        """The text of a file, chunk by chunk. Raises NotFound, Conflict for a file that is not taken in."""
        store = await self._open_store(owner, store_id)
        file = await self._file(owner, store_id, file_id)
        if file.status != "completed":
            raise Conflict(
                f'file "{file_id}" is {file.status} in this vector store; there is content once it is completed.',
                param="file_id",
            )
        index = self.indexes.of(store)
        found = await index.chunks(collection_of(store), file_id, after, limit + 1)
        rows = found[:limit]
        has_more = len(found) > limit
        return FileContentPage(
            data=content_shown(rows, embeddings=embeddings, metadata=metadata),
            has_more=has_more,
            next_page=rows[-1].id if has_more else None,
        )

    async def detach(self, owner: Owner, file_id: str) -> None:
        """Take a file that is about to be deleted out of all stores. Raises Conflict while one is reading it."""
        store_ids = await self.records.stores_of_file(owner, file_id)
        for store_id in store_ids:
            file = await self.records.get_file(owner, store_id, file_id)
            if file is not None and file.status == "in_progress":
                raise Conflict(
                    f'file "{file_id}" is being taken into vector store "{store_id}"; wait until that is done, or take'
                    f" it out first: DELETE /v1/vector_stores/{store_id}/files/{file_id}.",
                    param="file_id",
                )
        for store_id in store_ids:
            if await self.records.remove_file(owner, store_id, file_id):
                await self.ingestion.do_now(owner, store_id, file_id)

    # --- batches ----------------------------------------------------------------------------------------------
    async def create_batch(self, owner: Owner, store_id: str, body: CreateFileBatch) -> FileBatchObject:
        """Begin to take many files in. Raises NotFound, naming the place of the file; then none was begun."""
        await self._open_store(owner, store_id)
        now = self.clock.now()
        jobs = await self._jobs(owner, _asked_in(body), now)
        batch = StoredBatch(self.ids.new(BATCH_PREFIX), store_id, now)
        await self._put(owner, store_id, jobs, batch)
        return await self.get_batch(owner, store_id, batch.id)

    async def get_batch(self, owner: Owner, store_id: str, batch_id: str) -> FileBatchObject:
        """Raises NotFound."""
        found = await self.records.get_batch(owner, store_id, batch_id)
        if found is None:
            await self._store(owner, store_id)
            raise unknown_batch(batch_id)
        return batch_shown(*found)

    async def cancel_batch(self, owner: Owner, store_id: str, batch_id: str) -> FileBatchObject:
        """Cancel what is not done yet; one that is done stays as it is. Raises NotFound."""
        batch = await self.get_batch(owner, store_id, batch_id)
        if batch.status != "in_progress":
            return batch
        await self.records.cancel_batch(owner, store_id, batch_id)
        await self.ingestion.interrupt(owner, store_id, batch_id=batch_id)
        self.ingestion.wake()
        return await self.get_batch(owner, store_id, batch_id)

    # --- what is asked for, checked ---------------------------------------------------------------------------
    async def first_jobs(self, owner: Owner, body: CreateVectorStore, now: int) -> list[StoredVectorFile]:
        """The first files of a store that is still to be made. Raises NotFound, InvalidRequest."""
        strategy = body.chunking_strategy or None
        await self._checked(strategy, "chunking_strategy")
        asked = [
            _Asked(file_id, f"file_ids[{at}]", b"{}", strategy)
            for at, file_id in enumerate(body.file_ids or ())
        ]
        return await self._jobs(owner, asked, now)

    async def _jobs(self, owner: Owner, asked: Sequence[_Asked], now: int) -> list[StoredVectorFile]:
        """A job for each file, for one that is named twice as it is named last. Their store is still to be set."""
        known = await self.file_rows.get_files(owner, [one.file_id for one in asked])
        jobs: dict[str, StoredVectorFile] = {}
        for one in asked:
            self._check_file(known.get(one.file_id), one)
            strategy = await self._checked(one.strategy, one.strategy_param)
            jobs[one.file_id] = StoredVectorFile(
                store_id="",
                file_id=one.file_id,
                created_at=now,
                status="in_progress",
                attributes=one.attributes,
                chunking=encode(strategy),
            )
        return list(jobs.values())

    def _check_file(self, file: StoredFile | None, asked: _Asked) -> None:
        if file is None or self.files.has_expired(file):
            raise NotFound(
                f'`{asked.param}`: there is no file "{asked.file_id[:200]}"; it may have been deleted, or have expired.'
                " GET /v1/files lists those there are.",
                param=asked.param,
            )
        if file.purpose not in SEARCHABLE:
            raise InvalidRequest(
                f'`{asked.param}`: file "{file.id}" has the purpose "{file.purpose}", and only files for'
                f' {", ".join(SEARCHABLE)} are taken in; upload it with purpose "assistants".',
                param=asked.param,
            )

    async def _checked(self, given: ChunkingStrategy | None, param: str) -> ChunkingStrategy:
        """Raises InvalidRequest, and ModelNotFound for a context that nobody can write."""
        strategy = checked_strategy(given, param)
        if isinstance(strategy, ContextualStrategy):
            param = f"{param}.contextual.model_id"
            model = strategy.contextual.model_id or self.context_model
            if not model:
                raise InvalidRequest(
                    f"`{param}`: required, the model that writes the context; this server has none of its own"
                    " (vector_stores.context_model).",
                    param=param,
                )
            try:
                await self.catalog.resolve(model)
            except ModelNotFound as error:
                error.param = param
                raise
        return strategy

    # --- rows -------------------------------------------------------------------------------------------------
    async def _store(self, owner: Owner, store_id: str) -> StoredVectorStore:
        store = (await self.records.find_stores(owner, [store_id])).get(store_id)
        if store is None:
            raise unknown_store(store_id)
        return store

    async def _open_store(self, owner: Owner, store_id: str) -> StoredVectorStore:
        """One that has not expired, and whose index is there."""
        store = await self._store(owner, store_id)
        if has_expired(store, self.clock.now()):
            raise expired(store_id)
        self.indexes.of(store)
        return store

    async def _file(self, owner: Owner, store_id: str, file_id: str) -> StoredVectorFile:
        file = await self.records.get_file(owner, store_id, file_id)
        if file is None:
            raise unknown_file(store_id, file_id)
        return file

    async def _put(
        self, owner: Owner, store_id: str, jobs: Sequence[StoredVectorFile], batch: StoredBatch | None = None
    ) -> None:
        batch_id = None if batch is None else batch.id
        rows = [replace(one, store_id=store_id, batch_id=batch_id) for one in jobs]
        if not await self.records.put_files(owner, rows, batch):
            raise unknown_store(store_id)  # it went while we looked
        self.ingestion.wake()


def _asked_in(body: CreateFileBatch) -> list[_Asked]:
    """Raises InvalidRequest."""
    if bool(body.file_ids) == bool(body.files):
        param = "files" if body.files else "file_ids"
        raise InvalidRequest(f"`{param}`: send either `file_ids` or `files`.", param=param)
    attributes, strategy = stored_attributes(body.attributes), body.chunking_strategy or None
    asked = [
        _Asked(one, f"file_ids[{at}]", attributes, strategy) for at, one in enumerate(body.file_ids or ())
    ]
    for at, one in enumerate(body.files or ()):
        own = one.chunking_strategy or None
        asked.append(
            _Asked(
                one.file_id,
                f"files[{at}].file_id",
                attributes if one.attributes is UNSET else stored_attributes(one.attributes),
                own or strategy,
                f"files[{at}].chunking_strategy" if own else "chunking_strategy",
            )
        )
    return asked
