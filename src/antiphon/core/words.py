"""The words of a text, for indexes that have no full text search of their own, or none that knows every script.

A word is a run of letters, digits and the marks that belong to them, folded: case, width, compatibility forms, and the
accents and vowel points that people leave out when they type. In scripts that put no spaces between words each
character is a word, and each pair of neighbours too: a query asks for the pairs.
"""

import re
import unicodedata
from collections import Counter
from typing import Final

MAX_WORD = 64
"""Characters of a word that are looked at; longer ones are no words but data."""

# Marks that are written over, under or after letters; `\w` has none of them, though words are made of them.
_MARKS: Final = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u064b-\u065f\u0670"
    "\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u0900-\u0963\u0981-\u09fe\u0a01-\u0a75\u0a81-\u0aff"
    "\u0b01-\u0b77\u0b82-\u0bcd\u0bd7\u0c00-\u0c63\u0c81-\u0cf3\u0d00-\u0d63\u0d81-\u0df3\u0e31\u0e34-\u0e3a"
    "\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ece\u0f18\u0f19\u0f35\u0f37\u0f39\u0f71-\u0f84\u102b-\u103e"
    "\u1056-\u1059\u17b4-\u17d3\u1ab0-\u1aff\u1dc0-\u1dff\u200c\u200d\u20d0-\u20f0\u3099\u309a\ufe20-\ufe2f"
)
_UNSPACED: Final = (
    "\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\U00020000-\U0003134f"
)
_WORD = re.compile(rf"[^\W_](?:[^\W_]|[{_MARKS}])*")
_PLAIN_WORD = re.compile(r"[a-z0-9]+")
_RUN = re.compile(rf"[{_UNSPACED}]+|[^{_UNSPACED}]+")
_IS_UNSPACED = re.compile(rf"[{_UNSPACED}]")
# Accents, Hebrew points, Arabic vowels and the stroke that only makes words longer.
_LEFT_OUT = re.compile(
    "[\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u064b-\u065f\u0670\u0640\u200c\u200d]"
)


def words_in(text: str) -> "Counter[str]":
    """The words that a text is found by, with how often each occurs."""
    return Counter(_words(text, asked=False))


def words_asked(text: str, limit: int) -> list[str]:
    """The words that a query asks for, each once, in their order; `limit` of them at most."""
    return list(dict.fromkeys(_words(text, asked=True)))[:limit]


def _words(text: str, *, asked: bool) -> list[str]:
    if text.isascii():
        return [word[:MAX_WORD] for word in _PLAIN_WORD.findall(text.lower())]
    found: list[str] = []
    for word in _WORD.findall(_folded(text)):
        if _IS_UNSPACED.search(word):
            found += _of_unspaced(word, asked=asked)
        else:
            found.append(word[:MAX_WORD])
    return found


def _folded(text: str) -> str:
    bare = _LEFT_OUT.sub("", unicodedata.normalize("NFKD", text.casefold()))
    return unicodedata.normalize("NFC", bare.casefold())


def _of_unspaced(word: str, *, asked: bool) -> list[str]:
    """Single characters and pairs of runs without spaces; what stands between them as it is."""
    found: list[str] = []
    for run in _RUN.findall(word):
        if not _IS_UNSPACED.match(run):
            found.append(run[:MAX_WORD])
            continue
        pairs = [run[at : at + 2] for at in range(len(run) - 1)]
        found += pairs if asked and pairs else [*run, *pairs]
    return found
