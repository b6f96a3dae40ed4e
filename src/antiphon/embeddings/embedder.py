"""`CatalogEmbedder`: vectors of texts, by any model of the catalog, for vector stores.

Texts go in batches, several at once; the same text is never asked for twice at a time, and one that was embedded
before comes from the cache. A text that is too long for its model is embedded in parts, their vectors averaged: all of
it counts. Repeating what failed is the provider's (`ModelProvider.open`).
"""

import asyncio
import binascii
import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from antiphon.core.errors import EmbeddingMismatch, ProviderContextLength, ProviderProtocolError
from antiphon.core.vectors import mean, unit
from antiphon.embeddings.answer import corrected
from antiphon.embeddings.at_once import at_once
from antiphon.embeddings.families import Family, family_of
from antiphon.embeddings.request import EmbeddingRequest
from antiphon.embeddings.routes import PATH
from antiphon.models.catalog import Catalog
from antiphon.ports import Owner

BATCH_BYTES = 128 * 1024
AT_ONCE = 4
"""Requests to one model at a time, for documents. Queries do not wait behind them."""
QUERIES_AT_ONCE = 32
RECENT_QUERIES = 1_024
SHORTEST_PART = 64
"""Characters of a text below which it is not cut any further."""
_FLOAT_BYTES = 4


class VectorCache(Protocol):
    """Vectors by a digest of what they are of. May forget at any time, and never fails: what cannot be read is not
    there, what cannot be written is lost.
    """

    async def get(self, keys: Sequence[bytes]) -> dict[bytes, bytes]: ...

    async def put(self, vectors: Mapping[bytes, bytes]) -> None: ...


@dataclass(frozen=True, slots=True)
class _Job:
    """How texts are embedded: `model` as it was asked for, `name` the full name of the one that answers."""

    model: str
    name: str
    family: Family
    dimension: int
    query: bool

    @property
    def prefix(self) -> str:
        return self.family.query if self.query else self.family.document

    @property
    def input_type(self) -> str:
        return self.family.query_type if self.query else self.family.document_type


class _Given(msgspec.Struct):
    embedding: str


class _Answer(msgspec.Struct):
    data: list[_Given]


_ANSWER = msgspec.json.Decoder(_Answer)


class CatalogEmbedder:
    """An `Embedder`. One per server.

    Vectors of documents are kept in `cache`, those of queries in memory only: nothing of what is merely asked is ever
    written. `families` are the operator's, by a name of the model: as it is asked for, full, or its
    provider's own.
    """

    def __init__(
        self, catalog: Catalog, cache: VectorCache | None = None, families: Mapping[str, Family] | None = None
    ) -> None:
        self._catalog = catalog
        self._cache = cache
        self._families = dict(families or {})
        self._recent: OrderedDict[bytes, bytes] = OrderedDict()
        self._underway: dict[bytes, asyncio.Future[bytes]] = {}
        self._turns: dict[tuple[str, bool], asyncio.Semaphore] = {}

    async def embed(
        self, owner: Owner, model: str, texts: Sequence[str], *, dimension: int = 0, query: bool = False
    ) -> Sequence[bytes]:
        """See `ports.knowledge.Embedder`. A text of nothing but white space has a vector of zeros."""
        if not texts:
            return []
        job = await self._job(model, dimension, query)
        keys = [_digest(owner, job, text) if text.strip() else b"" for text in texts]
        wanted = {key: text for key, text in zip(keys, texts, strict=True) if key}
        vectors = await self._kept(job, list(wanted))
        while missing := {key: text for key, text in wanted.items() if key not in vectors}:
            vectors |= await self._made_once(job, missing)
        if b"" in keys:
            size = dimension or len(await self._any(owner, job, vectors)) // _FLOAT_BYTES
            vectors[b""] = bytes(size * _FLOAT_BYTES)
        return [vectors[key] for key in keys]

    async def _job(self, model: str, dimension: int, query: bool) -> _Job:
        resolved = await self._catalog.resolve(model)
        name = resolved.served_by() or resolved.model_id
        own = (self._families.get(one) for one in (model, name, resolved.upstream_model))
        family = next((one for one in own if one is not None), None) or family_of(resolved.upstream_model)
        return _Job(model, name, family, dimension, query)

    async def _any(self, owner: Owner, job: _Job, vectors: Mapping[bytes, bytes]) -> bytes:
        """Some vector of the model, to see its size."""
        for vector in vectors.values():
            return vector
        return (await self.embed(owner, job.model, ["size"], query=job.query))[0]

    # --- what is there already ------------------------------------------------------------------------------
    async def _kept(self, job: _Job, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        if job.query:
            for key in keys:
                if key in self._recent:
                    self._recent.move_to_end(key)
            return {key: self._recent[key] for key in keys if key in self._recent}
        if self._cache is None or not job.dimension:
            return {}  # a caller without a size wants to know that of the model as it is now
        kept = await self._cache.get(keys)
        size = job.dimension * _FLOAT_BYTES
        return {key: vector for key, vector in kept.items() if len(vector) == size}

    async def _keep(self, job: _Job, vectors: Mapping[bytes, bytes]) -> None:
        if job.query:
            self._recent |= vectors
            while len(self._recent) > RECENT_QUERIES:
                self._recent.popitem(last=False)
        elif self._cache is not None and job.dimension:
            await self._cache.put(vectors)

    # --- each text once at a time ---------------------------------------------------------------------------
    async def _made_once(self, job: _Job, texts: Mapping[bytes, str]) -> dict[bytes, bytes]:
        """Vectors of these texts, as many as there are now: those that somebody else began are waited for, and are
        left out when that one was cancelled.
        """
        others = {key: self._underway[key] for key in texts if key in self._underway}
        mine = {key: text for key, text in texts.items() if key not in others}
        loop = asyncio.get_running_loop()
        promises = {key: loop.create_future() for key in mine}
        self._underway |= promises
        try:
            made = await self._made(job, mine, promises)
        except Exception as error:  # whatever it is, those who wait for the same texts are told
            for promise in promises.values():
                if not promise.done():
                    promise.set_exception(error)
                    promise.exception()  # seen, also where nobody waits for it
            raise
        finally:
            for key, promise in promises.items():
                del self._underway[key]
                promise.cancel()
        if others:
            await asyncio.wait(others.values())
        return made | {key: promise.result() for key, promise in others.items() if not promise.cancelled()}

    async def _made(
        self, job: _Job, texts: Mapping[bytes, str], promises: Mapping[bytes, "asyncio.Future[bytes]"]
    ) -> dict[bytes, bytes]:
        """In batches, several at once. What was made before one of them failed is kept."""
        made: dict[bytes, bytes] = {}

        async def one(batch: Mapping[bytes, str]) -> None:
            async with self._turn(job):
                vectors = dict(zip(batch, await self._asked(job, list(batch.values())), strict=True))
            await self._keep(job, vectors)
            made.update(vectors)
            for key, vector in vectors.items():
                promises[key].set_result(vector)

        await at_once(one(batch) for batch in _batches(texts, job.family.batch))
        return made

    def _turn(self, job: _Job) -> asyncio.Semaphore:
        at_once = QUERIES_AT_ONCE if job.query else AT_ONCE
        return self._turns.setdefault((job.name, job.query), asyncio.Semaphore(at_once))

    # --- asking ---------------------------------------------------------------------------------------------
    async def _asked(self, job: _Job, texts: Sequence[str]) -> list[bytes]:
        """One request, or several where the texts are too long for one."""
        try:
            return await self._answered(job, texts)
        except ProviderContextLength:
            if len(texts) > 1:
                half = len(texts) // 2
                return [*await self._asked(job, texts[:half]), *await self._asked(job, texts[half:])]
            if len(texts[0]) < 2 * SHORTEST_PART:
                raise
        parts = _halves(texts[0])
        return [mean([(await self._asked(job, [part]))[0] for part in parts], [len(part) for part in parts])]

    async def _answered(self, job: _Job, texts: Sequence[str]) -> list[bytes]:
        resolved = await self._catalog.resolve(job.model)
        model = resolved.upstream_model
        asked = EmbeddingRequest(
            model=model,
            input=[job.prefix + text for text in texts],
            encoding_format="base64",
            input_type=job.input_type or None,
        )
        async with await resolved.provider.open(PATH, asked.sent_as(model), model=model) as reply:
            answer = await reply.read()
        provider_id, _, _ = resolved.served_by().partition("/")
        data = _ANSWER.decode(corrected(answer, asked, provider_id)).data
        return [self._vector(job, provider_id, one.embedding) for one in data]

    @staticmethod
    def _vector(job: _Job, provider_id: str, encoded: str) -> bytes:
        """Of the size that is wanted, at length 1."""
        try:
            packed = _unpacked(encoded)
            size = len(packed) // _FLOAT_BYTES
            if (
                job.dimension
                and size != job.dimension
                and not (job.family.can_be_cut and size > job.dimension)
            ):
                raise EmbeddingMismatch(
                    f'model "{job.model}" makes vectors of {size} numbers, and {job.dimension} are wanted here. If'
                    " another model answers to this name now, embed what is there anew: antiphon reindex STORE_ID."
                )
            return unit(packed, job.dimension)
        except ValueError as error:
            raise ProviderProtocolError(
                provider_id, f'provider "{provider_id}" answered with what are no embeddings: {error}.'
            ) from None


def _unpacked(encoded: str) -> bytes:
    """Raises ValueError for what is no base64 of 32-bit floats."""
    packed = binascii.a2b_base64(encoded, strict_mode=True)
    if not packed or len(packed) % _FLOAT_BYTES:
        raise ValueError("not a whole number of 32-bit floats")
    return packed


def _digest(owner: Owner, job: _Job, text: str) -> bytes:
    """What a vector is kept under; other tenants' texts have other ones."""
    digest = hashlib.blake2b(digest_size=32)
    for part in (owner.tenant, job.name, str(job.dimension), job.input_type, job.prefix, text):
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8) + data)
    return digest.digest()


def _batches(texts: Mapping[bytes, str], count: int) -> Iterator[dict[bytes, str]]:
    """As many texts as go in one request. One that is too large for any goes alone."""
    batch: dict[bytes, str] = {}
    size = 0
    for key, text in texts.items():
        length = len(text.encode("utf-8", "surrogatepass"))
        if batch and (len(batch) == count or size + length > BATCH_BYTES):
            yield batch
            batch, size = {}, 0
        batch[key] = text
        size += length
    if batch:
        yield batch


def _halves(text: str) -> tuple[str, str]:
    """At the white space nearest before the middle, if there is some not far from it."""
    middle = len(text) // 2
    space = max(text.rfind(" ", middle // 2, middle), text.rfind("\n", middle // 2, middle))
    at = space + 1 if space > 0 else middle
    return text[:at], text[at:]
