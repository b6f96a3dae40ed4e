"""Of which kind a file is: by what it holds, and only where that is text by its name and media type."""

from pathlib import PurePath
from typing import Final, Literal

TextKind = Literal["plain", "markdown", "html", "email"]
Kind = Literal["pdf", "zip", "text"]

_MARKDOWN: Final = frozenset({".md", ".markdown", ".mdown", ".mkd", ".mdx", ".qmd", ".rmd"})
_HTML: Final = frozenset({".html", ".htm", ".xhtml", ".xht"})
_EMAIL: Final = frozenset({".eml"})
_HTML_STARTS: Final = ("<!doctype html", "<html")
_CODE: Final = frozenset(
    {".php", ".jsp", ".asp", ".aspx", ".erb", ".ejs", ".hbs", ".vue", ".svelte", ".jsx", ".tsx", ".j2"}
)
"""Sources that may begin as a web page does."""
_EMAIL_HEADERS: Final = (
    "received:",
    "return-path:",
    "mime-version:",
    "message-id:",
    "from:",
    "to:",
    "subject:",
    "date:",
)

PDF_WITHIN: Final = 1024
"""A PDF may begin with so many bytes of something else."""
_SIGNATURES: Final[tuple[tuple[bytes, str], ...]] = (
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF87a", "a GIF image"),
    (b"GIF89a", "a GIF image"),
    (b"II*\x00", "a TIFF image"),
    (b"MM\x00*", "a TIFF image"),
    (b"\x00\x00\x01\x00", "an icon"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (b"\x7fELF", "a program"),
    (b"\xcf\xfa\xed\xfe", "a program"),
    (b"\xca\xfe\xba\xbe", "a Java class or a program"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"PAR1", "a Parquet file"),
    (b"ID3", "an audio file"),
    (b"OggS", "an audio or video file"),
    (b"fLaC", "an audio file"),
    (b"\x1aE\xdf\xa3", "a video"),
    (b"{\\rtf", "a document in RTF; save it as DOCX or PDF"),
    (b"%!PS", "a PostScript document; save it as PDF"),
    (b"\x00asm", "a WebAssembly module"),
    (b"GGUF", "a language model"),
)
_OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED: Final = "EncryptedPackage".encode("utf-16-le")
PROTECTED: Final = "it is protected by a password; save it without one."


def kind_of(content: bytes) -> Kind:
    """A PDF holds objects, and one that begins with something else ends as one: a text may speak of PDF."""
    head = content[:PDF_WITHIN]
    if head.lstrip(b"\xef\xbb\xbf\0\t\n\r ").startswith(b"%PDF-") and (
        b" obj" in content or not head.isascii()
    ):
        return "pdf"
    if b"%PDF-" in head and b"startxref" in content[-PDF_WITHIN:]:
        return "pdf"
    return "zip" if content[:4] in {b"PK\x03\x04", b"PK\x05\x06"} else "text"


def is_protected_office(content: bytes) -> bool:
    """A DOCX, PPTX or XLSX with a password is an OLE container that holds the encrypted package."""
    return content.startswith(_OLE) and _ENCRYPTED in content


def not_read(content: bytes) -> str | None:
    """What a file is that is known and not read; None where it may be text."""
    if content.startswith(_OLE):
        return "a document of an old Office version (.doc, .xls, .ppt) or an Outlook message; save it as DOCX or PDF"
    if content[4:8] == b"ftyp":
        return "a video or an image"
    if content[:4] == b"RIFF" and content[8:12] in {b"WEBP", b"WAVE", b"AVI "}:
        return "an image, an audio file or a video"
    if content[:2] == b"BM" and content[6:10] == b"\0\0\0\0":
        return "a BMP image"
    if content[:2] == b"MZ" and b"\0" in content[:256]:
        return "a program"
    return next((name for signature, name in _SIGNATURES if content.startswith(signature)), None)


def text_kind(text: str, filename: str, media_type: str) -> TextKind:
    """How a text is to be read. A name decides before the media type, which clients often guess."""
    suffix = PurePath(filename).suffix.lower()
    media_type = media_type.partition(";")[0].strip().lower()
    if suffix in _MARKDOWN:
        return "markdown"
    if suffix in _HTML:
        return "html"
    if suffix in _EMAIL:
        return "email"
    start = text[:1024].lstrip().lower()
    if start.startswith(_HTML_STARTS) and suffix not in _CODE:
        return "html"
    if media_type in {"text/markdown", "text/x-markdown"}:
        return "markdown"
    if media_type in {"text/html", "application/xhtml+xml"} and not suffix:
        return "html"
    if media_type == "message/rfc822" or (suffix in {"", ".msg", ".txt"} and _looks_like_email(start)):
        return "email"
    return "plain"


def _looks_like_email(start: str) -> bool:
    """Three headers that messages have, each at the beginning of a line, in the first kilobyte; a sender among them."""
    lines = start.replace("\r\n", "\n").split("\n\n", 1)[0].split("\n")
    found = {name for name in _EMAIL_HEADERS if any(line.startswith(name) for line in lines)}
    return len(found) >= 3 and bool(found & {"from:", "return-path:", "received:"})
