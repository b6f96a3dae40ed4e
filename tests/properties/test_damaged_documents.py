"""Whatever a file holds, reading it ends: as a document whose offsets are right, or as a file that cannot be read."""

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator, Iterator

import msgspec
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from antiphon.core.documents import Document
from antiphon.extraction.extractor import DocumentExtractor
from antiphon.extraction.limits import ExtractionLimits
from antiphon.ports.knowledge import Unreadable
from tests.documents import fixture, package

NAMES = ("report.pdf", "protected.pdf", "report.docx", "slides.pptx", "book.xlsx")
TEXTS = {
    "page.html": b"<!doctype html><title>x</title><h1>One</h1><ul><li>a<li>b</ul><table><tr><td>1<td>2</table>",
    "notes.md": b"---\ntitle: x\n---\n# One\n\ntext\n\nTwo\n===\n```\n# no\n```\n",
    "mail.eml": b"From: =?utf-8?q?a?= <a@b.c>\nTo: d\nMIME-Version: 1.0\nContent-Type: multipart/mixed;"
    b" boundary=X\n\n--X\nContent-Type: text/html; charset=latin-1\n\n<p>x\n--X\nContent-Type: a/b; name=c\n\n\n--X--",
    "text.txt": "Größe, 世界, ответ\n".encode("utf-16"),
}
PIECES = st.sampled_from(
    [
        b"\0",
        b"\xff" * 8,
        b"<",
        b"%PDF-1.7",
        b"PK\x03\x04",
        b"]]>",
        b"99999999999",
        b"-1",
        b"&#0;",
        b"\xef\xbb\xbf",
    ]
) | st.binary(max_size=6)


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, bytes]:
    name = draw(st.sampled_from([*NAMES, *TEXTS]))
    content = TEXTS[name] if name in TEXTS else fixture(name)
    if name.endswith("x") and draw(st.booleans()):
        return name, draw(damaged_part(content))
    return name, draw(broken(content))


@st.composite
def damaged_part(draw: st.DrawFn, content: bytes) -> bytes:
    """Of a package one part is damaged and packed anew, so that its checksum is right."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = {one: archive.read(one) for one in archive.namelist() if one.endswith((".xml", ".rels"))}
    told = sorted(one for one in parts if "theme" not in one and "Layout" not in one)
    name = draw(st.sampled_from(told))
    return package({**parts, name: draw(broken(parts[name]))})


@st.composite
def broken(draw: st.DrawFn, content: bytes) -> bytes:
    """Some bytes replaced, taken out, said again or cut off."""
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        length = draw(st.sampled_from([0, 1, 2, 8, 50, 500]))
        match draw(st.sampled_from(["replace", "again", "cut"])):
            case "replace":
                content = content[:at] + draw(PIECES) + content[at + length :]
            case "again":
                content = content[: at + length] + content[at:]
            case _:
                content = content[: max(at, len(content) // 2)]
    return content


class Reading:
    """An extractor on a loop of its own, for tests that are not asynchronous."""

    def __init__(self, runner: asyncio.Runner) -> None:
        limits = msgspec.structs.replace(ExtractionLimits(), workers=1, cpu_s=10, max_characters=1_000_000)
        self._runner = runner
        self.extractor = DocumentExtractor(limits)

    def read(self, content: bytes, name: str) -> Document:
        async def whole() -> AsyncIterator[bytes]:
            yield content

        return self._runner.run(self.extractor.extract(whole(), name, ""))


@pytest.fixture(scope="module")
def reading() -> Iterator[Reading]:
    with asyncio.Runner() as runner:
        made = Reading(runner)
        yield made
        runner.run(made.extractor.aclose())


@settings(deadline=None)
@given(damaged())
def test_a_damaged_file_is_read_or_is_not_and_the_next_one_is(
    reading: Reading, file: tuple[str, bytes]
) -> None:
    name, content = file
    read: Document | Unreadable
    try:
        read = reading.read(content, name)
    except Unreadable as error:
        read = error
    if isinstance(read, Document):
        event("read")
        check(read)
    else:
        event(f"unreadable: {read.message.removeprefix('the file cannot be read: ')[:40]}")
        assert read.code in {"unsupported_file", "invalid_file"}
        assert read.message.startswith("the file cannot be read: it")
    assert reading.read(b"good", "good.txt").text == "good"


def check(document: Document) -> None:
    assert document.text.strip()
    document.text.encode()  # no halves of surrogate pairs
    assert "\0" not in document.text
    assert "\r" not in document.text
    assert list(document.pages) == sorted(document.pages)
    for one in document.headings:
        assert 0 <= one.start < len(document.text)
        assert one.title
