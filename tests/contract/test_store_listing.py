"""The SQLite store lists what the store in memory lists, whatever was put, replaced and deleted before."""

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hypothesis import event, given, settings
from hypothesis import strategies as st

from antiphon.core.errors import InvalidRequest
from antiphon.ports import Owner, ResponsePage, ResponseStore
from antiphon.storage.memory import MemoryStore
from antiphon.storage.sqlite import SqliteStore
from antiphon.testing.store_contract import ALICE, response

OWNERS = (ALICE, ALICE, ALICE, Owner("acme", "bob"))
NAMES = st.integers(0, 9).map(lambda number: f"n{number}")


@dataclass(frozen=True, slots=True)
class Step:
    """A write, and a page that is read after it."""

    owner: Owner
    name: str
    parent: str | None
    age: int
    model: str
    deletes: bool
    page: ResponsePage


CURSORS = st.none() | NAMES.map(lambda name: f"resp_{name}")
PAGES = st.builds(
    ResponsePage, st.integers(1, 4), st.booleans(), CURSORS, CURSORS, st.sampled_from([None, None, "a", "b"])
)
STEPS = st.builds(
    Step,
    st.sampled_from(OWNERS),
    NAMES,
    st.none() | NAMES,
    st.integers(0, 2),
    st.sampled_from("ab"),
    st.sampled_from([False] * 7 + [True]),
    PAGES,
)


async def seen(store: ResponseStore, steps: Sequence[Step]) -> list[list[str] | str | None]:
    """What each page held, or which cursor was refused."""
    found: list[list[str] | str | None] = []
    for step in steps:
        one = response(step.name, step.parent if step.parent != step.name else None)
        if step.deletes:
            await store.delete_response(step.owner, one.id)
        else:
            made = replace(one, created_at=one.created_at + step.age, model=step.model)
            await store.put_response(step.owner, made)
        try:
            found.append([row.id for row in await store.list_responses(step.owner, step.page)])
        except InvalidRequest as error:
            found.append(error.param)
    return found


@settings(max_examples=50, deadline=None)
@given(st.lists(STEPS, min_size=8, max_size=30))
def test_both_stores_list_the_same(steps: list[Step]) -> None:
    async def both() -> None:
        with tempfile.TemporaryDirectory() as folder:
            store = SqliteStore.open(Path(folder) / "antiphon.db")
            try:
                found = await seen(store, steps)
            finally:
                await store.aclose()
        expected = await seen(MemoryStore(), steps)
        assert found == expected
        event(f"longest page: {max((len(one) for one in expected if isinstance(one, list)), default=-1)}")

    asyncio.run(both())
