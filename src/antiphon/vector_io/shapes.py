"""What the routes of Llama Stack's clients take and give.

Source: the types of llama-stack-client 0.3 to 0.7, and for `/v1/vector-dbs` those of 0.2. Clients up to 0.3 say
`vector_db_id` where later ones say `vector_store_id`; what they mean is the same, and so is it here.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta

from antiphon.core.wire import UNSET, JsonObject, UnsetType, Wire

MAX_CHUNKS = 1000
MAX_DOCUMENTS = 100
MAX_FOUND = 50

StoreName = Annotated[str, Meta(min_length=1, max_length=256)]
Name = Annotated[str, Meta(min_length=1, max_length=512)]
Content = Annotated[str, Meta(max_length=10 * 1024 * 1024)] | JsonObject | list[JsonObject]
"""A text, a part (`{"type": "text", "text"}`), or several."""
Vector = Annotated[list[float], Meta(max_length=65_536)]


class ChunkMetadata(Wire):
    """What a client keeps beside a chunk. It comes back as it is."""

    chunk_id: Name | UnsetType | None = UNSET
    document_id: Name | UnsetType | None = UNSET
    source: str | UnsetType | None = UNSET
    created_timestamp: int | UnsetType | None = UNSET
    updated_timestamp: int | UnsetType | None = UNSET
    chunk_window: str | UnsetType | None = UNSET
    chunk_tokenizer: str | UnsetType | None = UNSET
    chunk_embedding_model: str | UnsetType | None = UNSET
    chunk_embedding_dimension: int | UnsetType | None = UNSET
    content_token_count: int | UnsetType | None = UNSET
    metadata_token_count: int | UnsetType | None = UNSET


class GivenChunk(Wire):
    """`chunk_id` of 0.4 and later, `stored_chunk_id` of 0.3; without either it is told by document and content.
    `document_id` and `mime_type` are how the guides of 0.2 write a chunk.
    """

    content: Content
    metadata: JsonObject | UnsetType | None = UNSET
    chunk_metadata: ChunkMetadata | UnsetType | None = UNSET
    chunk_id: Name | UnsetType | None = UNSET
    stored_chunk_id: Name | UnsetType | None = UNSET
    document_id: Name | UnsetType | None = UNSET
    mime_type: Annotated[str, Meta(max_length=127)] | UnsetType | None = UNSET
    embedding: Vector | UnsetType | None = UNSET
    embedding_model: str | UnsetType | None = UNSET
    embedding_dimension: int | UnsetType | None = UNSET


class InsertChunks(Wire):
    chunks: Annotated[list[GivenChunk], Meta(min_length=1, max_length=MAX_CHUNKS)]
    vector_store_id: StoreName | UnsetType | None = UNSET
    vector_db_id: StoreName | UnsetType | None = UNSET
    ttl_seconds: int | UnsetType | None = UNSET


class Ranker(Wire):
    """`impact_factor` goes with `rrf`, `alpha` (the share of the vectors) with `weighted`."""

    type: Literal["rrf", "weighted"]
    impact_factor: float | UnsetType | None = UNSET
    alpha: float | UnsetType | None = UNSET


class QueryParams(Wire):
    max_chunks: Annotated[int, Meta(ge=1, le=MAX_FOUND)] | UnsetType | None = UNSET
    score_threshold: float | UnsetType | None = UNSET
    mode: Literal["vector", "keyword", "hybrid"] | UnsetType | None = UNSET
    ranker: Ranker | UnsetType | None = UNSET


class QueryChunks(Wire):
    query: Content
    vector_store_id: StoreName | UnsetType | None = UNSET
    vector_db_id: StoreName | UnsetType | None = UNSET
    params: QueryParams | UnsetType | None = UNSET


class FoundChunkObject(Wire):
    """`embedding` is empty: vectors stay in the index."""

    chunk_id: str
    stored_chunk_id: str
    content: str
    metadata: JsonObject
    chunk_metadata: JsonObject
    embedding_model: str
    embedding_dimension: int
    embedding: list[float] = []


class QueryChunksAnswer(Wire):
    chunks: list[FoundChunkObject]
    scores: list[float]


# --- vector databases -------------------------------------------------------------------------------------------
class RegisterVectorDb(Wire):
    vector_db_id: StoreName
    embedding_model: Name | UnsetType | None = UNSET
    embedding_dimension: Annotated[int, Meta(ge=1, le=65_536)] | UnsetType | None = UNSET
    provider_id: Name | UnsetType | None = UNSET
    vector_db_name: Annotated[str, Meta(max_length=256)] | UnsetType | None = UNSET
    provider_vector_db_id: str | UnsetType | None = UNSET


class VectorDb(Wire, tag_field="type", tag="vector_db"):
    """`provider_resource_id` is the vector store behind it."""

    identifier: str
    provider_resource_id: str
    provider_id: str
    embedding_model: str
    embedding_dimension: int
    vector_db_name: str


class VectorDbList(Wire):
    data: list[VectorDb]


# --- the RAG tool -----------------------------------------------------------------------------------------------
class RagDocument(Wire):
    """`content`: a text, text parts, or where it is: `{"uri": …}`, or a text that is a URL and nothing else."""

    document_id: Name
    content: Content
    mime_type: Annotated[str, Meta(max_length=127)] | UnsetType | None = UNSET
    metadata: JsonObject | UnsetType | None = UNSET


class RagInsert(Wire):
    documents: Annotated[list[RagDocument], Meta(min_length=1, max_length=MAX_DOCUMENTS)]
    chunk_size_in_tokens: int = 512
    vector_store_id: StoreName | UnsetType | None = UNSET
    vector_db_id: StoreName | UnsetType | None = UNSET


class RagQueryConfig(Wire):
    """`query_generator_config` of type `default`: the query is what was sent."""

    max_chunks: Annotated[int, Meta(ge=1, le=MAX_FOUND)] = 5
    max_tokens_in_context: Annotated[int, Meta(ge=1, le=10_000_000)] = 4096
    chunk_template: Annotated[str, Meta(min_length=1, max_length=16_384)] = (
        "Result {index}\nContent: {chunk.content}\nMetadata: {metadata}\n"
    )
    mode: Literal["vector", "keyword", "hybrid"] | UnsetType | None = UNSET
    ranker: Ranker | UnsetType | None = UNSET
    query_generator_config: JsonObject | UnsetType | None = UNSET


_StoreNames = Annotated[list[StoreName], Meta(min_length=1, max_length=20)]


class RagQuery(Wire):
    content: Content
    vector_store_ids: _StoreNames | UnsetType | None = UNSET
    vector_db_ids: _StoreNames | UnsetType | None = UNSET
    query_config: RagQueryConfig | UnsetType | None = UNSET


class TextItem(Wire, tag="text"):
    text: str


class RagAnswer(Wire):
    """`metadata`: `document_ids`, `chunks` (their texts) and `scores`, one each for what was found."""

    metadata: dict[str, Any]
    content: list[TextItem] | None = None
