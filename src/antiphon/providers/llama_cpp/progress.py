"""Progress of a download on stderr: a bar on a terminal, a line at each tenth elsewhere."""

import sys
import time
from collections.abc import Callable
from typing import TextIO

from antiphon.providers.llama_cpp.settings import shown_bytes

Meter = Callable[[str, int, int | None], None]
"""Called with a file's name, the bytes that are here, and its size where the hub tells it."""

_BAR = 24
_REDRAW_S = 0.1


class ProgressPrinter:
    """A `Meter` that prints. One line per file and tenth, or one bar that is redrawn at most ten times a second."""

    def __init__(self, stream: TextIO | None = None, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._monotonic = monotonic
        self._terminal = self._stream.isatty()
        self._name = ""
        self._began = (0.0, 0)
        self._drawn = 0.0
        self._tenth = -1

    def __call__(self, name: str, done: int, total: int | None) -> None:
        now = self._monotonic()
        if name != self._name:
            self._name, self._began, self._tenth, self._drawn = name, (now, done), -1, now - _REDRAW_S
        whole = total is not None and done >= total
        if self._terminal:
            self._bar(now, done, total, whole)
        else:
            self._line(done, total)

    def _bar(self, now: float, done: int, total: int | None, whole: bool) -> None:
        if not whole and now - self._drawn < _REDRAW_S:
            return
        self._drawn = now
        began, had = self._began
        rate = (done - had) / (now - began) if now > began else 0.0
        speed = f"  {shown_bytes(int(rate))}/s" if rate else ""
        if total:
            filled = _BAR * done // total
            bar = f"[{'#' * filled}{'.' * (_BAR - filled)}] {100 * done // total:3d} %"
            amount = f"{shown_bytes(done)} of {shown_bytes(total)}"
        else:
            bar, amount = "", shown_bytes(done)
        self._stream.write(f"\r\x1b[K{self._name} {bar} {amount}{speed}{chr(10) if whole else ''}")
        self._stream.flush()
        if whole:
            self._name = ""

    def _line(self, done: int, total: int | None) -> None:
        tenth = 10 * done // total if total else done // (1024**3)
        if tenth == self._tenth:
            return
        self._tenth = tenth
        amount = f"{100 * done // total} % of {shown_bytes(total)}" if total else shown_bytes(done)
        self._stream.write(f"{self._name}: {amount}\n")
        self._stream.flush()
