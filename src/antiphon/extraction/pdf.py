"""The text of a PDF, page by page, by PDFium. Its outline gives the headings."""

import importlib
import re
from typing import Any, Final

from antiphon.extraction.building import ReadError, TextBuilder, clean, invalid, one_line
from antiphon.extraction.kinds import PROTECTED
from antiphon.extraction.limits import ExtractionLimits

_HYPHEN: Final = re.compile("\ufffe[\r\n]*")
"""PDFium's mark of a word that was broken at the end of a line."""
MAX_BOOKMARKS: Final = 5_000
MAX_DEPTH: Final = 6
ERROR_PASSWORD: Final = 4  # FPDF_ERR_PASSWORD of fpdfview.h


def load() -> Any:
    """The library; it has no types."""
    return importlib.import_module("pypdfium2")


def read_pdf(content: bytes, builder: TextBuilder, limits: ExtractionLimits) -> None:
    pdfium = load()
    document = _open(pdfium, content)
    try:
        count = len(document)
        if count > limits.max_pages:
            raise invalid(
                f"it has {count:,} pages; at most {limits.max_pages:,} are read. Cut it into several files."
            )
        if count == 0:
            raise invalid("it has no pages; it may be damaged.")
        builder.title = one_line(str(document.get_metadata_value("Title") or ""))
        starts: list[tuple[int, str]] = [
            _read_page(pdfium, document, number, builder) for number in range(count)
        ]
        if not any(text for _, text in starts):
            raise invalid(
                "it holds no text: its pages are images, perhaps of a scan. Run text recognition (OCR) over it first."
            )
        _read_outline(pdfium, document, starts, builder)
    finally:
        document.close()


def _open(pdfium: Any, content: bytes) -> Any:
    try:
        return pdfium.PdfDocument(content)
    except pdfium.PdfiumError as error:
        if getattr(error, "err_code", None) == ERROR_PASSWORD or "password" in str(error).lower():
            raise invalid(PROTECTED) from None
        raise invalid("it is no PDF that can be read; it may be damaged or incomplete.") from None


def _read_page(pdfium: Any, document: Any, number: int, builder: TextBuilder) -> tuple[int, str]:
    """Where the page begins, and its text. A page that is damaged is an empty one."""
    builder.begin_page()
    start = builder.length
    try:
        page = document[number]
    except pdfium.PdfiumError:
        return start, ""
    try:
        texts = page.get_textpage()
        try:
            text = clean(_HYPHEN.sub("", texts.get_text_range(errors="ignore"))).strip("\n ")
        finally:
            texts.close()
    except pdfium.PdfiumError:
        text = ""
    finally:
        page.close()
    builder.add(text)
    return start, text


def _read_outline(pdfium: Any, document: Any, pages: list[tuple[int, str]], builder: TextBuilder) -> None:
    """A bookmark is a heading where its title stands on the page that it leads to, else where that page begins."""
    searched: dict[int, int] = {}
    try:
        for number, mark in enumerate(document.get_toc(max_depth=MAX_DEPTH)):
            if number >= MAX_BOOKMARKS:
                return
            target = mark.get_dest()
            page: int | None = target.get_index() if target is not None else None
            title = one_line(mark.get_title())
            if page is None or not 0 <= page < len(pages) or not title:
                continue
            start, text = pages[page]
            found = _find(title, text, searched.get(page, 0))
            if found is not None:
                searched[page] = found + 1
            builder.heading(title, mark.level + 1, start=start + (found or 0))
    except (pdfium.PdfiumError, ReadError, ValueError, RecursionError):
        return  # an outline that is damaged costs the headings behind the damage, not the text


def _find(title: str, text: str, start: int) -> int | None:
    """Where a title stands in a page's text at the beginning of a line, however its words are spaced."""
    pattern = r"\s+".join(re.escape(word) for word in title.split()[:30])
    found = re.compile(rf"^[^\S\n]*(?:[\d.]+\s+)?{pattern}", re.IGNORECASE | re.MULTILINE).search(text, start)
    return found.start() if found is not None else None
