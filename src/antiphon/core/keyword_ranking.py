"""Texts that are in memory, ranked by the words of a query (BM25), for what is in no index. Pure."""

import math
from collections.abc import Mapping, Sequence

from antiphon.core.asked_words import asked_words
from antiphon.core.ranking import MAX_WORDS, keyword_scores, share_held, stem_of, weights
from antiphon.core.words import words_in

_SATURATION = 1.2
_LENGTH = 0.75
"""k1 and b of BM25, as SQLite's and Lucene's have them."""


def ranked(query: str, texts: Sequence[str], limit: int) -> list[tuple[int, float]]:
    """The places of the texts that hold words of the query, in whatever form, and their scores, 0 to 1, best first.

    The scores mean what `core.ranking.keyword_scores` says. Linear in the length of the texts.
    """
    asked = asked_words(query, MAX_WORDS)
    counts = [words_in(text) for text in texts]
    forms = _forms(asked, {word for one in counts for word in one})
    held = [_held(forms, one) for one in counts]
    lengths = [sum(one.values()) for one in counts]
    average = max(1.0, sum(lengths) / max(1, len(lengths)))
    rare = {word: _rarity(sum(word in one for one in held), len(texts)) for word in asked}
    scores = [
        math.fsum(rare[word] * _weight(often, length / average) for word, often in one.items())
        for one, length in zip(held, lengths, strict=True)
    ]
    found = sorted((at for at, score in enumerate(scores) if score > 0), key=lambda at: (-scores[at], at))
    found = found[:limit]
    answer = [(("", str(at)), scores[at], texts[at]) for at in found]
    result = keyword_scores(query, [answer])
    return [(at, result["", str(at)]) for at in found]


def telling_share(query: str, text: str) -> float:
    """The share of a query's telling words that a text holds, 0 to 1: what every question has does not count."""
    return share_held(weights(asked_words(query, MAX_WORDS)), text)


def _forms(asked: Sequence[str], there: set[str]) -> dict[str, list[str]]:
    """The asked words that a word there is, or is a form of."""
    stems: dict[str, list[str]] = {}
    for word in asked:
        stems.setdefault(stem_of(word), []).append(word)
    sizes = sorted({len(stem) for stem in stems})
    result: dict[str, list[str]] = {}
    for word in there:
        for size in sizes:
            for one in stems.get(word[:size], ()):
                if one == word or len(one) > size:
                    result.setdefault(word, []).append(one)
    return result


def _held(forms: Mapping[str, Sequence[str]], counts: Mapping[str, int]) -> dict[str, int]:
    """How often a text holds each asked word."""
    result: dict[str, int] = {}
    for word in forms.keys() & counts.keys():
        for one in forms[word]:
            result[one] = result.get(one, 0) + counts[word]
    return result


def _rarity(holding: int, total: int) -> float:
    return math.log(1 + (total - holding + 0.5) / (holding + 0.5))


def _weight(often: int, length: float) -> float:
    return often * (_SATURATION + 1) / (often + _SATURATION * (1 - _LENGTH + _LENGTH * length))
