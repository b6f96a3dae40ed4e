"""A run in a conversation that somebody else changes meanwhile, as only a second process can."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from antiphon.conversations.bodies import MoreItems, NewConversation
from antiphon.conversations.service import ConversationService
from antiphon.core.errors import ConversationChanged, NotFound
from antiphon.core.items import InputText, Message
from antiphon.core.request import ResponseRequest
from antiphon.models.catalog import Catalog
from antiphon.ports import Owner, StoredConversation
from antiphon.responses.rendering import Visible
from antiphon.responses.service import ResponseService
from antiphon.storage.memory import MemoryStore
from antiphon.storage.memory_conversations import MemoryConversations
from antiphon.testing import FakeClock, FakeIds, PlainSealer, ToolBox, scripted_model

OWNER = Owner("t", "o")
HI = Message(role="user", content=[InputText(text="hi")])


class TwoProcesses:
    """Two services over one store, that know nothing of each other's locks."""

    def __init__(self, store: MemoryStore | None = None) -> None:
        store, ids = store or MemoryStore(), FakeIds()
        catalog = Catalog({"demo": scripted_model()}, clock=FakeClock())
        self.ours, self.theirs = (
            ResponseService(catalog, store, ToolBox(), FakeClock(), ids, PlainSealer()) for _ in range(2)
        )

    async def begin(self) -> str:
        made = await ConversationService(self.ours).create(OWNER, NewConversation(items=[HI]))
        return made.id

    async def run(self, conversation: str, interfere: Callable[[], Awaitable[None]]) -> dict[str, Any]:
        """One of our turns, into which the other process comes between its start and its end."""
        body = json.dumps({"model": "demo/demo", "input": "x", "conversation": conversation}).encode()
        request = ResponseRequest.parse(body)
        async with self.ours.turn(OWNER, request):
            run = await self.ours.prepare(OWNER, request)
            await interfere()
            made: dict[str, Any] = json.loads(await run.execute())
        return made


async def test_a_run_whose_conversation_went_on_fails_and_is_kept_as_failed() -> None:
    both = TwoProcesses()
    conversation = await both.begin()
    theirs = ConversationService(both.theirs)
    added: list[str] = []

    async def add() -> None:
        items = await theirs.add(OWNER, conversation, MoreItems(items=[HI]).items)
        added.append(str(items[0].id))

    made = await both.run(conversation, add)
    assert (made["status"], made["error"]["code"]) == ("failed", "server_error")
    assert conversation in made["error"]["message"]
    assert made["output"], "what the model said is shown"
    assert json.loads(await both.ours.get(OWNER, made["id"], Visible())) == made
    items = await theirs.items(OWNER, conversation)
    assert len(items) == 2
    assert items[-1].id == added[0], "what the other one added is what the conversation goes on from"


async def test_a_run_whose_conversation_was_deleted_fails_and_is_kept() -> None:
    both = TwoProcesses()
    conversation = await both.begin()

    async def delete() -> None:
        await ConversationService(both.theirs).delete(OWNER, conversation)

    made = await both.run(conversation, delete)
    assert made["status"] == "failed"
    assert json.loads(await both.ours.get(OWNER, made["id"], Visible()))["status"] == "failed"
    with pytest.raises(NotFound):
        await ConversationService(both.ours).get(OWNER, conversation)


class Overtaken(MemoryConversations):
    """Something happens as soon as somebody has looked."""

    meanwhile: Callable[[], Awaitable[object]] | None = None

    async def get(self, owner: Owner, conversation_id: str) -> StoredConversation | None:
        found = await super().get(owner, conversation_id)
        if self.meanwhile is not None:
            happening, self.meanwhile = self.meanwhile, None
            await happening()
        return found


class OvertakenStore(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.conversations: Overtaken = Overtaken(self._rows, self._hidden, self._purge, self._check_open)


async def test_items_for_a_conversation_that_went_on_are_refused_whole() -> None:
    store = OvertakenStore()
    both = TwoProcesses(store)
    conversation = await both.begin()
    ours, theirs = ConversationService(both.ours), ConversationService(both.theirs)
    store.conversations.meanwhile = lambda: theirs.add(OWNER, conversation, [HI])
    with pytest.raises(ConversationChanged) as caught:
        await ours.add(OWNER, conversation, [HI, HI])
    assert (caught.value.status, caught.value.code) == (409, "conversation_changed")
    assert len(await ours.items(OWNER, conversation)) == 2
