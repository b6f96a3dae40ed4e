"""What the chat shows and reads: a terminal with colours and history, or pipes without either."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

_DIM, _BOLD, _PLAIN = "\x1b[2m", "\x1b[1m", "\x1b[0m"
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_HISTORY_LINES = 1000


class Screen:
    """`interactive` when both ends are a terminal. Else answers go to stdout and everything else to stderr."""

    def __init__(
        self,
        *,
        colours: bool,
        stdin: TextIO | None = None,
        out: TextIO | None = None,
        err: TextIO | None = None,
    ) -> None:
        self._in = stdin or sys.stdin
        self._out = out or sys.stdout
        self._err = err or sys.stderr
        self.interactive = self._in.isatty() and self._out.isatty()
        self._colours = colours and self.interactive
        self._aside = self._out if self.interactive else self._err
        self._midline: TextIO | None = None
        self._thinking = False

    def text(self, piece: str) -> None:
        """A piece of the answer, as it comes."""
        if self._thinking:
            self.end_line()
        self._write(self._out, clean(piece))

    def thinking(self, piece: str) -> None:
        """A piece of the model's reasoning: dim, and beside the answer where that is piped on."""
        if not self._thinking:
            self.end_line()
            self._thinking = True
            self._style(self._aside, _DIM)
        self._write(self._aside, clean(piece))

    def note(self, line: str) -> None:
        """A line that is no answer."""
        self.end_line()
        if self._colours:
            line = f"{_DIM}{clean(line)}{_PLAIN}"
        self._write(self._aside, (line if self._colours else clean(line)) + "\n")

    def call(self, name: str, arguments: str) -> None:
        """A tool that the model calls."""
        self.end_line()
        name = clean(name)
        shown = f"{_BOLD}{name}{_PLAIN}" if self._colours else name
        self._write(self._aside, f"{shown}({clean(arguments)})\n")

    def end_line(self) -> None:
        """Begin a new line where the last one is not ended."""
        if self._thinking:
            self._thinking = False
            self._style(self._aside, _PLAIN)
        if self._midline is not None:
            self._write(self._midline, "\n")

    def read(self, prompt: str) -> str | None:
        """What the user enters next, None at the end of the input. Raises KeyboardInterrupt.

        Lines between two `\"\"\"` are one text.
        """
        line = self._line(prompt)
        if line is None or not line.startswith('"""'):
            return line
        lines = [line[3:]]
        while not lines[-1].rstrip().endswith('"""'):
            more = self._line("... ")
            if more is None:
                return "\n".join(lines)
            lines.append(more)
        lines[-1] = lines[-1].rstrip().removesuffix('"""')
        return "\n".join(lines).strip("\n")

    def _line(self, prompt: str) -> str | None:
        self.end_line()
        if not self.interactive:
            line = self._in.readline()
            return line.rstrip("\r\n") if line else None
        try:
            return input(prompt)
        except EOFError:
            self._write(self._out, "\n")
            return None

    def _style(self, stream: TextIO, code: str) -> None:
        if self._colours:
            stream.write(code)

    def _write(self, stream: TextIO, text: str) -> None:
        if text:
            stream.write(text)
            stream.flush()
            self._midline = None if text.endswith("\n") else stream


def clean(text: str) -> str:
    """Text without control characters but line ends and tabs: a model's words must not drive the terminal."""
    return _CONTROL.sub("", text)


def remember_lines(path: Path) -> Callable[[], None]:
    """Line editing with the history of earlier chats, where Python has readline. Returns what saves it.

    What was typed is as private as the conversations: only its owner can read the file.
    """
    try:
        import readline
    except ImportError:
        return lambda: None
    readline.set_history_length(_HISTORY_LINES)
    readline.parse_and_bind("set enable-bracketed-paste on")
    if path.is_file():
        readline.read_history_file(path)

    def save() -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        readline.write_history_file(path)

    return save
