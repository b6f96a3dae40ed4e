"""What the `/v1/vector_stores` routes take.

Source: `CreateVectorStoreRequest`, `CreateVectorStoreFileBatchRequest`, `VectorStoreSearchRequest` and their parts of
the official OpenAPI. `provider_id`, `embedding_model`, `embedding_dimension` and `search_mode` are Llama Stack's.
"""

from typing import Annotated, Literal

from msgspec import Meta

from antiphon.core.chunking_strategy import AutoStrategy, ChunkingStrategy, check_strategy
from antiphon.core.errors import InvalidRequest
from antiphon.core.filters import Scalar
from antiphon.core.ranking_options import SearchRankingOptions
from antiphon.core.tools import Filter
from antiphon.core.wire import UNSET, UnsetType, Wire, encode

MAX_FIRST_FILES = 500
MAX_BATCH = 2000
MAX_QUERIES = 32
MAX_DIMENSION = 65_536
_EXACT = 2**53
"""Up to here each whole number is a double as well: indexes keep numbers so."""

Text = Annotated[str, Meta(max_length=512)]
FileId = Annotated[str, Meta(min_length=1, max_length=256)]
Name = Annotated[str, Meta(max_length=256)]
Number = Annotated[int, Meta(ge=-_EXACT, le=_EXACT)] | float
AttributeValues = Annotated[
    dict[Annotated[str, Meta(min_length=1, max_length=64)], Text | bool | Number], Meta(max_length=16)
]
StoreMetadata = Annotated[dict[Annotated[str, Meta(max_length=64)], Text | int], Meta(max_length=16)]
Query = Annotated[str, Meta(min_length=1, max_length=32_768)]


class ExpiresAfter(Wire):
    anchor: Literal["last_active_at"]
    days: Annotated[int, Meta(ge=1, le=365)]


class CreateVectorStore(Wire):
    """`provider_id` says where the chunks are kept, `embedding_model` what embeds them; both also in `metadata`."""

    name: Name | UnsetType | None = UNSET
    description: Annotated[str, Meta(max_length=4096)] | UnsetType | None = UNSET
    file_ids: Annotated[list[FileId], Meta(max_length=MAX_FIRST_FILES)] | UnsetType | None = UNSET
    expires_after: ExpiresAfter | UnsetType | None = UNSET
    chunking_strategy: ChunkingStrategy | UnsetType | None = UNSET
    metadata: StoreMetadata | UnsetType | None = UNSET
    provider_id: Name | UnsetType | None = UNSET
    embedding_model: Name | UnsetType | None = UNSET
    embedding_dimension: Annotated[int, Meta(ge=1, le=MAX_DIMENSION)] | UnsetType | None = UNSET


class UpdateVectorStore(Wire):
    """A field that is left out stays; null empties it. `metadata` takes the place of what was there."""

    name: Name | UnsetType | None = UNSET
    expires_after: ExpiresAfter | UnsetType | None = UNSET
    metadata: StoreMetadata | UnsetType | None = UNSET


class AddFile(Wire):
    file_id: FileId
    attributes: AttributeValues | UnsetType | None = UNSET
    chunking_strategy: ChunkingStrategy | UnsetType | None = UNSET


class CreateFileBatch(Wire):
    """Either `file_ids` or `files`. Attributes and chunking of the batch are for those files that bring none."""

    file_ids: Annotated[list[FileId], Meta(min_length=1, max_length=MAX_BATCH)] | UnsetType | None = UNSET
    files: Annotated[list[AddFile], Meta(min_length=1, max_length=MAX_BATCH)] | UnsetType | None = UNSET
    attributes: AttributeValues | UnsetType | None = UNSET
    chunking_strategy: ChunkingStrategy | UnsetType | None = UNSET


class UpdateFile(Wire):
    """`attributes` take the place of what was there; null empties them."""

    attributes: AttributeValues | None


class SearchVectorStore(Wire):
    """`max_num_results` is 1 to 50. `search_mode` left out: hybrid in a store that has vectors, else by keywords."""

    query: Query | Annotated[list[Query], Meta(min_length=1, max_length=MAX_QUERIES)]
    filters: Filter | UnsetType | None = UNSET
    max_num_results: Annotated[int, Meta(ge=1, le=50)] | UnsetType | None = UNSET
    ranking_options: SearchRankingOptions | UnsetType | None = UNSET
    rewrite_query: bool | UnsetType | None = UNSET
    search_mode: Literal["vector", "keyword", "hybrid", "auto"] | UnsetType | None = UNSET


def checked_strategy(
    given: ChunkingStrategy | UnsetType | None, param: str = "chunking_strategy"
) -> ChunkingStrategy:
    """The strategy, `auto` where none is given. Raises InvalidRequest."""
    if given is UNSET or given is None:
        return AutoStrategy()
    check_strategy(given, param)
    return given


def texts_of(metadata: StoreMetadata | UnsetType | None) -> dict[str, str]:
    """As it is kept: metadata is of texts. Raises InvalidRequest for a number under a name that has no use for one."""
    found: dict[str, str] = {}
    for key, value in (metadata or {}).items():
        if not isinstance(value, str) and key != "embedding_dimension":
            raise InvalidRequest(
                f"`metadata.{key}`: expected a text, found a number; put quotes around it.",
                param=f"metadata.{key}",
            )
        found[key] = str(value)
    return found


def stored_attributes(given: dict[str, Scalar] | UnsetType | None) -> bytes:
    return encode(given or {})


def text(given: str | UnsetType | None) -> str:
    return given or ""
