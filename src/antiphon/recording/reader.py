"""Reads a recording: a file, or a folder of files in the order of their names."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from antiphon.recording.file import PATTERN
from antiphon.recording.format import FORMAT, VERSION, Exchange, Header, Line, RunRecord, decode_line
from antiphon.recording.redaction import Redactor


class RecordingError(Exception):
    """A recording that cannot be used; the message names file and line."""


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """What is known of one run. `record` is None for completions and for runs that never ended."""

    id: str
    exchanges: Sequence[Exchange]
    record: RunRecord | None

    @property
    def is_response(self) -> bool:
        return self.exchanges[0].api == "responses"

    @property
    def parent(self) -> str | None:
        return self.record.parent if self.record is not None else None


@dataclass(slots=True)
class Recording:
    """Every exchange, oldest first. `torn` names the files whose last line broke off: it is left out."""

    exchanges: list[Exchange] = field(default_factory=list[Exchange])
    records: dict[str, RunRecord] = field(default_factory=dict[str, RunRecord])
    patterns: list[str] = field(default_factory=list[str])
    torn: list[Path] = field(default_factory=list[Path])

    @classmethod
    def load(cls, path: Path, *, only: str | None = None) -> "Recording":
        """With `only`, no more than the lines that name this run: the others are not even decoded.

        Raises RecordingError: nothing there, another format or version, a broken line in the middle, no exchange.
        """
        recording = cls()
        files = sorted(path.glob(PATTERN)) if path.is_dir() else [path]
        if not files:
            raise RecordingError(
                f"{path}: no recording in this folder ({PATTERN}); make one: antiphon record"
            )
        for one in files:
            recording._read(one, only)
        if only is None and not recording.exchanges:
            raise RecordingError(f"{path}: holds no exchange with a model")
        return recording

    @property
    def redactor(self) -> Redactor:
        """What was done to the questions of this recording, to be done to a new one before they are compared."""
        return Redactor(self.patterns)

    def run(self, run_id: str) -> RecordedRun | None:
        steps = [one for one in self.exchanges if one.run == run_id]
        if not steps:
            return None
        return RecordedRun(run_id, sorted(steps, key=lambda one: one.step), self.records.get(run_id))

    def run_ids(self) -> list[str]:
        """Each run once, in the order in which they began."""
        return list(dict.fromkeys(one.run for one in self.exchanges))

    def chain(self, run_id: str) -> list[RecordedRun]:
        """The run and its ancestors as far as they are recorded, root first."""
        found: list[RecordedRun] = []
        at: str | None = run_id
        while at is not None and (run := self.run(at)) is not None:
            found.append(run)
            at = run.parent
        return found[::-1]

    def _read(self, path: Path, only: str | None) -> None:
        for number, line in self._lines(path, only):
            if number == 1:
                self._check_header(path, line)
            match line:
                case Exchange():
                    self.exchanges.append(line)
                case RunRecord():
                    self.records[line.run] = line
                case Header():
                    self.patterns += [one for one in line.redact if one not in self.patterns]

    def _lines(self, path: Path, only: str | None) -> Iterator[tuple[int, Line]]:
        wanted = b"" if only is None else msgspec.json.encode(only)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise RecordingError(f"{path}: cannot be read: {error.strerror}") from None
        *whole, rest = data.split(b"\n")
        if rest:
            self.torn.append(path)
        for number, raw in enumerate(whole, start=1):
            if number > 1 and wanted not in raw:
                continue
            try:
                yield number, decode_line(raw)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise RecordingError(f"{path}:{number}: is no line of a recording: {error}") from None

    @staticmethod
    def _check_header(path: Path, line: Line) -> None:
        if not isinstance(line, Header) or line.format != FORMAT:
            raise RecordingError(f"{path}:1: is no recording: the first line must be its header")
        if line.version != VERSION:
            raise RecordingError(
                f"{path}:1: has version {line.version} of the format; this server reads version {VERSION}"
            )
