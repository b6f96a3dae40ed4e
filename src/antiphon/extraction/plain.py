"""Plain text, source code, CSV and JSON as they are; Markdown with its headings."""

import re
from collections.abc import Iterator
from typing import Final

from antiphon.extraction.building import TextBuilder, clean

_ATX: Final = re.compile(r"^ {0,3}(#{1,6})[ \t]+(.*?)[ \t]*(?:[ \t]#+[ \t]*)?$")
_SETEXT: Final = re.compile(r"^ {0,3}(=+|-+)[ \t]*$")
_FENCE: Final = re.compile(r"^ {0,3}(`{3,}|~{3,})(.*)$")
_FRONT_TITLE: Final = re.compile(r"""^title:[ \t]*["']?(.*?)["']?[ \t]*$""")
_MARKUP: Final = re.compile(r"!?\[([^\]\[]*)\]\([^)\s]*\)|[*_`]{1,3}")
MAX_FRONT_LINES: Final = 200


def read_plain(text: str, builder: TextBuilder) -> None:
    builder.add(text)


def read_markdown(text: str, builder: TextBuilder) -> None:
    """Headings of both forms (CommonMark 4.2, 4.3), none inside of fenced code or of the front matter."""
    text = clean(text)
    start = _front_matter(text, builder)
    fence, before = "", ""
    offset, before_at = start, start
    for line in _lines(text, start):
        fenced = _FENCE.match(line)
        if fenced is not None and (not fence or _closes(fenced, fence)):
            fence = "" if fence else fenced[1]
        elif not fence:
            _note_heading(line, offset, before, before_at, builder)
        before, before_at = ("" if fence or fenced else line), offset
        offset += len(line) + 1
    builder.add(text)


def _note_heading(line: str, offset: int, before: str, before_at: int, builder: TextBuilder) -> None:
    atx = _ATX.match(line) if "#" in line[:10] else None
    if atx is not None:
        builder.heading(_plain(atx[2]), len(atx[1]), start=offset)
        return
    under = _SETEXT.match(line) if line[:4].lstrip(" ")[:1] in {"=", "-"} else None
    if under is not None and _may_be_title(before):
        builder.heading(_plain(before), 1 if under[1][0] == "=" else 2, start=before_at)


def _may_be_title(line: str) -> bool:
    return (
        bool(line.strip())
        and len(line) <= 200
        and line.lstrip()[:1] not in {"#", "|", ">", "-", "=", "*", "+"}
    )


def _closes(fenced: re.Match[str], fence: str) -> bool:
    return fenced[1][0] == fence[0] and len(fenced[1]) >= len(fence) and not fenced[2].strip()


def _plain(title: str) -> str:
    """Without emphasis, code marks and the targets of links."""
    return _MARKUP.sub(lambda found: found[1] or "", title)


def _front_matter(text: str, builder: TextBuilder) -> int:
    """Where the text behind YAML front matter begins; its title is that of the document."""
    if not text.startswith("---\n"):
        return 0
    offset, title = 4, ""
    for number, line in enumerate(_lines(text, 4)):
        if number > MAX_FRONT_LINES:
            return 0
        offset += len(line) + 1
        if line.rstrip() in {"---", "..."}:
            builder.title = title
            return min(offset, len(text))
        found = _FRONT_TITLE.match(line)
        title = found[1] if found is not None else title
    return 0


def _lines(text: str, start: int) -> Iterator[str]:
    """Without their ends, which are one character each."""
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        yield text[start:end]
        start = end + 1
