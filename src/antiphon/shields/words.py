"""Word lists as patterns over folded texts."""

from collections.abc import Sequence
from typing import Final

from antiphon.shields.folding import Views
from antiphon.shields.patterns import Pattern

MAX_WORDS: Final = 5_000
MAX_WORD: Final = 100
_STAND_INS: Final = {
    "a": "a4@",
    "b": "b8",
    "e": "e3",
    "g": "g9",
    "i": "i1!|",
    "l": "l1|",
    "o": "o0",
    "s": "s5$",
    "t": "t7",
    "u": "uv@*#",
    "z": "z2",
}
_BEFORE: Final = r"(?:^|[^\p{L}\p{N}])"
_AFTER: Final = r"(?:$|[^\p{L}\p{N}])"
_AT_ONCE: Final = 100
"""Words in one pattern."""


def word_patterns(words: Sequence[str], *, obfuscated: bool) -> list[Pattern]:
    """Patterns for `Views.folded`. Whole words: `ass` is not found in `class`. A `*` at the end takes any ending.

    With `obfuscated`, letters may be repeated, written as look-alike digits and signs, or have a sign between them, or
    a space between all of them.
    """
    alternatives = [one for word in words for one in _forms(word, obfuscated)]
    return [
        Pattern(f"{_BEFORE}(?:{'|'.join(alternatives[start : start + _AT_ONCE])}){_AFTER}")
        for start in range(0, len(alternatives), _AT_ONCE)
    ]


def _forms(word: str, obfuscated: bool) -> list[str]:
    ends = r"\p{L}*" if word.endswith("*") else ""
    letters = list(" ".join(Views(word.rstrip("*")).folded.split()))
    if not obfuscated:
        return ["".join(_plainly(letter) for letter in letters) + ends]
    close = r"[._*'\-]?".join(_letter(letter) for letter in letters)
    if len(letters) < 3 or " " in letters:
        return [close + ends]
    return [close + ends, r"\s".join(_letter(letter) for letter in letters)]


def _letter(letter: str) -> str:
    if letter == " ":
        return r"[\s._*\-]+"
    return f"[{''.join(map(_quoted, _STAND_INS.get(letter, letter)))}]+"


def _plainly(letter: str) -> str:
    return r"\s+" if letter == " " else f"[{_quoted(letter)}]"


def _quoted(letter: str) -> str:
    return f"\\{letter}" if not letter.isalnum() else letter
