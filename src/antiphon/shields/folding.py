"""Texts as rules read them: without what people put in to get around rules."""

import unicodedata
from functools import cached_property

_PIECE = 32 * 1024
"""Characters that are worked on at a time, so that other threads have their turn in between."""
_INVISIBLE = dict.fromkeys(
    [
        0x00AD,
        0x034F,
        0x061C,
        0x115F,
        0x1160,
        0x17B4,
        0x17B5,
        0x180E,
        *range(0x200B, 0x2010),
        *range(0x202A, 0x202F),
        *range(0x2060, 0x2070),
        *range(0xFE00, 0xFE10),
        0xFEFF,
        *range(0xE0000, 0xE0080),
    ]
)
"""Characters without a width, by Unicode's property Default_Ignorable_Code_Point."""
_LOOK_ALIKE = str.maketrans(
    {
        0x0131: "i",
        0x0142: "l",
        0x0261: "g",
        0x03B1: "a",
        0x03B5: "e",
        0x03B9: "i",
        0x03BA: "k",
        0x03BD: "v",
        0x03BF: "o",
        0x03C1: "p",
        0x03C4: "t",
        0x03C5: "u",
        0x0430: "a",
        0x0435: "e",
        0x043E: "o",
        0x0440: "p",
        0x0441: "c",
        0x0443: "y",
        0x0445: "x",
        0x0455: "s",
        0x0456: "i",
        0x0458: "j",
        0x04BB: "h",
        0x04CF: "l",
        0x0501: "d",
        0x0578: "n",
    }
)
"""Letters of other alphabets that look like those of ours."""
_LEET = str.maketrans("0134578@$!|", "oieastbasii")


class Views:
    """One text, as it is and in the forms that rules ask for; each is made when it is first asked for."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def plain(self) -> str:
        """Compatibility forms as what they stand for (full-width digits, ligatures), nothing invisible."""
        if self.text.isascii():
            return self.text
        return "".join(_plain(piece) for piece in _pieces(self.text))

    @cached_property
    def folded(self) -> str:
        """`plain` in small letters, without accents, letters that look alike as ours."""
        if self.text.isascii():
            return self.text.lower()
        return "".join(_folded(piece) for piece in _pieces(self.plain))

    @cached_property
    def clear(self) -> str:
        """`folded`, digits and signs that stand for letters as those."""
        return "".join(piece.translate(_LEET) for piece in _pieces(self.folded))


def _pieces(text: str) -> list[str]:
    return [text[start : start + _PIECE] for start in range(0, len(text), _PIECE)]


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text.translate(_INVISIBLE))


def _folded(text: str) -> str:
    apart = unicodedata.normalize("NFD", text.casefold())
    bare = "".join(one for one in apart if not unicodedata.combining(one))
    return unicodedata.normalize("NFC", bare).translate(_LOOK_ALIKE)
