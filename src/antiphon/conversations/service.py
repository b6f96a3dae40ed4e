"""Conversations: made, read, changed and forgotten; what is put into them and taken out of them by hand."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from antiphon.conversations.bodies import Conversation, NewConversation
from antiphon.conversations.full_items import in_full
from antiphon.conversations.reading import get_conversation, turns_of
from antiphon.core.body import Metadata
from antiphon.core.context import own_items
from antiphon.core.errors import InvalidRequest, NotFound
from antiphon.core.ids import RESPONSE_PREFIX, ItemIds, response_of
from antiphon.core.transcript import PastTurn, StoredItem
from antiphon.core.wire import decode_json, encode
from antiphon.ports import ITEMS, REMOVAL, Owner, StoredConversation, StoredResponse
from antiphon.responses.rendering import Visible
from antiphon.responses.service import ResponseService

PREFIX = "conv_"


@dataclass(frozen=True, slots=True)
class ConversationService:
    """What changes a conversation waits for its turns (`ResponseService.turns`), and they for it."""

    responses: ResponseService

    async def create(self, owner: Owner, asked: NewConversation) -> Conversation:
        """Raises InvalidRequest for items that cannot be taken; then nothing is made."""
        first = await self._turn_of(owner, asked.items, ()) if asked.items else None
        made = StoredConversation(
            id=self.responses.ids.new(PREFIX),
            created_at=self.responses.clock.now(),
            metadata=encode(asked.metadata or {}),
            tip=first.id if first is not None else None,
        )
        await self.responses.store.conversations.create(owner, made, first)
        return _shown(made)

    async def get(self, owner: Owner, conversation_id: str) -> Conversation:
        """Raises NotFound."""
        return _shown(await self._stored(owner, conversation_id))

    async def update(self, owner: Owner, conversation_id: str, metadata: Metadata | None) -> Conversation:
        """Raises NotFound."""
        store = self.responses.store.conversations
        changed = await store.update(owner, conversation_id, encode(metadata or {}))
        return _shown(changed or await self._stored(owner, conversation_id))

    async def delete(self, owner: Owner, conversation_id: str) -> None:
        """Raises NotFound."""
        async with self.responses.turns.one(owner, conversation_id):
            if not await self.responses.store.conversations.delete(owner, conversation_id):
                await self._stored(owner, conversation_id)

    async def items(self, owner: Owner, conversation_id: str) -> list[StoredItem]:
        """Every item, oldest first; one that was sent twice under its id stands where it came first.

        Raises NotFound.
        """
        found = await self._stored(owner, conversation_id)
        turns = await turns_of(self.responses.store, owner, found)
        by_id: dict[str, StoredItem] = {}
        for item in (item for turn in turns for item in turn.stored()):
            by_id.setdefault(str(item.id), item)
        return list(by_id.values())

    async def item(self, owner: Owner, conversation_id: str, item_id: str) -> StoredItem:
        """Raises NotFound, of the conversation or of the item."""
        found = await self._stored(owner, conversation_id)
        return _find(item_id, await turns_of(self.responses.store, owner, found))

    async def add(self, owner: Owner, conversation_id: str, given: Sequence[object]) -> Sequence[StoredItem]:
        """Put items behind what is there. The items as stored, each with an id.

        Raises NotFound, InvalidRequest, ConversationChanged; then nothing is added.
        """
        async with self.responses.turns.one(owner, conversation_id):
            found = await self._stored(owner, conversation_id)
            if not given:
                return ()
            turns = await turns_of(self.responses.store, owner, found)
            turn = await self._turn_of(owner, given, turns, parent_id=found.tip)
            store = self.responses.store.conversations
            await store.append(owner, conversation_id, turn, continues=found.tip)
            return PastTurn(turn.id, turn.input, turn.output).stored()

    async def remove(self, owner: Owner, conversation_id: str, item_id: str) -> Conversation:
        """Leave an item out of the conversation from now on. Responses that were shown it still say so.

        Raises NotFound, ConversationChanged.
        """
        async with self.responses.turns.one(owner, conversation_id):
            found = await self._stored(owner, conversation_id)
            _find(item_id, await turns_of(self.responses.store, owner, found))
            turn = self._row(REMOVAL, encode([item_id]), found.tip)
            store = self.responses.store.conversations
            await store.append(owner, conversation_id, turn, continues=found.tip)
            return _shown(found)

    def shown(self, owner: Owner, items: Iterable[StoredItem], visible: Visible) -> list[StoredItem]:
        """Items as the caller sees them."""
        return [in_full(item) for item in self.responses.shown_items(owner, list(items), visible)]

    async def _stored(self, owner: Owner, conversation_id: str) -> StoredConversation:
        return await get_conversation(self.responses.store, owner, conversation_id)

    async def _turn_of(
        self, owner: Owner, given: Sequence[object], turns: Sequence[PastTurn], parent_id: str | None = None
    ) -> StoredResponse:
        """The row that holds new items. Raises InvalidRequest, and NotFound for files that are not there."""
        row = self._row(ITEMS, b"[]", parent_id)
        if self.responses.attachments is not None:
            await self.responses.attachments.check(owner, given, "items")
        inner = await self.responses.assembly.inner_items(owner, given, turns, "items")
        items = own_items(inner, ItemIds(row.id))
        _refuse_repeated([str(item.id) for item in items], row.id, turns)
        return replace(row, input=encode(items))

    def _row(self, status: str, given: bytes, parent_id: str | None) -> StoredResponse:
        return StoredResponse(
            id=self.responses.ids.new(RESPONSE_PREFIX),
            parent_id=parent_id,
            status=status,
            model="",
            created_at=self.responses.clock.now(),
            head=b"{}",
            input=given,
            output=b"[]",
        )


def _shown(stored: StoredConversation) -> Conversation:
    return Conversation(id=stored.id, metadata=decode_json(stored.metadata), created_at=stored.created_at)


def _find(item_id: str, turns: Sequence[PastTurn]) -> StoredItem:
    """Raises NotFound."""
    for turn in turns:
        if _names(turn, item_id):
            for item in turn.stored():
                if item.id == item_id:
                    return item
    raise NotFound(
        f'there is no item "{item_id[:200]}" in this conversation; it may have been deleted from it. List its items'
        " with GET /v1/conversations/{conversation_id}/items.",
        param="item_id",
    )


def _names(turn: PastTurn, item_id: str) -> bool:
    """Whether a look inside for this item can pay; told without decoding."""
    named = encode(item_id)
    return named in turn.input or named in turn.output


def _refuse_repeated(ids: Sequence[str], turn_id: str, turns: Sequence[PastTurn]) -> None:
    """Two items of one id could not be told apart, nor listed page by page. Those that got their ids from this turn
    are new.
    """
    given = [(at, item_id) for at, item_id in enumerate(ids) if response_of(item_id) != turn_id]
    if not given:
        return
    there = {item_id for turn in turns for item_id in turn.item_ids()}
    for at, item_id in given:
        if item_id in there:
            raise InvalidRequest(
                f'`items[{at}].id`: an item "{item_id[:200]}" is in the conversation already; leave `id` out, and'
                " the item gets one.",
                param=f"items[{at}].id",
            )
        there.add(item_id)
