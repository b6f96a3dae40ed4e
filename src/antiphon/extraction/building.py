"""The text of a document while it is put together. Runs in the child."""

import re
from typing import Final, Literal

from antiphon.core.documents import Document, Heading
from antiphon.extraction.limits import ExtractionLimits

_UNWANTED: Final = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff\ufffe\uffff\ud800-\udfff]")
_SPACED: Final = re.compile(r"[ \t]+(?=\n)")
MAX_TITLE: Final = 500
TOP_LEVEL, LOWEST_LEVEL = 1, 6


class ReadError(Exception):
    """The file cannot be read. The message is for its owner, and holds nothing but facts about the file."""

    def __init__(self, code: Literal["unsupported_file", "invalid_file"], message: str) -> None:
        super().__init__(message)
        self.code: Literal["unsupported_file", "invalid_file"] = code
        self.message = message


def unsupported(message: str) -> ReadError:
    return ReadError("unsupported_file", message)


def invalid(message: str) -> ReadError:
    return ReadError("invalid_file", message)


def clean(text: str) -> str:
    """Without control characters and halves of surrogate pairs; lines end with a line feed, form feeds are such too."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = text.replace("\x0c", "\n").replace("\x0b", "\n")
    return _UNWANTED.sub("", text)


def one_line(text: str) -> str:
    return " ".join(clean(text).split())[:MAX_TITLE]


class TextBuilder:
    """Collects text, and the offsets of pages and headings in it. Raises ReadError beyond the limits."""

    def __init__(self, limits: ExtractionLimits) -> None:
        self._limits = limits
        self._pieces: list[str] = []
        self._pages: list[int] = []
        self._headings: list[Heading] = []
        self._end = "\n"
        self.length = 0
        self.title = ""

    def add(self, text: str) -> None:
        """Text as it is, once it is clean."""
        text = clean(text)
        if not text:
            return
        self.length += len(text)
        if self.length > self._limits.max_characters:
            raise self.too_long()
        self._pieces.append(text)
        self._end = (self._end + text[-2:])[-2:]

    def too_long(self) -> ReadError:
        most = self._limits.max_characters
        return invalid(f"it holds more than {most:,} characters of text; cut it into several files.")

    def line(self, text: str = "") -> None:
        """Text on a line of its own."""
        self.end_line()
        self.add(text)
        self.end_line()

    def end_line(self) -> None:
        if self.length and not self._end.endswith("\n"):
            self.add("\n")

    def end_paragraph(self) -> None:
        """What follows stands behind an empty line."""
        self.end_line()
        if self.length and self._end != "\n\n":
            self.add("\n")

    def begin_page(self) -> None:
        self.end_paragraph()
        if len(self._pages) >= self._limits.max_pages:
            raise invalid(f"it has more than {self._limits.max_pages:,} pages; cut it into several files.")
        self._pages.append(self.length)

    def heading(self, title: str, level: int, *, start: int | None = None) -> None:
        """The line that begins at `start`, by default the next one, is a heading."""
        title = one_line(title)
        if not title or len(self._headings) >= self._limits.max_headings:
            return
        at = self.length if start is None else start
        self._headings.append(Heading(at, min(max(level, TOP_LEVEL), LOWEST_LEVEL), title))

    def document(self) -> Document:
        """Raises ReadError where there is no text at all."""
        text = "".join(self._pieces)
        if not text or text.isspace():
            raise invalid("it holds no text.")
        headings = sorted((one for one in self._headings if one.start < len(text)), key=lambda one: one.start)
        return Document(text, tuple(self._pages), tuple(headings), one_line(self.title))
