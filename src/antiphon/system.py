"""The clock and the ids of a running server: the one place that reads the time and the system's randomness."""

import os
import time


class SystemClock:
    """Times in microseconds never go back, so that what came later has no earlier one."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = 0

    def now(self) -> int:
        return int(time.time())

    def now_us(self) -> int:
        self._last = max(time.time_ns() // 1000, self._last)
        return self._last


class SystemIds:
    """Ids from the system's randomness, read 256 ids at a time: the call costs more than all else about an id."""

    __slots__ = ("_at", "_pool")

    def __init__(self) -> None:
        self._pool = ""
        self._at = 0

    def new(self, prefix: str) -> str:
        at = self._at
        if at == len(self._pool):
            self._pool = os.urandom(16 * 256).hex()
            at = 0
        self._at = at + 32
        return prefix + self._pool[at : at + 32]
