"""What a connection remembers: whole chains, within a number of bytes."""

from hypothesis import event, given
from hypothesis import strategies as st

from antiphon.ports import Owner, StoredResponse
from antiphon.responses.socket_memory import SocketMemory
from antiphon.storage.memory import MemoryStore

OWNER = Owner("default", "anonymous")
LIMIT = 3000


def response(number: int, parent: str | None, size: int = 0, status: str = "completed") -> StoredResponse:
    content = b"[" + b" " * size + b"]"
    return StoredResponse(f"resp_{number}", parent, status, "demo", 0, b"{}", b"[]", content)


def ids(memory: SocketMemory, response_id: str) -> list[str] | None:
    found = memory.turns(response_id)
    return None if found is None else [turn.id for turn in found[0]]


async def test_only_what_the_store_does_not_have_whole_is_remembered() -> None:
    memory, store = SocketMemory(LIMIT), MemoryStore()
    stored, unstored = memory.keeper(store), memory.keeper(None)
    await stored.put_response(OWNER, response(1, None))
    assert memory.turns("resp_1") is None
    await unstored.put_response(OWNER, response(2, "resp_1"))
    await stored.put_response(OWNER, response(3, "resp_2"))
    found = memory.turns("resp_3")
    assert found is not None
    assert ([turn.id for turn in found[0]], found[1]) == (["resp_2", "resp_3"], "resp_1")
    assert await store.get_response(OWNER, "resp_2") is None
    assert await store.get_chain(OWNER, "resp_3") == ()


async def test_what_did_not_end_well_is_not_remembered() -> None:
    memory = SocketMemory(LIMIT)
    for status in ("failed", "cancelled"):
        await memory.keeper(None).put_response(OWNER, response(1, None, status=status))
    assert memory.turns("resp_1") is None
    await memory.keeper(None).put_response(OWNER, response(1, None, status="incomplete"))
    assert ids(memory, "resp_1") == ["resp_1"]


def test_a_chain_that_is_larger_than_the_memory_cannot_be_continued() -> None:
    memory = SocketMemory(LIMIT)
    memory.remember(response(1, None, 1500))
    memory.remember(response(2, "resp_1", 1500))
    assert memory.turns("resp_2") is None
    assert ids(memory, "resp_1") == ["resp_1"]
    memory.remember(response(3, None, LIMIT))
    assert memory.turns("resp_3") is None


def test_a_turn_stays_while_a_run_continues_it() -> None:
    memory = SocketMemory(LIMIT)
    memory.remember(response(1, None))
    with memory.in_use("resp_1"):
        memory.forget("resp_1")
        assert memory.turns("resp_1") is None
        memory.remember(response(2, "resp_1"))
    assert ids(memory, "resp_2") == ["resp_1", "resp_2"]
    with memory.in_use("resp_2"):
        memory.forget("resp_2")
    assert memory.size_bytes == 0


def test_a_turn_in_use_is_dropped_for_room_only_afterwards() -> None:
    memory = SocketMemory(LIMIT)
    memory.remember(response(1, None))
    with memory.in_use("resp_1"), memory.in_use("resp_unknown"), memory.in_use(None):
        memory.remember(response(2, None, LIMIT - 500))
        memory.remember(response(3, None, LIMIT - 500))
        assert ids(memory, "resp_1") == ["resp_1"]
        memory.remember(response(4, "resp_1", LIMIT))
        assert memory.turns("resp_4") is None
    assert memory.size_bytes <= LIMIT


def test_a_forgotten_turn_goes_when_nothing_continues_it() -> None:
    memory = SocketMemory(LIMIT)
    memory.remember(response(1, None))
    memory.remember(response(2, "resp_1"))
    memory.forget("resp_1")
    assert memory.turns("resp_1") is None
    assert ids(memory, "resp_2") == ["resp_1", "resp_2"]
    memory.forget("resp_2")
    assert memory.size_bytes == 0


_STEPS = st.lists(
    st.tuples(st.sampled_from(["remember", "continue", "forget"]), st.integers(0, 12), st.integers(0, 900)),
    max_size=40,
)


@given(_STEPS)
def test_what_can_be_continued_is_whole_and_within_the_limit(steps: list[tuple[str, int, int]]) -> None:
    """Every chain that is found is the one that was made, whatever else was remembered, used or forgotten."""
    memory = SocketMemory(LIMIT)
    chains: dict[str, list[str]] = {}
    for number, (step, of, size) in enumerate(steps):
        known = list(chains)
        parent = known[of % len(known)] if known and of else None
        if step == "remember":
            if parent is not None and memory.turns(parent) is None:
                parent = None  # it would have been refused
            made = response(number, parent, size)
            memory.remember(made)
            chains[made.id] = [*chains.get(parent or "", []), made.id]
        elif parent is not None and step == "forget":
            memory.forget(parent)
            assert memory.turns(parent) is None
        for response_id, chain in chains.items():
            found = ids(memory, response_id)
            event(f"found {found is not None}")
            assert found in (None, chain)
        assert memory.size_bytes <= LIMIT
    for response_id in list(chains):
        memory.forget(response_id)
    assert memory.size_bytes == 0
