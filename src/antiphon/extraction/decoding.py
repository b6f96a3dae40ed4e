"""Bytes become text, in whatever encoding they are."""

import codecs
import re
from typing import Final

from antiphon.extraction.building import invalid, unsupported
from antiphon.extraction.kinds import not_read

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_BY_NAME: Final = {
    "iso-8859-1": "windows-1252",
    "latin-1": "windows-1252",
    "us-ascii": "windows-1252",
    "ascii": "windows-1252",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc-kr": "cp949",
    "ks_c_5601-1987": "cp949",
}
"""Names as files give them, and the larger encodings that are meant (WHATWG Encoding, 4.2)."""
SAMPLE: Final = 64 * 1024
CANDIDATES: Final = (
    "cp932",
    "euc_jp",
    "iso2022_jp",
    "gb18030",
    "big5",
    "cp949",
    "koi8_r",
    "cp1251",
    "mac_cyrillic",
    "cp866",
    "cp1250",
    "iso8859_2",
    "cp1252",
    "iso8859_15",
    "cp1253",
    "cp1254",
    "cp1255",
    "cp1256",
    "cp1257",
    "cp1258",
    "cp874",
    "mac_roman",
    "cp437",
    "cp850",
)
_WEST: Final = frozenset("äöüßéèêëàâçîïíìôóòùûúœæøåñáãõýðþÿŠšŽž".lower())
_EAST: Final = frozenset("ąćęłńóśźżáčďéěíňřšťúůýžäöüőűôĺľŕăâîşţß")
_LATIN: Final = {
    "cp1254": frozenset("ğ\u0131şçöüâîûi\u0307"),
    "cp1252": _WEST,
    "iso8859_15": _WEST,
    "cp1250": _EAST,
    "iso8859_2": _EAST,
    "cp1257": frozenset("āčēģīķļņšūžąęėįųõäöüß"),
}
"""The small letters that languages written in an encoding have, the encodings in the order of preference."""
_TWINS: Final = ("cp1252", "iso8859_15", "cp1254", "iso8859_2")
"""Tried too where only a near relative was found."""
_RARE: Final = frozenset("ðþÐÞ")
"""Icelandic alone has them; in their places Turkish and the Baltic languages have frequent letters."""
_SIGNS: Final = frozenset(
    "\u201e\u201c\u201d\u2019\u2018\u201a\u2013\u2014\u2026€«»°§©®™·•\xa0¿¡\u2039\u203a²³½µ\xd7"
)
HEBREW_LETTERS: Final = 40
_PAIRS: Final = re.compile(rb"[\xa1-\xfe][\xa1-\xfe]")
_KANA: Final = b"\xa4\xa5"
_NOT_ASCII: Final = re.compile(rb"[\x80-\xff]")
MOST_CONTROLS: Final = 0.02
"""A text has hardly any control characters but tab, line feed, carriage return, form feed and escape."""
_CONTROLS: Final = bytes(set(range(32)) - {9, 10, 12, 13, 27} | {127})
_BINARY: Final = "it is neither text nor a document of a kind that is read here."


def decode(content: bytes, declared: str = "") -> str:
    """The text. `declared` is the encoding that the file or what came with it names, tried before guessing.

    Raises ReadError: `unsupported_file` for what is no text, `invalid_file` for text in no known encoding.
    """
    for mark, name in _MARKS:
        if content.startswith(mark):
            return _decode_marked(content, name)
    known = not_read(content)
    if known is not None:
        raise unsupported(f"it is {known}, which is not read here.")
    wide = _without_mark(content)
    if wide is not None:
        return wide
    if _is_binary(content):
        raise unsupported(_BINARY)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return _decode_declared(content, declared) or _guess(content)


def _decode_marked(content: bytes, name: str) -> str:
    try:
        return content.decode(name)
    except UnicodeDecodeError as error:
        raise invalid(
            f"it is marked as {name.removesuffix('-sig').upper()} and is not, from byte {error.start:,} on; save it as"
            " UTF-8."
        ) from None


def _without_mark(content: bytes) -> str | None:
    """UTF-16 and UTF-32 without a byte order mark: of text in most scripts every other byte, or three of four, are
    nearly constant.
    """
    sample = content[:4096]
    if len(sample) < 4 or b"\0" not in sample:
        return None
    zeros = [sample[at::4].count(0) / max(1, len(sample[at::4])) for at in range(4)]
    if len(content) % 4 == 0 and min(zeros[1:]) > 0.6 and zeros[1] + zeros[2] > 1.2 and zeros[0] < 0.1:
        name = "utf-32-le"
    elif len(content) % 4 == 0 and min(zeros[:3]) > 0.6 and zeros[3] < 0.1:
        name = "utf-32-be"
    elif min(zeros[1], zeros[3]) > 0.2 and max(zeros[0], zeros[2]) < 0.05:
        name = "utf-16-le"
    elif min(zeros[0], zeros[2]) > 0.2 and max(zeros[1], zeros[3]) < 0.05:
        name = "utf-16-be"
    else:
        return None
    try:
        text = content.decode(name)
    except UnicodeDecodeError:
        return None
    return text if _reads_well(text[:4096]) else None


def _reads_well(text: str) -> bool:
    odd = sum(1 for one in text if not one.isprintable() and one not in "\t\n\r\x0c\ufeff\u200b")
    return odd <= len(text) * MOST_CONTROLS


def _is_binary(content: bytes) -> bool:
    for sample in (content[:SAMPLE], content[len(content) // 2 :][:SAMPLE]):
        controls = len(sample) - len(sample.translate(None, _CONTROLS))
        if controls > max(2, len(sample) * MOST_CONTROLS) or sample.count(0) > 2:
            return True
    return False


def _decode_declared(content: bytes, declared: str) -> str | None:
    name = _BY_NAME.get(declared.strip().lower(), declared.strip())
    if not name:
        return None
    try:
        if not codecs.lookup(name)._is_text_encoding:  # noqa: SLF001 base64 and the like are no encodings of text
            return None
        return content.decode(name)
    except (LookupError, UnicodeError, ValueError):
        return None


def _guess(content: bytes) -> str:
    """By how the text reads, in the encodings that files of today are in. The result decodes all of the content."""
    from charset_normalizer import from_bytes

    sample = content if len(content) <= SAMPLE else _sample(content)
    found = from_bytes(sample, cp_isolation=list(CANDIDATES), threshold=0.3, preemptive_behaviour=False)
    names = [one.encoding for one in found]
    for name in (*_by_letters(sample, names), *names):
        try:
            return content.decode(name)
        except UnicodeDecodeError:
            continue
    raise invalid("its encoding could not be found out; save it as UTF-8.")


def _by_letters(sample: bytes, names: list[str]) -> list[str]:
    """Encodings that differ in few letters are told apart by which of them give letters that languages have."""
    high = [one for one in sample if one > 127]
    if (
        names
        and "cp1255" in names
        and len(high) >= HEBREW_LETTERS
        and all(0xE0 <= one <= 0xFA for one in high)
    ):
        return ["cp1255"]  # Cyrillic text so long would hold a letter of another place
    pairs = _PAIRS.findall(sample)
    if pairs and sum(one[0] in _KANA for one in pairs) > len(pairs) / 4:
        return ["euc_jp"]  # in these places Korean and Chinese encodings have what no text is full of
    if not names or names[0] not in {*_LATIN, "cp1258"}:
        return []
    scores = {name: _score(sample, name) for name in _LATIN if name in names or name in _TWINS}
    return sorted(scores, key=lambda name: -scores[name])[:1]


def _score(sample: bytes, name: str) -> float:
    letters = [one for one in sample.decode(name, "replace") if one > "\x7f"]
    known = sum(one.lower() in _LATIN[name] or one in _SIGNS for one in letters)
    rare = sum(one in _RARE for one in letters)
    return (known - 0.2 * rare) / max(1, len(letters))


def _sample(content: bytes) -> bytes:
    """Whole lines from the first byte on that is not ASCII."""
    found = _NOT_ASCII.search(content)
    at = found.start() if found is not None else 0
    start = max(content.rfind(b"\n", 0, at) + 1, at - SAMPLE // 2)
    end = content.rfind(b"\n", start, start + SAMPLE)
    return content[start : end if end > at else start + SAMPLE]
