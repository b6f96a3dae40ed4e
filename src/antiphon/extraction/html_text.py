"""The text of a web page: what a reader sees, in lines, with its headings."""

import re
from html.parser import HTMLParser
from typing import Final

from antiphon.extraction.building import TextBuilder

_HIDDEN: Final = frozenset(
    {"script", "style", "template", "svg", "math", "iframe", "object", "noframes", "select"}
)
"""What stands between their tags is not shown, or is no text."""
_RAW: Final = frozenset({"script", "style"})
_PARAGRAPHS: Final = frozenset(
    {
        "address", "article", "aside", "blockquote", "body", "details", "dl", "fieldset", "figure", "footer", "form",
        "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "main", "nav", "ol", "p", "pre", "section", "table", "ul",
    }
)  # fmt: skip
_LINES: Final = frozenset(
    {"br", "caption", "dd", "div", "dt", "figcaption", "legend", "li", "option", "summary", "tr"}
)
_CELLS: Final = frozenset({"td", "th"})
_HEADINGS: Final = {f"h{level}": level for level in range(1, 7)}
_VOID: Final = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}
)


_UNSEEN: Final = re.compile(
    r"<!--.*?(?:-->|\Z)|<(script|style)\b.*?(?:</\1\s*>|\Z)|<!\[CDATA\[", re.DOTALL | re.IGNORECASE
)
"""Taken out beforehand: `html.parser` searches for the end of each of these anew, which of many without an end takes
for ever.
"""


class _Page(HTMLParser):
    """Keeps counts, not a tree: tags may be nested as deep as they like."""

    def __init__(self, builder: TextBuilder) -> None:
        super().__init__(convert_charrefs=True)
        self._builder = builder
        self._hidden: str = ""
        self._depth = 0
        self._preformatted = 0
        self._lists = 0
        self._in_title = False
        self._in_head_title = ""
        self._heading: tuple[int, int] | None = None
        self._heading_text: list[str] = []
        self._space = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._hidden:
            self._depth += tag == self._hidden
            return
        if tag in _HIDDEN:
            self._hidden, self._depth = tag, 1
        elif tag == "title":
            self._in_title = True
        elif tag in _PARAGRAPHS:
            self._break(paragraph=True)
            self._open_block(tag)
        elif tag in _LINES:
            self._break()
            if tag == "li" and self._lists:
                self._say("- ")
        elif tag in _CELLS:
            self._cell()
        elif tag == "img":
            self._words(next((value for name, value in attrs if name == "alt" and value), ""))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """`<x/>` ends only a void element (HTML, 13.1.2.1); foreign content is hidden anyhow."""
        self.handle_starttag(tag, attrs)
        if self._hidden == tag and tag not in _RAW:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._hidden:
            self._depth -= tag == self._hidden
            if self._depth <= 0:
                self._hidden = ""
            return
        if tag == "title":
            self._in_title = False
            if not self._builder.title:
                self._builder.title = self._in_head_title
        elif tag in _PARAGRAPHS:
            self._close_block(tag)
            self._break(paragraph=True)
        elif tag in _LINES:
            self._break()

    def handle_data(self, data: str) -> None:
        if self._hidden:
            return
        if self._in_title:
            self._in_head_title = (self._in_head_title + data)[:1000]
        elif self._preformatted:
            self._say(data)
        else:
            self._words(data)

    def _open_block(self, tag: str) -> None:
        if tag == "pre":
            self._preformatted += 1
        elif tag in {"ul", "ol"}:
            self._lists += 1
        elif tag in _HEADINGS:
            self._heading = (self._builder.length, _HEADINGS[tag])
            self._heading_text = []

    def _close_block(self, tag: str) -> None:
        if tag == "pre":
            self._preformatted = max(0, self._preformatted - 1)
        elif tag in {"ul", "ol"}:
            self._lists = max(0, self._lists - 1)
        elif tag in _HEADINGS and self._heading is not None:
            start, level = self._heading
            self._builder.heading("".join(self._heading_text), level, start=start)
            self._heading = None

    def _words(self, data: str) -> None:
        """White space in a row is one space, and none at the beginning of a line."""
        words = data.split()
        if not words:
            self._space = self._space or bool(data)
            return
        lead = " " if (self._space or data[0].isspace()) and not self._at_line_start else ""
        self._space = False
        self._say(lead + " ".join(words))
        self._space = data[-1].isspace()

    def _say(self, text: str) -> None:
        if self._heading is not None and sum(map(len, self._heading_text[-2:])) < 1000:
            self._heading_text.append(text)
        self._builder.add(text)
        self._at_line_start = text.endswith(("\n", "\t", "- "))

    def _cell(self) -> None:
        if not self._at_line_start:
            self._builder.add("\t")
        self._at_line_start, self._space = True, False

    def _break(self, *, paragraph: bool = False) -> None:
        if paragraph:
            self._builder.end_paragraph()
        else:
            self._builder.end_line()
        self._at_line_start, self._space = True, False

    _at_line_start = True


def read_html(text: str, builder: TextBuilder) -> None:
    page = _Page(builder)
    page.feed(_UNSEEN.sub("", text))
    page.close()
