"""What passes an upstream connection while a model is called, noted for the exchange that is being recorded."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextvars import ContextVar

from msgspec import Raw

from antiphon.core.signals import ModelSignal
from antiphon.recording.format import Answer, Piece, Sent

_KEPT_HEADERS = ("content-type", "x-request-id", "retry-after", "openai-processing-ms", "server")


class Tape:
    """One model call. `now` gives seconds of a clock that only goes forward; times count from the last request."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._began = now()
        self._request: tuple[str, str, bytes | None] | None = None
        self._attempts = 0
        self._head: tuple[int, dict[str, str]] | None = None
        self._pieces: list[Piece] = []

    @property
    def ms(self) -> int:
        return round((self._now() - self._began) * 1000)

    def asked(self, method: str, path: str, body: bytes | None) -> None:
        same = self._request is not None and self._request[1] == path
        self._attempts = self._attempts + 1 if same else 1
        self._request = (method, path, body)
        self._head = None
        self._pieces = []
        self._began = self._now()

    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        self._head = (status, {name: headers[name] for name in _KEPT_HEADERS if name in headers})

    def took(self, data: bytes) -> None:
        if data:
            self._pieces.append(Piece.of(self.ms, data))

    def sent(self, clean: Callable[[bytes], bytes]) -> Sent | None:
        if self._request is None:
            return None
        method, path, body = self._request
        raw = Raw(b"null" if body is None else clean(body))
        return Sent(method=method, path=path, body=raw, attempts=self._attempts)

    def answer(self) -> Answer | None:
        """The answer as it came; None where no head was seen."""
        if self._head is None and not self._pieces:
            return None
        status, headers = self._head or (200, {})
        return Answer(status=status, headers=headers, pieces=self._pieces)


CURRENT: ContextVar[Tape | None] = ContextVar("antiphon_tape", default=None)
"""The tape of the call that the running task is making; None wherever nothing is recorded."""


async def next_on(
    tape: Tape, batches: AsyncGenerator[Sequence[ModelSignal], None]
) -> Sequence[ModelSignal] | None:
    """The next batch; None at the end. Only what is awaited in here is on the tape."""
    token = CURRENT.set(tape)
    try:
        return await anext(batches, None)
    finally:
        CURRENT.reset(token)
