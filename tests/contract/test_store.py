"""The store contract over the adapters, and what only SQLite promises: durability, its schema, its failures."""

import asyncio
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest

from antiphon.core.errors import StoreUnavailable
from antiphon.ports import ResponsePage, ResponseStore
from antiphon.storage import migrate
from antiphon.storage.database import Database
from antiphon.storage.memory import MemoryStore
from antiphon.storage.queries import execute, load
from antiphon.storage.sqlite import SqliteStore
from antiphon.testing.store_contract import (
    ALICE,
    ResponseStoreContract,
    ids,
    listed,
    put_chain,
    response,
)


class TestMemoryStore(ResponseStoreContract):
    @pytest.fixture
    async def store(self) -> AsyncIterator[ResponseStore]:
        store = MemoryStore()
        yield store
        await store.aclose()


class TestSqliteStore(ResponseStoreContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[ResponseStore]:
        store = SqliteStore.open(tmp_path / "antiphon.db")
        yield store
        await store.aclose()


class TestSqliteStoreWithoutCache(ResponseStoreContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[ResponseStore]:
        store = SqliteStore.open(tmp_path / "antiphon.db", cache_bytes=0)
        yield store
        await store.aclose()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "antiphon.db"


def database_of(store: SqliteStore) -> Database:
    return store._database  # pyright: ignore[reportPrivateUsage]


def rows(path: Path) -> list[str]:
    connection = apsw.Connection(str(path))
    found = [str(row[0]) for row in execute(connection, "SELECT id FROM responses ORDER BY id")]
    connection.close()
    return found


async def test_what_was_put_is_there_after_reopening(path: Path) -> None:
    store = SqliteStore.open(f"sqlite:///{path}")
    chain = await put_chain(store, "a", "b", "c")
    await store.aclose()
    store = SqliteStore.open(path)
    assert await store.get_response(ALICE, "resp_c") == chain[2]
    assert ids(await store.get_chain(ALICE, "resp_c")) == ["resp_a", "resp_b", "resp_c"]
    await store.aclose()


async def test_a_hidden_response_is_purged_when_its_last_descendant_is_deleted(path: Path) -> None:
    store = SqliteStore.open(path)
    await put_chain(store, "a", "b", "c")
    await store.put_response(ALICE, response("d", "b"))
    for name in ("b", "a", "c"):
        await store.delete_response(ALICE, f"resp_{name}")
    assert rows(path) == ["resp_a", "resp_b", "resp_d"]
    await store.delete_response(ALICE, "resp_d")
    assert rows(path) == []
    await store.aclose()


async def test_purging_stops_at_a_live_ancestor(path: Path) -> None:
    store = SqliteStore.open(path)
    await put_chain(store, "a", "b", "c")
    await store.delete_response(ALICE, "resp_b")
    await store.delete_response(ALICE, "resp_c")
    assert rows(path) == ["resp_a"]
    await store.aclose()


_PUT_AND_HANG = """
import asyncio, sys
from antiphon.storage.sqlite import SqliteStore
from antiphon.testing.store_contract import ALICE, response

async def main():
    store = SqliteStore.open(sys.argv[1])
    for number in range(50):
        await store.put_response(ALICE, response(f"n{number:02}"))
        print(number, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize("after", [0, 7, 49])
def test_kill_9_right_after_an_acknowledged_put_loses_nothing(path: Path, after: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _PUT_AND_HANG, str(path)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        acknowledged = -1
        while acknowledged < after:
            acknowledged = int(child.stdout.readline())
        child.kill()
    expected = {f"resp_n{number:02}" for number in range(acknowledged + 1)}
    assert expected <= set(rows(path))


async def test_one_failing_write_leaves_the_others_of_its_group(path: Path) -> None:
    """Seeded: a trigger that fails one id, as a constraint would."""
    store = SqliteStore.open(path)
    with apsw.Connection(str(path)) as connection:
        execute(
            connection,
            "CREATE TRIGGER refuse BEFORE INSERT ON responses WHEN new.id = 'resp_n3'"
            " BEGIN SELECT raise(ABORT, 'refused'); END",
        )
    connection.close()
    puts = [store.put_response(ALICE, response(f"n{number}")) for number in range(6)]
    results = await asyncio.gather(*puts, return_exceptions=True)
    assert [isinstance(result, Exception) for result in results] == [number == 3 for number in range(6)]
    assert rows(path) == ["resp_n0", "resp_n1", "resp_n2", "resp_n4", "resp_n5"]
    await store.aclose()


def _fill_the_disk(connection: apsw.Connection) -> None:
    row = execute(connection, "PRAGMA page_count").fetchone()
    assert row is not None
    limit = row[0] + 20
    assert execute(connection, f"PRAGMA max_page_count = {limit}").fetchone() == (limit,)


async def test_a_full_disk_is_unavailable_and_only_for_what_does_not_fit(path: Path) -> None:
    """Seeded: SQLite's page limit fails like a full disk, and takes the whole transaction back."""
    store = SqliteStore.open(path)
    await put_chain(store, "before")
    await database_of(store).write(_fill_the_disk)  # the limit is per connection
    puts = [
        store.put_response(ALICE, response(f"n{n}", size_bytes=1_000_000 if n == 1 else 10)) for n in range(4)
    ]
    results = await asyncio.gather(*puts, return_exceptions=True)
    assert [isinstance(result, StoreUnavailable) for result in results] == [False, True, False, False]
    assert rows(path) == ["resp_before", "resp_n0", "resp_n2", "resp_n3"]
    await store.aclose()


async def test_a_write_with_a_fault_of_its_own_fails_alone(path: Path) -> None:
    def faulty(connection: apsw.Connection) -> None:
        execute(connection, "DELETE FROM responses")
        raise ValueError("a fault of ours")

    store = SqliteStore.open(path)
    await put_chain(store, "before")
    writing = database_of(store).write(faulty, several_statements=True)
    put = store.put_response(ALICE, response("after"))
    results = await asyncio.gather(writing, put, return_exceptions=True)
    assert [type(result) for result in results] == [ValueError, type(None)]
    assert sorted(rows(path)) == ["resp_after", "resp_before"]
    await store.aclose()


async def test_the_write_ahead_log_is_emptied_beside_the_writer(path: Path) -> None:
    store = SqliteStore.open(path)
    for number in range(30):
        await store.put_response(ALICE, response(f"n{number}", size_bytes=1_000_000))
    await store.aclose()
    assert len(rows(path)) == 30
    assert not path.with_name(path.name + "-wal").exists()


def test_the_file_and_its_folder_are_made_and_only_the_owner_reads_them(path: Path) -> None:
    store = SqliteStore.open(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    asyncio.run(store.aclose())


@pytest.mark.parametrize(
    "url", ["postgresql://host/db", "sqlite://", "sqlite:///:memory:", "sqlite://host/x"]
)
def test_a_url_that_names_no_file_is_refused(url: str) -> None:
    with pytest.raises(StoreUnavailable):
        SqliteStore.open(url)


def test_a_file_that_is_no_database_of_ours_is_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"these are my notes, not a database " * 50)
    with pytest.raises(StoreUnavailable, match="not a database"):
        SqliteStore.open(path)
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.close()
    with pytest.raises(StoreUnavailable, match="not a database"):
        SqliteStore.open(path)


# --- the schema ----------------------------------------------------------------------------------------------
def schema_of(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Tables and indexes with their columns, whatever the spelling of the statements that made them."""
    connection = apsw.Connection(str(path))
    found: dict[str, list[tuple[object, ...]]] = {}
    for name, kind in list(
        execute(connection, "SELECT name, type FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'")
    ):
        pragma = "table_xinfo" if kind == "table" else "index_xinfo"
        found[str(name)] = [tuple(row) for row in execute(connection, f"PRAGMA {pragma}({name})")]
    for table in [name for name in found if not name.startswith("index ")]:
        for row in list(execute(connection, f"PRAGMA index_list({table})")):
            found[f"index {row[1]}"] = [(row[2], row[4])]
    connection.close()
    return found


def test_the_script_for_a_new_database_makes_what_the_migrations_make(path: Path) -> None:
    asyncio.run(SqliteStore.open(path).aclose())
    migrated = path.with_name("migrated.db")
    assert migrate.upgrade(f"sqlite:///{migrated}") == (None, migrate.head())
    assert schema_of(path) == schema_of(migrated)
    assert migrate.current(path) == migrate.current(migrated) == migrate.head()


def test_the_head_is_the_newest_migration() -> None:
    from alembic.script import ScriptDirectory

    folder = Path(migrate.__file__).parent / "migrations"
    assert ScriptDirectory(str(folder)).get_heads() == [migrate.head()]


async def test_a_database_that_is_behind_is_migrated_when_it_is_opened(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    connection.close()
    store = SqliteStore.open(path)
    await put_chain(store, "a")
    assert migrate.current(path) == migrate.head()
    await store.aclose()


@pytest.mark.parametrize("open_it", [SqliteStore.open, migrate.upgrade])
def test_a_schema_newer_than_this_program_is_refused(path: Path, open_it: object) -> None:
    asyncio.run(SqliteStore.open(path).aclose())
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    assert callable(open_it)
    with pytest.raises(StoreUnavailable, match="newer"):
        open_it(str(path))
    assert migrate.current(path) == "9999"


def test_opening_at_the_head_and_anew_imports_no_migration_tool(path: Path) -> None:
    program = (
        "import asyncio, sys; from antiphon.storage.sqlite import SqliteStore\n"
        "for _ in range(2): asyncio.run(SqliteStore.open(sys.argv[1]).aclose())\n"
        "print([name for name in ('alembic', 'sqlalchemy') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


# --- the list --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["list_newest_first", "list_oldest_first"])
async def test_a_page_of_the_list_is_found_by_its_index_and_not_sorted(path: Path, name: str) -> None:
    await SqliteStore.open(path).aclose()
    connection = apsw.Connection(str(path))
    bindings = dict.fromkeys(("older_at", "older_number", "newer_at", "newer_number", "limit"), 1)
    texts = {"tenant": "t", "subject": "s", "model": "m"}
    sql = f"EXPLAIN QUERY PLAN {load('responses.sqlite')[name]}"
    plan = [str(row[3]) for row in execute(connection, sql, {**bindings, **texts})]
    connection.close()
    assert len(plan) == 1
    assert "USING INDEX responses_listed (tenant=? AND subject=? AND" in plan[0]
    assert "created_at>? AND created_at<?" in plan[0]


def make_with_schema(path: Path, revision: str) -> None:
    """A database as the version with this schema left it, with one response in it."""
    from alembic import command
    from alembic.config import Config

    path.parent.mkdir()
    path.touch()
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    config.attributes["path"] = path
    command.upgrade(config, revision)
    with sqlite3.connect(path) as connection:
        connection.execute(
            "INSERT INTO responses (id, tenant, subject, status, model, created_at, head, input, output)"
            " VALUES ('resp_old', ?, ?, 'completed', 'demo', 5, x'7B7D', x'5B5D', x'5B5D')",
            (ALICE.tenant, ALICE.subject),
        )
    connection.close()


async def test_a_database_of_the_first_schema_lists_what_it_held(path: Path) -> None:
    make_with_schema(path, "0001")
    store = SqliteStore.open(path)
    await put_chain(store, "a")
    assert await listed(store, ResponsePage(9)) == ["a", "old"]
    assert migrate.current(path) == migrate.head()
    await store.aclose()


async def test_a_database_of_an_older_schema_does_not_say_who_answered(path: Path) -> None:
    make_with_schema(path, "0002")
    store = SqliteStore.open(path)
    await put_chain(store, "a")
    turns = [(await store.get_chain(ALICE, f"resp_{name}"))[-1] for name in ("old", "a")]
    assert [turn.served_by for turn in turns] == ["", "local/a"]
    await store.aclose()
