"""Chunks that a caller cuts: put into a vector store, and found there with those of files."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from sys import float_info
from typing import Any

from antiphon.core.errors import AntiphonError, EmbeddingMismatch, InvalidRequest, UnsupportedParameter
from antiphon.core.filters import Scalar
from antiphon.core.ranking_options import SearchRankingOptions, ranking_of
from antiphon.core.searching import FoundChunk, Ranking, SearchMode, SearchRequest
from antiphon.core.vectors import packed, unit
from antiphon.core.wire import UNSET, JsonObject, UnsetType, decode_json, encode
from antiphon.ports import Owner
from antiphon.ports.knowledge import Chunk, StoredVectorStore
from antiphon.vector_io.content import text_of
from antiphon.vector_io.shapes import (
    FoundChunkObject,
    GivenChunk,
    InsertChunks,
    QueryChunks,
    QueryChunksAnswer,
    QueryParams,
    Ranker,
)
from antiphon.vector_io.stores import NamedStores
from antiphon.vector_stores.indexes import collection_of

DOCUMENT = "document:"
"""How the `file_id` of such chunks begins: no file has such an id."""
_CHUNK = "chunk:"
_DEFAULT_FOUND = 3
_MAX_ATTRIBUTES = 16
_MAX_KEY = 64
_MAX_VALUE = 512
_MAX_DOCUMENT = 500
_TEXTS = ("text/", "application/json", "application/yaml", "application/xml")


@dataclass(frozen=True, slots=True)
class VectorIo:
    stores: NamedStores

    async def insert(self, owner: Owner, body: InsertChunks) -> None:
        """Put chunks into a store; one of an id that is there is replaced. All of them or none; durable.

        Raises NotFound, InvalidRequest and EmbeddingMismatch, naming the field, and what the embedding model raises.
        """
        if body.ttl_seconds:
            raise UnsupportedParameter(
                "`ttl_seconds`: chunks do not expire one by one. Give the vector store `expires_after`.",
                param="ttl_seconds",
            )
        store = await self.stores.asked_for(owner, body.vector_store_id, body.vector_db_id)
        chunks = [_chunk(one, store, at) for at, one in enumerate(body.chunks)]
        await self.put(owner, store, chunks)

    async def put(
        self, owner: Owner, store: StoredVectorStore, chunks: Sequence[Chunk], documents: Sequence[str] = ()
    ) -> None:
        """Embed those that have no vector, and write them all, in place of what there was of these documents."""
        service = self.stores.service
        missing = [one for one in chunks if store.dimension and not one.vector]
        texts = [one.searched for one in missing]
        vectors: Sequence[bytes] = ()
        if texts:
            vectors = await service.embedder.embed(
                owner, store.embedding_model, texts, dimension=store.dimension
            )
        made = {one.id: replace(one, vector=vector) for one, vector in zip(missing, vectors, strict=True)}
        index, collection = service.indexes.of(store), collection_of(store)
        for document in documents:
            await index.remove_file(collection, document)
        await index.put(collection, [made.get(one.id, one) for one in chunks])
        await service.records.touch_store(owner, store.id, service.clock.now())

    async def query(self, owner: Owner, body: QueryChunks) -> QueryChunksAnswer:
        """Raises NotFound, InvalidRequest, and what `Searcher.search` raises."""
        store = await self.stores.asked_for(owner, body.vector_store_id, body.vector_db_id)
        text = text_of(body.query, "query")
        found = await self.search(owner, [store], text, body.params or QueryParams(), "params")
        return QueryChunksAnswer(
            chunks=[_shown(one, store) for one in found], scores=[one.score for one in found]
        )

    async def search(
        self, owner: Owner, stores: Sequence[StoredVectorStore], text: str, params: QueryParams, field: str
    ) -> Sequence[FoundChunk]:
        """`field` is where the parameters stand. Raises InvalidRequest, and what `Searcher.search` raises."""
        if not text.strip():
            raise InvalidRequest("`query`: holds nothing to look for.", param="query")
        service = self.stores.service
        request = SearchRequest(
            store_ids=tuple(one.id for one in stores),
            queries=(text,),
            limit=params.max_chunks or _DEFAULT_FOUND,
            mode=_mode(params.mode),
            ranking=_ranking(params, field, service.default_reranker),
        )
        try:
            return (await service.searcher.search(owner, request)).found
        except AntiphonError as error:
            if error.param == "search_mode":
                error.param = f"{field}.mode"
                error.message = error.message.replace("`search_mode`", f"`{error.param}`")
            raise


def _mode(given: SearchMode | UnsetType | None) -> SearchMode:
    return given or "auto"


def _ranking(params: QueryParams, field: str, default_reranker: str) -> Ranking:
    ranker = params.ranker or None
    if isinstance(ranker, Ranker):
        wrong = "alpha" if ranker.type == "rrf" else "impact_factor"
        if getattr(ranker, wrong):
            raise InvalidRequest(
                f'`{field}.ranker.{wrong}`: does not go with ranker "{ranker.type}"; leave it out.',
                param=f"{field}.ranker.{wrong}",
            )
    options = SearchRankingOptions(
        ranker=ranker.type if ranker is not None else UNSET,
        impact_factor=ranker.impact_factor if ranker is not None else UNSET,
        alpha=ranker.alpha if ranker is not None else UNSET,
        score_threshold=params.score_threshold,
    )
    return ranking_of(options, f"{field}.ranker", default_reranker=default_reranker)


# --- chunks in --------------------------------------------------------------------------------------------------
def _chunk(given: GivenChunk, store: StoredVectorStore, at: int) -> Chunk:
    path = f"chunks[{at}]"
    text = text_of(given.content, f"{path}.content")
    if not text.strip():
        raise InvalidRequest(f"`{path}.content`: holds no text.", param=f"{path}.content")
    if given.mime_type and not given.mime_type.startswith(_TEXTS):
        raise InvalidRequest(
            f"`{path}.mime_type`: a chunk is a text; give documents to the RAG tool, or to a vector store as a file.",
            param=f"{path}.mime_type",
        )
    metadata: JsonObject = given.metadata or {}
    if given.document_id:
        metadata = {"document_id": given.document_id, **metadata}
    beside = given.chunk_metadata or None
    document = metadata.get("document_id") or (beside.document_id if beside is not None else None)
    document_id = str(document) if isinstance(document, str | int) else ""
    given_id = given.chunk_id or given.stored_chunk_id or (beside.chunk_id if beside is not None else None)
    chunk_id = given_id or told_id(document_id, text)
    kept = {"chunk_id": chunk_id, "metadata": metadata, "chunk_metadata": beside or {}}
    return Chunk(
        id=_CHUNK + chunk_id,
        file_id=document_of(document_id or chunk_id),
        number=at,
        text=text,
        vector=_vector(given, store, path),
        attributes=attributes_of(metadata),
        metadata=encode(kept),
    )


def document_of(document_id: str) -> str:
    """What stands for a caller's document where a file's id stands else: another one for each, however long."""
    if len(document_id) > _MAX_DOCUMENT:
        digest = hashlib.sha256(document_id.encode("utf-8", "surrogatepass")).hexdigest()
        document_id = f"{document_id[: _MAX_DOCUMENT - len(digest)]}{digest}"
    return DOCUMENT + document_id


def told_id(document_id: str, text: str) -> str:
    """The same for the same text of the same document."""
    return hashlib.sha256(f"{document_id}\0{text}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


def attributes_of(metadata: Mapping[str, Any]) -> dict[str, Scalar]:
    """What filters look at: the plain values among the metadata, as far as attributes go."""
    found: dict[str, Scalar] = {}
    for key, value in metadata.items():
        if isinstance(value, str):
            plain = len(value) <= _MAX_VALUE
        else:
            plain = isinstance(value, bool | int | float) and abs(value) <= float_info.max
        if plain and 0 < len(key) <= _MAX_KEY and len(found) < _MAX_ATTRIBUTES:
            found[key] = value
    return found


def _vector(given: GivenChunk, store: StoredVectorStore, path: str) -> bytes:
    """Raises EmbeddingMismatch for a vector that is not one of this store's."""
    numbers = given.embedding or []
    if not numbers:
        return b""
    param = f"{path}.embedding"
    if not store.dimension:
        raise EmbeddingMismatch(
            f'`{param}`: the vector store "{store.id}" has no vectors; leave it out, or make a store with'
            " `embedding_model`.",
            param=param,
        )
    if len(numbers) != store.dimension:
        raise EmbeddingMismatch(
            f"`{param}`: {len(numbers)} numbers, and the vectors of this store have {store.dimension}.",
            param=param,
        )
    if given.embedding_dimension and given.embedding_dimension != len(numbers):
        where = f"{path}.embedding_dimension"
        raise EmbeddingMismatch(f"`{where}`: the embedding has {len(numbers)} numbers.", param=where)
    if given.embedding_model and not _is_same_model(given.embedding_model, store.embedding_model):
        where = f"{path}.embedding_model"
        raise EmbeddingMismatch(
            f'`{where}`: the vectors of this store are those of model "{store.embedding_model}".', param=where
        )
    if not all(math.isfinite(one) for one in numbers):
        raise InvalidRequest(f"`{param}`: holds a number that is not finite.", param=param)
    return _packed(numbers, param)


def _packed(numbers: Sequence[float], param: str) -> bytes:
    try:
        return unit(packed(numbers))
    except (OverflowError, ValueError):
        raise InvalidRequest(f"`{param}`: holds a number that is too large.", param=param) from None


def _is_same_model(one: str, other: str) -> bool:
    """Names with and without their provider mean the same."""
    return one == other or one.endswith(f"/{other}") or other.endswith(f"/{one}")


# --- chunks out -------------------------------------------------------------------------------------------------
def metadata_of(found: FoundChunk) -> tuple[JsonObject, JsonObject]:
    """What was given with a chunk, and beside it; of a file's chunk what is known of the file."""
    kept = decode_json(found.metadata)
    if found.file_id.startswith(DOCUMENT) and "chunk_id" in kept:
        return kept.get("metadata", {}), {**kept.get("chunk_metadata", {}), "chunk_id": kept["chunk_id"]}
    about = {**found.attributes, "document_id": found.file_id, "filename": found.filename, **kept}
    return about, {"chunk_id": found.chunk_id, "document_id": found.file_id, "source": found.filename}


def _shown(found: FoundChunk, store: StoredVectorStore) -> FoundChunkObject:
    metadata, beside = metadata_of(found)
    chunk_id = str(beside["chunk_id"])
    return FoundChunkObject(
        chunk_id=chunk_id,
        stored_chunk_id=chunk_id,
        content=found.text,
        metadata=metadata,
        chunk_metadata=beside,
        embedding_model=store.embedding_model,
        embedding_dimension=store.dimension,
    )
