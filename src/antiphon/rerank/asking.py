"""Asking a model how relevant documents are: for the rerank routes, and for searches."""

from collections.abc import Sequence

from antiphon.core.errors import ProviderContextLength
from antiphon.models.catalog import Catalog, Resolved
from antiphon.rerank.answer import RerankResult, RerankUsage, ranked
from antiphon.rerank.request import Ranking

PATH = "/rerank"
SHORTEST_PART = 64
"""Characters of a document below which it is not cut any further."""


async def ask(resolved: Resolved, asked: Ranking) -> tuple[list[RerankResult], RerankUsage]:
    """The most relevant documents first. Raises what `ModelProvider.open` raises, and ProviderProtocolError."""
    model = resolved.upstream_model
    async with await resolved.provider.open(PATH, asked.sent_as(model), model=model) as reply:
        answer = await reply.read()
    provider_id, _, _ = resolved.served_by().partition("/")
    return ranked(answer, asked, provider_id)


class Relevance:
    """How relevant documents are to a query, by any reranker of the catalog. One per server.

    Documents that are too long for a model are judged by their most relevant part; how long its parts may be is
    remembered.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._lengths: dict[str, int] = {}

    async def scores(self, model: str, query: str, documents: Sequence[str]) -> list[float]:
        """For each document, as the model says it: the more the better. Raises what `Catalog.resolve` and `ask`
        raise.
        """
        if not documents:
            return []
        while True:
            length = self._lengths.get(model)
            parts = [(at, part) for at, one in enumerate(documents) for part in _parts(one, length)]
            try:
                return await self._best(model, query, parts)
            except ProviderContextLength:
                length = max(len(part) for _, part in parts) // 2
                if length < SHORTEST_PART:
                    raise
                self._lengths[model] = length

    async def _best(self, model: str, query: str, parts: Sequence[tuple[int, str]]) -> list[float]:
        """Of the parts of each document, which have its number."""
        asked = Ranking(model, query, tuple(part for _, part in parts))
        results, _ = await ask(await self._catalog.resolve(model), asked)
        scores: dict[int, float] = {}
        for one in results:
            at = parts[one.index][0]
            scores[at] = max(one.relevance_score, scores.get(at, one.relevance_score))
        return [scores[at] for at in sorted(scores)]


def _parts(document: str, length: int | None) -> list[str]:
    """Pieces of at most this length, of about the same size."""
    if length is None or len(document) <= length:
        return [document]
    count = -(-len(document) // length)
    size = -(-len(document) // count)
    return [document[start : start + size] for start in range(0, len(document), size)]
