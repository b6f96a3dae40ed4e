"""The ZIP packages of Office Open XML: their parts, read as a stream of XML events within limits.

No part is ever whole in memory as a tree, none is unpacked beyond the limit, and a document type declaration, which no
such part has, ends the reading: entities are neither expanded nor fetched.
"""

import io
import posixpath
import zipfile
import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final
from xml.parsers import expat

from antiphon.extraction.building import ReadError, invalid, unsupported
from antiphon.extraction.kinds import PROTECTED
from antiphon.extraction.limits import ExtractionLimits

MAX_PARTS: Final = 20_000
MAX_DEPTH: Final = 1_000
PIECE: Final = 64 * 1024
DAMAGED: Final = "it is damaged or incomplete: its parts cannot be unpacked."
Attributes = dict[str, str]
OnStart = Callable[[str, Attributes], None]
OnEnd = Callable[[str], None]
OnText = Callable[[str], None]


_PREFIXES: Final = {
    "http://schemas.openxmlformats.org/wordprocessingml/2006/main": "w:",
    "http://purl.oclc.org/ooxml/wordprocessingml/main": "w:",
    "http://schemas.openxmlformats.org/drawingml/2006/main": "a:",
    "http://purl.oclc.org/ooxml/drawingml/main": "a:",
    "http://schemas.openxmlformats.org/officeDocument/2006/relationships": "r:",
    "http://purl.oclc.org/ooxml/officeDocument/relationships": "r:",
}
"""Of the transitional and the strict form. Other namespaces have no prefix in what readers are told."""


def local(name: str) -> str:
    """A name without its prefix."""
    return name.rpartition(":")[2]


@lru_cache(maxsize=4096)
def _named(name: str) -> str:
    """`w:p` for what expat calls `http://…/main p`, whatever prefix the file gives it."""
    namespace, space, own = name.rpartition(" ")
    return _PREFIXES.get(namespace, "") + own if space else name


class Package:
    def __init__(self, content: bytes, limits: ExtractionLimits) -> None:
        """Raises ReadError for what is no ZIP file."""
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(content))
        except (zipfile.BadZipFile, ValueError, OSError, EOFError, NotImplementedError, OverflowError):
            raise invalid(DAMAGED) from None
        self._left = limits.max_unpacked_bytes
        self._limits = limits
        infos = self._zip.infolist()
        if len(infos) > MAX_PARTS:
            raise invalid(f"it is a package of more than {MAX_PARTS:,} parts.")
        self._parts = {one.filename.lstrip("/").replace("\\", "/"): one for one in infos}

    def __contains__(self, name: str) -> bool:
        return name in self._parts

    def read(self, name: str, start: OnStart, end: OnEnd | None = None, text: OnText | None = None) -> None:
        """Tell of the elements of a part as they come. A part that is not there has none.

        Raises ReadError where it is damaged, protected, too large or too deep.
        """
        info = self._parts.get(name)
        if info is None:
            return
        if info.flag_bits & 1:
            raise invalid(PROTECTED)
        parser = _parser(start, end, text)
        try:
            with self._zip.open(info) as part:
                while piece := part.read(PIECE):
                    self._left -= len(piece)
                    if self._left < 0:
                        raise _too_large(self._limits.max_unpacked_bytes)
                    parser.Parse(piece, False)  # noqa: FBT003 positional in C
                parser.Parse(b"", True)  # noqa: FBT003 the same
        except expat.ExpatError as error:
            raise invalid(f"it is damaged: {name} is no well-formed XML (line {error.lineno:,}).") from None
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError):
            raise invalid(DAMAGED) from None

    def relations(self, name: str) -> dict[str, tuple[str, str]]:
        """The parts that a part refers to: id → (last word of the type, name)."""
        folder, file = posixpath.split(name)
        found: dict[str, tuple[str, str]] = {}

        def start(tag: str, attributes: Attributes) -> None:
            if local(tag) == "Relationship" and attributes.get("TargetMode") != "External":
                target = attributes.get("Target", "")
                path = target.lstrip("/") if target.startswith("/") else posixpath.join(folder, target)
                kind = attributes.get("Type", "").rpartition("/")[2]
                found[attributes.get("Id", "")] = (kind, posixpath.normpath(path))

        self.read(posixpath.join(folder, "_rels", f"{file}.rels"), start)
        return found

    def main_part(self) -> tuple[str, str]:
        """The kind of document and the name of its first part. Raises ReadError for other packages."""
        for kind, name in _MAIN.items():
            if name in self._parts:
                return kind, name
        for kind, name in self.relations("").values():
            if kind == "officeDocument" and name in self._parts:
                for folder, document in (("word/", "docx"), ("ppt/", "pptx"), ("xl/", "xlsx")):
                    if name.startswith(folder):
                        return document, name
        raise unsupported(self._not_read())

    def title(self) -> str:
        """`dc:title` of the core properties."""
        pieces: list[str] = []
        inside = False

        def start(tag: str, _: Attributes) -> None:
            nonlocal inside
            inside = local(tag) == "title"

        def text(data: str) -> None:
            if inside and len(pieces) < 100:
                pieces.append(data)

        try:
            self.read("docProps/core.xml", start, text=text)
        except ReadError:
            return ""
        return "".join(pieces)

    def _not_read(self) -> str:
        if "xl/workbook.bin" in self._parts:
            return "it is an XLSB workbook, which is not read here; save it as XLSX."
        if "mimetype" in self._parts:
            return "it is an OpenDocument or EPUB file, which is not read here; save it as DOCX, XLSX, PPTX or PDF."
        return "it is a ZIP archive, which is not read here; send its files one by one."


_MAIN: Final = {"docx": "word/document.xml", "pptx": "ppt/presentation.xml", "xlsx": "xl/workbook.xml"}


def _too_large(limit: int) -> ReadError:
    return invalid(f"it unpacks to more than {limit:,} bytes.")


def _parser(start: OnStart, end: OnEnd | None, text: OnText | None) -> expat.XMLParserType:
    parser = expat.ParserCreate(namespace_separator=" ")
    depth = 0

    def begin(name: str, attributes: Attributes) -> None:
        nonlocal depth
        depth += 1
        if depth > MAX_DEPTH:
            raise invalid(f"its XML is nested deeper than {MAX_DEPTH:,} elements.")
        start(_named(name), {_named(key): value for key, value in attributes.items()})

    def finish(name: str) -> None:
        nonlocal depth
        depth -= 1
        if end is not None:
            end(_named(name))

    def refuse(*_: object) -> Any:
        raise invalid("it holds a document type declaration, which no Office document has; it is not read.")

    parser.StartElementHandler = begin
    parser.EndElementHandler = finish
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.ExternalEntityRefHandler = refuse
    if text is not None:
        parser.CharacterDataHandler = text
        parser.buffer_text = True
    return parser
