"""Text as a word index that knows only spaces can take it: scripts without spaces between words as pairs of letters."""

import re
import unicodedata
from typing import Final

_UNSPACED: Final = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f"  # Burmese
    "\u1100-\u11ff\ua960-\ua97f\uac00-\ud7ff"  # Korean, whose words end in particles
    "\u1780-\u17ff"  # Khmer
    "\u3005-\u3007\u3040-\u30ff\u3100-\u312f\u31a0-\u31bf\u31f0-\u31ff"  # kana, bopomofo
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Chinese characters
)
_RUN: Final = re.compile(f"[{_UNSPACED}]+")
# Hebrew points, Arabic vowels and the stroke that only makes words longer: mostly left out in writing.
_POINTS: Final = re.compile("[\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0640\u064b-\u065f\u0670]+")


def spaced(text: str) -> str:
    """For a document: `東京都` becomes `東京 京都 都`, so that each letter begins something that is found."""
    return text if text.isascii() else _RUN.sub(_pairs_and_last, _plain(text))


def spaced_query(text: str) -> str:
    """For a query: `東京都` becomes `東京 京都`."""
    return text if text.isascii() else _RUN.sub(_pairs, _plain(text))


def is_one_letter(word: str) -> bool:
    """Whether this word of a query is a letter that documents hold as the first of pairs."""
    return len(word) == 1 and _RUN.fullmatch(word) is not None


def _plain(text: str) -> str:
    return _POINTS.sub("", unicodedata.normalize("NFKC", text))


def _pairs_and_last(found: "re.Match[str]") -> str:
    run = found[0]
    return f" {' '.join(run[at : at + 2] for at in range(len(run)))} "


def _pairs(found: "re.Match[str]") -> str:
    run = found[0]
    return f" {' '.join(run[at : at + 2] for at in range(max(1, len(run) - 1)))} "
