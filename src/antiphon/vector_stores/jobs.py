"""What is done for one file of a vector store: it is taken in, cleared away, or its chunks are labelled anew."""

import asyncio
import hashlib
import logging
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from itertools import islice

from antiphon.core.chunking import chunks
from antiphon.core.chunking_strategy import ContextualSettings, ContextualStrategy, decode_strategy
from antiphon.core.documents import Document, TextChunk
from antiphon.core.errors import (
    AntiphonError,
    BlobsUnavailable,
    IndexUnavailable,
    ModelNotFound,
    NotFound,
    ProviderProtocolError,
    ProviderRateLimited,
    ProviderTimeout,
    ProviderUnavailable,
    StoreUnavailable,
)
from antiphon.core.wire import decode_json, encode
from antiphon.files.service import FileService
from antiphon.models.catalog import Catalog
from antiphon.ports.knowledge import (
    Chunk,
    Collection,
    Embedder,
    Extractor,
    FileErrorCode,
    IngestionClaim,
    StoredVectorStore,
    Unreadable,
    VectorIndex,
    VectorStoreRecords,
)
from antiphon.vector_stores.contextual import in_context
from antiphon.vector_stores.indexes import Indexes, collection_of
from antiphon.vector_stores.lease import Lease, LeaseLost
from antiphon.vector_stores.tasks import whole

log = logging.getLogger("antiphon.ingestion")
CHUNKS_AT_ONCE = 64
LONGEST_PAUSE_S = 300
_PASSING = (
    BlobsUnavailable,
    IndexUnavailable,
    ModelNotFound,  # a model server that is down now lists no models
    ProviderProtocolError,
    ProviderRateLimited,
    ProviderTimeout,
    ProviderUnavailable,
    StoreUnavailable,
)
"""What may be over in a while."""


@dataclass(frozen=True, slots=True)
class Jobs:
    """What a job needs. One that fails for what may pass is tried `max_attempts` times in all. So many chunks are
    embedded and written together as `chunks_at_once` says: what a job holds in memory besides the document.
    """

    records: VectorStoreRecords
    files: FileService
    indexes: Indexes
    extractor: Extractor
    embedder: Embedder
    catalog: Catalog
    context_model: str = ""
    max_attempts: int = 8
    chunks_at_once: int = CHUNKS_AT_ONCE

    async def do(self, claim: IngestionClaim, lease: Lease) -> None:
        """To its end: done, failed, or put off. Raises LeaseLost; nothing is written for the claim after this ends,
        also when it is cancelled.
        """
        try:
            await self._do(claim, lease)
        except _PASSING as error:
            await self._put_off(claim, lease, error)
        except Unreadable as error:
            if error.code == "server_error":  # a model that takes part failed
                await self._put_off(claim, lease, error)
            else:
                await self._failed(lease, error.code, error.message)
        except NotFound:
            await self._failed(
                lease, "invalid_file", "the file was deleted before it was read; upload it again."
            )
        except AntiphonError as error:
            await self._failed(lease, "server_error", error.message)
        except LeaseLost:
            raise
        except Exception:
            log.exception("%s could not be taken into %s", claim.file.file_id, claim.file.store_id)
            message = (
                "something unexpected happened on the server; its log says what. Add the file again to retry."
            )
            await self._failed(lease, "server_error", message)

    async def _do(self, claim: IngestionClaim, lease: Lease) -> None:
        store_id = claim.file.store_id
        store = (await self.records.find_stores(claim.owner, [store_id])).get(store_id)
        if store is None or store.expired:
            raise LeaseLost
        index = self.indexes.of(store)
        collection = collection_of(store)
        await lease.hold()
        await whole(index.create(collection))
        if claim.task == "label":
            attributes = decode_json(claim.file.attributes)
            await whole(index.set_attributes(collection, claim.file.file_id, attributes))
            await lease.finish()
            return
        await whole(index.remove_file(collection, claim.file.file_id))
        if claim.task == "clean":
            await lease.finish()
            return
        if claim.attempts > self.max_attempts:
            message = f"it was begun {self.max_attempts} times, and the server never came to its end."
            await self._failed(lease, "server_error", message)
            return
        usage_bytes = await _Reading(self, claim, lease, store, index, collection).read()
        await lease.finish(replace(claim.file, status="completed", usage_bytes=usage_bytes))

    async def _put_off(self, claim: IngestionClaim, lease: Lease, error: AntiphonError | Unreadable) -> None:
        """To be tried again, later each time; the worker is free meanwhile."""
        if claim.task == "read" and claim.attempts >= self.max_attempts:
            await self._failed(
                lease, "server_error", f"given up after {claim.attempts} attempts: {error.message}"
            )
            return
        seconds = min(LONGEST_PAUSE_S, max(2 ** min(claim.attempts, 10), _retry_after(error)))
        log.warning(
            "%s in %s is tried again in %s s: %s",
            claim.file.file_id,
            claim.file.store_id,
            seconds,
            error.message,
        )
        await lease.defer(seconds)

    async def _failed(self, lease: Lease, code: FileErrorCode, message: str) -> None:
        """Nothing of a failed file stays; where that cannot be had now, it is a job of its own."""
        claim = lease.claim
        if claim.task != "read":  # nobody waits for it; the operator is told
            log.warning("%s of %s is tried again: %s", claim.task, claim.file.file_id, message)
            await lease.defer(LONGEST_PAUSE_S)
            return
        clean = False
        try:
            await self._remove_chunks(lease)
        except AntiphonError:
            clean = True
        failed = replace(claim.file, status="failed", error_code=code, error_message=message, usage_bytes=0)
        await lease.finish(failed, clean=clean)

    async def _remove_chunks(self, lease: Lease) -> None:
        file = lease.claim.file
        store = (await self.records.find_stores(lease.claim.owner, [file.store_id])).get(file.store_id)
        if store is None:
            raise LeaseLost
        await lease.hold()
        index = self.indexes.of(store)
        await whole(index.create(collection_of(store)))
        await whole(index.remove_file(collection_of(store), file.file_id))


@dataclass(slots=True)
class _Reading:
    """One file on its way into a store: read, cut, put in context, embedded and written, a batch after the other."""

    jobs: Jobs
    claim: IngestionClaim
    lease: Lease
    store: StoredVectorStore
    index: VectorIndex
    collection: Collection

    async def read(self) -> int:
        """How many bytes its chunks have. Raises Unreadable, and what the ports raise."""
        document = await self._document()
        strategy = decode_strategy(self.claim.file.chunking)
        contextual = strategy.contextual if isinstance(strategy, ContextualStrategy) else None
        pieces = chunks(document, strategy)
        number = usage_bytes = 0
        while batch := await asyncio.to_thread(_some, pieces, self.jobs.chunks_at_once):
            if contextual is not None:
                batch = await self._in_context(document, batch, contextual)
            made = await self._chunks(batch, number)
            await self.lease.hold()
            await whole(self.index.put(self.collection, made))
            number += len(made)
            usage_bytes += sum(len(one.searched.encode("utf-8", "replace")) + len(one.vector) for one in made)
        if not number:
            raise Unreadable("invalid_file", "there is no text in the file.")
        return usage_bytes

    async def _document(self) -> Document:
        file = await self.jobs.files.get(self.claim.owner, self.claim.file.file_id)
        async with aclosing(self.jobs.files.content(file)) as content:
            return await self.jobs.extractor.extract(content, file.filename, file.media_type)

    async def _in_context(
        self, document: Document, batch: Sequence[TextChunk], settings: ContextualSettings
    ) -> list[TextChunk]:
        model = await self.jobs.catalog.resolve(settings.model_id or self.jobs.context_model)
        return await in_context(document, batch, settings, model.provider, model.upstream_model)

    async def _chunks(self, batch: Sequence[TextChunk], first: int) -> list[Chunk]:
        attributes = decode_json(self.claim.file.attributes)
        made = [
            Chunk(
                id=chunk_id(self.store.id, self.claim.file.file_id, number),
                file_id=self.claim.file.file_id,
                number=number,
                text=one.text,
                context=one.context,
                attributes=attributes,
                metadata=_metadata(one),
            )
            for number, one in enumerate(batch, first)
        ]
        if not self.store.embedding_model:
            return made
        vectors = await self.jobs.embedder.embed(
            self.claim.owner,
            self.store.embedding_model,
            [one.searched for one in made],
            dimension=self.store.dimension,
        )
        return [replace(one, vector=vector) for one, vector in zip(made, vectors, strict=True)]


def chunk_id(store_id: str, file_id: str, number: int) -> str:
    """The same each time that this file is taken into this store."""
    named = f"{store_id}/{file_id}/{number}".encode()
    return "chunk_" + hashlib.blake2b(named, digest_size=16).hexdigest()


def _some(pieces: Iterator[TextChunk], count: int) -> list[TextChunk]:
    return list(islice(pieces, count))


def _metadata(chunk: TextChunk) -> bytes:
    found: dict[str, object] = {"start": chunk.start, "end": chunk.end}
    if chunk.page is not None:
        found["page"] = chunk.page
    if chunk.headings:
        found["headings"] = chunk.headings
    return encode(found)


def _retry_after(error: AntiphonError | Unreadable) -> int:
    told = getattr(error, "retry_after", None) or ""
    return int(told) if told.isdecimal() and len(told) < 6 else 0
