"""The embedder of the benchmark: deterministic, without a model, and honest about what it is.

A text is the weighted sum of its words' vectors, made to length 1. A word's vector is a fixed random direction, drawn
from the hash of the word; where `facts` names synonyms of it, half of it is drawn from the first of those: so a vessel
and a boat are near one another (a cosine of 0.5), and not the same.
Weights fall with how often the corpus has the word (a / (a + p), Arora et al. 2017). Words that are rare in the corpus
or hold digits have no direction of their own: they are the sum of the directions of their letter trigrams, as models
know rare words by their pieces. So vectors and keywords err differently: vectors take codes for one another that look
alike, keywords miss what is said in other words.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from bench.retrieval.facts import SYNONYMS

DIMENSION = 384
RARE = 4
SMOOTHING = 1e-3
_WORD = re.compile(r"[a-z0-9]+")
Matrix = np.ndarray[Any, np.dtype[np.float32]]


def words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


class Embedding:
    def __init__(self, texts: Iterable[str]) -> None:
        """Learns from these texts how frequent words are."""
        self._frequency: Counter[str] = Counter()
        for text in texts:
            self._frequency.update(words(text))
        self._total = max(1, self._frequency.total())
        self._known: dict[str, Matrix] = {}

    def matrix(self, texts: Sequence[str]) -> Matrix:
        """A row for each text."""
        rows = np.zeros((len(texts), DIMENSION), dtype=np.float32)
        for at, text in enumerate(texts):
            for word, times in Counter(words(text)).items():
                rows[at] += (1 + np.log(times)) * self._word(word)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.asarray(rows / np.maximum(lengths, 1e-12), dtype=np.float32)

    def _word(self, word: str) -> Matrix:
        found = self._known.get(word)
        if found is None:
            share = self._frequency[word] / self._total
            weight = SMOOTHING / (SMOOTHING + share)
            found = self._known[word] = np.float32(weight) * self._direction(word)
        return found

    def _direction(self, word: str) -> Matrix:
        if self._frequency[word] >= RARE and not any(sign.isdigit() for sign in word):
            shared = SYNONYMS.get(word)
            return (
                _drawn(word) if shared is None else (_drawn(word) + _drawn(f"={shared}")) / np.float32(2**0.5)
            )
        padded = f"^{word}$"
        pieces = sum(
            (_drawn(padded[at : at + 3]) for at in range(len(padded) - 2)), np.zeros(DIMENSION, np.float32)
        )
        return np.asarray(pieces / np.float32(max(1.0, (len(padded) - 2) ** 0.5)), dtype=np.float32)


def _drawn(name: str) -> Matrix:
    """A direction that belongs to this name for ever."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    return np.random.default_rng(seed).standard_normal(DIMENSION, dtype=np.float32)
