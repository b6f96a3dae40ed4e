"""What paragraphs of Office documents have in common: text in runs, table cells, and fallbacks for older programs."""

from abc import ABC, abstractmethod

from antiphon.extraction.building import TextBuilder
from antiphon.extraction.packages import Attributes, local


class Runs(ABC):
    """Collects the text of a paragraph. Of what is there twice, for newer programs and for older ones
    (`mc:Fallback`), the first is read.
    """

    def __init__(self, builder: TextBuilder) -> None:
        self._builder = builder
        self._pieces: list[str] = []
        self._in_text = False
        self._fallback = 0
        self._cells = 0
        self._said = False  # whether the cell has a paragraph already

    def start(self, tag: str, attributes: Attributes) -> None:
        name = local(tag)
        if self._fallback or name == "Fallback":
            self._fallback += name == "Fallback"
        else:
            self._begin(name, tag, attributes)

    def end(self, tag: str) -> None:
        name = local(tag)
        if self._fallback:
            self._fallback -= name == "Fallback"
        else:
            self._end(name, tag)

    def text(self, data: str) -> None:
        if self._in_text and not self._fallback:
            self._pieces.append(data)

    @abstractmethod
    def _begin(self, name: str, tag: str, attributes: Attributes) -> None:
        """An element begins; `name` is its tag without the namespace."""

    @abstractmethod
    def _end(self, name: str, tag: str) -> None:
        """An element ends."""

    def _taken(self) -> str:
        """What the paragraph says."""
        text = "".join(self._pieces).strip()
        self._pieces.clear()
        return text

    def _begin_cell(self) -> None:
        if self._cells:
            self._builder.add("\t")
        self._cells += 1
        self._said = False

    def _add_to_cell(self, text: str) -> None:
        """A paragraph of a cell, which is one line."""
        self._builder.add(f"{' ' if self._said else ''}{' '.join(text.split())}")
        self._said = True
