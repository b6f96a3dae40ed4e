"""`prompt_cache_key` -> a slot of the engine: a conversation comes back to where its prefix is still in memory.

Keys of all tenants share the slots. What a slot holds is compared token by token by the engine, so that a key that
somebody else uses too can only find its own prefix or none.
"""

from collections import OrderedDict
from collections.abc import Generator
from contextlib import contextmanager


class SlotMap:
    """One per engine. The slot that was used least recently is given to a new key."""

    def __init__(self, count: int) -> None:
        self._slot_of: dict[str, int] = {}
        self._key_of: OrderedDict[int, str | None] = OrderedDict.fromkeys(range(count))
        self._busy: set[int] = set()

    @contextmanager
    def use(self, key: str | None) -> Generator[int | None]:
        """The slot for a request, held inside the `with`; None leaves the choice to the engine.

        A slot that another request holds is not waited for: any free slot beats a warm one that is busy.
        """
        slot = self._take(key) if key else None
        if slot is None:
            yield None
            return
        self._busy.add(slot)
        try:
            yield slot
        finally:
            self._busy.discard(slot)

    def _take(self, key: str) -> int | None:
        slot = self._slot_of.get(key)
        if slot is None:
            slot = next((one for one in self._key_of if one not in self._busy), None)
            if slot is None:
                return None
            self._give(slot, key)
        elif slot in self._busy:
            return None
        self._key_of.move_to_end(slot)
        return slot

    def _give(self, slot: int, key: str) -> None:
        former = self._key_of[slot]
        if former is not None:
            del self._slot_of[former]
        self._key_of[slot] = key
        self._slot_of[key] = slot
