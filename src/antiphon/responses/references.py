"""`item_reference`: the stored items that the input of one request names."""

from collections.abc import Sequence

import msgspec

from antiphon.core.errors import InvalidRequest
from antiphon.core.ids import response_of
from antiphon.core.transcript import PastTurn, StoredItem
from antiphon.ports import Owner, Store

_ITEMS = msgspec.json.Decoder(list[StoredItem])
_ById = dict[str, StoredItem]


class References:
    """For one request: a body may name thousands of items, so each turn is read once."""

    def __init__(self, store: Store, owner: Owner, history: Sequence[PastTurn]) -> None:
        self._store = store
        self._owner = owner
        self._history = history
        self._places: dict[str, PastTurn] | None = None
        self._read: dict[str, _ById] = {}

    async def get(self, item_id: str, path: str) -> StoredItem:
        """The item; of the history first, as it is there. Raises InvalidRequest, naming `path`."""
        found = await self.find(item_id)
        if found is None:
            raise InvalidRequest(
                f'there is no stored item "{item_id}"; send the item itself instead of a reference.',
                param=f"{path}.id",
            )
        return found

    async def find(self, item_id: str) -> StoredItem | None:
        if self._places is None:
            self._places = {one: turn for turn in self._history for one in turn.item_ids()}
        turn = self._places.get(item_id)
        items = self._of_turn(turn) if turn is not None else await self._of_store(response_of(item_id))
        return items.get(item_id)

    def _of_turn(self, turn: PastTurn) -> _ById:
        if turn.id not in self._read:
            self._read[turn.id] = _by_id(turn.input, turn.output)
        return self._read[turn.id]

    async def _of_store(self, turn_id: str | None) -> _ById:
        """The stored items of a response, or of what was added to a conversation; nothing for others."""
        if turn_id is None:
            return {}
        key = f"stored {turn_id}"  # the same turn may have lost items in the history
        if key not in self._read:
            self._read[key] = _by_id(*await self._arrays(turn_id))
        return self._read[key]

    async def _arrays(self, turn_id: str) -> tuple[bytes, ...]:
        stored = await self._store.get_response(self._owner, turn_id)
        if stored is not None:
            return stored.input, stored.output
        added = await self._store.conversations.get_items(self._owner, turn_id)
        return () if added is None else (added,)


def _by_id(*arrays: bytes) -> _ById:
    """Of two items of one id the first."""
    found: _ById = {}
    for array in arrays:
        for item in _ITEMS.decode(array):
            found.setdefault(str(item.id), item)
    return found
