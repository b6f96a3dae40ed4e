"""`ranking_options` of both APIs: what they mean, and what is refused by name."""

from typing import Any

import msgspec
import pytest

from antiphon.core.errors import InvalidRequest
from antiphon.core.ranking_options import SearchRankingOptions, ranking_of
from antiphon.core.searching import Ranking
from antiphon.core.tools import HybridSearch, RankingOptions


def read(given: dict[str, Any], **more: Any) -> Ranking:
    return ranking_of(msgspec.convert(given, SearchRankingOptions), "ranking_options", **more)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({}, Ranking()),
        ({"ranker": "auto"}, Ranking()),
        ({"ranker": "default-2024-11-15", "score_threshold": 0.5}, Ranking(score_threshold=0.5)),
        ({"ranker": None, "score_threshold": None, "weights": None}, Ranking()),
        ({"ranker": "none"}, Ranking(reranker="")),
        ({"ranker": "rrf"}, Ranking(reranker="")),
        ({"ranker": "rrf", "impact_factor": 10}, Ranking(reranker="", rrf_constant=10.0)),
        ({"ranker": "weighted"}, Ranking("weighted", 0.5, 0.5, reranker="")),
        ({"ranker": "weighted", "alpha": 1}, Ranking("weighted", 1.0, 0.0, reranker="")),
        ({"ranker": "weighted", "alpha": 0.25}, Ranking("weighted", 0.25, 0.75, reranker="")),
        (
            {"hybrid_search": {"embedding_weight": 3, "text_weight": 1}},
            Ranking(embedding_weight=3.0, text_weight=1.0),
        ),
        ({"ranker": "neural", "model": "m"}, Ranking(reranker="m")),
        (
            {"ranker": "neural", "model": "m", "weights": {"vector": 0.3, "keyword": 0.3, "neural": 0.4}},
            Ranking("rrf", 0.3, 0.3, reranker="m", reranker_weight=0.4),
        ),
        (
            {"ranker": "weighted", "weights": {"vector": 0.3, "keyword": 0.7}},
            Ranking("weighted", 0.3, 0.7, reranker=""),
        ),
        ({"weights": {"neural": 1}, "model": "m"}, Ranking(reranker="m")),
    ],
)
def test_what_is_meant(given: dict[str, Any], meant: Ranking) -> None:
    assert read(given) == meant


def test_the_server_s_reranker_serves_where_none_is_named() -> None:
    assert read({"ranker": "neural"}, default_reranker="own").reranker == "own"
    assert read({"ranker": "neural", "model": "m"}, default_reranker="own").reranker == "m"
    assert read({"ranker": "none"}, default_reranker="own").reranker == ""
    assert read({}, default_reranker="own").reranker is None


def test_options_of_the_official_tool() -> None:
    given = RankingOptions(
        ranker="auto",
        score_threshold=0.2,
        hybrid_search=HybridSearch(embedding_weight=1, text_weight=0),
    )
    assert ranking_of(given) == Ranking(embedding_weight=1, text_weight=0, score_threshold=0.2)
    assert ranking_of(None) == Ranking()


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"score_threshold": 1.5}, "score_threshold"),
        ({"score_threshold": -0.1}, "score_threshold"),
        ({"ranker": "weighted", "alpha": 2}, "alpha"),
        ({"alpha": 0.5}, "alpha"),
        ({"ranker": "rrf", "alpha": 0.5}, "alpha"),
        ({"ranker": "weighted", "impact_factor": 60}, "impact_factor"),
        ({"ranker": "rrf", "impact_factor": 0}, "impact_factor"),
        ({"ranker": "rrf", "impact_factor": 1e300}, "impact_factor"),
        ({"hybrid_search": {"embedding_weight": 0, "text_weight": 0}}, "hybrid_search"),
        ({"hybrid_search": {"embedding_weight": -1, "text_weight": 2}}, "hybrid_search"),
        ({"hybrid_search": {"embedding_weight": 1e308, "text_weight": 1e308}}, "hybrid_search"),
        ({"weights": {"vector": 0.5, "keyword": 0.2}}, "weights"),
        ({"weights": {"vector": 1}, "hybrid_search": {"embedding_weight": 1, "text_weight": 1}}, "weights"),
        ({"ranker": "weighted", "alpha": 0.5, "weights": {"vector": 1}}, "weights"),
        ({"ranker": "neural"}, "model"),
        ({"weights": {"vector": 0.5, "neural": 0.5}}, "model"),
        ({"model": "m"}, "model"),
        ({"ranker": "none", "model": "m"}, "model"),
        ({"ranker": "none", "weights": {"neural": 1}, "model": "m"}, "weights"),
    ],
)
def test_what_cannot_be_is_refused_by_name(given: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(given)
    assert caught.value.param == f"ranking_options.{param}"
