"""One child process, seen from the server."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from antiphon.core.documents import Document, Heading
from antiphon.extraction.answers import ABANDONED, LENGTH_BYTES, READY, Job, Outcome, length
from antiphon.extraction.limits import ExtractionLimits
from antiphon.ports.knowledge import Unreadable

PIECE: Final = 256 * 1024
MAX_HEAD: Final = 32 * 1024 * 1024
STOP_S: Final = 5.0
_BOOT: Final = "import sys; sys.path += sys.argv[1:-1]; from antiphon.extraction.child import main; main()"


class WorkerLost(Exception):
    """The child ended, or cannot be trusted any more: it is to be replaced."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class WorkerGone(WorkerLost):
    """It had ended before it was given the file; another one can be."""


class Worker:
    """Make one with `start`; `read` one file after the other; `stop` it."""

    def __init__(self, process: asyncio.subprocess.Process, limits: ExtractionLimits) -> None:
        self._process = process
        self._limits = limits
        self.served = 0
        self.spent = False

    @classmethod
    async def start(cls, limits: ExtractionLimits) -> "Worker":
        """A child that is ready. It has no environment, no files but its pipes, and is in a session of its own.

        Raises WorkerLost when it does not become ready. No process is left then, nor after a cancellation.
        """
        spawning = asyncio.create_task(_spawn(limits))
        try:
            process = await asyncio.shield(spawning)
        except OSError as error:
            raise WorkerLost(f"its process could not be started: {error.strerror or error}") from None
        except asyncio.CancelledError:
            await cls(await spawning, limits).stop()
            raise
        worker = cls(process, limits)
        try:
            async with asyncio.timeout(limits.start_s):
                await worker._become_ready()
        except BaseException as error:
            await worker.stop()
            if isinstance(error, TimeoutError):
                raise WorkerLost(f"it was not ready after {limits.start_s:g} s") from None
            raise
        return worker

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    async def read(self, content: AsyncIterable[bytes], filename: str, media_type: str) -> Document:
        """Raises Unreadable, what the content raises, WorkerGone before anything of the content was taken, and
        WorkerLost when the child ended over this file.
        """
        head = msgspec.json.encode(Job(filename[-255:], media_type[:255]))
        try:
            await self._write(length(len(head)) + head)
        except WorkerLost as lost:
            raise WorkerGone(lost.message) from None
        await self._send(content)
        self.served += 1
        try:
            async with asyncio.timeout(self._limits.wall_s):
                outcome, text = await self._receive()
        except TimeoutError:
            raise WorkerLost(f"it took longer than {self._limits.wall_s:g} s") from None
        self.spent = outcome.spent
        if outcome.code:
            raise Unreadable(outcome.code, f"the file cannot be read: {outcome.error}")
        return _document(outcome, text)

    async def stop(self) -> None:
        """End the process and wait for its end."""
        with suppress(ProcessLookupError):
            self._process.kill()
        if self._process.stdin is not None:
            self._process.stdin.close()
        await asyncio.shield(self._process.wait())

    async def _become_ready(self) -> None:
        try:
            said = await self._output.readexactly(len(READY))
        except asyncio.IncompleteReadError:
            raise WorkerLost("its process ended at once") from None
        if said != READY:
            raise WorkerLost("its process did not start as expected")

    async def _send(self, content: AsyncIterable[bytes]) -> None:
        """The file piece by piece: no more than one is here at a time. Behind a failure the child is as before."""
        total = 0
        try:
            async for piece in content:
                total += len(piece)
                self._check_size(total)
                for at in range(0, len(piece), PIECE):
                    part = piece[at : at + PIECE]
                    await self._write(length(len(part)) + part)
        except (WorkerLost, asyncio.CancelledError):
            raise
        except BaseException:
            await self._write(length(ABANDONED))
            raise
        await self._write(length(0))

    def _check_size(self, total: int) -> None:
        if total > self._limits.max_bytes:
            raise Unreadable(
                "invalid_file",
                f"the file cannot be read: it has more than {self._limits.max_bytes:,} bytes; cut it into several"
                " files.",
            )

    async def _write(self, data: bytes) -> None:
        stdin = self._process.stdin
        if stdin is None:
            raise WorkerLost("it has no pipes")
        try:
            stdin.write(data)
            await stdin.drain()
        except ConnectionError:
            raise WorkerLost(await self._how_it_ended()) from None
        if stdin.is_closing():  # a drain says so only at the next turn of the loop
            raise WorkerLost(await self._how_it_ended())

    async def _receive(self) -> tuple[Outcome, bytes]:
        """What a child says that a file may have taken over is believed no further than the limits."""
        try:
            outcome = msgspec.json.decode(await self._message(MAX_HEAD), type=Outcome)
            return outcome, await self._message(4 * self._limits.max_characters)
        except asyncio.IncompleteReadError:
            raise WorkerLost(await self._how_it_ended()) from None
        except msgspec.MsgspecError:
            raise WorkerLost("its answer was no answer") from None

    async def _message(self, most: int) -> bytes:
        count = int.from_bytes(await self._output.readexactly(LENGTH_BYTES), "big")
        if count > most:
            raise WorkerLost("its answer was larger than any may be")
        return await self._output.readexactly(count)

    @property
    def _output(self) -> asyncio.StreamReader:
        if self._process.stdout is None:
            raise WorkerLost("it has no pipes")
        return self._process.stdout

    async def _how_it_ended(self) -> str:
        try:
            async with asyncio.timeout(STOP_S):
                code = await asyncio.shield(self._process.wait())
        except TimeoutError:
            return "it closed its pipes"
        if code == -signal.SIGXCPU:
            return f"it took more than {self._limits.cpu_s} s of processor time"
        return "it made the reader fail, or took more memory than one file may"


async def _spawn(limits: ExtractionLimits) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        "-c",
        _BOOT,
        *_module_folders(),
        msgspec.json.encode(limits).decode(),
        stdin=pipe,
        stdout=pipe,
        stderr=asyncio.subprocess.DEVNULL,
        cwd="/",
        env={},
        start_new_session=True,
        limit=1 << 20,
    )


def _module_folders() -> list[str]:
    """Where this process finds its modules; `-I` leaves out what came by the environment or the working folder."""
    package = str(Path(__file__).parents[2])
    return [package, *(one for one in sys.path if Path(one).is_absolute() and one != package)]


def _document(outcome: Outcome, text: bytes) -> Document:
    """Raises WorkerLost for offsets that are not in the text, or not in order."""
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError:
        raise WorkerLost("its answer was no text") from None
    headings = tuple(Heading(start, level, title) for start, level, title in outcome.headings)
    for offsets in (outcome.pages, tuple(one.start for one in headings)):
        if list(offsets) != sorted(offsets) or any(not 0 <= one <= len(decoded) for one in offsets):
            raise WorkerLost("its answer was no document")
    if any(not 1 <= one.level <= 6 for one in headings):
        raise WorkerLost("its answer was no document")
    return Document(decoded, outcome.pages, headings, outcome.title)
