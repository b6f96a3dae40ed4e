"""A document as text with its structure, and the chunks that it is cut into."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading of level 1 (the highest) to 6, whose line begins at `start`."""

    start: int
    level: int
    title: str


@dataclass(frozen=True, slots=True)
class Document:
    """What was read from a file. Offsets count characters of `text`.

    `pages` are the offsets at which pages (slides, sheets) begin, in order; empty where there are none. `headings`
    are in order too.
    """

    text: str
    pages: tuple[int, ...] = ()
    headings: tuple[Heading, ...] = ()
    title: str = ""


@dataclass(frozen=True, slots=True)
class TextChunk:
    """A piece `[start, end)` of a document's text. `page` counts from 1, None where there are no pages.

    `headings` are the titles that it stands under, the highest first. `context` is a sentence that a model wrote about
    its place in the document; it is searched with the text, and is no part of it.
    """

    text: str
    start: int
    end: int
    page: int | None = None
    headings: tuple[str, ...] = ()
    context: str = ""
