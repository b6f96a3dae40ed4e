"""Which vector store a request of Llama Stack's means, and `/v1/vector-dbs`: stores under names of the caller's choice.

The name is kept in the store's metadata, so that the store itself is one like any other.
"""

import asyncio
from collections.abc import Sequence

from antiphon.core.errors import Conflict, InvalidRequest, NotFound
from antiphon.core.wire import UNSET, UnsetType, decode_json
from antiphon.ports import Owner
from antiphon.ports.knowledge import KnowledgePage, StoredVectorStore
from antiphon.vector_io.shapes import RegisterVectorDb, VectorDb, VectorDbList
from antiphon.vector_stores.refusals import expired, has_expired
from antiphon.vector_stores.service import VectorStores
from antiphon.vector_stores.shapes import CreateVectorStore

KEY = "vector_db_id"
"""In a store's metadata: the name that it was registered under."""
_PAGE = 100
_KEPT = 10_000

Given = str | UnsetType | None


class NamedStores:
    """Stores by their id, or by the name that they were registered under."""

    def __init__(self, service: VectorStores) -> None:
        self.service = service
        self._ids: dict[tuple[Owner, str], str] = {}
        self._registering = asyncio.Lock()

    async def asked_for(self, owner: Owner, store_id: Given, db_id: Given) -> StoredVectorStore:
        """The store of a request. Raises InvalidRequest unless it is named once, NotFound, and InvalidRequest for one
        that has expired.
        """
        if bool(store_id) == bool(db_id):
            raise InvalidRequest(
                "`vector_store_id`: required; `vector_db_id` says the same, and one of them is enough.",
                param="vector_store_id",
            )
        name, param = (store_id, "vector_store_id") if store_id else (db_id, "vector_db_id")
        return await self.get(owner, str(name), param)

    async def get(
        self, owner: Owner, name: str, param: str, *, also_expired: bool = False
    ) -> StoredVectorStore:
        """Raises as `asked_for` does."""
        store = await self.find(owner, name)
        if store is None:
            raise NotFound(
                f'`{param}`: there is no vector store "{name[:200]}"; it may have been deleted. GET /v1/vector_stores'
                " and GET /v1/vector-dbs list those there are.",
                param=param,
            )
        if not also_expired and has_expired(store, self.service.clock.now()):
            raise expired(store.id, param)
        return store

    async def find(self, owner: Owner, name: str) -> StoredVectorStore | None:
        known = self._ids.get((owner, name), "")
        wanted = [one for one in (name, known) if one]
        found = await self.service.records.find_stores(owner, wanted)
        if name in found:
            return found[name]
        store = found.get(known)
        if store is not None and name_of(store) == name:
            return store
        return next((one for one in await self._registered(owner) if name_of(one) == name), None)

    async def register(self, owner: Owner, body: RegisterVectorDb) -> VectorDb:
        """A vector store under this name; the one that is there, where it is the same.

        Raises Conflict where it is another one, InvalidRequest, and what making a vector store raises.
        """
        if body.provider_vector_db_id not in (UNSET, None, "", body.vector_db_id):
            raise InvalidRequest(
                "`provider_vector_db_id`: the name in the index is the server's own; leave it out.",
                param="provider_vector_db_id",
            )
        async with self._registering:
            store = await self.find(owner, body.vector_db_id)
            if store is not None:
                self._check_same(store, body)
                return shown(store)
            made = await self.service.create(
                owner,
                CreateVectorStore(
                    name=body.vector_db_name or body.vector_db_id,
                    metadata={KEY: body.vector_db_id},
                    provider_id=body.provider_id or UNSET,
                    embedding_model=body.embedding_model or UNSET,
                    embedding_dimension=body.embedding_dimension if body.embedding_model else UNSET,
                ),
            )
            return shown((await self.service.records.find_stores(owner, [made.id]))[made.id])

    async def list_all(self, owner: Owner) -> VectorDbList:
        """Every store of the owner: those that were registered by their names, the others by their ids."""
        return VectorDbList(data=[shown(one) for one in await self._all(owner)])

    async def _registered(self, owner: Owner) -> Sequence[StoredVectorStore]:
        stores = [one for one in await self._all(owner) if name_of(one) != one.id]
        if len(self._ids) + len(stores) > _KEPT:
            self._ids.clear()
        self._ids |= {(owner, name_of(one)): one.id for one in reversed(stores)}
        return stores

    async def _all(self, owner: Owner) -> list[StoredVectorStore]:
        """The oldest first."""
        stores: list[StoredVectorStore] = []
        after: str | None = None
        while True:
            page = KnowledgePage(_PAGE, newest_first=False, after=after)
            found = [one.store for one in await self.service.records.list_stores(owner, page)]
            stores += found
            if len(found) < _PAGE:
                return stores
            after = found[-1].id

    @staticmethod
    def _check_same(store: StoredVectorStore, body: RegisterVectorDb) -> None:
        for field, wanted, there in (
            ("embedding_model", body.embedding_model, store.embedding_model),
            (
                "embedding_dimension",
                body.embedding_dimension if body.embedding_model else None,
                store.dimension,
            ),
            ("provider_id", body.provider_id, store.provider_id),
        ):
            if wanted and wanted != there:
                raise Conflict(
                    f'`{field}`: "{body.vector_db_id}" is there already, with {field} {there or "none"}; unregister it'
                    " first, or register another name.",
                    param=field,
                )


def name_of(store: StoredVectorStore) -> str:
    """The name that it was registered under, else its id."""
    name = decode_json(store.metadata).get(KEY)
    return name if isinstance(name, str) and name else store.id


def shown(store: StoredVectorStore) -> VectorDb:
    return VectorDb(
        identifier=name_of(store),
        provider_resource_id=store.id,
        provider_id=store.provider_id,
        embedding_model=store.embedding_model,
        embedding_dimension=store.dimension,
        vector_db_name=store.name,
    )
