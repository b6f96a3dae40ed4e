"""`ranking_options` of a request, checked: those of the official API, and those that Llama Stack adds."""

from typing import Annotated, Literal

from msgspec import Meta

from antiphon.core.errors import InvalidRequest
from antiphon.core.searching import Ranking
from antiphon.core.tools import HybridSearch, RankingOptions
from antiphon.core.wire import UNSET, UnsetType, Wire

Ranker = Literal["auto", "default-2024-11-15", "none", "rrf", "weighted", "neural"]
MAX_NUMBER = 1_000_000
Share = Annotated[float, Meta(ge=0, le=1)]


class RankingWeights(Wire):
    """Llama Stack's; they add up to 1."""

    vector: Share = 0.0
    keyword: Share = 0.0
    neural: Share = 0.0


class SearchRankingOptions(Wire):
    """`ranker`, `score_threshold` and `hybrid_search` are official; the others are those of Llama Stack."""

    ranker: Ranker | UnsetType | None = UNSET
    score_threshold: float | UnsetType | None = UNSET
    hybrid_search: HybridSearch | UnsetType | None = UNSET
    alpha: float | UnsetType | None = UNSET
    impact_factor: float | UnsetType | None = UNSET
    weights: RankingWeights | UnsetType | None = UNSET
    model: str | UnsetType | None = UNSET


def ranking_of(
    given: RankingOptions | SearchRankingOptions | UnsetType | None,
    param: str = "ranking_options",
    *,
    default_reranker: str = "",
) -> Ranking:
    """What a request wants. `default_reranker` is the server's, "" for none.

    Raises InvalidRequest, with the path of what is wrong in `param`.
    """
    if given is None or given is UNSET:
        return Ranking()
    if isinstance(given, RankingOptions):
        given = SearchRankingOptions(
            ranker=given.ranker, score_threshold=given.score_threshold, hybrid_search=given.hybrid_search
        )
    return _Options(given, param).ranking(default_reranker)


class _Options:
    def __init__(self, given: SearchRankingOptions, param: str) -> None:
        self._given = given
        self._param = param
        self._ranker: Ranker = given.ranker or "auto"

    def ranking(self, default_reranker: str) -> Ranking:
        self._belongs()
        embedding, text, neural = self._weights()
        return Ranking(
            fusion="weighted" if self._ranker == "weighted" else "rrf",
            embedding_weight=embedding,
            text_weight=text,
            rrf_constant=self._positive("impact_factor", self._given.impact_factor, Ranking().rrf_constant),
            score_threshold=self._share("score_threshold", self._given.score_threshold, 0.0),
            reranker=self._reranker(default_reranker, neural),
            reranker_weight=neural or 1.0,
        )

    def _belongs(self) -> None:
        """Nothing is said that this ranker does not look at."""
        given, ranker = self._given, self._ranker
        fusing = {"auto", "default-2024-11-15", "none", "rrf", "neural"}
        rules = (
            ("alpha", given.alpha, {"weighted"}),
            ("impact_factor", given.impact_factor, fusing),
            ("hybrid_search", given.hybrid_search, {*fusing, "weighted"}),
        )
        for name, value, rankers in rules:
            if value is not None and value is not UNSET and ranker not in rankers:
                raise self._wrong(name, f'does not go with ranker "{ranker}"; leave it out')
        said = [
            name
            for name, value in (
                ("alpha", given.alpha),
                ("hybrid_search", given.hybrid_search),
                ("weights", given.weights),
            )
            if value is not None and value is not UNSET
        ]
        if len(said) > 1:
            raise self._wrong(said[1], f"says the same as `{said[0]}`; send one of them")

    def _weights(self) -> tuple[float, float, float]:
        """Of the vectors, of the keywords, and of the reranker."""
        given = self._given
        if given.weights:
            weights = given.weights
            if abs(weights.vector + weights.keyword + weights.neural - 1) > 0.001:
                raise self._wrong("weights", "`vector`, `keyword` and `neural` add up to 1")
            if weights.neural and not (weights.vector or weights.keyword):
                return 1.0, 1.0, 1.0
            return weights.vector, weights.keyword, weights.neural
        if given.hybrid_search:
            embedding, text = given.hybrid_search.embedding_weight, given.hybrid_search.text_weight
            if not (0 <= embedding <= MAX_NUMBER and 0 <= text <= MAX_NUMBER and embedding + text > 0):
                why = f"expected two weights of 0 to {MAX_NUMBER:,}, one of them above 0"
                raise self._wrong("hybrid_search", why)
            return embedding, text, 0.0
        alpha = self._share("alpha", given.alpha, 0.5)
        return (alpha, 1 - alpha, 0.0) if self._ranker == "weighted" else (1.0, 1.0, 0.0)

    def _reranker(self, default: str, neural: float) -> str | None:
        """A model, "" for none, None for the server's choice."""
        named = self._given.model or ""
        if neural and self._ranker == "none":
            raise self._wrong("weights", '`neural` does not go with ranker "none"; leave one of them out')
        if self._ranker == "neural" or neural:
            if not (named or default):
                raise self._wrong("model", "required, a model that reranks: this server has none of its own")
            return named or default
        if named:
            raise self._wrong("model", 'goes with ranker "neural", or with `weights.neural`')
        return None if self._ranker in ("auto", "default-2024-11-15") else ""

    def _share(self, name: str, value: float | UnsetType | None, default: float) -> float:
        if value is None or value is UNSET:
            return default
        if not 0 <= value <= 1:
            raise self._wrong(name, f"expected 0 to 1, found {value:g}")
        return value

    def _positive(self, name: str, value: float | UnsetType | None, default: float) -> float:
        if value is None or value is UNSET:
            return default
        if not 0 < value <= MAX_NUMBER:
            raise self._wrong(name, f"expected a number above 0, up to {MAX_NUMBER:,}, found {value:g}")
        return value

    def _wrong(self, name: str, why: str) -> InvalidRequest:
        path = f"{self._param}.{name}"
        return InvalidRequest(f"`{path}`: {why}.", param=path)
