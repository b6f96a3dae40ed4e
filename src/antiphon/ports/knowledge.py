"""Knowledge: vector stores and their files, the indexes that hold the chunks, and what reads and embeds them."""

from collections.abc import AsyncIterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from antiphon.core.documents import Document
from antiphon.core.filters import AttributeFilter, Attributes
from antiphon.core.searching import SearchAnswer, SearchRequest
from antiphon.ports.owners import Owner

FileStatus = Literal["in_progress", "completed", "cancelled", "failed"]
FileErrorCode = Literal["server_error", "unsupported_file", "invalid_file"]
"""`VectorStoreFileObject.last_error` of the official OpenAPI."""


# --- vector stores and their files: rows ------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class StoredVectorStore:
    """A vector store. `metadata` is a JSON object; times are Unix seconds.

    Which index holds its chunks (`provider_id`) and which model embeds them is fixed when it is made. With no
    `embedding_model` there are no vectors: it is searched by keywords.
    """

    id: str
    name: str
    created_at: int
    last_active_at: int
    metadata: bytes
    provider_id: str
    embedding_model: str = ""
    dimension: int = 0
    description: str = ""
    expires_after_days: int | None = None
    expired: bool = False


@dataclass(frozen=True, slots=True)
class FileCounts:
    in_progress: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def total(self) -> int:
        return self.in_progress + self.completed + self.failed + self.cancelled


@dataclass(frozen=True, slots=True)
class StoreSummary:
    """A vector store with what its files add up to."""

    store: StoredVectorStore
    counts: FileCounts
    usage_bytes: int


@dataclass(frozen=True, slots=True)
class StoredVectorFile:
    """A file in a vector store. `attributes` and `chunking` are JSON objects; `chunking` is what was asked for."""

    store_id: str
    file_id: str
    created_at: int
    status: FileStatus
    attributes: bytes
    chunking: bytes
    usage_bytes: int = 0
    error_code: FileErrorCode | None = None
    error_message: str | None = None
    batch_id: str | None = None


@dataclass(frozen=True, slots=True)
class StoredBatch:
    id: str
    store_id: str
    created_at: int
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class KnowledgePage:
    """Which rows to list. `after` and `before` are ids in that order, both left out."""

    limit: int
    newest_first: bool = True
    after: str | None = None
    before: str | None = None
    status: FileStatus | None = None
    batch_id: str | None = None


@dataclass(frozen=True, slots=True)
class IngestionClaim:
    """One file that a worker has taken on. `token` is good until somebody else claims it."""

    owner: Owner
    file: StoredVectorFile
    token: str
    attempts: int


class VectorStoreRecords(Protocol):
    """Vector stores, the files in them, and batches of those. Another owner's id answers exactly as an unknown one.

    What is written is durable when the call returns. A file that is `in_progress` is a job: whoever claims it works on
    it, and a claim that is not renewed in time is anybody's again.
    """

    async def add_store(self, owner: Owner, store: StoredVectorStore) -> None: ...

    async def get_store(self, owner: Owner, store_id: str) -> StoreSummary | None: ...

    async def list_stores(self, owner: Owner, page: KnowledgePage) -> Sequence[StoreSummary]:
        """Raises InvalidRequest for an unknown cursor, naming it in `param`. So do the other lists."""
        ...

    async def update_store(self, owner: Owner, store: StoredVectorStore) -> StoreSummary | None:
        """Replace name, description, metadata, expiry, model and dimension."""
        ...

    async def touch_store(self, owner: Owner, store_id: str, now: int) -> None:
        """It was used just now."""
        ...

    async def delete_store(self, owner: Owner, store_id: str) -> StoredVectorStore | None:
        """Hide it, its files and its batches at once. Its row stays until `forget_store`, so that a crash cannot leave
        chunks behind.
        """
        ...

    async def deleted_stores(self, limit: int) -> Sequence[tuple[Owner, StoredVectorStore]]:
        """Stores of anybody whose chunks are still to be dropped."""
        ...

    async def forget_store(self, owner: Owner, store_id: str) -> None: ...

    async def expire_stores(self, now: int, limit: int) -> Sequence[tuple[Owner, StoredVectorStore]]:
        """Mark the stores of anybody whose time has come as expired, and say which were."""
        ...

    async def put_files(
        self, owner: Owner, files: Sequence[StoredVectorFile], batch: StoredBatch | None = None
    ) -> None:
        """Add files as jobs, in one transaction with their batch. A file that the store has already begins anew."""
        ...

    async def get_file(self, owner: Owner, store_id: str, file_id: str) -> StoredVectorFile | None: ...

    async def list_files(
        self, owner: Owner, store_id: str, page: KnowledgePage
    ) -> Sequence[StoredVectorFile]: ...

    async def set_attributes(
        self, owner: Owner, store_id: str, file_id: str, attributes: bytes
    ) -> StoredVectorFile | None: ...

    async def remove_file(self, owner: Owner, store_id: str, file_id: str) -> bool:
        """Take it out of the store; a worker that is at it loses its claim."""
        ...

    async def stores_of_file(self, owner: Owner, file_id: str) -> Sequence[str]:
        """Ids of the live stores that hold this file."""
        ...

    async def get_batch(
        self, owner: Owner, store_id: str, batch_id: str
    ) -> tuple[StoredBatch, FileCounts] | None: ...

    async def cancel_batch(self, owner: Owner, store_id: str, batch_id: str) -> None:
        """Cancel those of its files that are in progress."""
        ...

    async def claim(self, token: str, now: int, until: int) -> IngestionClaim | None:
        """Take on the oldest job of anybody that nobody is at. None when there is none."""
        ...

    async def renew(self, claim: IngestionClaim, until: int) -> bool:
        """False when the claim was lost: the file was removed, cancelled, begun anew or taken by somebody else."""
        ...

    async def finish(self, claim: IngestionClaim, file: StoredVectorFile) -> bool:
        """Record how it ended: status, usage, error. False, and nothing changed, when the claim was lost."""
        ...


# --- indexes ----------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Collection:
    """The chunks of one vector store. `dimension` is 0 where there are no vectors."""

    id: str
    dimension: int = 0


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk as an index keeps it.

    `id` is unique in its collection and the same each time the same file is read. `vector` are little-endian 32-bit
    floats of length 1 (or all zero), empty where there are none. `attributes` are those of the file: filters look at
    them. `metadata` is a JSON object that comes back as it is (`start`, `end`, `page`, `headings`, and what a caller
    of `/v1/vector-io/insert` gave).
    """

    id: str
    file_id: str
    number: int
    text: str
    context: str = ""
    vector: bytes = b""
    attributes: Attributes = field(default_factory=dict[str, str | float | bool])
    metadata: bytes = b"{}"

    @property
    def searched(self) -> str:
        """The text that keywords are looked for in, and that is embedded."""
        return f"{self.context}\n\n{self.text}" if self.context else self.text


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that was found. `score`: of `nearest` the cosine similarity, of `keyword` 0 or more, the more the better
    (BM25, as far as the index has it); comparable within one answer only.
    """

    chunk: Chunk
    score: float


class VectorIndex(Protocol):
    """Where chunks are kept and found. One instance per configured provider, shared by all; ids of collections are
    looked up with their owner before anybody asks an index.

    What is written is durable when the call returns, and writing the same again changes nothing. Raises
    IndexUnavailable when what is behind it fails.
    """

    async def create(self, collection: Collection) -> None:
        """Make room for a collection. One that is there already stays as it is."""
        ...

    async def drop(self, collection: Collection) -> None:
        """Remove a collection and all it holds; none there is fine."""
        ...

    async def put(self, collection: Collection, chunks: Sequence[Chunk]) -> None:
        """Add chunks, or replace those of the same ids."""
        ...

    async def remove_file(self, collection: Collection, file_id: str) -> None:
        """Remove all chunks of a file; none there is fine."""
        ...

    async def set_attributes(self, collection: Collection, file_id: str, attributes: Attributes) -> None:
        """Replace the attributes of all chunks of a file."""
        ...

    async def keyword(
        self, collection: Collection, text: str, limit: int, where: AttributeFilter | None = None
    ) -> Sequence[Hit]:
        """The best chunks that hold words of the text, best first; only such that pass `where`. `text` is data, never
        a query language. Empty where it holds no word.
        """
        ...

    async def nearest(
        self, collection: Collection, vector: bytes, limit: int, where: AttributeFilter | None = None
    ) -> Sequence[Hit]:
        """The chunks whose vectors are nearest, best first; only such that pass `where`."""
        ...

    async def chunks(
        self, collection: Collection, file_id: str | None, after: str | None, limit: int
    ) -> Sequence[Chunk]:
        """Chunks in the order of (`file_id`, `number`, `id`), of one file or of all, behind the chunk of id `after`;
        with their vectors.
        """
        ...

    async def count(self, collection: Collection) -> int: ...

    async def aclose(self) -> None: ...


# --- reading and embedding --------------------------------------------------------------------------------------
class Unreadable(Exception):
    """A file that cannot be read; the message is for its owner."""

    def __init__(self, code: FileErrorCode, message: str) -> None:
        super().__init__(message)
        self.code: FileErrorCode = code
        self.message = message


class Extractor(Protocol):
    """Reads documents. Nothing that a file holds can harm the server, or cost it more than the set limits."""

    async def extract(self, content: AsyncIterable[bytes], filename: str, media_type: str) -> Document:
        """Raises Unreadable: `unsupported_file` for a kind that is not read, `invalid_file` for one that is broken,
        empty, protected or too much.
        """
        ...

    async def aclose(self) -> None: ...


class Embedder(Protocol):
    """Makes vectors of texts, by any model that the server knows."""

    async def embed(
        self, owner: Owner, model: str, texts: Sequence[str], *, dimension: int = 0, query: bool = False
    ) -> Sequence[bytes]:
        """A vector for each text, in their order: little-endian 32-bit floats, made to length 1.

        With a `dimension` they have it. Raises EmbeddingMismatch when the model gives another one, and what
        `ModelProvider.open` and `Catalog.resolve` raise.
        """
        ...


class Searcher(Protocol):
    """Searches vector stores."""

    async def search(self, owner: Owner, request: SearchRequest) -> SearchAnswer:
        """Raises NotFound for an unknown or foreign store, IndexUnavailable, EmbeddingMismatch, and what the models
        that take part raise.
        """
        ...
