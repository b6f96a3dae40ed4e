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

    Which index holds its chunks (`provider_id`) and which model embeds them is fixed when it is made; `antiphon
    reindex` alone moves them, each time into a collection of another `generation`. With no `embedding_model` there are
    no vectors: it is searched by keywords.
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
    generation: int = 0
    expired: bool = False

    @property
    def expires_at(self) -> int | None:
        """The Unix second at which it expires if nobody uses it."""
        if self.expires_after_days is None:
            return None
        return self.last_active_at + self.expires_after_days * 86_400


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


IngestionTask = Literal["read", "clean", "label"]
"""What a worker is to do about a file: take it in; remove its chunks from the index, since it was cancelled or taken
out; give its chunks new attributes.
"""


@dataclass(frozen=True, slots=True)
class IngestionClaim:
    """One file that a worker has taken on. `token` is good until the file is changed, or the claim ends unrenewed.

    `attempts` counts the claims for this task, this one too.
    """

    owner: Owner
    file: StoredVectorFile
    token: str
    attempts: int
    task: IngestionTask = "read"


class VectorStoreRecords(Protocol):
    """Vector stores, the files in them, and batches of those. Another owner's id answers exactly as an unknown one; so
    does a deleted store, with all that was in it.

    What is written is durable when the call returns; StoreUnavailable says that nothing was.

    A file that is `in_progress` is a job, and so is one whose chunks are still to be removed or relabelled. Whoever
    claims it works on it. A claim that is not renewed in time is anybody's again. One is lost when the file is taken
    out, cancelled, begun anew or given attributes, and when its store is deleted or expires; but nobody else gets
    the file before the one who lost it says so (`release`) or the time of the claim is over: two never write the chunks
    of one file.
    """

    async def begin_store(self, owner: Owner, store: StoredVectorStore, due_at: int) -> bool:
        """Note a store that is about to be made, before its index is asked for anything. Nobody sees it. Unless
        `add_store` follows before `due_at`, it is one that ends: what a crash leaves behind is dropped.

        One that was begun before, and is not due when this one is created, is begun again. False, and nothing changed,
        for an id that is taken otherwise: by a store that is there, or that was deleted and is still to be dropped.
        """
        ...

    async def add_store(
        self, owner: Owner, store: StoredVectorStore, files: Sequence[StoredVectorFile] = ()
    ) -> None:
        """Add a store with its first files as jobs, in one transaction."""
        ...

    async def get_store(self, owner: Owner, store_id: str) -> StoreSummary | None: ...

    async def find_stores(self, owner: Owner, store_ids: Sequence[str]) -> dict[str, StoredVectorStore]:
        """Those of the ids that there are, without adding up their files: cheap enough for each search."""
        ...

    async def list_stores(self, owner: Owner, page: KnowledgePage) -> Sequence[StoreSummary]:
        """By age, those of the same second in the order in which they were added. From the beginning, or right behind
        `after`; with `before` alone, those right in front of it.

        Raises InvalidRequest for an unknown cursor, naming it in `param`. So do the other lists.
        """
        ...

    async def update_store(self, owner: Owner, store: StoredVectorStore) -> StoreSummary | None:
        """Replace name, description, metadata, expiry and time of last use."""
        ...

    async def move_store(self, owner: Owner, store: StoredVectorStore) -> bool:
        """Its chunks are elsewhere now: replace provider, model, dimension and generation, nothing else. False for a
        store that is not live.
        """
        ...

    async def live_stores(self) -> Sequence[tuple[Owner, StoredVectorStore]]:
        """The stores of anybody that are neither deleted nor expired, the oldest first."""
        ...

    async def touch_store(self, owner: Owner, store_id: str, now: int) -> None:
        """It was used just now."""
        ...

    async def delete_store(self, owner: Owner, store_id: str) -> StoredVectorStore | None:
        """Hide it, its files and its batches at once. Its row stays until `forget_store`, so that a crash cannot leave
        chunks behind. The store as it was; None when unknown.
        """
        ...

    async def expire_stores(self, now: int, limit: int) -> int:
        """Mark the stores of anybody whose time has come as expired, and their jobs as cancelled. How many."""
        ...

    async def ending_stores(self, now: int, limit: int) -> Sequence[tuple[Owner, StoredVectorStore]]:
        """Deleted and expired stores of anybody whose chunks are still to be dropped, and that no claim is left of."""
        ...

    async def forget_store(self, owner: Owner, store_id: str) -> None:
        """The chunks of an ending store are gone. Of a deleted one nothing is left now; an expired one stays."""
        ...

    async def put_files(
        self, owner: Owner, files: Sequence[StoredVectorFile], batch: StoredBatch | None = None
    ) -> bool:
        """Add files of one store as jobs, in one transaction with their batch. A file that the store has already begins
        anew. The store was used. False, and nothing changed, when it is not there or has expired.
        """
        ...

    async def get_file(self, owner: Owner, store_id: str, file_id: str) -> StoredVectorFile | None: ...

    async def get_files(
        self, owner: Owner, store_id: str, file_ids: Sequence[str]
    ) -> dict[str, StoredVectorFile]:
        """Those of the ids that the store holds."""
        ...

    async def list_files(
        self, owner: Owner, store_id: str, page: KnowledgePage
    ) -> Sequence[StoredVectorFile]: ...

    async def set_attributes(
        self, owner: Owner, store_id: str, file_id: str, attributes: bytes
    ) -> StoredVectorFile | None:
        """Replace the attributes; giving them to the chunks is a job. The file as it is then; None when unknown."""
        ...

    async def remove_file(self, owner: Owner, store_id: str, file_id: str) -> bool:
        """Take it out of the store: hidden at once; removing its chunks is a job. False when it is not there."""
        ...

    async def stores_of_file(self, owner: Owner, file_id: str) -> Sequence[str]:
        """Ids of the stores that hold this file."""
        ...

    async def get_batch(
        self, owner: Owner, store_id: str, batch_id: str
    ) -> tuple[StoredBatch, FileCounts] | None:
        """With the counts of those files that it was the last to add, and that the store still has."""
        ...

    async def cancel_batch(self, owner: Owner, store_id: str, batch_id: str) -> None:
        """Cancel those of its files that are in progress."""
        ...

    async def claim(self, token: str, now: int, until: int) -> IngestionClaim | None:
        """Take on the oldest job of anybody that nobody is at and whose time has come. None when there is none."""
        ...

    async def claim_file(
        self, owner: Owner, store_id: str, file_id: str, token: str, now: int, until: int
    ) -> IngestionClaim | None:
        """Take on the job of this file, whenever it was to be done. None when it has none, or somebody is at it."""
        ...

    async def renew(self, claim: IngestionClaim, until: int) -> bool:
        """False when the claim was lost."""
        ...

    async def release(self, claim: IngestionClaim) -> None:
        """Let go of a job, lost or not, as if it had not been tried: nothing is written for this claim any more."""
        ...

    async def defer(self, claim: IngestionClaim, until: int) -> None:
        """Let go of a job, lost or not, that nobody is to try before `until`."""
        ...

    async def finish(
        self, claim: IngestionClaim, file: StoredVectorFile | None = None, *, clean: bool = False
    ) -> bool:
        """The job is done: the file that was read is recorded with its status, usage and error, and with `clean` its
        chunks are still to be removed; one that was taken out is forgotten. False, and nothing changed, when the claim
        was lost.
        """
        ...

    async def next_due(self) -> int | None:
        """When the first of all jobs may be claimed, Unix seconds; 0 for at once. None when there are no jobs."""
        ...

    async def take_over(self) -> int:
        """Free the claims of workers that are surely dead: those of earlier processes, where this one is known to be
        the only one. Asked once, before the first claim. How many were freed.
        """
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
    """A chunk that was found; its `vector` may be left out. `score`: of `nearest` the cosine similarity, of `keyword` 0
    or more, the more the better (BM25, as far as the index has it); comparable within one answer only.
    """

    chunk: Chunk
    score: float


class VectorIndex(Protocol):
    """Where chunks are kept and found. One instance per configured provider, shared by all; ids of collections are
    looked up with their owner before anybody asks an index.

    What is written is durable when the call returns, and writing the same again changes nothing. Raises
    IndexUnavailable when what is behind it fails, when it was closed, and, but for `create` and `drop`, when there is
    no such collection: nobody shall take what was lost for nothing found, and a late `put` brings no dropped one back.
    `antiphon.testing.index_contract` tells it by example.
    """

    async def create(self, collection: Collection) -> None:
        """Make room for a collection. One that is there already stays as it is."""
        ...

    async def drop(self, collection: Collection) -> None:
        """Remove a collection and all it holds; none there is fine."""
        ...

    async def put(self, collection: Collection, chunks: Sequence[Chunk]) -> None:
        """Add chunks, or replace those of the same ids; of one id that is given twice the last.

        All of them or none. Raises EmbeddingMismatch for a vector that has not the collection's dimension.
        """
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
        a query language. Empty where it holds no word. Very frequent words may count for less, or for nothing beside
        others.
        """
        ...

    async def nearest(
        self, collection: Collection, vector: bytes, limit: int, where: AttributeFilter | None = None
    ) -> Sequence[Hit]:
        """The chunks whose vectors are nearest, best first; only such that pass `where`.

        Raises EmbeddingMismatch for a vector that has not the collection's dimension.
        """
        ...

    async def chunks(
        self, collection: Collection, file_id: str | None, after: str | None, limit: int
    ) -> Sequence[Chunk]:
        """Chunks in the order of (`file_id`, `number`, `id`), of one file or of all, behind the chunk of id `after`;
        with their vectors. Raises InvalidRequest for an `after` that is not there, naming it in `param`.
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
