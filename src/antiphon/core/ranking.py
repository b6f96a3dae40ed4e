"""From what several searches found to one order: fusion, merging, threshold and cut. Scores are 0 to 1 in the end.

Nothing depends on the order in which searches are given, and equal scores stand in the order of their keys.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from antiphon.core.searching import DEFAULT_RRF_CONSTANT, Fusion
from antiphon.core.words import words_asked, words_in

Key = TypeVar("Key")
ChunkKey = tuple[str, str]
"""The ids of a vector store and of a chunk in it."""
Scores = Mapping[ChunkKey, float]


@dataclass(frozen=True, slots=True)
class Found:
    """What one search found. The more a score, the better; `weight` is its part in a fusion, 0 for none.

    `stores` are those that were asked, None for all: nobody is worse off for a search that did not ask its store.
    """

    scores: Scores
    weight: float = 1.0
    stores: frozenset[str] | None = None

    def asked(self, store: str) -> bool:
        return self.stores is None or store in self.stores


def fused(
    searches: Iterable[Found], fusion: Fusion, constant: float = DEFAULT_RRF_CONSTANT
) -> dict[ChunkKey, float]:
    """One score for each chunk: 1 for what every search that asked its store puts first.

    `rrf` looks at ranks (reciprocal rank fusion, Cormack et al. 2009; `constant` is its k), `weighted` at scores, each
    search's own spread over 0 to 1.
    """
    taken = [one for one in searches if one.weight > 0]
    parts = [_ranks(one.scores, constant) if fusion == "rrf" else _spread(one.scores) for one in taken]
    result: dict[ChunkKey, float] = {}
    for key in {key for one in taken for key in one.scores}:
        attainable = math.fsum(one.weight for one in taken if one.asked(key[0]))
        reached = math.fsum(one.weight * part.get(key, 0.0) for one, part in zip(taken, parts, strict=True))
        result[key] = _within(reached / attainable)
    return result


def _ranks(scores: Scores, constant: float) -> dict[ChunkKey, float]:
    """1 for the best, less for those behind; equals share a rank."""
    first: dict[float, int] = {}
    for place, score in enumerate(sorted(scores.values(), reverse=True), 1):
        first.setdefault(score, place)
    return {key: (constant + 1) / (constant + first[score]) for key, score in scores.items()}


def _spread(scores: Scores) -> dict[ChunkKey, float]:
    """0 for the worst of a list, 1 for its best; 1 for all where they are equal."""
    if not scores:
        return {}
    low, high = min(scores.values()), max(scores.values())
    if not high > low:
        return dict.fromkeys(scores, 1.0)
    return {key: (score - low) / (high - low) for key, score in scores.items()}


def merged(answers: Iterable[Scores]) -> dict[ChunkKey, float]:
    """What several queries found: each chunk once, with its best score."""
    result: dict[ChunkKey, float] = {}
    for one in answers:
        for key, score in one.items():
            result[key] = max(score, result.get(key, score))
    return result


def blended(scores: Scores, other: Scores, share: float) -> dict[ChunkKey, float]:
    """The chunks of `other`, whose scores make up this share of the result, 0 to 1."""
    return {key: _within(share * score + (1 - share) * scores.get(key, 0.0)) for key, score in other.items()}


def best(scores: Scores, limit: int, threshold: float = 0.0) -> list[tuple[ChunkKey, float]]:
    """The best first, none under the threshold."""
    kept = [(key, score) for key, score in scores.items() if score >= threshold]
    return sorted(kept, key=lambda one: (-one[1], one[0]))[:limit]


def similarities(cosines: Scores) -> dict[ChunkKey, float]:
    """Cosine similarities as scores: what points elsewhere is not similar at all."""
    return {key: _within(cosine) for key, cosine in cosines.items()}


def relevances(scores: Mapping[Key, float]) -> dict[Key, float]:
    """The scores of a reranker as 0 to 1: as they are, or, where they are logits, by the logistic function."""
    if all(0 <= score <= 1 for score in scores.values()):
        return dict(scores)
    return {key: _logistic(score) for key, score in scores.items()}


def _logistic(score: float) -> float:
    if score >= 0:
        return 1 / (1 + math.exp(-score))
    power = math.exp(max(score, -700.0))
    return power / (1 + power)


def _within(score: float) -> float:
    return min(1.0, max(0.0, score))


# --- keyword scores -------------------------------------------------------------------------------------------
MAX_WORDS = 64
MAX_WORD_WEIGHT = 8
STEM = 0.7
"""How much of a word must agree for two forms of it to be the same."""
LEAST_HELD = 0.05
"""The index found something in a text, whatever its words look like to us."""
READ = 10
"""How many chunks of an answer are read to see how much of the query it holds."""


def keyword_scores(
    query: str, answers: Iterable[Sequence[tuple[ChunkKey, float, str]]]
) -> dict[ChunkKey, float]:
    """Scores that mean the same in every index. `answers` are those of the indexes: key, score, text, best first.

    What an index scores is comparable within one answer only. So each of its scores counts relative to its best, and
    all of them by how much of the query that answer holds at most; long words count more, being rarer.
    """
    words = weights(words_asked(query, MAX_WORDS))
    result: dict[ChunkKey, float] = {}
    for answer in answers:
        top = max((score for _, score, _ in answer), default=0.0)
        held = max((share_held(words, text) for _, _, text in answer[:READ]), default=0.0)
        held = max(LEAST_HELD, held)
        for key, score, _ in answer:
            result[key] = _within(held * (score / top if top > 0 else 1.0))
    return result


def weights(words: Iterable[str]) -> dict[str, int]:
    """Long words count more, being rarer."""
    return {word: min(len(word), MAX_WORD_WEIGHT) for word in words}


def share_held(words: Mapping[str, int], text: str) -> float:
    """The share of the words that a text holds, by their weights, 0 to 1; 1 of none."""
    total = sum(words.values())
    there = set(words_in(text))
    held = sum(weight for word, weight in words.items() if _has(word, there))
    return held / total if total else 1.0


def _has(word: str, there: set[str]) -> bool:
    """In whatever form."""
    if word in there:
        return True
    stem = stem_of(word)
    return stem != word and any(one.startswith(stem) for one in there)


def stem_of(word: str) -> str:
    """What the forms of a word have in common: its beginning; a short word has one form."""
    return word[: max(4, math.ceil(STEM * len(word)))]
