"""The contract of vector stores over both stores, and what SQLite alone promises: after a crash, and of its queries."""

import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import apsw
import pytest

from antiphon.ports import Store
from antiphon.ports.knowledge import StoredBatch
from antiphon.storage.memory import MemoryStore
from antiphon.storage.queries import execute, load
from antiphon.storage.sqlite import SqliteStore
from antiphon.testing.knowledge_contract import (
    LEASE,
    NOW,
    KnowledgeContract,
    claimed,
    completed,
    filled,
    nothing_to_do,
    vector_file,
    vector_store,
)
from antiphon.testing.store_contract import ALICE


class TestKnowledgeInMemory(KnowledgeContract):
    @pytest.fixture
    async def store(self) -> AsyncIterator[Store]:
        store = MemoryStore()
        yield store
        await store.aclose()


class TestKnowledgeInSqlite(KnowledgeContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[Store]:
        store = SqliteStore.open(tmp_path / "antiphon.db")
        yield store
        await store.aclose()


async def test_all_is_there_after_reopening(tmp_path: Path) -> None:
    path = tmp_path / "antiphon.db"
    store = SqliteStore.open(path)
    await filled(store, "x", "y")
    await store.knowledge.put_files(
        ALICE, [vector_file("z", batch="vsfb_1")], StoredBatch("vsfb_1", "vs_a", NOW)
    )
    done = await completed(store)
    await store.aclose()
    store = SqliteStore.open(path)
    summary = await store.knowledge.get_store(ALICE, "vs_a")
    assert summary is not None
    assert (summary.counts.in_progress, summary.counts.completed, summary.usage_bytes) == (2, 1, 10)
    assert await store.knowledge.get_file(ALICE, "vs_a", "file-x") == done
    assert await store.knowledge.get_batch(ALICE, "vs_a", "vsfb_1") is not None
    await store.aclose()


_DIES = """
import asyncio, os, sys
from antiphon.storage.sqlite import SqliteStore
from antiphon.testing.knowledge_contract import claimed
async def main():
    store = SqliteStore.open(sys.argv[1])
    await store.knowledge.take_over()
    await claimed(store, "dead")
    os.kill(os.getpid(), 9)
asyncio.run(main())
"""


async def test_the_claims_of_a_killed_process_are_free_for_the_next_one_that_is_alone(tmp_path: Path) -> None:
    path = tmp_path / "antiphon.db"
    store = SqliteStore.open(path)
    await filled(store, "x")
    await store.aclose()
    died = subprocess.run([sys.executable, "-c", _DIES, str(path)], check=False, timeout=30)  # noqa: ASYNC221
    assert died.returncode == -9
    store = SqliteStore.open(path)
    assert await nothing_to_do(store)
    assert await store.knowledge.take_over() == 1
    assert (await claimed(store, "next")).attempts == 2
    await store.aclose()


async def test_nobody_takes_over_the_claims_of_a_process_that_lives(tmp_path: Path) -> None:
    path = tmp_path / "antiphon.db"
    first, second = SqliteStore.open(path), SqliteStore.open(path)
    await first.knowledge.take_over()
    await filled(first, "x")
    claim = await claimed(first, "mine")
    assert await second.knowledge.take_over() == 0
    assert await nothing_to_do(second)
    assert await first.knowledge.renew(claim, NOW + 9)
    await first.aclose()
    await second.aclose()


async def test_a_place_without_locks_leaves_claims_to_their_time(tmp_path: Path) -> None:
    path = tmp_path / "antiphon.db"
    store = SqliteStore.open(path)
    await filled(store, "x")
    await claimed(store, "dead")
    (tmp_path / "antiphon.db-workers").mkdir()
    assert await store.knowledge.take_over() == 0
    assert await nothing_to_do(store, LEASE - 1)
    await store.aclose()


QUERIES = {
    "next_job": ["vector_store_files_jobs", "vector_stores_id"],
    "list_files_newest_first": ["vector_store_files_listed"],
    "list_stores_newest_first": ["vector_stores_listed"],
    "get_store": ["vector_stores_id", "vector_store_files_counted"],
    "count_batch": ["vector_store_files_batch"],
    "stores_of_file": ["vector_store_files_file"],
    "ending_stores": ["vector_stores_ending", "vector_store_files_claimed"],
    "expire_stores": ["vector_stores_expiring"],
    "take_over": ["vector_store_files_claimed"],
}


@pytest.mark.parametrize(("statement", "indexes"), QUERIES.items())
async def test_no_query_looks_at_rows_that_are_nothing_to_it(
    tmp_path: Path, statement: str, indexes: Sequence[str]
) -> None:
    store = SqliteStore.open(tmp_path / "antiphon.db")
    await store.knowledge.add_store(ALICE, vector_store())
    await store.aclose()
    connection = apsw.Connection(str(tmp_path / "antiphon.db"))
    sql = load("knowledge.sqlite")[statement]
    names = ("id", "tenant", "subject", "store_id", "status", "batch_id", "now", "limit", "token", "until")
    more = ("older_at", "older_number", "newer_at", "newer_number")
    bindings: dict[str, object] = dict.fromkeys((*names, *more), 1)
    plan = " / ".join(str(row[3]) for row in execute(connection, f"EXPLAIN QUERY PLAN {sql}", bindings))
    connection.close()
    for index in indexes:
        assert index in plan, plan
    assert "SCAN s" not in plan.replace("SCAN s USING INDEX vector_stores_ending", ""), plan
    if statement.startswith("list"):
        assert "TEMP B-TREE" not in plan, plan
