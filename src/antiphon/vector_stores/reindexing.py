"""`Reindexing`: the chunks of a vector store embedded anew, by another model or by one that changed, or kept elsewhere.

They are read from the index and written to a collection of another generation; then, by one write to one row, the store
is that collection. A crash before leaves the store as it was, one after leaves a collection that nobody looks at:
the next run removes it, whichever it was.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from antiphon.core.errors import Conflict, EmbeddingMismatch
from antiphon.ports import Owner
from antiphon.ports.knowledge import Chunk, Embedder, StoredVectorStore, VectorIndex, VectorStoreRecords
from antiphon.vector_stores.indexes import Indexes, collection_of, left_overs

CHUNKS_AT_ONCE = 256
_PROBE = "How large is it?"
Progress = Callable[[int, int], None]
"""How many chunks are done, of how many."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What a store is to become. None: as it is; an `embedding_model` of "" is none, for searches by keywords."""

    embedding_model: str | None = None
    provider_id: str | None = None


@dataclass(frozen=True, slots=True)
class Reindexing:
    """Nobody else may write to the stores meanwhile."""

    records: VectorStoreRecords
    indexes: Indexes
    embedder: Embedder

    async def reindex(
        self, owner: Owner, store: StoredVectorStore, goal: Goal, progress: Progress
    ) -> StoredVectorStore:
        """The store as it is then. Raises InvalidRequest for an unknown index, Conflict when the store changed, and
        what the indexes and the model raise; it is as it was then.
        """
        model = store.embedding_model if goal.embedding_model is None else goal.embedding_model
        provider_id = self.indexes.chosen(goal.provider_id or store.provider_id)
        made = replace(
            store,
            provider_id=provider_id,
            embedding_model=model,
            dimension=await self._dimension(owner, store, model),
            generation=store.generation + 1,
        )
        await self._remove_left_overs(store)
        index, collection = self.indexes.of(made), collection_of(made)
        await index.create(collection)
        try:
            await self._fill(owner, store, made, progress)
        except BaseException:
            await index.drop(collection)
            raise
        # From here on nothing new is dropped: whoever ends this now does not know whether the row was written.
        if not await self.records.move_store(owner, made):
            raise Conflict(f'vector store "{store.id}" was deleted meanwhile, or has expired.')
        await self.indexes.of(store).drop(collection_of(store))
        return made

    async def _dimension(self, owner: Owner, store: StoredVectorStore, model: str) -> int:
        """That of the model as it is now; of one that still makes, or can be cut to, that of the store, the store's."""
        if not model:
            return 0
        if model == store.embedding_model:
            with suppress(EmbeddingMismatch):
                await self.embedder.embed(owner, model, [_PROBE], dimension=store.dimension)
                return store.dimension
        (vector,) = await self.embedder.embed(owner, model, [_PROBE])
        return len(vector) // 4

    async def _remove_left_overs(self, store: StoredVectorStore) -> None:
        for left_over in left_overs(store):
            for index in self.indexes.by_id.values():
                await index.drop(left_over)

    async def _fill(
        self, owner: Owner, store: StoredVectorStore, made: StoredVectorStore, progress: Progress
    ) -> None:
        old, new = self.indexes.of(store), self.indexes.of(made)
        total = await old.count(collection_of(store))
        done = 0
        progress(done, total)
        async for chunks in _chunks_of(old, store):
            await new.put(collection_of(made), await self._embedded(owner, made, chunks))
            done += len(chunks)
            progress(done, total)
        counted = await new.count(collection_of(made))
        if not done == counted == await old.count(collection_of(store)):
            raise Conflict(
                f'vector store "{store.id}" was written to meanwhile; it is as it was. Stop the server, and run this'
                " again."
            )

    async def _embedded(self, owner: Owner, made: StoredVectorStore, chunks: list[Chunk]) -> list[Chunk]:
        if not made.embedding_model:
            return [replace(one, vector=b"") for one in chunks]
        texts = [one.searched for one in chunks]
        vectors = await self.embedder.embed(owner, made.embedding_model, texts, dimension=made.dimension)
        return [replace(one, vector=vector) for one, vector in zip(chunks, vectors, strict=True)]


async def _chunks_of(index: VectorIndex, store: StoredVectorStore) -> AsyncIterator[list[Chunk]]:
    after: str | None = None
    while found := list(await index.chunks(collection_of(store), None, after, CHUNKS_AT_ONCE)):
        yield found
        after = found[-1].id
