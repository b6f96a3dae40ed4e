"""Cuts a document into chunks. Pure, and linear in the length of the text.

A chunk ends where the text does: in front of a heading if there is one in the last half of the room that it has
beyond the overlap, else at the end of a paragraph there, of a sentence, a line, a word, and in a text without any of
these where the room ends. The next one begins so many tokens earlier as chunks are to overlap, moved by up to a
quarter of those to where a paragraph, a sentence, a line or a word begins.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Final

from antiphon.core.chunk_tokens import TokenMap
from antiphon.core.chunking_strategy import ChunkingStrategy, ChunkSizes, sizes_of
from antiphon.core.documents import Document, Heading, TextChunk

TINY: Final = 8
"""A section of less than an eighth of a chunk goes together with the next one."""
_BORDERS: Final = (
    ("\n\n",),
    (". ", "! ", "? ", ".\n", "!\n", "?\n", "。", "！", "？"),  # noqa: RUF001 ends of sentences in Chinese and Japanese
    ("\n",),
    (" ", "\t", "\u3000"),
)
"""What ends a paragraph, a sentence, a line, a word."""
_SIGN: Final = re.compile(r"\S")


def chunks(document: Document, strategy: ChunkingStrategy | ChunkSizes) -> Iterator[TextChunk]:
    """The chunks of a document, in order. None where it holds nothing but white space.

    `document.text[chunk.start:chunk.end] == chunk.text`; no chunk begins or ends with white space or holds more
    tokens than asked for; every other character is in a chunk.
    """
    sizes = strategy if isinstance(strategy, ChunkSizes) else sizes_of(strategy)
    tokens = TokenMap(document.text)
    cutter = _Cutter(document, sizes, tokens)
    places = _Places(document)
    sections = _sections(document, sizes, tokens) if sizes.by_section else [(0, len(document.text))]
    for first, last in sections:
        for start, end in cutter.pieces(first, last):
            page, titles = places.of(start)
            yield TextChunk(document.text[start:end], start, end, page, titles)


# --- sections ---------------------------------------------------------------------------------------------------
def _sections(document: Document, sizes: ChunkSizes, tokens: TokenMap) -> Iterator[tuple[int, int]]:
    """Where chunks may not reach across: from one heading of the top levels to the next, tiny ones put together."""
    borders = sorted({0, *_top_headings(document.headings), len(document.text)})
    tiny, start = sizes.max_tokens // TINY, borders[0]
    for end in borders[1:-1]:
        if tokens.before(end) - tokens.before(start) >= tiny:
            yield start, end
            start = end
    yield start, len(document.text)


def _top_headings(headings: tuple[Heading, ...]) -> list[int]:
    """Those down to the highest level that tells parts of the document apart: a title alone does not."""
    for level in sorted({one.level for one in headings}):
        starts = [one.start for one in headings if one.level <= level]
        if len(starts) > 1:
            return starts
    return []


# --- pieces of a section ----------------------------------------------------------------------------------------
class _Cutter:
    def __init__(self, document: Document, sizes: ChunkSizes, tokens: TokenMap) -> None:
        self._text = document.text
        self._headings = [one.start for one in document.headings]
        self._most = sizes.max_tokens
        self._overlap = sizes.overlap_tokens
        self._wanted = self._overlap + (self._most - self._overlap + 1) // 2
        self._tokens = tokens

    def pieces(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        start = self._sign_from(first, last)
        while start < last:
            so_far = self._tokens.before(start)
            room = self._tokens.end_of(so_far + self._most)
            if room >= last:
                yield start, self._without_space(start, last)
                return
            cut = self._cut(self._tokens.end_of(so_far + self._wanted), room)
            yield start, self._without_space(start, cut)
            start = self._sign_from(self._next(cut), last)

    def _cut(self, low: int, high: int) -> int:
        """The best place to end in `[low, high]`."""
        at = bisect_right(self._headings, high) - 1
        if at >= 0 and self._headings[at] > low:
            return self._headings[at]
        for endings in _BORDERS:
            best = low
            for one in endings:
                best = max(best, self._text.rfind(one, best, high) + len(one))
            if best > low:
                return min(best, high)
        return high

    def _next(self, cut: int) -> int:
        """Where the chunk behind this one begins."""
        if not self._overlap:
            return cut
        back = self._tokens.before(cut) - self._overlap
        low, high = self._tokens.end_of(back), self._tokens.end_of(back + self._overlap // 4)
        at = bisect_left(self._headings, low)
        if at < len(self._headings) and self._headings[at] < high:
            return self._headings[at]
        for endings in _BORDERS:
            best = high
            for one in endings:
                found = self._text.find(one, max(0, low - len(one)), best)
                best = found + len(one) if found >= 0 else best
            if best < high:
                return best
        return low

    def _sign_from(self, offset: int, last: int) -> int:
        match = _SIGN.search(self._text, offset, last)
        return match.start() if match is not None else last

    def _without_space(self, start: int, end: int) -> int:
        return start + len(self._text[start:end].rstrip())


# --- where a chunk stands ---------------------------------------------------------------------------------------
class _Places:
    """Pages and headings of offsets that are asked for in order."""

    def __init__(self, document: Document) -> None:
        self._pages = document.pages
        self._headings = document.headings
        self._read = 0
        self._above: list[Heading] = []

    def of(self, offset: int) -> tuple[int | None, tuple[str, ...]]:
        while self._read < len(self._headings) and self._headings[self._read].start <= offset:
            heading = self._headings[self._read]
            while self._above and self._above[-1].level >= heading.level:
                self._above.pop()
            self._above.append(heading)
            self._read += 1
        page = max(1, bisect_right(self._pages, offset)) if self._pages else None
        return page, tuple(one.title for one in self._above)
