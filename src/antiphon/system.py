"""The clock and the ids of a running server: the one place that reads the time and the system's randomness."""

import os
import time


class SystemClock:
    def now(self) -> int:
        return int(time.time())


class SystemIds:
    def new(self, prefix: str) -> str:
        return prefix + os.urandom(16).hex()
