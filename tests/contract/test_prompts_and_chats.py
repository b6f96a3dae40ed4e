"""The contracts of prompts and of stored chat completions over both stores, and what SQLite keeps of them."""

from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest

from antiphon.ports import Store
from antiphon.storage.memory import MemoryStore
from antiphon.storage.queries import execute
from antiphon.storage.sqlite import SqliteStore
from antiphon.testing.chat_contract import ChatStoreContract, chat
from antiphon.testing.prompt_contract import BOB, PromptStoreContract, put, version
from antiphon.testing.store_contract import ALICE


class _InMemory:
    @pytest.fixture
    async def store(self) -> AsyncIterator[Store]:
        store = MemoryStore()
        yield store
        await store.aclose()


class _InSqlite:
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[Store]:
        store = SqliteStore.open(tmp_path / "antiphon.db")
        yield store
        await store.aclose()


class TestPromptsInMemory(_InMemory, PromptStoreContract):
    pass


class TestPromptsInSqlite(_InSqlite, PromptStoreContract):
    pass


class TestChatsInMemory(_InMemory, ChatStoreContract):
    pass


class TestChatsInSqlite(_InSqlite, ChatStoreContract):
    pass


async def test_both_are_there_after_reopening_and_authors_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "antiphon.db"
    store = SqliteStore.open(path)
    await put(store, "a")
    await store.prompts.add_version(BOB, version("a", 2, is_default=False))
    await store.chats.add_chat(ALICE, chat("a"))
    await store.aclose()
    store = SqliteStore.open(path)
    assert await store.prompts.get_prompt(ALICE, "pmpt_a") == version("a")
    assert await store.prompts.get_prompt(ALICE, "pmpt_a", 2) == version("a", 2, is_default=False)
    assert await store.chats.get_chat(ALICE, "chatcmpl-a") == chat("a")
    await store.aclose()
    connection = apsw.Connection(str(path))
    authors = list(execute(connection, "SELECT version, subject FROM prompts ORDER BY version"))
    connection.close()
    assert authors == [(1, ALICE.subject), (2, BOB.subject)]


async def test_a_page_of_chats_is_found_by_an_index(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "antiphon.db")
    await store.chats.add_chat(ALICE, chat("a"))
    await store.aclose()
    connection = apsw.Connection(str(tmp_path / "antiphon.db"))
    plan = list(
        execute(
            connection,
            "EXPLAIN QUERY PLAN SELECT id FROM chat_completions WHERE tenant = 'a' AND subject = 'b'"
            " AND (created_at, number) > (1, 1) ORDER BY created_at, number LIMIT 3",
        )
    )
    connection.close()
    (step,) = [row[3] for row in plan]  # no second one that sorts
    assert "USING INDEX chat_completions_listed (tenant=? AND subject=? AND created_at>?" in step
