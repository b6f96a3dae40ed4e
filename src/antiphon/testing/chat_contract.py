"""What every `ChatStore` promises, as tests. Subclass `ChatStoreContract` and give it a fixture `store`, a `Store`.

As `store_contract`, which says more.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from antiphon.core.errors import InvalidRequest
from antiphon.core.wire import encode
from antiphon.ports import ChatPage, Owner, Store, StoredChat
from antiphon.testing.store_contract import ALICE, STRANGERS, refused_as_unavailable


def chat(
    name: str, age: int = 0, *, model: str = "demo", metadata: Mapping[str, str] | None = None
) -> StoredChat:
    """A completion whose body tells its name."""
    return StoredChat(
        id=f"chatcmpl-{name}",
        model=model,
        created_at=1_767_225_600 + age,
        metadata=encode(metadata or {}),
        body=f'{{"id":"chatcmpl-{name}"}}'.encode(),
        messages=f'[{{"role":"user","content":"{name}"}}]'.encode(),
    )


async def put(store: Store, *chats: StoredChat) -> None:
    for one in chats:
        assert await store.chats.add_chat(ALICE, one) is True


async def listed(store: Store, page: ChatPage, owner: Owner = ALICE) -> list[str]:
    """The names on a page: `a` for `chatcmpl-a`."""
    return [one.id.removeprefix("chatcmpl-") for one in await store.chats.list_chats(owner, page)]


async def cursor_refused(store: Store, page: ChatPage, owner: Owner = ALICE) -> str | None:
    """The parameter that a page was refused for."""
    try:
        await store.chats.list_chats(owner, page)
    except InvalidRequest as error:
        return error.param
    return None


class ChatStoreContract:
    """The promises. Test names are the sentences that are false when they fail."""

    async def test_what_was_added_is_what_is_got(self, store: Store) -> None:
        one = chat("a", metadata={"topic": "rain", "né\U0001f600": "' \" \\ %s :id"})
        await put(store, one)
        assert await store.chats.get_chat(ALICE, one.id) == one

    async def test_an_id_is_taken_once_for_each_owner(self, store: Store) -> None:
        one = chat("a")
        await put(store, one)
        assert await store.chats.add_chat(ALICE, replace(one, body=b"{}")) is False
        assert await store.chats.add_chat(ALICE, one) is False
        assert await store.chats.get_chat(ALICE, one.id) == one
        for stranger in STRANGERS:
            assert await store.chats.add_chat(stranger, replace(one, body=b"{}")) is True
        assert await store.chats.get_chat(ALICE, one.id) == one

    async def test_of_two_that_take_an_id_at_once_one_gets_it(self, store: Store) -> None:
        rivals = [replace(chat("a"), body=body) for body in (b'{"by":1}', b'{"by":2}')]
        taken = await asyncio.gather(*(store.chats.add_chat(ALICE, one) for one in rivals))
        assert sorted(taken) == [False, True]
        assert await store.chats.get_chat(ALICE, "chatcmpl-a") == rivals[taken.index(True)]

    async def test_unknown_and_foreign_ids_answer_alike(self, store: Store) -> None:
        one = chat("a")
        await put(store, one)
        asked = [(ALICE, "chatcmpl-none"), *((stranger, one.id) for stranger in STRANGERS)]
        for owner, chat_id in asked:
            assert await store.chats.get_chat(owner, chat_id) is None
            assert await store.chats.set_chat_metadata(owner, chat_id, b'{"a":"b"}') is None
            assert await store.chats.delete_chat(owner, chat_id) is False
            assert await cursor_refused(store, ChatPage(9, after=chat_id), owner) == "after"
        assert await store.chats.get_chat(ALICE, one.id) == one

    async def test_metadata_is_replaced_and_the_place_in_the_list_kept(self, store: Store) -> None:
        await put(store, chat("a", metadata={"old": "1"}), chat("b"))
        changed = await store.chats.set_chat_metadata(ALICE, "chatcmpl-a", b'{"new":"2"}')
        assert changed == replace(chat("a"), metadata=b'{"new":"2"}', messages=b"")
        assert await store.chats.get_chat(ALICE, "chatcmpl-a") == replace(chat("a"), metadata=b'{"new":"2"}')
        assert await listed(store, ChatPage(9)) == ["a", "b"]
        assert await listed(store, ChatPage(9, metadata={"old": "1"})) == []
        assert await listed(store, ChatPage(9, metadata={"new": "2"})) == ["a"]

    async def test_a_list_is_by_age_and_then_by_the_order_of_adding(self, store: Store) -> None:
        await put(store, chat("c", 5), chat("a", 1), chat("d", 5), chat("b", 3))
        assert await listed(store, ChatPage(9)) == ["a", "b", "c", "d"]
        assert await listed(store, ChatPage(9, newest_first=True)) == ["d", "c", "b", "a"]
        assert [one.messages for one in await store.chats.list_chats(ALICE, ChatPage(9))] == [b""] * 4

    async def test_pages_behind_one_another_are_the_whole_list(self, store: Store) -> None:
        await put(store, *(chat(f"n{number}", number // 3) for number in range(20)))
        for newest_first in (True, False):
            whole = await listed(store, ChatPage(99, newest_first))
            assert len(whole) == 20
            for limit in (1, 3, 7, 20):
                pages: list[str] = []
                while page := await listed(
                    store, ChatPage(limit, newest_first, f"chatcmpl-{pages[-1]}" if pages else None)
                ):
                    pages += page
                assert pages == whole

    async def test_a_list_may_be_of_one_model_and_of_metadata(self, store: Store) -> None:
        await put(
            store,
            chat("a", metadata={"topic": "rain", "lang": "en"}),
            chat("b", metadata={"topic": "rain"}, model="other"),
            chat("c", metadata={"topic": "sun", "lang": "en"}),
            chat("d"),
        )
        assert await listed(store, ChatPage(9, model="other")) == ["b"]
        assert await listed(store, ChatPage(9, metadata={"topic": "rain"})) == ["a", "b"]
        assert await listed(store, ChatPage(9, metadata={"topic": "rain", "lang": "en"})) == ["a"]
        assert await listed(store, ChatPage(9, metadata={"topic": "rain"}, model="demo")) == ["a"]
        assert await listed(store, ChatPage(1, after="chatcmpl-a", metadata={"lang": "en"})) == ["c"]
        assert await listed(store, ChatPage(9, metadata={"lang": "EN"})) == []
        assert await listed(store, ChatPage(9, metadata={'$."x': "1"})) == []

    async def test_a_deleted_one_is_gone(self, store: Store) -> None:
        await put(store, chat("a"), chat("b"))
        assert await store.chats.delete_chat(ALICE, "chatcmpl-a") is True
        assert await store.chats.delete_chat(ALICE, "chatcmpl-a") is False
        assert await store.chats.get_chat(ALICE, "chatcmpl-a") is None
        assert await listed(store, ChatPage(9)) == ["b"]
        assert await cursor_refused(store, ChatPage(9, after="chatcmpl-a")) == "after"

    async def test_a_list_holds_nothing_of_strangers(self, store: Store) -> None:
        await put(store, chat("a"))
        for stranger in STRANGERS:
            await store.chats.add_chat(stranger, chat("theirs"))
            assert await listed(store, ChatPage(9), stranger) == ["theirs"]
        assert await listed(store, ChatPage(9)) == ["a"]

    async def test_a_closed_store_is_unavailable_for_chats(self, store: Store) -> None:
        await store.aclose()
        assert await refused_as_unavailable(store.chats.add_chat(ALICE, chat("a")))
        assert await refused_as_unavailable(store.chats.get_chat(ALICE, "chatcmpl-a"))
        assert await refused_as_unavailable(store.chats.list_chats(ALICE, ChatPage(9)))
        assert await refused_as_unavailable(store.chats.set_chat_metadata(ALICE, "chatcmpl-a", b"{}"))
        assert await refused_as_unavailable(store.chats.delete_chat(ALICE, "chatcmpl-a"))
