"""A search over vector stores, as it is asked for and as it is answered."""

from dataclasses import dataclass, field
from typing import Literal

from antiphon.core.filters import AttributeFilter, Attributes

SearchMode = Literal["auto", "keyword", "vector", "hybrid"]
"""`auto`: hybrid in a store that has vectors, else by keywords."""
Fusion = Literal["rrf", "weighted"]
DEFAULT_RRF_CONSTANT = 60.0


@dataclass(frozen=True, slots=True)
class Ranking:
    """How what was found is put in order. Scores are 0 to 1 in the end; those under `score_threshold` are left out.

    A hybrid search joins the two lists by reciprocal ranks (`rrf`, each list with its weight) or by their scores
    (`weighted`). `reranker` is a model that orders the result anew; "" for none, None for the server's default one.
    `reranker_weight` is its share in the final score, 0 to 1; the rest is what was there before.
    """

    fusion: Fusion = "rrf"
    embedding_weight: float = 1.0
    text_weight: float = 1.0
    rrf_constant: float = DEFAULT_RRF_CONSTANT
    score_threshold: float = 0.0
    reranker: str | None = None
    reranker_weight: float = 1.0


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """`queries` are asked all, and what they find is merged; so it is over the stores. `limit` is 1 to 50."""

    store_ids: tuple[str, ...]
    queries: tuple[str, ...]
    limit: int = 10
    where: AttributeFilter | None = None
    mode: SearchMode = "auto"
    ranking: Ranking = Ranking()
    rewrite: bool = False


@dataclass(frozen=True, slots=True)
class FoundChunk:
    """A chunk that was found. `score` is 0 to 1; `metadata` is the chunk's own, a JSON object."""

    store_id: str
    file_id: str
    filename: str
    chunk_id: str
    text: str
    score: float
    attributes: Attributes = field(default_factory=dict[str, str | float | bool])
    metadata: bytes = b"{}"


@dataclass(frozen=True, slots=True)
class SearchAnswer:
    """Best first. `queries` are those that were asked in the end, rewritten where that was asked for."""

    found: tuple[FoundChunk, ...]
    queries: tuple[str, ...]
