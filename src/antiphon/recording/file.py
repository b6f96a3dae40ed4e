"""The files of a recording: one folder, new files by day and by size, the oldest removed beyond a number."""

import errno
import logging
import os
from datetime import UTC, datetime
from pathlib import Path

from antiphon.ports import Clock
from antiphon.recording.format import FORMAT, VERSION, Header, Line, encode_line

PATTERN = "recording-*.jsonl"
log = logging.getLogger("antiphon.recording")


class RecordingFiles:
    """Appends whole lines, so that a crash can tear none but the last.

    Each process has files of its own: one is made when its first line comes. Only its owner may read it.
    """

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        *,
        antiphon: str,
        redact: tuple[str, ...] = (),
        max_file_bytes: int = 64 * 1024 * 1024,
        max_files: int = 100,
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._antiphon = antiphon
        self._redact = redact
        self._max_file_bytes = max_file_bytes
        self._max_files = max_files
        self._descriptor: int | None = None
        self._day = ""
        self._size = 0
        self._failing = False
        self.path: Path | None = None

    def check(self) -> None:
        """Raises OSError when the folder cannot be written or made. Makes nothing: that waits for the first line."""
        there = next(path for path in (self._folder, *self._folder.absolute().parents) if path.exists())
        if not there.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if not os.access(there, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    def append(self, line: Line) -> None:
        """Write one line. A disk that is full must not end the run that is recorded: it is logged, once."""
        try:
            self._append(encode_line(line))
            self._failing = False
        except OSError as error:
            if not self._failing:
                log.error("nothing is recorded: %s: %s", self._folder, error.strerror or error)  # noqa: TRY400 the reason is the operating system's, not a place in the code
            self._failing = True
            self.close()

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _append(self, data: bytes) -> None:
        day = datetime.fromtimestamp(self._clock.now(), UTC).strftime("%Y-%m-%d")
        if self._descriptor is None or day != self._day or self._size + len(data) > self._max_file_bytes:
            self._rotate(day)
        self._write(data)

    def _write(self, data: bytes) -> None:
        descriptor = self._descriptor
        if descriptor is None:
            raise OSError("the file is closed")
        view = memoryview(data)
        while view:  # a large line may take more than one call
            view = view[os.write(descriptor, view) :]
        self._size += len(data)

    def _rotate(self, day: str) -> None:
        self.close()
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        taken = [path.name for path in self._folder.glob(f"recording-{day}.*.jsonl")]
        number = max((int(name.split(".")[1]) for name in taken if name.split(".")[1].isdecimal()), default=0)
        while self._descriptor is None:
            number += 1
            self.path = self._folder / f"recording-{day}.{number:04d}.jsonl"
            try:
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL
                self._descriptor = os.open(self.path, flags, 0o600)
            except FileExistsError:  # another process was faster
                continue
        self._day, self._size = day, 0
        header = Header(
            format=FORMAT,
            version=VERSION,
            antiphon=self._antiphon,
            at=self._clock.now(),
            redact=list(self._redact),
        )
        self._write(encode_line(header))
        for old in sorted(self._folder.glob(PATTERN))[: -self._max_files]:
            old.unlink(missing_ok=True)
