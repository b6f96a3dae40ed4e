"""The contract of files and uploads over both stores, and how SQLite finds them."""

from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest

from antiphon.ports import Store
from antiphon.storage import queries
from antiphon.storage.memory import MemoryStore
from antiphon.storage.sqlite import SqliteStore
from antiphon.testing.file_contract import NOW, FileStoreContract, file, put_file
from antiphon.testing.store_contract import ALICE


class TestInMemory(FileStoreContract):
    @pytest.fixture
    async def store(self) -> AsyncIterator[Store]:
        store = MemoryStore()
        yield store
        await store.aclose()


class TestInSqlite(FileStoreContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[Store]:
        store = SqliteStore.open(tmp_path / "antiphon.db")
        yield store
        await store.aclose()


async def test_files_and_what_is_left_over_are_there_after_reopening(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "antiphon.db")
    added = await put_file(store, file("a", expires_at=NOW))
    await store.files.begin_blob("aa/begun", NOW)
    await store.aclose()
    store = SqliteStore.open(tmp_path / "antiphon.db")
    assert await store.files.get_file(ALICE, added.id) == added
    assert list(await store.files.left_over_blobs(NOW, 9)) == ["aa/begun"]
    await store.aclose()


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        ("list_newest_first", "files_listed"),
        ("list_oldest_first", "files_listed"),
        ("expired_files", "files_expiring"),
        ("expired_uploads", "uploads_expiring"),
        ("forget_uploads", "uploads_expiring"),
        ("claim_left_over", "left_over_blobs_due"),
        ("get_parts", "upload_parts_upload"),
    ],
)
async def test_rows_are_found_by_an_index_and_not_sorted(tmp_path: Path, statement: str, index: str) -> None:
    await SqliteStore.open(tmp_path / "antiphon.db").aclose()
    connection = apsw.Connection(str(tmp_path / "antiphon.db"))
    sql = queries.load("files.sqlite")[statement]
    bindings = dict.fromkeys(
        ["id", "tenant", "subject", "purpose", "now", "limit", "after_at", "after_number", "before"], 1
    )
    plan = [str(row[3]) for row in queries.execute(connection, f"EXPLAIN QUERY PLAN {sql}", bindings)]
    connection.close()
    assert any(index in step for step in plan), plan
    assert not any(step.startswith("SCAN ") or "TEMP B-TREE" in step for step in plan), plan
