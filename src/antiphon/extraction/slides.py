"""The text of a PPTX, a page for each slide, its title the heading, its notes behind it."""

from typing import Final

from antiphon.extraction.building import TextBuilder
from antiphon.extraction.packages import Attributes, Package, local
from antiphon.extraction.runs import Runs

_TITLES: Final = frozenset({"title", "ctrTitle"})
_FURNITURE: Final = frozenset({"sldNum", "dt", "ftr", "hdr"})
"""Placeholders that say the same on each slide."""


def read_pptx(package: Package, main: str, builder: TextBuilder) -> None:
    builder.title = package.title()
    relations = package.relations(main)
    for relation in _order(package, main):
        kind, name = relations.get(relation, ("", ""))
        if kind == "slide" and name in package:
            builder.begin_page()
            slide = _Slide(builder)
            package.read(name, slide.start, slide.end, slide.text)
            _read_notes(package, name, builder)


def _order(package: Package, main: str) -> list[str]:
    """The relations of the slides as they are shown."""
    found: list[str] = []

    def start(tag: str, attributes: Attributes) -> None:
        if local(tag) == "sldId" and "r:id" in attributes:
            found.append(attributes["r:id"])

    package.read(main, start)
    return found


def _read_notes(package: Package, slide: str, builder: TextBuilder) -> None:
    for kind, name in package.relations(slide).values():
        if kind == "notesSlide":
            builder.end_paragraph()
            notes = _Slide(builder, titled=False)
            package.read(name, notes.start, notes.end, notes.text)


class _Slide(Runs):
    def __init__(self, builder: TextBuilder, *, titled: bool = True) -> None:
        super().__init__(builder)
        self._titled = titled
        self._placeholder = ""
        self._in_cell = False

    def _begin(self, name: str, tag: str, attributes: Attributes) -> None:
        match name:
            case "sp":
                self._placeholder = ""
            case "ph":
                self._placeholder = attributes.get("type", "body")
            case "t":
                self._in_text = True
            case "br":
                self._pieces.append("\n")
            case "tr":
                self._builder.end_line()
                self._cells = 0
            case "tc":
                self._begin_cell()
                self._in_cell = True
            case _:
                return

    def _end(self, name: str, tag: str) -> None:
        match name:
            case "t":
                self._in_text = False
            case "p" if tag == "a:p":
                self._write()
            case "tc":
                self._in_cell = False
            case "sp" | "tbl":
                self._builder.end_paragraph()
                self._placeholder = ""
            case _:
                return

    def _write(self) -> None:
        text = self._taken()
        if not text or self._placeholder in _FURNITURE:
            return
        if self._in_cell:
            self._add_to_cell(text)
            return
        self._builder.end_line()
        if self._titled and self._placeholder in _TITLES:
            self._builder.heading(text, 1)
            self._titled = False  # a title of two paragraphs is one heading
        self._builder.line(text)
