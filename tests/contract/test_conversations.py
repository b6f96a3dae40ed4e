"""The contract of conversations over the adapters, and what only SQLite promises."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from antiphon.ports import Store
from antiphon.storage.memory import MemoryStore
from antiphon.storage.queries import execute, load
from antiphon.storage.sqlite import SqliteStore
from antiphon.testing.conversation_contract import (
    HOLIDAY,
    ConversationStoreContract,
    changed,
    fill,
    items,
    removal,
    turn_ids,
)
from antiphon.testing.store_contract import ALICE, response


class TestMemoryConversations(ConversationStoreContract):
    @pytest.fixture
    async def store(self) -> AsyncIterator[Store]:
        store = MemoryStore()
        yield store
        await store.aclose()


class TestSqliteConversations(ConversationStoreContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[Store]:
        store = SqliteStore.open(tmp_path / "antiphon.db")
        yield store
        await store.aclose()


class TestSqliteConversationsWithoutCache(ConversationStoreContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[Store]:
        store = SqliteStore.open(tmp_path / "antiphon.db", cache_bytes=0)
        yield store
        await store.aclose()


async def test_a_conversation_is_there_after_reopening(tmp_path: Path) -> None:
    path = tmp_path / "antiphon.db"
    store = SqliteStore.open(path)
    made = await fill(store, items("a"), response("b", "a"), removal("c", "b", "msg_1"))
    turns = await store.conversations.get_turns(ALICE, made.tip)
    await store.aclose()
    store = SqliteStore.open(path)
    assert await store.conversations.get(ALICE, made.id) == made
    assert await store.conversations.get_turns(ALICE, made.tip) == turns
    await store.aclose()


async def test_a_second_process_cannot_interleave(tmp_path: Path) -> None:
    path = tmp_path / "antiphon.db"
    ours, theirs = SqliteStore.open(path), SqliteStore.open(path)
    await fill(ours, response("a"))
    seen = await theirs.conversations.get(ALICE, HOLIDAY.id)
    assert seen is not None
    await ours.conversations.append(ALICE, HOLIDAY.id, response("b", "a"), continues="resp_a")
    late = response("late", "a")
    assert await changed(theirs.conversations.append(ALICE, HOLIDAY.id, late, continues=seen.tip))
    assert await theirs.conversations.get(ALICE, HOLIDAY.id) == replace(HOLIDAY, tip="resp_b")
    assert await turn_ids(theirs, "resp_b") == ["a", "b"]
    await asyncio.gather(ours.aclose(), theirs.aclose())


@pytest.mark.parametrize("name", ["get", "update", "delete", "move_tip", "get_items"])
async def test_each_statement_finds_its_row_by_an_index(tmp_path: Path, name: str) -> None:
    path = tmp_path / "antiphon.db"
    await SqliteStore.open(path).aclose()
    connection = apsw.Connection(str(path))
    names = ("id", "tenant", "subject", "metadata", "tip", "continues")
    texts: dict[str, str] = dict.fromkeys(names, "x")
    plan = [
        str(row[3])
        for row in execute(connection, f"EXPLAIN QUERY PLAN {load('conversations.sqlite')[name]}", texts)
    ]
    connection.close()
    assert len(plan) == 1
    assert "_id (id=? AND tenant=? AND subject=?)" in plan[0]


async def test_a_purge_asks_the_conversations_by_an_index(tmp_path: Path) -> None:
    path = tmp_path / "antiphon.db"
    await SqliteStore.open(path).aclose()
    connection = apsw.Connection(str(path))
    sql = f"EXPLAIN QUERY PLAN {load('responses.sqlite')['get_unneeded']}"
    plan = [str(row[3]) for row in execute(connection, sql, dict.fromkeys(("id", "tenant", "subject"), "x"))]
    connection.close()
    assert any("conversations USING INDEX conversations_tip (tip=?)" in step for step in plan), plan
