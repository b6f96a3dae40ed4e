"""Vector stores: made, listed, changed, searched and deleted."""

from dataclasses import dataclass, replace

from antiphon.core.errors import (
    AntiphonError,
    EmbeddingMismatch,
    IndexUnavailable,
    InvalidRequest,
    ModelNotFound,
)
from antiphon.core.filters import checked
from antiphon.core.ranking_options import ranking_of
from antiphon.core.searching import SearchRequest
from antiphon.core.wire import UNSET, encode
from antiphon.models.catalog import Catalog
from antiphon.ports import Clock, Ids, Owner
from antiphon.ports.knowledge import (
    Embedder,
    KnowledgePage,
    Searcher,
    StoredVectorStore,
    StoreSummary,
    VectorStoreRecords,
)
from antiphon.vector_stores.answers import (
    SearchResults,
    VectorStoreList,
    VectorStoreObject,
    results_shown,
    store_shown,
)
from antiphon.vector_stores.indexes import Indexes, collection_of
from antiphon.vector_stores.ingestion import Ingestion
from antiphon.vector_stores.refusals import expired, has_expired, unknown_store
from antiphon.vector_stores.shapes import (
    MAX_DIMENSION,
    CreateVectorStore,
    SearchVectorStore,
    UpdateVectorStore,
    text,
    texts_of,
)
from antiphon.vector_stores.store_files import StoreFiles
from antiphon.web.paging import Page

PREFIX = "vs_"
MAKING_S = 3_600
"""A store that was begun and is not there after so long never will be: the server ended meanwhile."""


@dataclass(frozen=True, slots=True)
class EmbeddingDefaults:
    """What embeds new stores that do not say so. "" for nothing, 0 for a dimension that is to be learned."""

    model: str = ""
    dimension: int = 0


@dataclass(frozen=True, slots=True)
class VectorStores:
    """Vector stores of their owners. Another owner's store answers exactly as an unknown one."""

    records: VectorStoreRecords
    files: StoreFiles
    indexes: Indexes
    embedder: Embedder
    catalog: Catalog
    searcher: Searcher
    ingestion: Ingestion
    clock: Clock
    ids: Ids
    defaults: EmbeddingDefaults = EmbeddingDefaults()
    default_reranker: str = ""

    async def create(self, owner: Owner, body: CreateVectorStore, *, store_id: str = "") -> VectorStoreObject:
        """A new store with its first files, which are read in the background. When this raises there is none.
        `store_id` is its id, where that was written down before.

        Raises InvalidRequest and NotFound, naming the field; and what the model raises that has to say how large its
        vectors are.
        """
        metadata = texts_of(body.metadata)
        provider_id, param = _told(body.provider_id, metadata, "provider_id")
        provider_id = self.indexes.chosen(provider_id, param)
        now = self.clock.now()
        files = await self.files.first_jobs(owner, body, now)
        model, dimension = await self._embedding(owner, body, metadata)
        store = StoredVectorStore(
            id=store_id or self.ids.new(PREFIX),
            name=text(body.name),
            created_at=now,
            last_active_at=now,
            metadata=encode(metadata),
            provider_id=provider_id,
            embedding_model=model,
            dimension=dimension,
            description=text(body.description),
            expires_after_days=body.expires_after.days if body.expires_after else None,
        )
        if not await self.records.begin_store(owner, store, now + MAKING_S):
            raise IndexUnavailable(
                f'what vector store "{store.id}" held is still being dropped; try again in a moment.'
            )
        await self.indexes.of(store).create(collection_of(store))
        await self.records.add_store(owner, store, [replace(one, store_id=store.id) for one in files])
        self.ingestion.wake()
        return await self.get(owner, store.id)

    async def get(self, owner: Owner, store_id: str) -> VectorStoreObject:
        """Raises NotFound."""
        return self._shown(await self._summary(owner, store_id))

    async def list_page(self, owner: Owner, page: Page) -> VectorStoreList:
        """Raises InvalidRequest for a cursor that names none of them."""
        asked = KnowledgePage(page.limit + 1, page.order == "desc", page.after, page.before)
        found = await self.records.list_stores(owner, asked)
        rows = found[-page.limit :] if page.backwards else found[: page.limit]
        return VectorStoreList(
            data=[self._shown(one) for one in rows],
            first_id=rows[0].store.id if rows else "",
            last_id=rows[-1].store.id if rows else "",
            has_more=len(found) > page.limit,
        )

    async def update(self, owner: Owner, store_id: str, body: UpdateVectorStore) -> VectorStoreObject:
        """Raises NotFound, and InvalidRequest for a new expiry of a store that has expired."""
        store = (await self._summary(owner, store_id)).store
        if self._expired(store) and body.expires_after is not UNSET:
            raise expired(store_id, "expires_after")
        changed = replace(store, last_active_at=max(store.last_active_at, self.clock.now()))
        if body.name is not UNSET:
            changed = replace(changed, name=text(body.name))
        if body.metadata is not UNSET:
            changed = replace(changed, metadata=encode(texts_of(body.metadata)))
        if body.expires_after is not UNSET:
            changed = replace(
                changed, expires_after_days=body.expires_after.days if body.expires_after else None
            )
        if self._expired(store):
            changed = replace(changed, last_active_at=store.last_active_at)
        summary = await self.records.update_store(owner, changed)
        if summary is None:
            raise unknown_store(store_id)
        return self._shown(summary)

    async def delete(self, owner: Owner, store_id: str) -> None:
        """Gone at once for everybody; what it held is dropped behind the answer. Raises NotFound."""
        if await self.records.delete_store(owner, store_id) is None:
            raise unknown_store(store_id)
        await self.ingestion.interrupt(owner, store_id)
        self.ingestion.sweep_soon()

    async def search(self, owner: Owner, store_id: str, body: SearchVectorStore) -> SearchResults:
        """Raises NotFound, InvalidRequest, and what `Searcher.search` raises."""
        request = SearchRequest(
            store_ids=(store_id,),
            queries=(body.query,) if isinstance(body.query, str) else tuple(body.query),
            limit=body.max_num_results or 10,
            where=checked(body.filters, "filters") if body.filters else None,
            mode=body.search_mode or "auto",
            ranking=ranking_of(body.ranking_options, default_reranker=self.default_reranker),
            rewrite=bool(body.rewrite_query),
        )
        return results_shown(await self.searcher.search(owner, request))

    async def _summary(self, owner: Owner, store_id: str) -> StoreSummary:
        summary = await self.records.get_store(owner, store_id)
        if summary is None:
            raise unknown_store(store_id)
        return summary

    def _shown(self, summary: StoreSummary) -> VectorStoreObject:
        return store_shown(summary, expired=self._expired(summary.store))

    def _expired(self, store: StoredVectorStore) -> bool:
        return has_expired(store, self.clock.now())

    async def _embedding(
        self, owner: Owner, body: CreateVectorStore, metadata: dict[str, str]
    ) -> tuple[str, int]:
        """The model of a new store, and the size of its vectors; "" and 0 for none."""
        model, param = _told(body.embedding_model, metadata, "embedding_model")
        dimension, dimension_param = _told_dimension(body, metadata)
        if not model:
            model = self.defaults.model
            dimension = dimension or self.defaults.dimension
        if not model:
            if dimension:
                raise InvalidRequest(
                    f"`{dimension_param}`: goes with `embedding_model`, and none is given here or configured.",
                    param=dimension_param,
                )
            return "", 0
        try:
            await self.catalog.resolve(model)
        except ModelNotFound as error:
            raise _as_of(error, param) from error
        try:
            (vector,) = await self.embedder.embed(owner, model, ["How large is it?"], dimension=dimension)
        except EmbeddingMismatch as error:
            raise EmbeddingMismatch(
                f"`{dimension_param}`: {dimension} is not how many numbers the vectors of model"
                f' "{model}" have; leave it out, and they are as the model makes them.',
                param=dimension_param,
            ) from error
        return model, len(vector) // 4


def _as_of(error: AntiphonError, param: str) -> AntiphonError:
    error.param = param
    return error


def _told(given: object, metadata: dict[str, str], name: str) -> tuple[str, str]:
    """What the body says at its top or in its metadata, and where it says so."""
    if isinstance(given, str) and given:
        return given, name
    return metadata.get(name, ""), f"metadata.{name}" if name in metadata else name


def _told_dimension(body: CreateVectorStore, metadata: dict[str, str]) -> tuple[int, str]:
    if body.embedding_dimension:
        return body.embedding_dimension, "embedding_dimension"
    told = metadata.get("embedding_dimension", "")
    param = "metadata.embedding_dimension"
    if not told:
        return 0, param
    if not told.isdecimal() or len(told) > 5 or not 1 <= int(told) <= MAX_DIMENSION:
        raise InvalidRequest(f"`{param}`: expected a whole number from 1 to {MAX_DIMENSION}.", param=param)
    return int(told), param
