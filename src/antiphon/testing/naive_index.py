"""`NaiveIndex`: the meaning of `VectorIndex`, by looking at every chunk. For tests; nothing is kept."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from antiphon.core.errors import EmbeddingMismatch, IndexUnavailable, InvalidRequest
from antiphon.core.filters import AttributeFilter, Attributes, holds
from antiphon.ports.knowledge import Chunk, Collection, Hit
from antiphon.testing.index_samples import cosine

_WORD = re.compile(r"[^\W_]+")
# Scripts whose words are not told apart by spaces: each character is taken for a word.
_UNSPACED = re.compile(r"([\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff])")


def words(text: str) -> list[str]:
    return _WORD.findall(_UNSPACED.sub(r" \1 ", text).casefold())


class NaiveIndex:
    """Collections live in `data`, which another instance may be given to go on with."""

    def __init__(self, data: dict[str, dict[str, Chunk]] | None = None) -> None:
        self.data = {} if data is None else data
        self._closed = False

    def _of(self, collection: Collection) -> dict[str, Chunk]:
        if self._closed or collection.id not in self.data:
            raise IndexUnavailable(f'there is no collection "{collection.id}".')
        return self.data[collection.id]

    def _open(self) -> None:
        if self._closed:
            raise IndexUnavailable("the index is closed.")

    async def create(self, collection: Collection) -> None:
        self._open()
        self.data.setdefault(collection.id, {})

    async def drop(self, collection: Collection) -> None:
        self._open()
        self.data.pop(collection.id, None)

    async def put(self, collection: Collection, chunks: Sequence[Chunk]) -> None:
        kept = self._of(collection)
        for one in chunks:
            _check(collection, one.vector)
        kept |= {one.id: one for one in chunks}

    async def remove_file(self, collection: Collection, file_id: str) -> None:
        kept = self._of(collection)
        for one in [one for one in kept.values() if one.file_id == file_id]:
            del kept[one.id]

    async def set_attributes(self, collection: Collection, file_id: str, attributes: Attributes) -> None:
        kept = self._of(collection)
        kept |= {
            one.id: replace(one, attributes=attributes) for one in kept.values() if one.file_id == file_id
        }

    async def keyword(
        self, collection: Collection, text: str, limit: int, where: AttributeFilter | None = None
    ) -> Sequence[Hit]:
        """Scored by how many words of the text a chunk holds, and by how much of it they are."""
        asked = set(words(text))
        hits: list[Hit] = []
        for one in self._passing(collection, where):
            held = Counter(words(one.searched))
            score = sum(1 + held[word] / held.total() for word in asked if word in held)
            hits += [Hit(one, score)] if score else []
        return sorted(hits, key=lambda hit: (-hit.score, hit.chunk.id))[:limit]

    async def nearest(
        self, collection: Collection, vector: bytes, limit: int, where: AttributeFilter | None = None
    ) -> Sequence[Hit]:
        self._of(collection)
        _check(collection, vector)
        hits = [Hit(one, cosine(one.vector, vector)) for one in self._passing(collection, where)]
        return sorted(hits, key=lambda hit: (-hit.score, hit.chunk.id))[:limit]

    def _passing(self, collection: Collection, where: AttributeFilter | None) -> list[Chunk]:
        return [one for one in self._of(collection).values() if where is None or holds(where, one.attributes)]

    async def chunks(
        self, collection: Collection, file_id: str | None, after: str | None, limit: int
    ) -> Sequence[Chunk]:
        kept = self._of(collection)
        if after is not None and after not in kept:
            raise InvalidRequest(f'`after`: there is no chunk "{after}".', param="after")
        start = _place(kept[after]) if after is not None else ("", -1, "")
        chosen = [one for one in kept.values() if file_id in (None, one.file_id) and _place(one) > start]
        return sorted(chosen, key=_place)[:limit]

    async def count(self, collection: Collection) -> int:
        return len(self._of(collection))

    async def aclose(self) -> None:
        self._closed = True


def _place(one: Chunk) -> tuple[str, int, str]:
    return (one.file_id, one.number, one.id)


def _check(collection: Collection, vector: bytes) -> None:
    if len(vector) != 4 * collection.dimension:
        raise EmbeddingMismatch(
            f"a vector of {len(vector) // 4} numbers for a collection of {collection.dimension}."
        )
