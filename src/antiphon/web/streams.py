"""How many streams are open, and the limit of it."""

from collections.abc import Generator
from contextlib import contextmanager

from antiphon.core.errors import TooManyStreams


class OpenStreams:
    """Counts the open streams of a server."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.count = 0

    @contextmanager
    def one(self) -> Generator[None]:
        """Holds a place while a stream is open. Raises TooManyStreams, before anything was sent."""
        if self.count >= self.limit:
            raise TooManyStreams(self.limit)
        self.count += 1
        try:
            yield
        finally:
            self.count -= 1
