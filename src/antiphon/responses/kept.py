"""What is kept in memory as long as there is room, the least recently used dropped first."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

KeyT = TypeVar("KeyT", bound=Hashable)
ValueT = TypeVar("ValueT")
ENTRY_BYTES = 400
"""What an entry costs beside its content, about."""


class Kept(Generic[KeyT, ValueT]):
    """Bounded by bytes, which the caller counts. What is larger than a quarter of the room is not kept at all."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept: OrderedDict[KeyT, tuple[ValueT, int]] = OrderedDict()

    def get(self, key: KeyT) -> ValueT | None:
        found = self._kept.get(key)
        if found is None:
            return None
        self._kept.move_to_end(key)
        return found[0]

    def put(self, key: KeyT, value: ValueT, size_bytes: int) -> None:
        """Keep it, in place of an older one."""
        older = self._kept.pop(key, None)
        if older is not None:
            self._bytes -= older[1]
        size = size_bytes + ENTRY_BYTES
        if size > self._max_bytes // 4:
            return
        self._kept[key] = (value, size)
        self._bytes += size
        while self._bytes > self._max_bytes:
            _, (_, dropped) = self._kept.popitem(last=False)
            self._bytes -= dropped
