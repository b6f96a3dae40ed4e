"""The contract of what is kept of MCP over both stores; random adds and uses against a model; how SQLite finds rows."""

import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import apsw
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from antiphon.ports import Owner, Store
from antiphon.ports.mcp import Grant
from antiphon.storage import queries
from antiphon.storage.memory import MemoryStore
from antiphon.storage.sqlite import SqliteStore
from antiphon.testing.mcp_contract import BOB, NOW, McpRecordsContract, connector, flow, grant, token
from antiphon.testing.store_contract import ALICE


class TestInMemory(McpRecordsContract):
    @pytest.fixture
    async def store(self) -> AsyncIterator[Store]:
        store = MemoryStore()
        yield store
        await store.aclose()


class TestInSqlite(McpRecordsContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[Store]:
        store = SqliteStore.open(tmp_path / "antiphon.db")
        yield store
        await store.aclose()


# --- against a model -----------------------------------------------------------------------------------------
OWNERS = (ALICE, BOB, Owner("other", "alice"))


@dataclass(frozen=True, slots=True)
class Add:
    owner: Owner
    grants: tuple[Grant, ...]


@dataclass(frozen=True, slots=True)
class Use:
    owner: Owner
    ids: tuple[str, ...]
    now: int


@dataclass(slots=True)
class Model:
    """One by one, and taken back where one of them cannot be used."""

    unused: dict[tuple[Owner, str], int] = field(default_factory=dict[tuple[Owner, str], int])
    added: set[tuple[Owner, str]] = field(default_factory=set[tuple[Owner, str]])

    def add(self, step: Add) -> None:
        for one in step.grants:
            if (step.owner, one.id) not in self.added:
                self.added.add((step.owner, one.id))
                self.unused[step.owner, one.id] = one.expires_at

    def use(self, step: Use) -> str | None:
        before = dict(self.unused)
        for id in step.ids:
            if self.unused.pop((step.owner, id), 0) <= step.now:
                self.unused = before
                return id
        return None


_owners = st.sampled_from(OWNERS)
_names = st.sampled_from("abcd")
_grants = st.builds(grant, _names, lasts_s=st.integers(1, 4))
_adds = st.builds(Add, _owners, st.lists(_grants, max_size=4).map(tuple))
_ids = _names.map(lambda name: f"mcpr_{name}")
_uses = st.builds(Use, _owners, st.lists(_ids, max_size=3).map(tuple), st.integers(NOW, NOW + 4))


async def _follows(store: Store, steps: list[Add | Use]) -> None:
    model = Model()
    for step in steps:
        if isinstance(step, Add):
            model.add(step)
            await store.mcp.add_grants(step.owner, step.grants)
        else:
            expected = model.use(step)
            event(f"used {len(step.ids) if expected is None else 'none'}")
            assert await store.mcp.use_grants(step.owner, step.ids, step.now) == expected
    for owner in OWNERS:
        found = await store.mcp.get_grants(owner, [f"mcpr_{name}" for name in "abcd"])
        unused = {id for id, state in found.items() if not state.used}
        assert set(found) == {id for of, id in model.added if of == owner}
        assert unused == {id for of, id in model.unused if of == owner}


@settings(max_examples=60, deadline=None)
@given(st.lists(_adds | _uses, max_size=12))
async def test_grants_in_memory_are_those_of_the_model(steps: list[Add | Use]) -> None:
    store = MemoryStore()
    await _follows(store, steps)
    await store.aclose()


@settings(max_examples=60, deadline=None)
@given(st.lists(_adds | _uses, max_size=12))
async def test_grants_in_sqlite_are_those_of_the_model(steps: list[Add | Use]) -> None:
    with TemporaryDirectory() as folder:
        store = SqliteStore.open(Path(folder) / "antiphon.db")
        await _follows(store, steps)
        await store.aclose()


# --- what only SQLite promises -------------------------------------------------------------------------------
async def test_all_of_it_is_there_after_reopening(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "antiphon.db")
    await store.mcp.add_connector(ALICE, connector("github", sealed="sealed"))
    await store.mcp.add_grants(ALICE, [grant("a"), grant("b")])
    await store.mcp.use_grants(ALICE, ["mcpr_a"], NOW)
    await store.mcp.put_token(ALICE, token("server"))
    await store.mcp.add_flow(ALICE, flow("begun"))
    await store.mcp.put_client("acme", "server", "sealed")
    await store.aclose()
    store = SqliteStore.open(tmp_path / "antiphon.db")
    assert await store.mcp.get_connector(ALICE, "github") == connector("github", sealed="sealed")
    assert await store.mcp.use_grants(ALICE, ["mcpr_a"], NOW) == "mcpr_a"
    assert await store.mcp.use_grants(ALICE, ["mcpr_b"], NOW) is None
    assert await store.mcp.get_token(ALICE, "server") == token("server")
    assert await store.mcp.take_flow("begun", NOW) == (ALICE, flow("begun"))
    assert await store.mcp.get_client("acme", "server") == "sealed"
    await store.aclose()


_USE_AND_HANG = """
import asyncio, sys
from antiphon.storage.sqlite import SqliteStore
from antiphon.testing.mcp_contract import ALICE, NOW, connector, grant

async def main():
    store = SqliteStore.open(sys.argv[1])
    await store.mcp.add_connector(ALICE, connector("github"))
    await store.mcp.add_grants(ALICE, [grant("a")])
    await store.mcp.use_grants(ALICE, ["mcpr_a"], NOW)
    print("used", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def _use_and_kill(path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _USE_AND_HANG, str(path)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "used\n"
        child.kill()


async def test_kill_9_right_after_a_grant_was_used_does_not_make_it_good_again(tmp_path: Path) -> None:
    path = tmp_path / "antiphon.db"
    _use_and_kill(path)
    store = SqliteStore.open(path)
    assert await store.mcp.use_grants(ALICE, ["mcpr_a"], NOW) == "mcpr_a"
    assert await store.mcp.get_connector(ALICE, "github") is not None
    await store.aclose()


async def test_pruning_is_bounded(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "antiphon.db")
    old = [grant(f"old{n}", at=NOW - 10 * 86_400) for n in range(500)]
    await store.mcp.add_grants(ALICE, old)
    left: list[int] = []
    for name in "abcde":
        await store.mcp.add_grants(ALICE, [grant(name)])
        left.append(len(await store.mcp.get_grants(ALICE, [one.id for one in old])))
    await store.aclose()
    assert left == [399, 298, 197, 96, 0]


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        ("get_connector", "mcp_connectors_id"),
        ("list_connectors", "mcp_connectors_listed"),
        ("get_grants", "mcp_grants_id"),
        ("use_grants", "mcp_grants_id"),
        ("prune_grants", "mcp_grants_expiring"),
        ("get_token", "mcp_tokens_server"),
        ("delete_tokens", "mcp_tokens_server"),
        ("delete_flows", "mcp_flows_server"),
        ("prune_flows", "mcp_flows_expiring"),
        ("take_flow", "mcp_flows_state"),
        ("get_client", "mcp_clients_server"),
    ],
)
async def test_rows_are_found_by_an_index_and_not_sorted(tmp_path: Path, statement: str, index: str) -> None:
    await SqliteStore.open(tmp_path / "antiphon.db").aclose()
    connection = apsw.Connection(str(tmp_path / "antiphon.db"))
    sql = queries.load("mcp.sqlite")[statement]
    names = ["id", "tenant", "subject", "now", "limit", "before", "server", "state", "count"]
    bindings = dict.fromkeys(names, 1) | {"ids": "[]"}
    plan = [str(row[3]) for row in queries.execute(connection, f"EXPLAIN QUERY PLAN {sql}", bindings)]
    connection.close()
    assert any(index in step for step in plan), plan
    tables = [step for step in plan if "json_each" not in step and "usable" not in step]
    assert not any(step.startswith("SCAN ") or "TEMP B-TREE" in step for step in tables), plan
