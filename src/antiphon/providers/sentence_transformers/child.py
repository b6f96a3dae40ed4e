"""`Child`: the process that embeds, from its first job to its last words. It is started when there is something to do,
and again after it died.
"""

import asyncio
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast

import msgspec

from antiphon.providers.sentence_transformers.jobs import LENGTH_BYTES, Answer, Done, Failed, Job, Load, frame

COMMAND = (sys.executable, "-P", "-m", "antiphon.providers.sentence_transformers.worker")
KEPT_LINES = 20
STOP_S = 5.0
_ANSWERS: msgspec.msgpack.Decoder[Answer] = msgspec.msgpack.Decoder(Done | Failed)


class ChildDied(Exception):
    """The message is how it ended, and what it said last."""


@dataclass(slots=True)
class _Life:
    """One process. `waiting` are those who asked it, by the numbers of their jobs."""

    process: asyncio.subprocess.Process
    waiting: dict[int, asyncio.Future[Answer]] = field(default_factory=dict[int, asyncio.Future[Answer]])
    lines: deque[str] = field(default_factory=lambda: deque[str](maxlen=KEPT_LINES))
    tasks: list[asyncio.Task[None]] = field(default_factory=list[asyncio.Task[None]])

    @property
    def stdin(self) -> asyncio.StreamWriter:
        return cast("asyncio.StreamWriter", self.process.stdin)

    @property
    def stdout(self) -> asyncio.StreamReader:
        return cast("asyncio.StreamReader", self.process.stdout)

    @property
    def stderr(self) -> asyncio.StreamReader:
        return cast("asyncio.StreamReader", self.process.stderr)


class Child:
    """Jobs may be asked for at the same time; they are done one after the other."""

    def __init__(self, command: Sequence[str] = COMMAND, env: Mapping[str, str] | None = None) -> None:
        self._command = tuple(command)
        self._env = env
        self._life: _Life | None = None
        self._starting = asyncio.Lock()
        self._last = 0
        self._closed = False

    @property
    def pid(self) -> int | None:
        """Of the process, None while there is none."""
        return None if self._life is None else self._life.process.pid

    async def ask(self, load: Load, texts: Sequence[str]) -> Answer:
        """Raises ChildDied, also when it cannot be started."""
        life = await self._alive()
        self._last += 1
        job = Job(number=self._last, load=load, texts=list(texts))
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        life.waiting[job.number] = answer
        try:
            life.stdin.write(frame(job))
            with suppress(ConnectionError):  # it died: whoever waits is told so
                await life.stdin.drain()
            return await answer
        finally:
            life.waiting.pop(job.number, None)

    async def aclose(self) -> None:
        """When this returns the process is gone. May be called twice."""
        self._closed = True
        await self.end()

    async def end(self) -> None:
        """End the process, whatever it is at; whoever waits for it is told so. The next job starts another one."""
        async with self._starting:
            life, self._life = self._life, None
        if life is not None:
            await _end(life)

    async def _alive(self) -> _Life:
        async with self._starting:
            if self._closed:
                raise ChildDied("the server is stopping")
            if self._life is None:
                self._life = await self._born()
            return self._life

    async def _born(self) -> _Life:
        pipe = asyncio.subprocess.PIPE
        spawning = asyncio.ensure_future(
            asyncio.create_subprocess_exec(
                *self._command, stdin=pipe, stdout=pipe, stderr=pipe, env=self._env
            )
        )
        try:
            process = await asyncio.shield(spawning)
        except OSError as error:
            raise ChildDied(f"its process could not be started: {error.strerror or error}") from None
        except asyncio.CancelledError:
            await _end(_Life(await spawning))
            raise
        life = _Life(process)
        listening = asyncio.create_task(_listen(life))
        life.tasks = [listening, asyncio.create_task(self._hear(life, listening))]
        return life

    async def _hear(self, life: _Life, listening: asyncio.Task[None]) -> None:
        """Hand out the answers until there are no more; then everybody who waits is told of the end."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                length = int.from_bytes(await life.stdout.readexactly(LENGTH_BYTES))
                answer = _ANSWERS.decode(await life.stdout.readexactly(length))
                waiting = life.waiting.get(answer.number)
                if waiting is not None and not waiting.done():
                    waiting.set_result(answer)
        if self._life is life:
            self._life = None
        code = await life.process.wait()
        await asyncio.wait([listening])
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        said = f"; it said: {' '.join(life.lines)[-500:]}" if life.lines else ""
        for waiting in life.waiting.values():
            if not waiting.done():
                waiting.set_exception(ChildDied(f"its process {how}{said}"))


async def _listen(life: _Life) -> None:
    """Keep what it said last, and let nothing stand in its way."""
    with suppress(ConnectionError, ValueError):
        async for line in life.stderr:
            life.lines.append(line.decode("utf-8", "replace").strip())


async def _end(life: _Life) -> None:
    with suppress(ProcessLookupError):
        life.process.terminate()
    try:
        async with asyncio.timeout(STOP_S):
            await life.process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            life.process.kill()
        await life.process.wait()
    await asyncio.gather(*life.tasks, return_exceptions=True)
