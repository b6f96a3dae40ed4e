"""Files are read in children that can harm nobody and cost no more than is set."""

import asyncio
import os
import resource
import select
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
import pytest

from antiphon.core.documents import Document
from antiphon.extraction import confinement
from antiphon.extraction.extractor import DocumentExtractor
from antiphon.extraction.limits import ExtractionLimits
from antiphon.ports.knowledge import Unreadable
from tests.documents import fixture, memory_bomb, page, pdf, slow_docx, stream, text_page

GOOD = ("report.pdf", "report.docx", "slides.pptx", "book.xlsx")
SLOW = slow_docx()
FILTERED = {"x86_64", "aarch64"}
LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="what only Linux has")


async def pieces(content: bytes, size: int = 4_000) -> AsyncIterator[bytes]:
    for at in range(0, len(content), size):
        yield content[at : at + size]


@asynccontextmanager
async def extracting(**limits: float) -> AsyncGenerator[DocumentExtractor]:
    extractor = DocumentExtractor(msgspec.structs.replace(ExtractionLimits(), **limits))
    try:
        yield extractor
    finally:
        await extractor.aclose()
        assert extractor.pids == []


async def read(extractor: DocumentExtractor, content: bytes, name: str = "", kind: str = "") -> Document:
    return await extractor.extract(pieces(content), name, kind)


async def refused(extractor: DocumentExtractor, content: bytes, name: str = "") -> Unreadable:
    with pytest.raises(Unreadable) as caught:
        await read(extractor, content, name)
    return caught.value


async def still_reads(extractor: DocumentExtractor) -> None:
    document = await read(extractor, "The next good file, größer.".encode(), "next.txt", "text/plain")
    assert document.text == "The next good file, größer."


# --- reading ------------------------------------------------------------------------------------------------------
async def test_one_child_reads_files_of_all_kinds_one_after_the_other() -> None:
    async with extracting() as extractor:
        assert extractor.pids == []
        for name in GOOD:
            document = await read(extractor, fixture(name), name)
            assert document.text
            assert document.headings
        message = await read(extractor, b"From: a@b.c\nTo: x\nSubject: =?utf-8?q?=C3=BC?=\n\nHi", "m.eml")
        assert "Subject: ü" in message.text
        odd = await read(extractor, b"From: =?no-such?q?x?= <a@b.c>\nTo: x\nSubject: y\n\nHi", "m.eml")
        assert "Hi" in odd.text
        assert (await read(extractor, b"# One", "a.md")).headings[0].title == "One"
        assert (await read(extractor, b"<h1>One</h1>", "a.html")).headings[0].title == "One"
        marked = await read(extractor, b"\xef\xbb\xbfmarked", "a.txt")
        assert marked.text == "marked"
        unknown = await read(extractor, b"text", "a.txt", "text/plain; charset=no-such-encoding")
        assert unknown.text == "text"
        japanese = "これは日本語の文章です。吾輩は猫である。"
        assert (await read(extractor, japanese.encode("euc_jp"), "a.txt")).text == japanese
        await still_reads(extractor)
        assert len(extractor.pids) == 1


async def test_files_are_read_side_by_side_by_no_more_children_than_set() -> None:
    async with extracting(workers=2) as extractor:
        texts = [f"file {number}" for number in range(20)]
        documents = await asyncio.gather(*(read(extractor, one.encode(), "x.txt") for one in texts))
        assert [one.text for one in documents] == texts
        assert len(extractor.pids) <= 2


async def test_a_child_that_has_served_its_time_is_replaced() -> None:
    async with extracting(documents_per_worker=2) as extractor:
        seen = set[int]()
        for _ in range(4):
            await still_reads(extractor)
            seen.update(extractor.pids)
        assert len(seen) == 2
        assert extractor.pids == []


async def test_a_file_is_handed_on_piece_by_piece() -> None:
    """No more of it is taken than fits into the pipe."""
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield b"x" * 100_000

    async with extracting(max_bytes=2_000_000) as extractor:
        with pytest.raises(Unreadable, match="more than 2,000,000 bytes"):
            await extractor.extract(endless(), "x.txt", "")
        assert taken == 21
        before = extractor.pids
        await still_reads(extractor)
        assert extractor.pids == before


async def test_a_source_that_fails_costs_its_file_alone() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 100
        raise ConnectionResetError("the blob store is gone")

    async with extracting() as extractor:
        await still_reads(extractor)
        before = extractor.pids
        with pytest.raises(ConnectionResetError):
            await extractor.extract(broken(), "x.txt", "")
        await still_reads(extractor)
        assert extractor.pids == before


# --- bombs --------------------------------------------------------------------------------------------------------
LOOPS = {
    "pages that are their own parent": pdf(
        b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[2 0 R 2 0 R]/Count 9>>"
    ),
    "an object that is its own content": pdf(
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/Contents 3 0 R>>",
    ),
    "a cross-reference table that follows itself": pdf(
        b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[]/Count 0>>", trailer=b"/Root 1 0 R/Prev 9"
    ),
    "a length that refers to itself": page(b"<</Length 4 0 R>>stream\nBT ET\nendstream"),
    "an image of 100,000 by 100,000": page(
        stream(b"q /I1 Do Q", more=b"/Resources<</XObject<</I1<</Width 100000/Height 100000>>>>>>")
    ),
    "filters without end": page(stream(b"BT (x) Tj ET", more=b"/Filter[" + b"/FlateDecode" * 500 + b"]")),
    "deep arrays": page(stream(b"[" * 200_000)),
    "an outline that is a circle": pdf(
        b"<</Type/Catalog/Pages 2 0 R/Outlines 3 0 R>>",
        b"<</Type/Pages/Kids[]/Count 0>>",
        b"<</First 4 0 R/Last 4 0 R>>",
        b"<</Title(x)/Next 4 0 R/First 4 0 R>>",
    ),
}


@pytest.mark.parametrize("name", LOOPS)
async def test_a_pdf_that_turns_in_circles_ends_as_unreadable(name: str) -> None:
    async with extracting(cpu_s=5) as extractor:
        error = await refused(extractor, LOOPS[name], "x.pdf")
        assert error.code == "invalid_file"
        assert error.message.startswith("the file cannot be read: it ")
        await still_reads(extractor)


async def test_a_file_that_needs_too_much_memory_ends_its_child_and_nothing_else() -> None:
    async with extracting(memory_bytes=384 * 1024 * 1024) as extractor:
        await still_reads(extractor)
        before = extractor.pids
        error = await refused(extractor, memory_bomb(), "bomb.pdf")
        assert error.code == "invalid_file"
        assert "memory" in error.message
        await still_reads(extractor)
        assert extractor.pids != before


async def test_a_file_that_takes_too_much_processor_time_ends_its_child() -> None:
    async with extracting(cpu_s=0) as extractor:
        error = await refused(extractor, SLOW, "slow.docx")
        assert error.code == "invalid_file"
        assert "processor time" in error.message
        await still_reads(extractor)


async def test_a_file_that_takes_too_long_ends_its_child() -> None:
    async with extracting(wall_s=0.05) as extractor:
        error = await refused(extractor, SLOW, "slow.docx")
        assert error.code == "invalid_file"
        assert "longer than 0.05 s" in error.message
        assert extractor.pids == []


async def test_a_thousand_pages_are_read_and_more_than_are_allowed_are_not() -> None:
    many = page(stream(b"BT /F1 12 Tf 10 700 Td (again) Tj ET"), count=1_000)
    async with extracting(max_pages=1_000) as extractor:
        document = await read(extractor, many)
        assert len(document.pages) == 1_000
        more = await refused(extractor, page(stream(b""), count=1_001))
        assert "1,001 pages" in more.message


async def test_text_of_a_page_is_read_however_often_it_was_deflated() -> None:
    async with extracting() as extractor:
        content = page(stream(b"BT /F1 12 Tf 10 700 Td (hello) Tj ET", times=5))
        assert (await read(extractor, content)).text == "hello"


# --- ends -------------------------------------------------------------------------------------------------------
async def test_a_cancelled_reading_kills_its_child() -> None:
    async with extracting() as extractor:
        await still_reads(extractor)
        handed_over = asyncio.Event()

        async def slowly() -> AsyncIterator[bytes]:
            yield SLOW
            handed_over.set()

        reading = asyncio.create_task(extractor.extract(slowly(), "slow.docx", ""))
        await handed_over.wait()
        (pid,) = extractor.pids
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert not exists(pid)
        await still_reads(extractor)


@LINUX
async def test_a_child_that_was_killed_while_it_waited_is_replaced() -> None:
    async with extracting() as extractor:
        await still_reads(extractor)
        (pid,) = extractor.pids
        watched = os.pidfd_open(pid)
        os.kill(pid, signal.SIGKILL)
        select.select([watched], [], [])
        os.close(watched)
        await still_reads(extractor)


async def test_closing_ends_the_children_that_are_busy_too() -> None:
    extractor = DocumentExtractor(ExtractionLimits(workers=2))
    started = asyncio.Event()

    async def never_ends() -> AsyncIterator[bytes]:
        yield b"x"
        started.set()
        await asyncio.Event().wait()

    await still_reads(extractor)
    reading = asyncio.create_task(extractor.extract(never_ends(), "x.txt", ""))
    await started.wait()
    pids = extractor.pids
    assert len(pids) == 1
    await extractor.aclose()
    assert not any(exists(pid) for pid in pids)
    reading.cancel()
    with suppress(asyncio.CancelledError):
        await reading
    with pytest.raises(Unreadable, match="shutting down"):
        await still_reads(extractor)


SERVER = """
import asyncio, sys
from antiphon.extraction.extractor import DocumentExtractor

async def main():
    extractor = DocumentExtractor()

    async def one(content):
        yield content

    await extractor.extract(one(b"hello"), "x.txt", "")
    if sys.argv[1] == "busy":
        async def slow():
            yield open(sys.argv[2], "rb").read()
            print(*extractor.pids, flush=True)
        await extractor.extract(slow(), "slow.docx", "")
    print(*extractor.pids, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@LINUX
@pytest.mark.parametrize("state", ["idle", "busy"])
def test_no_child_outlives_a_server_that_was_killed(state: str, tmp_path: Path) -> None:
    slow = tmp_path / "slow.docx"
    slow.write_bytes(SLOW)
    server = subprocess.Popen([sys.executable, "-c", SERVER, state, slow], stdout=subprocess.PIPE)
    assert server.stdout is not None
    child = os.pidfd_open(int(server.stdout.readline()))
    try:
        server.kill()
        server.wait()
        ended, _, _ = select.select([child], [], [], 30)
        assert ended == [child]
    finally:
        server.stdout.close()
        os.close(child)


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# --- what a child may do ------------------------------------------------------------------------------------------
TRIES = """
import ctypes, os, resource, socket, subprocess, sys
from antiphon.extraction import confinement
from antiphon.extraction.limits import ExtractionLimits
print(confinement.confine(ExtractionLimits()), flush=True)
tries = {
    "open": lambda: open("/etc/passwd"),
    "write": lambda: open("/tmp/antiphon-was-here", "w"),
    "socket": lambda: socket.socket(),
    "unix": lambda: socket.socketpair(),
    "run": lambda: subprocess.run(["/bin/true"]),
    "fork": lambda: os.fork() or os._exit(0),
    "exec": lambda: os.execv("/bin/true", ["true"]),
    "kill": lambda: os.kill(os.getppid(), 0),
    "unlink": lambda: os.unlink("/tmp/antiphon-was-never-here"),
    "memory": lambda: bytearray(2 << 30),
}
for name, one in tries.items():
    try:
        one()
        print(name, "done", flush=True)
    except (OSError, MemoryError) as error:
        print(name, getattr(error, "errno", "none"), flush=True)
print("core", *resource.getrlimit(resource.RLIMIT_CORE))
"""


@LINUX
def test_a_child_can_open_nothing_start_nothing_and_talk_to_nobody() -> None:
    known = os.uname().machine in FILTERED
    done = subprocess.run(
        [sys.executable, "-c", TRIES], capture_output=True, text=True, check=True, timeout=60
    )
    filtered, *said = done.stdout.splitlines()
    assert filtered == str(known)
    results = dict(line.split(" ", 1) for line in said)
    assert results["core"] == "0 0"
    assert results["memory"] == "none"
    if known:
        names = ("open", "write", "socket", "unix", "run", "fork", "exec", "kill", "unlink")
        assert {name: results[name] for name in names} == dict.fromkeys(names, "1")  # EPERM


@LINUX
async def test_a_child_has_no_environment_no_folder_and_no_file_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTIPHON_TEST_CANARY", "sk-canary")
    async with extracting() as extractor:
        with (tmp_path / "ours").open("wb") as ours:
            os.set_inheritable(ours.fileno(), True)  # noqa: FBT003
            await still_reads(extractor)
        (pid,) = extractor.pids
        look_into(pid, tmp_path)


def look_into(pid: int, ours: Path) -> None:
    proc = Path(f"/proc/{pid}")
    assert "NoNewPrivs:\t1" in (proc / "status").read_text() or os.uname().machine not in FILTERED
    if os.geteuid() != 0:
        return  # nobody else may look into a process that cannot be dumped
    environment = (proc / "environ").read_bytes()
    assert environment.count(b"=") <= 1  # LC_CTYPE, which Python itself sets
    assert b"canary" not in environment
    assert (proc / "cwd").readlink() == Path("/")
    files = {str(one.readlink()) for one in (proc / "fd").iterdir()}
    assert not any(one.startswith(str(ours)) for one in files)
    assert len(files) == 3


async def test_the_limits_of_a_child_are_not_those_of_the_server() -> None:
    before = {what: resource.getrlimit(what) for what in (resource.RLIMIT_AS, resource.RLIMIT_NOFILE)}
    async with extracting() as extractor:
        await still_reads(extractor)
    assert {what: resource.getrlimit(what) for what in before} == before


def test_the_filter_is_a_program_that_jumps_only_within_itself() -> None:
    """Each jump lands on an instruction behind it."""
    code = confinement.filter_program(1, list(range(50)))
    for at, (operation, yes, no, _) in enumerate(code):
        if operation & 0x07 == 0x05:
            assert at + 1 + max(yes, no) < len(code)
            assert max(yes, no) < 256
    assert code[-1][3] == confinement.EPERM
    assert code[-2][3] == confinement.ALLOW


async def test_the_text_of_a_good_file_is_the_same_in_a_child_and_here() -> None:
    from antiphon.extraction.reading import read as read_here

    async with extracting() as extractor:
        for name in GOOD:
            there = await read(extractor, fixture(name), name)
            assert there == read_here(fixture(name), name, "", ExtractionLimits())
        assert (await read(extractor, text_page(b"hello"))).text == "hello"
