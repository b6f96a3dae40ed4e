"""Vector stores to search in: two indexes, models, files and owners, in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from antiphon.core.errors import (
    ProviderContextLength,
)
from antiphon.core.filters import Attributes
from antiphon.core.searching import SearchAnswer, SearchRequest
from antiphon.core.wire import decode_json, encode
from antiphon.embeddings.embedder import CatalogEmbedder
from antiphon.models.catalog import Catalog, NamedModel
from antiphon.ports import ModelInfo, ModelProvider, Owner
from antiphon.ports.files import StoredFile
from antiphon.ports.knowledge import Chunk, Collection, StoredVectorStore, VectorIndex
from antiphon.providers.ready import ReadyReply
from antiphon.providers.scripted_vectors import EmbeddingBody, RerankBody, embeddings, relevance, rerank
from antiphon.storage.memory import MemoryStore
from antiphon.testing import FakeClock, Scripted
from antiphon.testing.naive_index import NaiveIndex
from antiphon.vector_stores.indexes import Indexes
from antiphon.vector_stores.searching import Searches

ANN, BOB = Owner("acme", "ann"), Owner("acme", "bob")
CATS, DOGS, CARS = "all about cats and their food", "all about dogs and their walks", "a red car"


class Models:
    """Embeddings and rankings: `small` has 16 numbers, `large` 32; `judge` ranks by common words, in logits where it is
    told to, and takes documents of at most `limit` characters.
    """

    provider_id = "up"

    def __init__(self) -> None:
        self.sizes = {"small": 16, "large": 32}
        self.failure: Exception | None = None
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.logits = False
        self.limit = 10_000

    async def open(self, path: str, body: bytes, *, model: str) -> ReadyReply:
        asked: dict[str, Any] = decode_json(body)
        self.asked.append((path, asked))
        if self.failure is not None:
            raise self.failure
        if path == "/embeddings":
            return ReadyReply(embeddings(EmbeddingBody(asked["input"], "base64", self.sizes[model]), model))
        if max(map(len, asked["documents"])) > self.limit:
            raise ProviderContextLength("up", "too long", param="input")
        if not self.logits:
            return ReadyReply(rerank(RerankBody(asked["query"], asked["documents"]), model))
        scores = [relevance(asked["query"], one) * 8 - 4 for one in asked["documents"]]
        results = [{"index": at, "relevance_score": score} for at, score in enumerate(scores)]
        return ReadyReply(encode({"results": results}))

    async def list_models(self) -> Sequence[ModelInfo]:
        return [ModelInfo(name) for name in (*self.sizes, "judge")]

    async def aclose(self) -> None:
        pass


@dataclass(slots=True)
class World:
    """Two indexes, `one` and `two`, and whatever stores the tests fill."""

    models: Models = field(default_factory=Models)
    store: MemoryStore = field(default_factory=MemoryStore)
    clock: FakeClock = field(default_factory=lambda: FakeClock(1_000_000))
    indexes: dict[str, NaiveIndex] = field(default_factory=lambda: {"one": NaiveIndex(), "two": NaiveIndex()})
    writer: Scripted | None = None

    @property
    def catalog(self) -> Catalog:
        providers: dict[str, ModelProvider] = {"up": cast("ModelProvider", self.models)}
        if self.writer is not None:
            providers["words"] = cast("ModelProvider", self.writer)
        return Catalog(providers, [NamedModel("alias", "up", "small")], clock=self.clock)

    def searches(self, **more: Any) -> Searches:
        catalog = self.catalog
        return Searches(
            self.store.knowledge,
            self.store.files,
            Indexes(cast("Mapping[str, VectorIndex]", self.indexes)),
            CatalogEmbedder(catalog),
            catalog,
            self.clock,
            **more,
        )

    async def fill(
        self,
        store_id: str,
        texts: Sequence[str],
        *,
        owner: Owner = ANN,
        index: str = "one",
        model: str = "",
        attributes: Attributes | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        """A store of one file for each text; the file's id and name are of the store and the text's number."""
        size = self.models.sizes.get(model.removeprefix("up/"), 0)
        made = StoredVectorStore(
            id=store_id,
            name="",
            created_at=0,
            last_active_at=self.clock.now(),
            metadata=b"{}",
            provider_id=index,
            embedding_model=model,
            dimension=size,
        )
        await self.store.knowledge.add_store(owner, replace(made, **(more or {})))
        collection = Collection(store_id, size)
        await self.indexes[index].create(collection)
        vectors: Sequence[bytes] = [b""] * len(texts)
        if model:
            vectors = await CatalogEmbedder(self.catalog).embed(owner, model, texts, dimension=size)
        self.models.asked.clear()
        for at, (text, vector) in enumerate(zip(texts, vectors, strict=True)):
            file = f"file-{store_id}-{at}"
            await self.store.files.begin_blob(file, 0)
            added = StoredFile(file, "assistants", f"{at}.txt", "text/plain", 1, 0, None, file, "")
            await self.store.files.add_file(owner, added)
            chunk = Chunk(f"chunk_{at}", file, 0, text, "", vector, attributes or {}, b'{"page":1}')
            await self.indexes[index].put(collection, [chunk])


def ask(*store_ids: str, query: str | Sequence[str] = "cats", **more: Any) -> SearchRequest:
    queries = (query,) if isinstance(query, str) else tuple(query)
    return SearchRequest(store_ids, queries, **more)


def texts(answer: SearchAnswer) -> list[str]:
    return [one.text for one in answer.found]
