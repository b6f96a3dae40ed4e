"""A program at a terminal of its own, typed at and read as a person would."""

import os
import pty
import select
import signal
import subprocess
import sys
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

LIMIT_S = 20.0
CTRL_C, CTRL_D = "\x03", "\x04"
# A session leader without a terminal gets the first one that it opens: then Ctrl-C is a signal, as it should be.
_AT_TERMINAL = (
    "import os, sys\n"
    "fd = os.open(sys.argv[1], os.O_RDWR)\n"
    "for number in (0, 1, 2): os.dup2(fd, number)\n"
    "os.execv(sys.argv[2], sys.argv[2:])\n"
)


class Terminal:
    """`shown` is everything that the program wrote, echo included."""

    def __init__(self, command: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> None:
        self.shown = ""
        self._at = 0
        self._master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (40, 200))
        self.process = subprocess.Popen(
            [sys.executable, "-c", _AT_TERMINAL, os.ttyname(slave), *command],
            cwd=cwd,
            env={"TERM": "xterm", **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._slave = slave

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def enter(self, line: str) -> None:
        self.type(line + "\n")

    def wait_for(self, text: str) -> str:
        """What came up to and with `text`, since the last call. Fails when it does not come."""
        while (found := self.shown.find(text, self._at)) < 0:
            assert self._read(), f"never saw {text!r} in {self.shown[self._at :]!r}"
        start, self._at = self._at, found + len(text)
        return self.shown[start : self._at]

    def interrupt(self, text: str) -> None:
        """Press Ctrl-C until `text` is shown.

        CPython looks at a signal when the call that waits returns: one that comes in the instant before the wait begins
        is noticed with the next key or byte. A person presses again. Whatever was typed must have been shown: Ctrl-C
        empties the terminal's queue, and readline waits for a key that vanished so without a look at signals.
        """
        for _ in range(10):
            self.type(CTRL_C)
            while self.shown.find(text, self._at) < 0 and self._read(3.0):
                pass
            if self.shown.find(text, self._at) >= 0:
                self.wait_for(text)
                return
        raise AssertionError(f"never saw {text!r} in {self.shown[self._at :]!r}")

    def wait_end(self) -> int:
        """The exit code, when the program has ended."""
        code = self.process.wait(LIMIT_S)
        while select.select([self._master], [], [], 0)[0] and self._read():
            pass
        return code

    def _read(self, limit_s: float = LIMIT_S) -> bool:
        if not select.select([self._master], [], [], limit_s)[0]:
            return False
        data = os.read(self._master, 65536)
        self.shown += data.decode("utf-8", "replace").replace("\r\n", "\n")
        return bool(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(LIMIT_S)
        os.close(self._slave)
        os.close(self._master)
