"""`MemoryConversations`: the conversation store in dictionaries, over the turns of a `MemoryStore`."""

from collections.abc import Callable, Mapping, MutableMapping, MutableSet, Sequence
from dataclasses import replace

from antiphon.core.errors import ConversationChanged
from antiphon.core.transcript import PastTurn
from antiphon.ports import ITEMS, Owner, StoredConversation, StoredResponse
from antiphon.storage.turns import HIDDEN, turn_of

Key = tuple[Owner, str]


class MemoryConversations:
    """A `ConversationStore`. `purge` removes a hidden row, and its ancestors, that nothing needs any more."""

    def __init__(
        self,
        rows: MutableMapping[Key, StoredResponse],
        hidden: MutableSet[Key],
        purge: Callable[[Owner, str], None],
        check_open: Callable[[], None],
    ) -> None:
        self._rows = rows
        self._hidden = hidden
        self._purge = purge
        self._check_open = check_open
        self._conversations: dict[Key, StoredConversation] = {}

    async def create(
        self, owner: Owner, conversation: StoredConversation, first: StoredResponse | None = None
    ) -> None:
        self._check_open()
        self._conversations[owner, conversation.id] = conversation
        if first is not None:
            self._put(owner, first)

    async def get(self, owner: Owner, conversation_id: str) -> StoredConversation | None:
        self._check_open()
        return self._conversations.get((owner, conversation_id))

    async def update(self, owner: Owner, conversation_id: str, metadata: bytes) -> StoredConversation | None:
        found = await self.get(owner, conversation_id)
        if found is None:
            return None
        self._conversations[owner, conversation_id] = changed = replace(found, metadata=metadata)
        return changed

    async def delete(self, owner: Owner, conversation_id: str) -> bool:
        found = await self.get(owner, conversation_id)
        if found is None:
            return False
        del self._conversations[owner, conversation_id]
        if found.tip is not None:
            self._purge(owner, found.tip)
        return True

    async def get_turns(self, owner: Owner, tip: str | None) -> Sequence[PastTurn]:
        self._check_open()
        return () if tip is None else chain(self._rows, owner, tip)

    async def append(
        self, owner: Owner, conversation_id: str, turn: StoredResponse, *, continues: str | None
    ) -> None:
        self._check_open()
        found = self._conversations.get((owner, conversation_id))
        if found is None or found.tip != continues:
            raise ConversationChanged(conversation_id)
        self._put(owner, turn)
        self._conversations[owner, conversation_id] = replace(found, tip=turn.id)

    async def get_items(self, owner: Owner, turn_id: str) -> bytes | None:
        self._check_open()
        row = self._rows.get((owner, turn_id))
        return row.input if row is not None and row.status == ITEMS else None

    def is_tip(self, owner: Owner, turn_id: str) -> bool:
        return any(key[0] == owner and one.tip == turn_id for key, one in self._conversations.items())

    def _put(self, owner: Owner, turn: StoredResponse) -> None:
        self._rows[owner, turn.id] = turn
        if turn.status in HIDDEN:
            self._hidden.add((owner, turn.id))


def chain(rows: Mapping[Key, StoredResponse], owner: Owner, turn_id: str) -> Sequence[PastTurn]:
    """From the root to this turn, hidden ones too. Empty when one of them is gone: half a history is none."""
    turns: list[PastTurn] = []
    at = rows.get((owner, turn_id))
    while at is not None:
        turns.append(turn_of(at))
        if at.parent_id is None:
            return turns[::-1]
        at = rows.get((owner, at.parent_id))
    return ()
