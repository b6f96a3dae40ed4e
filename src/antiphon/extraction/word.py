"""The text of a DOCX in the order in which it stands, tables row by row, notes at the end."""

import re
from typing import Final

from antiphon.extraction.building import LOWEST_LEVEL, TextBuilder
from antiphon.extraction.packages import Attributes, Package, local
from antiphon.extraction.runs import Runs

_HEADING: Final = re.compile(
    r"^(?:heading|überschrift|titre|título|titolo|rubrik|kop)\s*([1-9])$", re.IGNORECASE
)
_TITLE: Final = frozenset({"title", "titel", "titre", "título", "titolo"})
MAX_STYLES: Final = 20_000


def read_docx(package: Package, main: str, builder: TextBuilder) -> None:
    relations = package.relations(main).values()
    parts = dict(relations)
    levels = _heading_styles(package, parts.get("styles", ""))
    builder.title = package.title()
    body = _Body(builder, levels)
    package.read(main, body.start, body.end, body.text)
    for kind in ("footnotes", "endnotes", "comments"):
        if kind in parts:
            builder.end_paragraph()
            notes = _Body(builder, {})
            package.read(parts[kind], notes.start, notes.end, notes.text)


def _heading_styles(package: Package, name: str) -> dict[str, int]:
    """Style id → level. By the style's name, its outline level, or those of the style that it is based on."""
    levels: dict[str, int] = {}
    based: dict[str, str] = {}
    style = ""

    def start(tag: str, attributes: Attributes) -> None:
        nonlocal style
        match local(tag):
            case "style":
                style = attributes.get("w:styleId", "") if len(levels) + len(based) < MAX_STYLES else ""
            case "name" if style:
                level = _level_of_name(attributes.get("w:val", ""))
                if level:
                    levels[style] = level
            case "basedOn" if style:
                based[style] = attributes.get("w:val", "")
            case "outlineLvl" if style and attributes.get("w:val", "").isdigit():
                level = int(attributes["w:val"][:3]) + 1
                if level <= LOWEST_LEVEL:
                    levels.setdefault(style, level)
            case _:
                return

    package.read(name, start)
    for one in based:
        ancestor, steps = one, 0
        while ancestor not in levels and ancestor in based and steps < 20:
            ancestor, steps = based[ancestor], steps + 1
        if ancestor in levels:
            levels.setdefault(one, levels[ancestor])
    return levels


def _level_of_name(name: str) -> int:
    found = _HEADING.match(name.strip())
    if found is not None:
        return min(int(found[1]), LOWEST_LEVEL)
    return 1 if name.strip().lower() in _TITLE else 0


class _Body(Runs):
    """Writes paragraphs as they end. What was deleted (`w:delText`), fields' codes and what older programs would show
    instead of a newer object (`mc:Fallback`) are no `w:t` outside of it, and so left out.
    """

    def __init__(self, builder: TextBuilder, levels: dict[str, int]) -> None:
        super().__init__(builder)
        self._levels = levels
        self._level = 0
        self._tables = 0

    def _begin(self, name: str, tag: str, attributes: Attributes) -> None:
        match name:
            case "t":
                self._in_text = tag == "w:t"
            case "p" if tag == "w:p":
                self._write()  # one inside of another is a text box
            case "pStyle":
                self._level = self._levels.get(attributes.get("w:val", ""), 0)
            case "outlineLvl" if not self._level and attributes.get("w:val", "") in {
                "0",
                "1",
                "2",
                "3",
                "4",
                "5",
            }:
                self._level = int(attributes["w:val"]) + 1
            case "tab" if not attributes:
                self._pieces.append("\t")
            case "br" | "cr":
                self._pieces.append("\n")
            case "noBreakHyphen":
                self._pieces.append("-")
            case "tbl":
                self._write()
                if not self._tables:
                    self._builder.end_paragraph()
                self._tables += 1
            case "tr":
                self._cells = 0
            case "tc":
                self._begin_cell()
            case _:
                return

    def _end(self, name: str, tag: str) -> None:
        match name:
            case "t":
                self._in_text = False
            case "p" if tag == "w:p":
                self._write()
            case "tr":
                self._builder.end_line()
            case "tbl":
                self._tables = max(0, self._tables - 1)
                if not self._tables:
                    self._builder.end_paragraph()
            case _:
                return

    def _write(self) -> None:
        text, level = self._taken(), self._level
        self._level = 0
        if not text:
            return
        if self._tables:
            self._add_to_cell(text)
            return
        self._builder.end_paragraph()
        if level:
            self._builder.heading(text, level)
        self._builder.add(text)
        self._builder.end_paragraph()
