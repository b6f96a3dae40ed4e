"""The contracts of agents, shields and tool groups over the adapters, and what only SQLite promises."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from antiphon.ports import Store
from antiphon.storage import migrate
from antiphon.storage.memory import MemoryStore
from antiphon.storage.queries import execute, load
from antiphon.storage.sqlite import SqliteStore
from antiphon.testing.agent_contract import (
    HELPER,
    TALK,
    AgentStoreContract,
    ShieldRecordsContract,
    ToolGroupRecordsContract,
    begin,
    chain,
    end,
    hold,
    names_of_turns,
    session,
    tip,
    turn,
)
from antiphon.testing.store_contract import ALICE, response
from tests.contract.test_store import make_with_schema


class InMemory:
    @pytest.fixture
    async def store(self) -> AsyncIterator[Store]:
        store = MemoryStore()
        yield store
        await store.aclose()


class OverSqlite:
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[Store]:
        store = SqliteStore.open(tmp_path / "antiphon.db")
        yield store
        await store.aclose()


class TestMemoryAgents(InMemory, AgentStoreContract):
    pass


class TestSqliteAgents(OverSqlite, AgentStoreContract):
    pass


class TestSqliteAgentsWithoutCache(AgentStoreContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[Store]:
        store = SqliteStore.open(tmp_path / "antiphon.db", cache_bytes=0)
        yield store
        await store.aclose()


class TestMemoryShields(InMemory, ShieldRecordsContract):
    pass


class TestSqliteShields(OverSqlite, ShieldRecordsContract):
    pass


class TestMemoryToolGroups(InMemory, ToolGroupRecordsContract):
    pass


class TestSqliteToolGroups(OverSqlite, ToolGroupRecordsContract):
    pass


async def test_what_a_store_in_memory_holds_is_counted_and_counted_off() -> None:
    store = MemoryStore()
    await begin(store)
    await hold(store, "a", "b")
    held = [turn("a", "completed"), turn("b", "completed")]
    made = [response("a"), response("b", "a")]
    assert store.size_bytes == sum(len(one.body) + len(one.inner) for one in held) + sum(
        len(one.head) + len(one.input) + len(one.output) for one in made
    )
    await store.agents.delete_session(ALICE, HELPER.id, TALK.id)
    assert store.size_bytes == 0


async def test_sessions_and_turns_are_there_after_reopening(tmp_path: Path) -> None:
    path = tmp_path / "antiphon.db"
    store = SqliteStore.open(path)
    await begin(store)
    await hold(store, "a", "b")
    await store.agents.put_turn(ALICE, turn("c"))
    await store.aclose()
    store = SqliteStore.open(path)
    assert await store.agents.get_session(ALICE, HELPER.id, TALK.id) == replace(TALK, tip="resp_b")
    assert list(await store.agents.list_turns(ALICE, TALK.id)) == [
        turn("a", "completed"),
        turn("b", "completed"),
        turn("c"),
    ]
    await store.aclose()


async def test_a_second_process_cannot_interleave_turns(tmp_path: Path) -> None:
    path = tmp_path / "antiphon.db"
    ours, theirs = SqliteStore.open(path), SqliteStore.open(path)
    await begin(ours)
    await hold(ours, "a")
    assert await tip(theirs) == "resp_a"
    await hold(ours, "b", after="a")
    await theirs.agents.put_turn(ALICE, turn("late"))
    assert await end(theirs, turn("late", "completed"), response("late", "a")) is False
    assert await chain(theirs, "resp_b") == ["resp_a", "resp_b"]
    await asyncio.gather(ours.aclose(), theirs.aclose())


CANARY = "canary-4711"


@pytest.mark.parametrize("whole", [False, True], ids=["session", "agent"])
async def test_what_was_deleted_is_no_more_in_the_file(tmp_path: Path, whole: bool) -> None:
    path = tmp_path / "antiphon.db"
    store = SqliteStore.open(path)
    await begin(store)
    await store.agents.add_session(ALICE, replace(session("other"), name=f"{CANARY} of another"))
    gone = replace(session("gone"), name=f"{CANARY} session")
    await store.agents.add_session(ALICE, gone)
    for number in range(20):
        before = f"r{number - 1}" if number else None
        begun = replace(turn(f"t{number}", of=gone), body=f'"{CANARY} begun"'.encode() * (1 + number * 40))
        ended = replace(begun, status="completed", body=f'"{CANARY} ended"'.encode() * 20)
        made = replace(response(f"r{number}", before), input=f'["{CANARY} said"]'.encode() * 500)
        await store.agents.put_turn(ALICE, begun)
        assert await end(store, ended, made)
    assert CANARY.encode() in path.read_bytes() + path.with_name("antiphon.db-wal").read_bytes()
    if whole:
        await store.agents.delete_agent(ALICE, HELPER.id)
    else:
        await store.agents.delete_session(ALICE, HELPER.id, gone.id)
    await store.aclose()
    assert not path.with_name("antiphon.db-wal").exists()
    left = path.read_bytes().count(CANARY.encode())
    assert left == (0 if whole else 1)


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("get_agent", "agents_id (id=? AND tenant=?)"),
        ("list_agents", "agents_listed (tenant=?)"),
        ("list_named", "agents_named (tenant=? AND name>?)"),
        ("list_sessions_of_everybody", "agent_sessions_listed (agent_id=? AND tenant=?)"),
        ("get_session", "agent_sessions_id (id=? AND tenant=? AND subject=?)"),
        ("list_sessions", "agent_sessions_listed (agent_id=? AND tenant=? AND subject=?)"),
        ("set_memory", "agent_sessions_id (id=? AND tenant=? AND subject=?)"),
        ("stands_at", "agent_sessions_id (id=? AND tenant=? AND subject=?)"),
        ("move_tip", "agent_sessions_id (id=? AND tenant=? AND subject=?)"),
        ("delete_turns", "agent_turns_session (session_id=? AND tenant=? AND subject=?)"),
        ("hide_responses", "responses_session (session_id=?)"),
        ("get_turn", "agent_turns_id (id=? AND tenant=? AND subject=?)"),
        ("list_turns", "agent_turns_session (session_id=? AND tenant=? AND subject=?)"),
        ("find_turns", "agent_turns_id (id=? AND tenant=? AND subject=?)"),
        ("last_turn", "agent_turns_session (session_id=? AND tenant=? AND subject=?)"),
    ],
)
async def test_each_statement_finds_its_rows_by_an_index(tmp_path: Path, name: str, index: str) -> None:
    path = tmp_path / "antiphon.db"
    await SqliteStore.open(path).aclose()
    connection = apsw.Connection(str(path))
    names = ("id", "tenant", "subject", "agent_id", "session_id", "memory", "tip", "continues", "ids")
    bindings: dict[str, str | int] = {**dict.fromkeys(names, "[]"), "start": 3, "limit": 5}
    sql = f"EXPLAIN QUERY PLAN {load('agents.sqlite')[name]}"
    plan = [str(row[3]) for row in execute(connection, sql, bindings)]
    connection.close()
    assert any(f"INDEX {index}" in step for step in plan), plan
    unsorted = [step for step in plan if "TEMP B-TREE" not in step]
    # Few are sorted: turns that were asked for by their ids, agents with names. Of everybody's sessions their ids.
    assert unsorted == plan or name in {"list_sessions_of_everybody", "find_turns", "list_named"}


async def test_a_purge_asks_the_sessions_by_an_index(tmp_path: Path) -> None:
    path = tmp_path / "antiphon.db"
    await SqliteStore.open(path).aclose()
    connection = apsw.Connection(str(path))
    sql = f"EXPLAIN QUERY PLAN {load('responses.sqlite')['get_unneeded']}"
    plan = [str(row[3]) for row in execute(connection, sql, dict.fromkeys(("id", "tenant", "subject"), "x"))]
    connection.close()
    assert any("agent_sessions USING INDEX agent_sessions_tip (tip=?)" in step for step in plan), plan


async def test_a_database_of_the_schema_before_agents_keeps_what_it_held(tmp_path: Path) -> None:
    path = tmp_path / "there" / "antiphon.db"
    make_with_schema(path, "0006")
    # Two that start at once: one migrates, and the other finds it done or does it itself.
    store = SqliteStore.open(path)
    other = SqliteStore.open(path)
    assert migrate.current(path) == migrate.head()
    old = await store.get_response(ALICE, "resp_old")
    assert old is not None
    await begin(store)
    await hold(store, "a")
    assert await names_of_turns(other) == ["a"]
    await store.agents.delete_agent(ALICE, HELPER.id)
    assert await other.get_response(ALICE, "resp_old") == old
    await asyncio.gather(store.aclose(), other.aclose())
