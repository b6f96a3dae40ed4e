"""Rendered turns of the history: a turn never changes, so it is rendered once and kept."""

from collections import OrderedDict
from typing import Generic, Protocol, TypeVar

MAX_KEPT_BYTES = 64 * 1024 * 1024
ENTRY_BYTES = 400
"""What an entry costs beside its bytes: key, tuple, links."""


class Piece(Protocol):
    @property
    def json(self) -> bytes: ...


PieceT = TypeVar("PieceT", bound=Piece)


class KeptTurns(Generic[PieceT]):
    """By response id, the least recently used dropped first, bounded by bytes."""

    def __init__(self, max_bytes: int = MAX_KEPT_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept: OrderedDict[str, PieceT] = OrderedDict()

    def get(self, turn_id: str) -> PieceT | None:
        found = self._kept.get(turn_id)
        if found is not None:
            self._kept.move_to_end(turn_id)
        return found

    def put(self, turn_id: str, rendered: PieceT) -> None:
        if turn_id in self._kept:
            return
        self._kept[turn_id] = rendered
        self._bytes += len(rendered.json) + ENTRY_BYTES
        while self._bytes > self._max_bytes:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= len(dropped.json) + ENTRY_BYTES

    @property
    def size_bytes(self) -> int:
        return self._bytes
