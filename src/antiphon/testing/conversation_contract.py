"""What every `ConversationStore` promises, as tests. Subclass it and give it a fixture `store`, a whole `Store`:
conversations, responses and their chains are one thing. See `store_contract`.
"""

import asyncio
from collections.abc import Awaitable
from dataclasses import replace

from antiphon.core.errors import ConversationChanged
from antiphon.core.transcript import PastTurn
from antiphon.ports import (
    ITEMS,
    REMOVAL,
    Owner,
    ResponsePage,
    Store,
    StoredConversation,
    StoredResponse,
)
from antiphon.testing.store_contract import (
    ALICE,
    STRANGERS,
    ids,
    listed,
    refused_as_unavailable,
    response,
)

HOLIDAY = StoredConversation("conv_holiday", 1_767_225_600, b'{"topic":"holiday"}')


def items(name: str, parent: str | None = None) -> StoredResponse:
    """A turn of items that a client put there."""
    return replace(response(name, parent), status=ITEMS, head=b"{}", output=b"[]", served_by="")


def removal(name: str, parent: str | None, *removed: str) -> StoredResponse:
    named = ",".join(f'"{one}"' for one in removed)
    return replace(items(name, parent), status=REMOVAL, input=f"[{named}]".encode())


MIXED = (response("a"), items("b", "a"), response("c", "b"), removal("d", "c", "item_x"), items("e", "d"))


async def only_items_are_left(store: Store) -> None:
    """Of MIXED what a client put there, each turn by itself."""
    for name in "acd":
        assert await turn_ids(store, f"resp_{name}") == []
    for name in "be":
        assert await turn_ids(store, f"resp_{name}") == [name]
        assert await store.conversations.get_items(ALICE, f"resp_{name}") == items(name).input


async def fill(store: Store, *turns: StoredResponse) -> StoredConversation:
    """A conversation that these turns were added to, one after the other."""
    await store.conversations.create(ALICE, HOLIDAY)
    for turn in turns:
        await store.conversations.append(ALICE, HOLIDAY.id, turn, continues=turn.parent_id)
    return replace(HOLIDAY, tip=turns[-1].id if turns else None)


async def turn_ids(store: Store, tip: str | None, owner: Owner = ALICE) -> list[str]:
    """The names of a conversation's turns: `a` for `resp_a`."""
    turns = await store.conversations.get_turns(owner, tip)
    return [one.removeprefix("resp_") for one in ids(turns)]


async def changed(call: Awaitable[object]) -> bool:
    """Whether a write was refused since the conversation is another one than was thought."""
    try:
        await call
    except ConversationChanged:
        return True
    return False


class ConversationStoreContract:
    """The promises. Test names are the sentences that are false when they fail."""

    async def test_what_was_made_is_what_is_got(self, store: Store) -> None:
        await store.conversations.create(ALICE, HOLIDAY)
        assert await store.conversations.get(ALICE, HOLIDAY.id) == HOLIDAY

    async def test_a_conversation_may_begin_with_items(self, store: Store) -> None:
        made = replace(HOLIDAY, tip="resp_a")
        await store.conversations.create(ALICE, made, items("a"))
        assert await store.conversations.get(ALICE, HOLIDAY.id) == made
        (only,) = await store.conversations.get_turns(ALICE, "resp_a")
        assert only == PastTurn("resp_a", items("a").input, b"[]", by_hand=True)

    async def test_unknown_and_foreign_conversations_answer_alike(self, store: Store) -> None:
        await fill(store, response("a"))
        for owner, conversation_id in ((ALICE, "conv_none"), *((one, HOLIDAY.id) for one in STRANGERS)):
            assert await store.conversations.get(owner, conversation_id) is None
            assert await store.conversations.update(owner, conversation_id, b"{}") is None
            assert await store.conversations.delete(owner, conversation_id) is False
            for continues in ("resp_a", None):
                late = response("late", "a")
                assert await changed(
                    store.conversations.append(owner, conversation_id, late, continues=continues)
                )
            assert await store.get_response(owner, "resp_late") is None
        for stranger in STRANGERS:
            assert await turn_ids(store, "resp_a", stranger) == []
        assert await store.conversations.get(ALICE, HOLIDAY.id) == replace(HOLIDAY, tip="resp_a")

    async def test_strangers_may_have_a_conversation_of_the_same_id(self, store: Store) -> None:
        await fill(store, response("a"))
        for stranger in STRANGERS:
            await store.conversations.create(stranger, replace(HOLIDAY, metadata=b"{}"))
            await store.conversations.append(stranger, HOLIDAY.id, response("b"), continues=None)
            assert await store.conversations.delete(stranger, HOLIDAY.id)
        assert await store.conversations.get(ALICE, HOLIDAY.id) == replace(HOLIDAY, tip="resp_a")

    async def test_metadata_is_replaced_and_nothing_else(self, store: Store) -> None:
        await fill(store, response("a"))
        updated = await store.conversations.update(ALICE, HOLIDAY.id, b'{"now":"this"}')
        assert updated == replace(HOLIDAY, metadata=b'{"now":"this"}', tip="resp_a")
        assert await store.conversations.get(ALICE, HOLIDAY.id) == updated

    async def test_turns_are_in_order_from_the_first(self, store: Store) -> None:
        rows = [response("turn0")]
        for number in range(1, 200):
            make = items if number % 5 == 0 else response
            rows.append(make(f"turn{number}", f"turn{number - 1}"))
        made = await fill(store, *rows)
        assert await store.conversations.get(ALICE, HOLIDAY.id) == made
        turns = await store.conversations.get_turns(ALICE, made.tip)
        assert [(turn.id, turn.input, turn.output) for turn in turns] == [
            (row.id, row.input, row.output) for row in rows
        ]
        assert [turn.by_hand for turn in turns] == [row.status == ITEMS for row in rows]
        assert list(await store.conversations.get_turns(ALICE, "resp_turn4")) == list(turns[:5])

    async def test_a_conversation_without_turns_has_none(self, store: Store) -> None:
        await fill(store)
        assert await turn_ids(store, None) == []
        assert await turn_ids(store, "resp_none") == []

    async def test_a_turn_for_another_tip_is_refused_whole(self, store: Store) -> None:
        await fill(store, response("a"), response("b", "a"))
        for continues in (None, "resp_a", "resp_c"):
            late = response("late", "a")
            assert await changed(store.conversations.append(ALICE, HOLIDAY.id, late, continues=continues))
        assert await store.get_response(ALICE, "resp_late") is None
        assert await store.conversations.get(ALICE, HOLIDAY.id) == replace(HOLIDAY, tip="resp_b")

    async def test_of_turns_for_one_tip_at_once_one_is_taken(self, store: Store) -> None:
        await fill(store, response("a"))
        rivals = [response(f"n{number}", "a") for number in range(20)]
        refused = await asyncio.gather(
            *[
                changed(store.conversations.append(ALICE, HOLIDAY.id, one, continues="resp_a"))
                for one in rivals
            ]
        )
        assert refused.count(False) == 1
        kept = rivals[refused.index(False)]
        assert await store.conversations.get(ALICE, HOLIDAY.id) == replace(HOLIDAY, tip=kept.id)
        assert await listed(store, ResponsePage(99)) == [kept.id.removeprefix("resp_"), "a"]

    async def test_a_response_of_a_conversation_is_a_response(self, store: Store) -> None:
        await fill(store, items("a"), response("b", "a"), response("c", "b"))
        assert await store.get_response(ALICE, "resp_b") == response("b", "a")
        assert ids(await store.get_chain(ALICE, "resp_c")) == ["resp_a", "resp_b", "resp_c"]
        assert list(await store.get_chain(ALICE, "resp_c")) == list(
            await store.conversations.get_turns(ALICE, "resp_c")
        )

    async def test_what_a_client_put_or_took_is_no_response(self, store: Store) -> None:
        await fill(store, items("a"), removal("b", "a", "msg_1"), response("c", "b"))
        for name in ("resp_a", "resp_b"):
            assert await store.get_response(ALICE, name) is None
            assert list(await store.get_chain(ALICE, name)) == []
            assert await store.delete_response(ALICE, name) is False
        assert await listed(store, ResponsePage(9)) == ["c"]
        assert await turn_ids(store, "resp_c") == ["a", "b", "c"]

    async def test_only_turns_of_items_have_items_to_refer_to(self, store: Store) -> None:
        await fill(store, items("a"), removal("b", "a", "msg_1"), response("c", "b"))
        assert await store.conversations.get_items(ALICE, "resp_a") == items("a").input
        for name in ("resp_b", "resp_c", "resp_none"):
            assert await store.conversations.get_items(ALICE, name) is None
        for stranger in STRANGERS:
            assert await store.conversations.get_items(stranger, "resp_a") is None

    async def test_a_removal_names_what_is_left_out(self, store: Store) -> None:
        await fill(store, response("a"), removal("b", "a", "msg_1", "msg_2"))
        turns = await store.conversations.get_turns(ALICE, "resp_b")
        assert [turn.removes for turn in turns] == [(), ("msg_1", "msg_2")]
        assert turns[1].input == turns[1].output == b"[]"

    async def test_a_deleted_conversation_is_unknown_and_its_turns_stay(self, store: Store) -> None:
        await fill(store, items("a"), response("b", "a"))
        assert await store.conversations.delete(ALICE, HOLIDAY.id) is True
        assert await store.conversations.get(ALICE, HOLIDAY.id) is None
        assert await store.conversations.update(ALICE, HOLIDAY.id, b"{}") is None
        assert await store.conversations.delete(ALICE, HOLIDAY.id) is False
        late = response("late", "b")
        assert await changed(store.conversations.append(ALICE, HOLIDAY.id, late, continues="resp_b"))
        assert await store.conversations.get_items(ALICE, "resp_a") == items("a").input
        assert ids(await store.get_chain(ALICE, "resp_b")) == ["resp_a", "resp_b"]

    async def test_deleting_a_response_leaves_the_conversation_whole(self, store: Store) -> None:
        """Also the newest one: nothing continues it yet, but the conversation does."""
        await fill(store, items("a"), response("b", "a"), response("c", "b"))
        assert await store.delete_response(ALICE, "resp_b")
        assert await store.delete_response(ALICE, "resp_c")
        assert await turn_ids(store, "resp_c") == ["a", "b", "c"]
        await store.conversations.append(ALICE, HOLIDAY.id, response("d", "c"), continues="resp_c")
        assert await turn_ids(store, "resp_d") == ["a", "b", "c", "d"]

    async def test_deleted_responses_go_with_the_conversation_that_kept_them(self, store: Store) -> None:
        await fill(store, items("a"), response("b", "a"), response("c", "b"))
        await store.delete_response(ALICE, "resp_b")
        await store.delete_response(ALICE, "resp_c")
        await store.conversations.delete(ALICE, HOLIDAY.id)
        assert await turn_ids(store, "resp_c") == []
        assert await turn_ids(store, "resp_b") == []
        assert await turn_ids(store, "resp_a") == ["a"]

    async def test_what_a_client_put_behind_them_does_not_keep_deleted_responses(self, store: Store) -> None:
        await fill(store, *MIXED)
        await store.delete_response(ALICE, "resp_c")
        await store.delete_response(ALICE, "resp_a")
        assert await turn_ids(store, "resp_e") == ["a", "b", "c", "d", "e"]
        await store.conversations.delete(ALICE, HOLIDAY.id)
        await only_items_are_left(store)

    async def test_responses_may_be_deleted_after_their_conversation(self, store: Store) -> None:
        await fill(store, *MIXED)
        await store.conversations.delete(ALICE, HOLIDAY.id)
        await store.delete_response(ALICE, "resp_c")
        await store.delete_response(ALICE, "resp_a")
        await only_items_are_left(store)

    async def test_a_branch_outlives_the_conversation(self, store: Store) -> None:
        await fill(store, items("a"), response("b", "a"), response("c", "b"))
        await store.put_response(ALICE, response("branch", "b"))
        await store.delete_response(ALICE, "resp_b")
        await store.delete_response(ALICE, "resp_c")
        await store.conversations.delete(ALICE, HOLIDAY.id)
        assert ids(await store.get_chain(ALICE, "resp_branch")) == ["resp_a", "resp_b", "resp_branch"]

    async def test_a_failed_response_beside_it_leaves_the_conversation_where_it_is(
        self, store: Store
    ) -> None:
        await fill(store, response("a"))
        await store.put_response(ALICE, replace(response("failed", "a"), status="failed"))
        assert await store.conversations.get(ALICE, HOLIDAY.id) == replace(HOLIDAY, tip="resp_a")
        assert await store.get_response(ALICE, "resp_failed") is not None

    async def test_a_cancelled_caller_learns_of_it_when_the_tip_stands_still(self, store: Store) -> None:
        """Else the next turn would be made for a tip that is about to move."""
        await fill(store, response("a"))
        call = asyncio.ensure_future(
            store.conversations.append(ALICE, HOLIDAY.id, response("b", "a"), continues="resp_a")
        )
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call])
        found = await store.conversations.get(ALICE, HOLIDAY.id)
        assert found is not None
        assert found.tip == "resp_b"
        assert await turn_ids(store, "resp_b") == ["a", "b"]

    async def test_a_closed_store_is_unavailable(self, store: Store) -> None:
        await fill(store, response("a"))
        await store.aclose()
        conversations = store.conversations
        assert await refused_as_unavailable(conversations.create(ALICE, replace(HOLIDAY, id="conv_other")))
        assert await refused_as_unavailable(conversations.get(ALICE, HOLIDAY.id))
        assert await refused_as_unavailable(conversations.update(ALICE, HOLIDAY.id, b"{}"))
        assert await refused_as_unavailable(conversations.delete(ALICE, HOLIDAY.id))
        assert await refused_as_unavailable(
            conversations.append(ALICE, HOLIDAY.id, response("b", "a"), continues="resp_a")
        )
        assert await refused_as_unavailable(conversations.get_turns(ALICE, "resp_none"))
        assert await refused_as_unavailable(conversations.get_items(ALICE, "resp_a"))
