"""`python -m bench.profiled FILE serve …`: the server, and in FILE how much of its CPU time the MCP SDK took.

A timer that counts CPU time interrupts the main thread, where the event loop runs, some hundred times a second of
work. The CPU time of that thread since the last time goes to whom the innermost frame belongs that is ours or the
SDK's: what the standard library or a shared package does is its caller's, and what we do for the SDK (its HTTP goes
through our connector) is ours. What has neither frame, and what other threads do, is left to us too.
"""

import mmap
import signal
import struct
import sys
import time
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
_SIZE = 8


class SdkTime:
    """What a profiled server has written to its file, from another process."""

    def __init__(self, file: Path) -> None:
        file.write_bytes(bytes(_SIZE))
        self.file = file

    def seconds(self) -> float:
        """CPU seconds of the SDK since the server began."""
        (seconds,) = struct.unpack("d", self.file.read_bytes())
        return float(seconds)


class Sampler:
    def __init__(self, file: Path) -> None:
        with file.open("r+b") as opened:
            self._shown = mmap.mmap(opened.fileno(), _SIZE)
        self._sdk_s = 0.0
        self._seen_s = time.thread_time()
        self._owners: dict[str, bool | None] = {}

    def start(self) -> None:
        signal.signal(signal.SIGPROF, self._sample)
        signal.siginterrupt(signal.SIGPROF, False)  # noqa: FBT003 it takes no keyword
        signal.setitimer(signal.ITIMER_PROF, INTERVAL_S, INTERVAL_S)

    def _sample(self, number: int, frame: FrameType | None) -> None:
        del number
        now = time.thread_time()
        spent, self._seen_s = now - self._seen_s, now
        if self._is_of_sdk(frame):
            self._sdk_s += spent
            struct.pack_into("d", self._shown, 0, self._sdk_s)

    def _is_of_sdk(self, frame: FrameType | None) -> bool:
        while frame is not None:
            name = frame.f_code.co_filename
            if name not in self._owners:
                self._owners[name] = owned_by_sdk(name)
            owner = self._owners[name]
            if owner is not None:
                return owner
            frame = frame.f_back
        return False


def owned_by_sdk(filename: str) -> bool | None:
    """Whether a source file is the SDK's: False for our own, None for what either may have called."""
    parts = Path(filename).parts
    for above, part in pairwise(parts):
        if above == "site-packages" and part in SDK:
            return True
        if part == OURS and above in {"src", "site-packages"}:
            return False
    return None


def main(file: str, *arguments: str) -> int:
    Sampler(Path(file)).start()
    return run(arguments)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
