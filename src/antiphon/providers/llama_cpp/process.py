"""One engine: a child process with llama.cpp in it, from its start to its last words."""

import asyncio
import os
import re
import secrets
import signal
import sys
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

import aiohttp
import msgspec

from antiphon.providers.llama_cpp.engine import EngineSpec, Ready
from antiphon.providers.upstream import UpstreamClient

KEPT_LINES = 40
SHOWN_LINES = 6
STOP_S = 5.0
_POLL_S = 0.05
_PROBE = aiohttp.ClientTimeout(total=5)
_LOGGED = re.compile(r"[\d.]+ ([A-Z]) (.*)")
"""llama.cpp's log lines: time since start, level, text."""

_COMMAND = (sys.executable, "-P", "-m", "antiphon.providers.llama_cpp.engine")


class EngineFailed(Exception):
    """The engine ended, or was not ready in time. The message ends with what it said last."""


class Engine:
    """A running child that answers. Make one with `start`; `stop` it, or let it crash."""

    def __init__(self, process: asyncio.subprocess.Process, spec: EngineSpec) -> None:
        self.name = spec.name
        self.api_key = spec.api_key
        self._path = spec.path
        self.address = ""
        self._process = process
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._reader = asyncio.create_task(self._keep_stderr())
        self._exited = asyncio.create_task(process.wait())

    @classmethod
    async def start(
        cls,
        spec: EngineSpec,
        client: UpstreamClient,
        *,
        timeout_s: float,
        command: Sequence[str] = _COMMAND,
    ) -> "Engine":
        """The engine, ready to answer. Raises EngineFailed; no process is left then, nor after a cancellation."""
        spawning = asyncio.create_task(_spawn(command))
        try:
            process = await asyncio.shield(spawning)
        except OSError as error:
            raise EngineFailed(f"its process could not be started: {error.strerror or error}") from None
        except asyncio.CancelledError:
            await cls(await spawning, spec).stop()
            raise
        engine = cls(process, spec)
        try:
            async with asyncio.timeout(timeout_s):
                await engine._become_ready(spec, client)
        except TimeoutError:
            await engine.stop()
            raise EngineFailed(f"it was not ready after {timeout_s:g} s{engine.last_words}") from None
        except BaseException:
            await engine.stop()
            raise
        return engine

    @property
    def alive(self) -> bool:
        """Asked of the system: the event loop hears of a death a moment later."""
        return not self._exited.done() and not _is_dead(self._process.pid)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def last_words(self) -> str:
        """The last lines of its stderr that are more than a report of its work, as the end of a sentence."""
        lines = [line for line in map(_complaint, self._lines) if line][-SHOWN_LINES:]
        said = " | ".join(lines).replace(self._path, self.name)
        return f"; its last lines: {said}" if said else ""

    @property
    def how_it_ended(self) -> str:
        """`was ended by SIGKILL`, `ended with code 1`; with its last words."""
        code = self._process.returncode
        if code is None:
            return "is running"
        if code >= 0:
            return f"ended with code {code}{self.last_words}"
        with suppress(ValueError):
            return f"was ended by {signal.Signals(-code).name}{self.last_words}"
        return f"was ended by signal {-code}{self.last_words}"

    async def has_ended(self, within_s: float) -> bool:
        """Whether the process is gone, waiting a moment: a socket closes before the system reports the death."""
        await asyncio.wait({self._exited}, timeout=within_s)
        if self._exited.done():
            await asyncio.wait({self._reader}, timeout=within_s)
        return self._exited.done()

    async def stop(self) -> None:
        """End the process: its stdin closes, and if it does not go then it is killed."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        done, _ = await asyncio.wait({self._exited}, timeout=STOP_S if self.address else 0)
        if not done:
            with suppress(ProcessLookupError):
                self._process.kill()
        await self._exited
        await self._reader

    async def _become_ready(self, spec: EngineSpec, client: UpstreamClient) -> None:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise EngineFailed("it has no pipes")
        with suppress(ConnectionError):  # it ended already; its exit code says more
            stdin.write(msgspec.json.encode(spec) + b"\n")
            await stdin.drain()
        line = await stdout.readline()
        if not line:
            await asyncio.wait({self._exited, self._reader})
            raise EngineFailed(f"it {self.how_it_ended}")
        self.address = msgspec.json.decode(line, type=Ready).address
        while not await self._is_healthy(client):
            if self._exited.done():
                await asyncio.wait({self._reader})
                raise EngineFailed(f"it {self.how_it_ended}")
            await asyncio.wait({self._exited}, timeout=_POLL_S)

    async def _is_healthy(self, client: UpstreamClient) -> bool:
        """`GET /health`: 200 when the model is loaded, 503 while it is not."""
        with suppress(aiohttp.ClientError, TimeoutError, OSError):
            async with client.session.get(f"{self.address}/health", timeout=_PROBE) as answer:
                return answer.status == 200
        return False

    async def _keep_stderr(self) -> None:
        stderr = self._process.stderr
        if stderr is None:
            return
        rest = b""
        while chunk := await stderr.read(65536):
            *lines, rest = (rest + chunk).split(b"\n")
            self._lines.extend(line.decode("utf-8", "replace").rstrip()[:300] for line in lines)
            rest = rest[-4096:]
        if rest:
            self._lines.append(rest.decode("utf-8", "replace")[:300])


async def _spawn(command: Sequence[str]) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe)


def _complaint(line: str) -> str:
    """What is logged as an error or warning, without the prefix, or is no log line at all, such as an assertion."""
    found = _LOGGED.match(line)
    if found is None:
        return line.strip()
    return found[2].strip() if found[1] in "EW" else ""


def _is_dead(pid: int) -> bool:
    """Whether a child has ended, leaving its exit code to whom it belongs."""
    if not hasattr(os, "waitid"):  # macOS before Python 3.13
        return False
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def new_api_key() -> str:
    """A key for one engine process: nobody else on this machine may use its port."""
    return secrets.token_urlsafe(32)
