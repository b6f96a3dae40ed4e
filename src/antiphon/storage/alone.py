"""Whether other processes use the same database: a file that each of them holds a lock on while it lives."""

import asyncio
import os
from contextlib import suppress
from pathlib import Path

_TRIES = 50
_PAUSE_S = 0.02


class Presence:
    """A shared lock of this process on a file, from `enter` to `leave`. The system frees it when the process dies."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    async def enter(self) -> bool:
        """Whether nobody else is there. If so, others wait at the door until `share`. Where the system or the file
        system has no such locks it is never known, and False.
        """
        try:
            import fcntl
        except ImportError:
            return False
        if self._descriptor is None:
            try:
                self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError:
                return False
        for _ in range(_TRIES):  # somebody who is just entering alone will share in a moment
            for how, alone in ((fcntl.LOCK_EX, True), (fcntl.LOCK_SH, False)):
                with suppress(OSError):
                    fcntl.flock(self._descriptor, how | fcntl.LOCK_NB)
                    return alone
            await asyncio.sleep(_PAUSE_S)
        return False

    def share(self) -> None:
        """Let others in."""
        import fcntl

        if self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def leave(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
