"""`Searches`: vector stores searched by keywords and by vectors, what is found brought into one order.

Every store is looked up with its owner, every file too: what an index holds beyond that is not shown. Whatever fails
makes the search fail; there is no answer that silently is half of one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from antiphon.core.errors import EmbeddingMismatch, InvalidRequest, ModelNotFound
from antiphon.core.filters import holds
from antiphon.core.ranking import (
    ChunkKey,
    Found,
    best,
    blended,
    fused,
    keyword_scores,
    merged,
    relevances,
    similarities,
)
from antiphon.core.searching import FoundChunk, Ranking, SearchAnswer, SearchMode, SearchRequest
from antiphon.embeddings.at_once import at_once
from antiphon.models.catalog import Catalog
from antiphon.ports import Clock, Owner
from antiphon.ports.files import FileStore
from antiphon.ports.knowledge import Chunk, Embedder, Hit, StoredVectorStore, VectorStoreRecords
from antiphon.rerank.asking import Relevance
from antiphon.vector_stores.indexes import Indexes, collection_of
from antiphon.vector_stores.refusals import expired, has_expired, unknown_store
from antiphon.vector_stores.rewriting import rewritten

FILE_PREFIX = "file-"
LEAST_DEPTH = 50
DEEPER = 4
"""So many times as many as are asked for are fetched of each list; and again, where too much of it is not shown."""
MAX_DEPTH = 3_200
MAX_RERANKED = 100
TOUCHED_EACH_S = 60
"""A store that is searched all the time is written to so often. `last_active_at` is that much behind at most."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """How one store is searched."""

    store: StoredVectorStore
    keywords: bool
    vectors: bool

    @property
    def embedded_by(self) -> tuple[str, int]:
        return self.store.embedding_model, self.store.dimension


@dataclass(slots=True)
class _Answers:
    """What the indexes answered to one query, by store."""

    query: str
    keyword: dict[str, Sequence[Hit]] = field(default_factory=dict[str, Sequence[Hit]])
    nearest: dict[str, Sequence[Hit]] = field(default_factory=dict[str, Sequence[Hit]])

    def chunks(self) -> Iterator[tuple[ChunkKey, Chunk]]:
        for hits in (self.keyword, self.nearest):
            for store_id, found in hits.items():
                yield from (((store_id, hit.chunk.id), hit.chunk) for hit in found)


class Searches:
    """A `Searcher`. `rewrite_model` and `default_reranker` are names of models, "" for none."""

    def __init__(
        self,
        records: VectorStoreRecords,
        files: FileStore,
        indexes: Indexes,
        embedder: Embedder,
        catalog: Catalog,
        clock: Clock,
        *,
        default_reranker: str = "",
        rewrite_model: str = "",
    ) -> None:
        self._records = records
        self._files = files
        self._indexes = indexes
        self._embedder = embedder
        self._catalog = catalog
        self._clock = clock
        self._relevance = Relevance(catalog)
        self._default_reranker = default_reranker
        self._rewrite_model = rewrite_model

    async def search(self, owner: Owner, request: SearchRequest) -> SearchAnswer:
        """See `ports.knowledge.Searcher`. Raises InvalidRequest for a store that has expired, and for a mode that a
        store cannot be searched in.
        """
        queries = _queries(request.queries)
        stores = await self._stores(owner, request.store_ids)
        plans = [_plan(store, request.mode, request.ranking) for store in stores]
        if request.rewrite:
            queries = await rewritten(self._catalog, self._rewrite_model, queries)
        vectors = await self._vectors(owner, plans, queries)
        shown = await self._shown(owner, request, plans, queries, vectors)
        scores = await self._scores(request, plans, shown)
        await self._touch(owner, stores)
        order = best(scores, request.limit, request.ranking.score_threshold)
        return SearchAnswer(tuple(shown.found(key, score) for key, score in order), queries)

    # --- which stores -----------------------------------------------------------------------------------------
    async def _stores(self, owner: Owner, store_ids: Sequence[str]) -> list[StoredVectorStore]:
        """Raises NotFound and InvalidRequest."""
        wanted = list(dict.fromkeys(store_ids))
        there = await self._records.find_stores(owner, wanted)
        now = self._clock.now()
        for store_id in wanted:
            if store_id not in there:
                raise unknown_store(store_id)
            if has_expired(there[store_id], now):
                raise expired(store_id)
        return [there[store_id] for store_id in wanted]

    async def _touch(self, owner: Owner, stores: Sequence[StoredVectorStore]) -> None:
        now = self._clock.now()
        for store in stores:
            if now - store.last_active_at >= TOUCHED_EACH_S:
                await self._records.touch_store(owner, store.id, now)

    # --- vectors of the queries -------------------------------------------------------------------------------
    async def _vectors(
        self, owner: Owner, plans: Sequence[_Plan], queries: Sequence[str]
    ) -> dict[tuple[str, int], Sequence[bytes]]:
        """Of each query, by every model (and size) that takes part."""
        asked = {plan.embedded_by: plan.store.id for plan in plans if plan.vectors}
        answers = await at_once(
            self._embedded(owner, store_id, model, dimension, queries)
            for (model, dimension), store_id in asked.items()
        )
        return dict(zip(asked, answers, strict=True))

    async def _embedded(
        self, owner: Owner, store_id: str, model: str, dimension: int, queries: Sequence[str]
    ) -> Sequence[bytes]:
        try:
            return await self._embedder.embed(owner, model, queries, dimension=dimension, query=True)
        except ModelNotFound:
            raise EmbeddingMismatch(
                f'the vector store "{store_id}" was embedded by model "{model}", which is not served here any more. The'
                f" operator can serve it again, or embed the store anew: antiphon reindex {store_id} --embedding-model"
                ' MODEL. It can be searched by keywords meanwhile (`search_mode`: "keyword").'
            ) from None
        except EmbeddingMismatch as error:
            raise EmbeddingMismatch(
                f'the vector store "{store_id}" cannot be searched by its vectors: {error.message}'.replace(
                    "STORE_ID", store_id
                )
            ) from None

    # --- what is found ----------------------------------------------------------------------------------------
    async def _shown(
        self,
        owner: Owner,
        request: SearchRequest,
        plans: Sequence[_Plan],
        queries: Sequence[str],
        vectors: Mapping[tuple[str, int], Sequence[bytes]],
    ) -> "_Shown":
        """Enough that may be shown, if there is; deeper where the best of a list may not."""
        depth = max(LEAST_DEPTH, DEEPER * request.limit)
        while True:
            answers = await self._asked(request, plans, queries, vectors, depth)
            shown = await self._visible(owner, request, answers)
            full = any(len(hits) >= depth for one in answers for hits in _lists(one))
            if len(shown.chunks) >= request.limit or not full or depth >= MAX_DEPTH:
                return shown
            depth *= DEEPER

    async def _asked(
        self,
        request: SearchRequest,
        plans: Sequence[_Plan],
        queries: Sequence[str],
        vectors: Mapping[tuple[str, int], Sequence[bytes]],
        depth: int,
    ) -> list[_Answers]:
        """Every index, for every query, all at the same time."""
        answers = [_Answers(query) for query in queries]

        async def keyword(one: _Answers, plan: _Plan) -> None:
            index, collection = self._indexes.of(plan.store), collection_of(plan.store)
            one.keyword[plan.store.id] = await index.keyword(collection, one.query, depth, request.where)

        async def nearest(one: _Answers, plan: _Plan, vector: bytes) -> None:
            index, collection = self._indexes.of(plan.store), collection_of(plan.store)
            one.nearest[plan.store.id] = await index.nearest(collection, vector, depth, request.where)

        works = [keyword(one, plan) for plan in plans if plan.keywords for one in answers]
        for plan in plans:
            if plan.vectors:
                pairs = zip(answers, vectors[plan.embedded_by], strict=True)
                works += [nearest(one, plan, vector) for one, vector in pairs]
        await at_once(works)
        return answers

    async def _visible(self, owner: Owner, request: SearchRequest, answers: Sequence[_Answers]) -> "_Shown":
        """Without the chunks of files that are gone or foreign, and of such as the filter does not let pass: an index
        that errs must not widen a search.
        """
        chunks = {
            key: chunk
            for one in answers
            for key, chunk in one.chunks()
            if request.where is None or holds(request.where, chunk.attributes)
        }
        wanted = sorted({chunk.file_id for chunk in chunks.values() if chunk.file_id.startswith(FILE_PREFIX)})
        files = await self._files.get_files(owner, wanted) if wanted else {}
        now = self._clock.now()
        names = {
            file_id: file.filename
            for file_id, file in files.items()
            if file.expires_at is None or file.expires_at > now
        }
        visible = {
            key: chunk
            for key, chunk in chunks.items()
            if chunk.file_id in names or not chunk.file_id.startswith(FILE_PREFIX)
        }
        return _Shown(visible, names, answers)

    # --- in which order ---------------------------------------------------------------------------------------
    async def _scores(
        self, request: SearchRequest, plans: Sequence[_Plan], shown: "_Shown"
    ) -> dict[ChunkKey, float]:
        by_query = {one.query: _fused(one, plans, request.ranking, shown) for one in shown.answers}
        reranker = request.ranking.reranker
        model = self._default_reranker if reranker is None else reranker
        if model:
            share = request.ranking.reranker_weight
            try:
                by_query = await self._reranked(model, share, request.limit, by_query, shown)
            except ModelNotFound as error:
                error.param = "ranking_options.model" if reranker else None
                raise
        return merged(by_query.values())

    async def _reranked(
        self,
        model: str,
        share: float,
        limit: int,
        by_query: Mapping[str, Mapping[ChunkKey, float]],
        shown: "_Shown",
    ) -> dict[str, dict[ChunkKey, float]]:
        """The best of each query by what a model says of them. Others are left out."""
        count = min(MAX_RERANKED, max(LEAST_DEPTH, 2 * limit))
        orders = {
            query: [key for key, _ in best(scores, count)] for query, scores in by_query.items() if scores
        }
        answers = await at_once(
            self._relevance.scores(model, query, [shown.chunks[key].searched for key in keys])
            for query, keys in orders.items()
        )
        told = {
            (query, key): score
            for (query, keys), scores in zip(orders.items(), answers, strict=True)
            for key, score in zip(keys, scores, strict=True)
        }
        judged = relevances(told)
        return {
            query: blended(by_query[query], {key: judged[query, key] for key in keys}, share)
            for query, keys in orders.items()
        }


@dataclass(frozen=True, slots=True)
class _Shown:
    """The chunks that may be shown, the names of their files, and the answers that they are from."""

    chunks: Mapping[ChunkKey, Chunk]
    names: Mapping[str, str]
    answers: Sequence[_Answers]

    def scored(self, store_id: str, hits: Sequence[Hit]) -> list[tuple[ChunkKey, float, str]]:
        keyed = [((store_id, hit.chunk.id), hit) for hit in hits]
        return [(key, hit.score, hit.chunk.searched) for key, hit in keyed if key in self.chunks]

    def found(self, key: ChunkKey, score: float) -> FoundChunk:
        chunk = self.chunks[key]
        return FoundChunk(
            store_id=key[0],
            file_id=chunk.file_id,
            filename=self.names.get(chunk.file_id) or _told_name(chunk),
            chunk_id=chunk.id,
            text=chunk.text,
            score=score,
            attributes=chunk.attributes,
            metadata=chunk.metadata,
        )


def _told_name(chunk: Chunk) -> str:
    """Of a chunk that belongs to no file: what was told as its `filename`, else its document."""
    told = chunk.attributes.get("filename")
    return told if isinstance(told, str) and told else chunk.file_id


def _queries(given: Sequence[str]) -> tuple[str, ...]:
    """Each once. Raises InvalidRequest where there is nothing to look for."""
    for at, query in enumerate(given or ("",)):
        if not query.strip():
            param = "query" if len(given) < 2 else f"query[{at}]"
            raise InvalidRequest(f"`{param}`: holds nothing to look for.", param=param)
    return tuple(dict.fromkeys(given))


def _plan(store: StoredVectorStore, mode: SearchMode, ranking: Ranking) -> _Plan:
    """A half whose weight is 0 is not searched. Raises InvalidRequest for a mode that the store does not have."""
    embedded = bool(store.embedding_model and store.dimension)
    if mode in ("vector", "hybrid") and not embedded:
        raise InvalidRequest(
            f'`search_mode`: the vector store "{store.id}" has no embedding model, so it is searched by keywords alone;'
            ' send "keyword" or leave it out, or make a store with `embedding_model`.',
            param="search_mode",
        )
    if mode == "keyword" or not embedded:
        return _Plan(store, keywords=True, vectors=False)
    if mode == "vector":
        return _Plan(store, keywords=False, vectors=True)
    return _Plan(store, keywords=ranking.text_weight > 0, vectors=ranking.embedding_weight > 0)


def _lists(answers: _Answers) -> Iterator[Sequence[Hit]]:
    yield from answers.keyword.values()
    yield from answers.nearest.values()


def _fused(
    answers: _Answers, plans: Sequence[_Plan], ranking: Ranking, shown: _Shown
) -> dict[ChunkKey, float]:
    """One score for each chunk that a query found.

    Lists are joined over all stores, so that a store in which little is found comes behind one in which much is; those
    of different models apart, as their similarities are not comparable.
    """
    by_words = keyword_scores(
        answers.query, [shown.scored(store_id, hits) for store_id, hits in answers.keyword.items()]
    )
    lists = [
        Found(by_words, ranking.text_weight or 1.0, frozenset(answers.keyword)),
    ]
    for model in dict.fromkeys(plan.embedded_by for plan in plans if plan.vectors):
        stores = frozenset(plan.store.id for plan in plans if plan.vectors and plan.embedded_by == model)
        cosines = {
            key: score
            for store_id in stores
            for key, score, _ in shown.scored(store_id, answers.nearest[store_id])
        }
        lists.append(Found(similarities(cosines), ranking.embedding_weight or 1.0, stores))
    if any(plan.keywords and plan.vectors for plan in plans):
        return fused(lists, ranking.fusion, ranking.rrf_constant)
    return merged(one.scores for one in lists)
