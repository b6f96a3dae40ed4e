"""One file becomes a document, in this process: what a child does with it. No I/O."""

import re
from typing import Final

from antiphon.core.documents import Document
from antiphon.extraction import kinds
from antiphon.extraction.building import TextBuilder, invalid
from antiphon.extraction.decoding import decode
from antiphon.extraction.limits import ExtractionLimits

_DECLARED: Final = re.compile(
    rb"""(?:<\?xml[^>]{0,200}\bencoding=|<meta[^>]{0,200}\bcharset=|^[ \t\f]*\#.{0,80}?coding[:=])"""
    rb"""\s*["']?([-\w.:]{1,40})""",
    re.IGNORECASE | re.MULTILINE,
)
"""What XML, HTML and Python sources say of their encoding."""
_CHARSET: Final = re.compile(r"""charset\s*=\s*["']?([-\w.:]{1,40})""", re.IGNORECASE)
MOST_BYTES_PER_CHARACTER: Final = 4
DECLARED_WITHIN: Final = 2048


def read(content: bytes, filename: str, media_type: str, limits: ExtractionLimits) -> Document:
    """Raises ReadError. Whatever else it raises is a fault of the file that nobody foresaw."""
    if not content:
        raise invalid("it is empty.")
    builder = TextBuilder(limits)
    kind = kinds.kind_of(content)
    if kind == "pdf":
        from antiphon.extraction.pdf import read_pdf

        read_pdf(content, builder, limits)
    elif kind == "zip":
        _read_package(content, builder, limits)
    elif kinds.is_protected_office(content):
        raise invalid(kinds.PROTECTED)
    else:
        _read_text(content, filename, media_type, builder, limits)
    return builder.document()


def _read_package(content: bytes, builder: TextBuilder, limits: ExtractionLimits) -> None:
    from antiphon.extraction.packages import Package
    from antiphon.extraction.sheets import read_xlsx
    from antiphon.extraction.slides import read_pptx
    from antiphon.extraction.word import read_docx

    package = Package(content, limits)
    kind, main = package.main_part()
    {"docx": read_docx, "pptx": read_pptx, "xlsx": read_xlsx}[kind](package, main, builder)


def _read_text(
    content: bytes, filename: str, media_type: str, builder: TextBuilder, limits: ExtractionLimits
) -> None:
    from antiphon.extraction.email_text import read_email
    from antiphon.extraction.html_text import read_html
    from antiphon.extraction.plain import read_markdown, read_plain

    if len(content) > MOST_BYTES_PER_CHARACTER * limits.max_characters:
        raise builder.too_long()
    text = decode(content, _declared(content, media_type))
    match kinds.text_kind(text, filename, media_type):
        case "markdown":
            read_markdown(text, builder)
        case "html":
            read_html(text, builder)
        case "email":
            read_email(content, builder)
        case "plain":
            read_plain(text, builder)


def _declared(content: bytes, media_type: str) -> str:
    named = _CHARSET.search(media_type)
    if named is not None:
        return named[1]
    found = _DECLARED.search(content[:DECLARED_WITHIN])
    return found[1].decode("ascii", "ignore") if found is not None else ""
