"""`python -m bench.profiled FILE serve …`: the server, and in FILE how much of its CPU time the MCP SDK took.

A timer that counts CPU time interrupts the main thread, where the event loop runs, some hundred times a second of
work. The CPU time of that thread since the last time goes to whom the innermost frame belongs that is ours or the
SDK's: what the standard library or a shared package does is its caller's, and what we do for the SDK (its HTTP goes
through our connector) is ours. What has neither frame, and what other threads do, is left to us too. What of ours is
spent in aiohttp, with model servers and with MCP servers, is told beside it.
"""

import mmap
import signal
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import FrameType

from antiphon.cli.commands import run

INTERVAL_S = 0.002
SDK = (
    "mcp",
    "mcp_types",
    "httpx2",
    "httpcore2",
    "anyio",
    "pydantic",
    "jsonschema",
    "referencing",
    "opentelemetry",
)
"""Packages that only the MCP SDK has us run."""
OURS = "antiphon"
HTTP = "aiohttp"
_SHOWN = struct.Struct("dd")


@dataclass(frozen=True, slots=True)
class Shares:
    """CPU seconds since a server began: of the SDK, and in HTTP exchanges that are not the SDK's own."""

    sdk: float
    http: float

    def __sub__(self, before: "Shares") -> "Shares":
        return Shares(self.sdk - before.sdk, self.http - before.http)


class Profile:
    """What a profiled server has written to its file, from another process."""

    def __init__(self, file: Path) -> None:
        file.write_bytes(bytes(_SHOWN.size))
        self.file = file

    def shares(self) -> Shares:
        return Shares(*_SHOWN.unpack(self.file.read_bytes()))


class Sampler:
    def __init__(self, file: Path) -> None:
        with file.open("r+b") as opened:
            self._shown = mmap.mmap(opened.fileno(), _SHOWN.size)
        self._sdk_s = self._http_s = 0.0
        self._seen_s = time.thread_time()
        self._owners: dict[str, str] = {}

    def start(self) -> None:
        signal.signal(signal.SIGPROF, self._sample)
        signal.siginterrupt(signal.SIGPROF, False)  # noqa: FBT003 it takes no keyword
        signal.setitimer(signal.ITIMER_PROF, INTERVAL_S, INTERVAL_S)

    def _sample(self, number: int, frame: FrameType | None) -> None:
        del number
        now = time.thread_time()
        spent, self._seen_s = now - self._seen_s, now
        owners = list(self._owners_of(frame))
        if "sdk" in owners[-1:]:
            self._sdk_s += spent
        elif HTTP in owners:
            self._http_s += spent
        _SHOWN.pack_into(self._shown, 0, self._sdk_s, self._http_s)

    def _owners_of(self, frame: FrameType | None) -> Iterator[str]:
        """From the innermost frame up to the first that is ours or the SDK's; what nobody owns is left out."""
        while frame is not None:
            name = frame.f_code.co_filename
            owner = self._owners.get(name)
            if owner is None:
                owner = self._owners[name] = owner_of(name)
            if owner:
                yield owner
            if owner in {"sdk", OURS}:
                return
            frame = frame.f_back


def owner_of(filename: str) -> str:
    """Whose a source file is: the "sdk", ours, aiohttp; "" for what any of them may have called."""
    for above, part in pairwise(Path(filename).parts):
        if above == "site-packages" and part in SDK:
            return "sdk"
        if above == "site-packages" and part == HTTP:
            return HTTP
        if part == OURS and above in {"src", "site-packages"}:
            return OURS
    return ""


def main(file: str, *arguments: str) -> int:
    Sampler(Path(file)).start()
    return run(arguments)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
