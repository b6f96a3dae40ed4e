"""What the `/v1/vector_stores` routes answer.

Source: `VectorStoreObject`, `VectorStoreFileObject`, `VectorStoreFileBatchObject`, `VectorStoreFileContentResponse` and
`VectorStoreSearchResultsPage` of the official OpenAPI. `provider_id`, `embedding_model` and `embedding_dimension` of a
store, and what chunks say besides their text where it is asked for, are extensions.
"""

from collections.abc import Sequence
from typing import Literal

from antiphon.core.chunking_strategy import (
    ChunkingStrategy,
    ContextualStrategy,
    StaticSizes,
    StaticStrategy,
    decode_strategy,
    sizes_of,
)
from antiphon.core.filters import Scalar
from antiphon.core.searching import FoundChunk, SearchAnswer
from antiphon.core.vectors import unpacked
from antiphon.core.wire import UNSET, JsonObject, UnsetType, Wire, decode_json
from antiphon.ports.knowledge import (
    Chunk,
    FileCounts,
    FileErrorCode,
    FileStatus,
    StoredBatch,
    StoredVectorFile,
    StoreSummary,
)
from antiphon.vector_stores.shapes import ExpiresAfter


class Counts(Wire):
    in_progress: int
    completed: int
    cancelled: int
    failed: int
    total: int


class VectorStoreObject(Wire):
    """Times are Unix seconds. With no `embedding_model` the store is searched by keywords."""

    id: str
    created_at: int
    name: str
    usage_bytes: int
    file_counts: Counts
    status: Literal["expired", "in_progress", "completed"]
    last_active_at: int
    metadata: dict[str, str]
    provider_id: str
    expires_after: ExpiresAfter | UnsetType = UNSET
    expires_at: int | None = None
    description: str | None = None
    embedding_model: str | UnsetType = UNSET
    embedding_dimension: int | UnsetType = UNSET
    object: Literal["vector_store"] = "vector_store"


class LastError(Wire):
    code: FileErrorCode
    message: str


class VectorStoreFileObject(Wire):
    """`chunking_strategy` is what was done: `auto` is shown by its sizes. `usage_bytes` are those of the chunks."""

    id: str
    usage_bytes: int
    created_at: int
    vector_store_id: str
    status: FileStatus
    last_error: LastError | None
    chunking_strategy: ChunkingStrategy
    attributes: dict[str, Scalar]
    object: Literal["vector_store.file"] = "vector_store.file"


class FileBatchObject(Wire):
    id: str
    created_at: int
    vector_store_id: str
    status: FileStatus
    file_counts: Counts
    object: Literal["vector_store.files_batch"] = "vector_store.files_batch"


class VectorStoreList(Wire):
    """The ids are empty when the page is."""

    data: list[VectorStoreObject]
    first_id: str
    last_id: str
    has_more: bool
    object: Literal["list"] = "list"


class VectorStoreFileList(Wire):
    """The ids are empty when the page is."""

    data: list[VectorStoreFileObject]
    first_id: str
    last_id: str
    has_more: bool
    object: Literal["list"] = "list"


class ChunkContent(Wire):
    """A chunk of the text. What is not asked for is left out."""

    text: str
    type: Literal["text"] = "text"
    embedding: list[float] | UnsetType | None = UNSET
    chunk_metadata: JsonObject | UnsetType = UNSET
    metadata: dict[str, Scalar] | UnsetType = UNSET


class FileContentPage(Wire):
    """`next_page` is a chunk's id; the page behind it is asked for with `after`."""

    data: list[ChunkContent]
    has_more: bool
    next_page: str | None
    object: Literal["vector_store.file_content.page"] = "vector_store.file_content.page"


class ResultContent(Wire):
    text: str
    type: Literal["text"] = "text"


class SearchResult(Wire):
    file_id: str
    filename: str
    score: float
    attributes: dict[str, Scalar]
    content: list[ResultContent]


class SearchResults(Wire):
    """Best first. `search_query` are the queries that were asked in the end."""

    search_query: list[str]
    data: list[SearchResult]
    has_more: bool = False
    next_page: str | None = None
    object: Literal["vector_store.search_results.page"] = "vector_store.search_results.page"


def counts_shown(counts: FileCounts) -> Counts:
    return Counts(
        in_progress=counts.in_progress,
        completed=counts.completed,
        cancelled=counts.cancelled,
        failed=counts.failed,
        total=counts.total,
    )


def store_shown(summary: StoreSummary, *, expired: bool) -> VectorStoreObject:
    store, counts = summary.store, summary.counts
    days = store.expires_after_days
    return VectorStoreObject(
        id=store.id,
        created_at=store.created_at,
        name=store.name,
        usage_bytes=0 if expired else summary.usage_bytes,
        file_counts=counts_shown(counts),
        status="expired" if expired else "in_progress" if counts.in_progress else "completed",
        last_active_at=store.last_active_at,
        metadata=decode_json(store.metadata),
        provider_id=store.provider_id,
        expires_after=UNSET if days is None else ExpiresAfter(anchor="last_active_at", days=days),
        expires_at=store.expires_at,
        description=store.description or None,
        embedding_model=store.embedding_model or UNSET,
        embedding_dimension=store.dimension or UNSET,
    )


def file_shown(file: StoredVectorFile) -> VectorStoreFileObject:
    return VectorStoreFileObject(
        id=file.file_id,
        usage_bytes=file.usage_bytes,
        created_at=file.created_at,
        vector_store_id=file.store_id,
        status=file.status,
        last_error=None
        if file.error_code is None
        else LastError(code=file.error_code, message=file.error_message or ""),
        chunking_strategy=_strategy_shown(decode_strategy(file.chunking)),
        attributes=decode_json(file.attributes),
    )


def _strategy_shown(strategy: ChunkingStrategy) -> ChunkingStrategy:
    if isinstance(strategy, ContextualStrategy):
        return strategy
    sizes = sizes_of(strategy)
    static = StaticSizes(max_chunk_size_tokens=sizes.max_tokens, chunk_overlap_tokens=sizes.overlap_tokens)
    return StaticStrategy(static=static)


def batch_shown(batch: StoredBatch, counts: FileCounts) -> FileBatchObject:
    return FileBatchObject(
        id=batch.id,
        created_at=batch.created_at,
        vector_store_id=batch.store_id,
        status=_batch_status(batch, counts),
        file_counts=counts_shown(counts),
    )


def _batch_status(batch: StoredBatch, counts: FileCounts) -> FileStatus:
    """Failed is a batch all of whose files did: one failed file spoils no batch."""
    if batch.cancelled:
        return "cancelled"
    if counts.in_progress:
        return "in_progress"
    return "failed" if counts.total and counts.failed == counts.total else "completed"


def content_shown(chunks: Sequence[Chunk], *, embeddings: bool, metadata: bool) -> list[ChunkContent]:
    return [
        ChunkContent(
            text=one.text,
            embedding=(unpacked(one.vector).tolist() or None) if embeddings else UNSET,
            chunk_metadata={"chunk_id": one.id, "document_id": one.file_id, **decode_json(one.metadata)}
            if metadata
            else UNSET,
            metadata=dict(one.attributes) if metadata else UNSET,
        )
        for one in chunks
    ]


def results_shown(answer: SearchAnswer) -> SearchResults:
    return SearchResults(search_query=list(answer.queries), data=[_result_shown(one) for one in answer.found])


def _result_shown(found: FoundChunk) -> SearchResult:
    return SearchResult(
        file_id=found.file_id,
        filename=found.filename,
        score=found.score,
        attributes=dict(found.attributes),
        content=[ResultContent(text=found.text)],
    )
