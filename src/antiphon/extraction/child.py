"""What runs in a child: it reads one file after the other from its input and answers with their texts.

It ends when its input does, which the system closes when the server dies, however it dies.
"""

import codecs
import contextlib
import importlib
import importlib.abc
import os
import sys
from typing import Final

import msgspec

from antiphon.core.documents import Document
from antiphon.extraction import confinement
from antiphon.extraction.answers import ABANDONED, LENGTH_BYTES, READY, Job, Outcome, length
from antiphon.extraction.building import ReadError
from antiphon.extraction.limits import ExtractionLimits
from antiphon.extraction.reading import read

STDIN, STDOUT = 0, 1
TOO_MUCH_MEMORY: Final = "reading it takes more memory than one file may."
_MESSAGE: Final = b"""\
From: a@example.com
To: b@example.com
MIME-Version: 1.0
Subject: =?utf-8?q?x?=
Date: Sat, 21 Nov 2026 10:00:00 +0000
Content-Type: text/html

<p>&eacute;</p>
"""
_LOADED: Final = (
    "charset_normalizer",
    "email.headerregistry",
    "email.iterators",
    "email.quoprimime",
    "email.base64mime",
    "encodings.idna",
    "html.entities",
    "quopri",
    "zipfile",
    "antiphon.extraction.decoding",
    "antiphon.extraction.email_text",
    "antiphon.extraction.html_text",
    "antiphon.extraction.packages",
    "antiphon.extraction.pdf",
    "antiphon.extraction.plain",
    "antiphon.extraction.sheets",
    "antiphon.extraction.slides",
    "antiphon.extraction.word",
    "pypdfium2",
)


def main() -> None:
    """`limits` as JSON are the last argument."""
    limits = msgspec.json.decode(sys.argv[-1], type=ExtractionLimits)
    confinement.die_with_parent()
    load()
    sys.meta_path[:] = [_NothingMore()]
    confinement.confine(limits)
    _write(READY)
    while serve_one(limits):
        pass
    os._exit(0)  # nothing is worth an orderly end


class _NothingMore(importlib.abc.MetaPathFinder):
    """Says that a module is not there, where looking for it would be forbidden: an encoding of any name is imported."""

    def find_spec(self, name: str, *_: object) -> None:
        raise ModuleNotFoundError(f"{name} was not loaded", name=name)


def load() -> None:
    """All that reading any file needs: nothing can be opened later."""
    import encodings
    import pkgutil

    for name in _LOADED:
        importlib.import_module(name)
    for encoding in pkgutil.iter_modules(encodings.__path__):
        with contextlib.suppress(LookupError):  # one of another system, or no encoding
            codecs.lookup(encoding.name)
    warm = (
        ("Größe und Straße\n" * 3).encode("cp1252"),
        _MESSAGE,
    )
    for one in warm:
        read(one, "", "", ExtractionLimits())


def serve_one(limits: ExtractionLimits) -> bool:
    """Read one file and answer. False at the end of the input."""
    job = _receive()
    if job is None:
        return False
    content = _receive_file()
    if content is None or content is _ABANDONED:
        return content is _ABANDONED
    confinement.allow_cpu(limits.cpu_s)
    outcome, text = answer(msgspec.json.decode(job, type=Job), content, limits)
    head = msgspec.json.encode(outcome)
    _write(length(len(head)) + head + length(len(text)))
    _write(text)
    return True


def answer(job: Job, content: bytes, limits: ExtractionLimits) -> tuple[Outcome, bytes]:
    try:
        document = read(content, job.filename, job.media_type, limits)
    except ReadError as error:
        return Outcome(code=error.code, error=error.message), b""
    except MemoryError:
        return Outcome(code="invalid_file", error=TOO_MUCH_MEMORY, spent=True), b""
    except RecursionError:
        return Outcome(code="invalid_file", error="it is nested too deep."), b""
    except Exception as error:  # noqa: BLE001 whatever a file makes a library raise, the file is what is wrong
        name = type(error).__name__
        damaged = f"it is damaged, or of an unusual form ({name})."
        return Outcome(code="invalid_file", error=damaged, spent=True), b""
    try:
        return _outcome(document), document.text.encode("utf-8")
    except MemoryError:
        return Outcome(code="invalid_file", error=TOO_MUCH_MEMORY, spent=True), b""


def _outcome(document: Document) -> Outcome:
    headings = tuple((one.start, one.level, one.title) for one in document.headings)
    return Outcome(title=document.title, pages=document.pages, headings=headings)


_ABANDONED: Final = b"abandoned"


def _receive_file() -> bytes | None:
    """The pieces of a file as one. Else as `_receive`."""
    content = bytearray()
    while piece := _receive():
        if piece is _ABANDONED:
            return _ABANDONED
        content += piece
    return None if piece is None else bytes(content)


def _receive() -> bytes | None:
    """The next message; None at the end of the input, `_ABANDONED` for that."""
    head = _exactly(LENGTH_BYTES)
    if head is None:
        return None
    count = int.from_bytes(head, "big")
    return _ABANDONED if count == ABANDONED else _exactly(count)


def _exactly(count: int) -> bytes | None:
    pieces = bytearray()
    while len(pieces) < count:
        piece = os.read(STDIN, min(count - len(pieces), 1 << 20))
        if not piece:
            return None
        pieces += piece
    return bytes(pieces)


def _write(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(STDOUT, view) :]
