"""The configured indexes: which of them a new vector store gets, and which one holds a store's chunks."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from antiphon.core.errors import IndexUnavailable, InvalidRequest
from antiphon.ports.knowledge import Collection, StoredVectorStore, VectorIndex


@dataclass(frozen=True, slots=True)
class Indexes:
    """`by_id` are at least one, the default one first."""

    by_id: Mapping[str, VectorIndex]

    def chosen(self, provider_id: str = "", param: str = "provider_id") -> str:
        """The id of the index of a new store: the one asked for, else the default one. Raises InvalidRequest."""
        wanted = provider_id or next(iter(self.by_id))
        if wanted not in self.by_id:
            raise InvalidRequest(
                f'`{param}`: there is no vector index "{wanted[:100]}" here; there are: {", ".join(self.by_id)}.',
                param=param,
            )
        return wanted

    def of(self, store: StoredVectorStore) -> VectorIndex:
        """Raises IndexUnavailable for a store whose index is not configured any more."""
        index = self.by_id.get(store.provider_id)
        if index is None:
            raise IndexUnavailable(
                f'the chunks of vector store "{store.id}" are in the index "{store.provider_id}", which this server is'
                " not configured with any more; put it back into providers.vector_io, or make a new store."
            )
        return index


def collection_of(store: StoredVectorStore) -> Collection:
    """Where its chunks are."""
    name = f"{store.id}_{store.generation}" if store.generation else store.id
    return Collection(name, store.dimension)


def left_overs(store: StoredVectorStore) -> list[Collection]:
    """What runs that embed it anew may have left when they were ended half-way: the collection before its own, and the
    one behind that. They may be in any index.
    """
    generations = {store.generation - 1, store.generation + 1} - {-1}
    return [collection_of(replace(store, generation=one)) for one in sorted(generations)]
