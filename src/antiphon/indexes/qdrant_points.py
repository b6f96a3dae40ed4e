"""`Points`: the chunks of collections as points of Qdrant, and filters as its conditions.

A collection has vectors `dense`, and sparse vectors `words`: a number for each word, with what it counts for in BM25;
Qdrant multiplies that by how rare the word is.
"""

import hashlib
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar, assert_never

import msgspec
from qdrant_client import models

from antiphon.core.filters import AttributeFilter, Attributes, Scalar
from antiphon.core.vectors import packed, unpacked
from antiphon.core.words import words_in
from antiphon.indexes.flat_attributes import (
    Every,
    Field,
    OneOf,
    Ordered,
    Plain,
    Some,
    Tie,
    begins_alike,
    fields_of,
    plain,
    sortable,
    ties,
)
from antiphon.indexes.qdrant_calls import AlreadyThere, NotThere, QdrantCalls
from antiphon.ports.knowledge import Chunk, Collection, Hit

T = TypeVar("T")

Place = tuple[str, int, str]
"""File, number and id of a chunk: its place among the others."""

DENSE: Final = "dense"
WORDS: Final = "words"
USUAL_LENGTH: Final = 300
"""Words of a chunk, for BM25: how long the others are is not known when one is put."""
BATCH_ROWS: Final = 256
PAGE_ROWS: Final = 5_000
_NAMESPACE: Final = uuid.UUID("7d3f7a53-6d0b-5c5e-9d0c-9b3c6f2f4a11")
_PLAIN_NAME = re.compile(r"[a-zA-Z0-9._-]{1,200}")
_FLAT: Final = "flat"


class Points:
    """Raises what `QdrantCalls` raises, and IndexUnavailable for a collection that is not there."""

    def __init__(self, calls: QdrantCalls) -> None:
        self._calls = calls
        self._indexed: dict[str, set[str]] = {}

    async def _ask(self, method: str, collection: Collection, **arguments: Any) -> Any:
        try:
            return await self._calls.ask(method, _name(collection.id), **arguments)
        except NotThere:
            raise self._calls.unavailable(
                f"has no collection {collection.id}; it was dropped, or never made."
            ) from None

    # --- collections
    async def create(self, collection: Collection) -> None:
        dense = models.VectorParams(size=max(collection.dimension, 1), distance=models.Distance.DOT)
        sparse = models.SparseVectorParams(modifier=models.Modifier.IDF)
        try:
            await self._calls.ask(
                "create_collection",
                _name(collection.id),
                vectors_config={DENSE: dense} if collection.dimension else {},
                sparse_vectors_config={WORDS: sparse},
            )
        except AlreadyThere:
            return
        for key in ("file", "chunk"):
            await self._index(collection, key, models.PayloadSchemaType.KEYWORD)

    async def _index(self, collection: Collection, key: str, kind: models.PayloadSchemaType) -> None:
        """A server finds values of fields by indexes of its own; the local mode looks at all."""
        known = self._indexed.setdefault(collection.id, set())
        if self._calls.local or key in known:
            return
        await self._ask("create_payload_index", collection, field_name=key, field_schema=kind, wait=True)
        known.add(key)

    async def drop(self, collection: Collection) -> None:
        self._indexed.pop(collection.id, None)
        try:
            await self._calls.ask("delete_collection", _name(collection.id))
        except NotThere:
            return

    # --- writing
    async def put(self, collection: Collection, chunks: Sequence[Chunk]) -> None:
        await self._index_fields(collection, [one.attributes for one in chunks])
        for some in _slices(chunks, BATCH_ROWS):
            points = [_point(collection, one) for one in some]
            await self._ask("upsert", collection, points=points, wait=True)

    async def _index_fields(self, collection: Collection, given: Iterable[Attributes]) -> None:
        if not self._calls.local:
            for key, kind in {key: kind for one in given for key, kind in _schemas(one)}.items():
                await self._index(collection, key, kind)

    async def remove_file(self, collection: Collection, file_id: str) -> None:
        await self._ask("delete", collection, points_selector=_is("file", file_id), wait=True)

    async def set_attributes(self, collection: Collection, file_id: str, attributes: Attributes) -> None:
        await self._index_fields(collection, [attributes])
        await self._ask(
            "set_payload", collection, payload=_attributes(attributes), points=_is("file", file_id), wait=True
        )

    # --- reading
    async def count(self, collection: Collection) -> int:
        counted: models.CountResult = await self._ask("count", collection, exact=True)
        return counted.count

    async def _scrolled(
        self, collection: Collection, which: models.Filter | None, fields: Sequence[str]
    ) -> list[models.Record]:
        found: list[models.Record] = []
        offset: Any = None
        while True:
            some, offset = await self._ask(
                "scroll",
                collection,
                scroll_filter=which,
                limit=PAGE_ROWS,
                offset=offset,
                with_payload=list(fields),
                with_vectors=False,
            )
            found += some
            if offset is None:
                return found

    async def places(
        self, collection: Collection, *, file_id: str | None = None, chunk_id: str | None = None
    ) -> list[Place]:
        which = None if file_id is None else _is("file", file_id)
        which = which if chunk_id is None else _is("chunk", chunk_id)
        records = await self._scrolled(collection, which, ["file", "number", "chunk"])
        return [_place(record.payload or {}) for record in records]

    async def read(self, collection: Collection, places: Sequence[Place]) -> list[Chunk]:
        """Chunks in this order, with their vectors; those that went meanwhile are left out."""
        names = [_identity(collection, place[2]) for place in places]
        vectors: Any = [DENSE] if collection.dimension else False
        found: dict[str, Chunk] = {}
        for some in _slices(names, PAGE_ROWS):
            records = await self._ask(
                "retrieve", collection, ids=some, with_payload=True, with_vectors=vectors
            )
            found |= {str(one.id): _chunk(one.payload, one.vector) for one in records}
        return [found[name] for name in names if name in found]

    async def nearest(
        self, collection: Collection, vector: bytes, limit: int, where: models.Filter | None, *, exact: bool
    ) -> list[Hit]:
        return await self._query(
            collection, unpacked(vector).tolist(), DENSE, limit, where, models.SearchParams(exact=exact)
        )

    async def holding(
        self, collection: Collection, words: Sequence[str], limit: int, where: models.Filter | None
    ) -> list[Hit]:
        """Chunks of any of these words."""
        numbers = sorted({_number(word) for word in words})
        asked = models.SparseVector(indices=numbers, values=[1.0] * len(numbers))
        hits = await self._query(collection, asked, WORDS, limit, where, None)
        # Two words may have one number; and one that every chunk has may count for nothing.
        wanted = set(words)
        return [hit for hit in hits if not wanted.isdisjoint(words_in(hit.chunk.searched))]

    async def _query(
        self,
        collection: Collection,
        asked: Any,
        using: str,
        limit: int,
        where: models.Filter | None,
        parameters: models.SearchParams | None,
    ) -> list[Hit]:
        answer = await self._ask(
            "query_points",
            collection,
            query=asked,
            using=using,
            limit=limit,
            query_filter=where,
            search_params=parameters,
            with_payload=True,
        )
        return [Hit(_chunk(one.payload, None), one.score) for one in answer.points]

    async def condition(self, collection: Collection, where: AttributeFilter | None) -> models.Filter | None:
        if where is None:
            return None
        tied: dict[Tie, list[str]] = {}
        for tie in ties(where):
            key = _key(Field("text", tie[0]))
            records = await self._scrolled(collection, _condition(begins_alike(tie)), [f"{_FLAT}.{key}"])
            tied[tie] = [(record.payload or {})[_FLAT][key] for record in records]
        return _condition(plain(where, tied))


def _name(collection_id: str) -> str:
    if _PLAIN_NAME.fullmatch(collection_id):
        return f"antiphon-{collection_id}"
    return f"antiphon-sha256-{hashlib.sha256(collection_id.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _slices(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


# --- points -----------------------------------------------------------------------------------------------------
def _identity(collection: Collection, chunk_id: str) -> str:
    """Ids of points are UUIDs; the same for the same chunk."""
    return str(uuid.uuid5(_NAMESPACE, f"{collection.id}\n{chunk_id}"))


def _number(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=4).digest(), "big")


def _point(collection: Collection, one: Chunk) -> models.PointStruct:
    vectors: dict[str, Any] = {WORDS: _sparse(words_in(one.searched))}
    if one.vector:
        vectors[DENSE] = unpacked(one.vector).tolist()
    payload = {
        "chunk": one.id,
        "file": one.file_id,
        "number": one.number,
        "text": one.text,
        "context": one.context,
        "metadata": one.metadata.decode(),
        **_attributes(one.attributes),
    }
    return models.PointStruct(id=_identity(collection, one.id), vector=vectors, payload=payload)


def _sparse(words: Mapping[str, int]) -> models.SparseVector:
    norm = 0.3 + 0.9 * sum(words.values()) / USUAL_LENGTH
    weights: dict[int, float] = {}
    for word, times in words.items():
        number = _number(word)
        weights[number] = weights.get(number, 0.0) + times * 2.2 / (times + norm)
    numbers = sorted(weights)
    return models.SparseVector(indices=numbers, values=[weights[number] for number in numbers])


def _attributes(attributes: Attributes) -> dict[str, Any]:
    """Fields that filters look at, and the attributes as they were given."""
    flat: dict[str, Scalar] = {}
    for field, value in fields_of(attributes):
        flat[_key(field)] = value
        if field.kind == "number" and not isinstance(value, str):
            flat[_exact(field)] = sortable(value)
    return {_FLAT: flat, "attributes": msgspec.json.encode(attributes).decode()}


def _schemas(attributes: Attributes) -> Iterator[tuple[str, models.PayloadSchemaType]]:
    kinds = {
        "text": models.PayloadSchemaType.KEYWORD,
        "boolean": models.PayloadSchemaType.BOOL,
        "number": models.PayloadSchemaType.FLOAT,
        "order": models.PayloadSchemaType.INTEGER,
    }
    for field, _ in fields_of(attributes):
        yield f"{_FLAT}.{_key(field)}", kinds[field.kind]
        if field.kind == "number":
            yield f"{_FLAT}.{_exact(field)}", models.PayloadSchemaType.INTEGER


def _place(payload: Mapping[str, Any]) -> Place:
    return (payload["file"], payload["number"], payload["chunk"])


def _chunk(payload: Mapping[str, Any] | None, vector: Any) -> Chunk:
    given = payload or {}
    return Chunk(
        given["chunk"],
        given["file"],
        given["number"],
        given["text"],
        given["context"],
        packed(vector[DENSE]) if vector else b"",
        msgspec.json.decode(given["attributes"], type=dict[str, bool | float | str]),
        given["metadata"].encode(),
    )


# --- conditions -------------------------------------------------------------------------------------------------
def _key(field: Field) -> str:
    """Attributes have any names, and paths of Qdrant have a grammar: so the name in hexadecimal."""
    return f"{field.kind}{field.piece or ''}_{field.key.encode('utf-8', 'surrogatepass').hex()}"


def _exact(field: Field) -> str:
    """Where a number is as a whole one of 64 bits: Qdrant compares floats by ranges, whole numbers for being equal."""
    return "exact_" + _key(field)


def _is(key: str, value: str) -> models.Filter:
    return models.Filter(must=[models.FieldCondition(key=key, match=models.MatchValue(value=value))])


def _condition(condition: Plain) -> models.Filter:
    match condition:
        case OneOf(field, values, negated):
            matches: list[models.Condition] = list(_matches(field, values))
            return models.Filter(must_not=matches) if negated else models.Filter(should=matches)
        case Ordered(field, sign, value):
            found = models.FieldCondition(key=f"{_FLAT}.{_key(field)}", range=models.Range(**{sign: value}))
            return models.Filter(must=[found])
        case Every(parts):
            return models.Filter(must=[_condition(one) for one in parts])
        case Some(parts):
            return models.Filter(should=[_condition(one) for one in parts])
        case _:
            assert_never(condition)


def _matches(field: Field, values: Sequence[Scalar]) -> Iterator[models.FieldCondition]:
    key = f"{_FLAT}.{_exact(field) if field.kind == 'number' else _key(field)}"
    if field.kind == "boolean":
        for value in values:
            yield models.FieldCondition(key=key, match=models.MatchValue(value=bool(value)))
        return
    if field.kind == "text":
        texts = [value for value in values if isinstance(value, str)]
        yield models.FieldCondition(key=key, match=models.MatchAny(any=texts))
        return
    numbers = [value for value in values if not isinstance(value, str)]
    whole = [sortable(one) if field.kind == "number" else int(one) for one in numbers]
    yield models.FieldCondition(key=key, match=models.MatchAny(any=whole))
