"""Small documents made by hand: the forms that no library writes."""

import io
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

FOLDER = Path(__file__).parent / "fixtures" / "documents"
"""Documents of real writers; its README says how they were made."""
WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"


def fixture(name: str) -> bytes:
    return (FOLDER / name).read_bytes()


def package(parts: Mapping[str, bytes | Iterable[bytes]]) -> bytes:
    """A ZIP file of these parts, deflated as well as can be."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in parts.items():
            with archive.open(name, "w", force_zip64=True) as part:
                for piece in [content] if isinstance(content, bytes) else content:
                    part.write(piece)
    return made.getvalue()


def word_xml(body: str, *, before: str = "", prefix: str = "w") -> bytes:
    head = f'<?xml version="1.0" encoding="UTF-8"?>{before}<{prefix}:document xmlns:{prefix}="{WORD}">'
    return f"{head}<{prefix}:body>{body}</{prefix}:body></{prefix}:document>".encode()


def docx(body: str, *, before: str = "", prefix: str = "w", **parts: bytes) -> bytes:
    """A document of this body; `parts` by file name without `.xml` below `word/`."""
    more = {f"word/{name}.xml": content for name, content in parts.items()}
    relations = "".join(
        f'<Relationship Id="r{number}" Type="{OFFICE}/{name}" Target="{name}.xml"/>'
        for number, name in enumerate(parts)
    )
    rels = f'<Relationships xmlns="{RELATIONS}">{relations}</Relationships>'.encode()
    main = {"word/document.xml": word_xml(body, before=before, prefix=prefix)}
    return package({**main, "word/_rels/document.xml.rels": rels, **more})


def paragraph(text: str, style: str = "") -> str:
    named = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{named}<w:r><w:t>{text}</w:t></w:r></w:p>"


def pdf(*objects: bytes, trailer: bytes = b"/Root 1 0 R") -> bytes:
    """A PDF of these objects, numbered from 1, with a right cross-reference table."""
    made, offsets = b"%PDF-1.4\n", list[int]()
    for number, one in enumerate(objects, 1):
        offsets.append(len(made))
        made += b"%d 0 obj\n%b\nendobj\n" % (number, one)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    head = b"xref\n0 %d\n0000000000 65535 f \n%b" % (size, table)
    return made + head + b"trailer<</Size %d%b>>startxref\n%d\n%%%%EOF" % (size, trailer, len(made))


FONT = b"<</Font<</F1<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>"


def stream(data: bytes, *, more: bytes = b"", times: int = 0) -> bytes:
    """A stream object, deflated so many times over."""
    for _ in range(times):
        data = zlib.compress(data, 9)
    filters = b"/Filter[%b]" % (b"/FlateDecode" * times) if times else b""
    return b"<</Length %d%b%b>>stream\n%b\nendstream" % (len(data), filters, more, data)


def page(contents: bytes, *, count: int = 1) -> bytes:
    """A PDF of one page, shown so many times, with this content stream object."""
    kids = b"3 0 R " * count
    return pdf(
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[%b]/Count %d>>" % (kids, count),
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 4 0 R/Resources%b>>" % FONT,
        contents,
    )


def text_page(text: bytes) -> bytes:
    return page(stream(b"BT /F1 12 Tf 10 700 Td (%b) Tj ET" % text))


def slow_docx() -> bytes:
    """60 KB that hold 60 MB of empty paragraphs: seconds of work, and no text."""
    body = (b"<w:p/>" * 100_000 for _ in range(100))
    head, _, tail = word_xml("#").partition(b"#")

    def pieces() -> Iterable[bytes]:
        yield head
        yield from body
        yield tail

    return package({"word/document.xml": pieces()})


def memory_bomb() -> bytes:
    """A PDF of a few kilobytes whose content stream is a gigabyte."""
    return page(stream(b"BT /F1 12 Tf 10 10 Td (hello) Tj ET\n" * 3_000_000, times=2))
