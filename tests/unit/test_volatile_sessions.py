"""Sessions that are kept in memory alone: when they go, and when they do not."""

from dataclasses import replace

import pytest

from antiphon.agents.volatile import SESSION_BYTES, VolatileSessions
from antiphon.core.errors import NotFound
from antiphon.ports import Owner, Store
from antiphon.ports.agents import Gone, StoredSession, StoredTurnEnd
from antiphon.ports.knowledge import Chunk
from antiphon.storage.memory import MemoryStore
from antiphon.testing import FakeClock
from antiphon.testing.agent_contract import BOB, ELSEWHERE, HELPER, agent, session, turn
from antiphon.testing.store_contract import ALICE, STRANGERS, ids, response

TTL_S = 60
ROOM = 10 * SESSION_BYTES


class World:
    """Volatile sessions on a clock that is set by hand."""

    def __init__(self, max_bytes: int = ROOM) -> None:
        self.clock = FakeClock()
        self.sessions = VolatileSessions(MemoryStore, self.clock, ttl_s=TTL_S, max_bytes=max_bytes)

    async def add(self, *names: str, owner: Owner = ALICE) -> None:
        for name in names:
            await self.sessions.add(owner, session(name))

    async def hold(self, name: str, of: str, size_bytes: int = 20, after: str | None = None) -> None:
        """One turn of a session, from its beginning to its end."""
        with self.sessions.turn(ALICE, of) as store:
            await write(store, name, of, size_bytes, after)

    def there(self, *names: str, owner: Owner = ALICE) -> list[str]:
        return [name for name in names if self.sessions.store_for(owner, name) is not None]


async def write(store: Store, name: str, of: str, size_bytes: int = 20, after: str | None = None) -> None:
    begun = turn(name, of=session(of))
    assert await store.agents.put_turn(ALICE, begun)
    end = StoredTurnEnd(replace(begun, status="completed"), moves_tip=True)
    made = response(name, after, size_bytes=size_bytes)
    assert await store.agents.end_turn(ALICE, end, made, continues=made.parent_id)


async def test_a_session_goes_on_as_a_stored_one_does() -> None:
    world = World()
    await world.add("s")
    await world.hold("a", "s")
    await world.hold("b", "s", after="a")
    store = world.sessions.store_for(ALICE, "s")
    assert store is not None
    found = await store.agents.get_session(ALICE, HELPER.id, "s")
    assert found == replace(session("s"), tip="resp_b")
    assert [one.id for one in await store.agents.list_turns(ALICE, "s")] == ["a", "b"]
    assert ids(await store.conversations.get_turns(ALICE, "resp_b")) == ["resp_a", "resp_b"]


async def test_a_session_of_somebody_else_is_not_there() -> None:
    world = World()
    await world.add("s")
    for stranger in STRANGERS:
        assert world.sessions.store_for(stranger, "s") is None
        assert list(await world.sessions.list(stranger, HELPER.id, 0, None)) == []
        assert await world.sessions.delete(stranger, HELPER.id, "s") is None
        with pytest.raises(NotFound), world.sessions.turn(stranger, "s"):
            pass
    assert world.there("s") == ["s"]


async def test_what_one_session_holds_another_does_not_see() -> None:
    world = World()
    await world.add("s", "other")
    await world.hold("a", "s")
    other = world.sessions.store_for(ALICE, "other")
    assert other is not None
    assert await other.agents.turn_of(ALICE, "a") is None
    assert await other.get_response(ALICE, "resp_a") is None


async def test_a_session_goes_some_time_after_its_last_turn() -> None:
    world = World()
    await world.add("s", "idle")
    world.clock.at += TTL_S - 1
    await world.hold("a", "s")
    world.clock.at += 1
    assert world.there("s", "idle") == ["s"]
    world.clock.at += TTL_S - 2
    assert world.there("s", "idle") == ["s"]
    assert [one.id for one in await world.sessions.list(ALICE, HELPER.id, 0, None)] == ["s"]
    world.clock.at += 1
    assert world.there("s") == []
    with pytest.raises(NotFound, match="not stored"), world.sessions.turn(ALICE, "s"):
        pass


async def test_it_goes_although_nobody_asks_for_anything() -> None:
    world = World()
    await world.add("s")
    world.clock.at += TTL_S
    assert len(world.sessions) == 1
    await world.sessions.sweep()
    assert (len(world.sessions), world.sessions.size_bytes) == (0, 0)


async def test_reading_a_session_does_not_prolong_it() -> None:
    world = World()
    await world.add("s")
    world.clock.at += TTL_S - 1
    assert world.there("s") == ["s"]
    assert await world.sessions.list(ALICE, HELPER.id, 0, None)
    world.clock.at += 1
    assert world.there("s") == []


async def test_a_session_stays_while_a_turn_of_it_goes_on() -> None:
    world = World(max_bytes=2 * SESSION_BYTES)
    await world.add("busy", "idle")
    with world.sessions.turn(ALICE, "busy") as store:
        world.clock.at += TTL_S * 10
        assert world.there("busy", "idle") == ["busy"]
        await world.add("n1", "n2", "n3")
        assert world.there("busy", "n1", "n2", "n3") == ["busy", "n3"]
        await write(store, "a", "busy")
    assert world.there("busy") == ["busy"]
    world.clock.at += TTL_S
    assert world.there("busy") == []


async def test_it_stays_until_the_last_of_its_turns_has_ended() -> None:
    """The second one waits for the first."""
    world = World()
    await world.add("s")
    with world.sessions.turn(ALICE, "s"):
        with world.sessions.turn(ALICE, "s"):
            world.clock.at += TTL_S
        world.clock.at += TTL_S
        assert world.there("s") == ["s"]


async def test_the_least_used_go_when_there_is_no_more_room() -> None:
    world = World()
    names = [f"s{number}" for number in range(4)]
    await world.add(*names)
    await world.hold("a", "s0")
    await world.hold("b", "s2", size_bytes=7 * SESSION_BYTES)
    assert world.there(*names) == ["s0", "s2"]
    assert world.sessions.size_bytes <= ROOM
    await world.hold("c", "s0", size_bytes=4 * SESSION_BYTES, after="a")
    assert world.there(*names) == ["s0"]


async def test_a_session_that_is_larger_than_all_the_room_goes_after_its_turn() -> None:
    world = World()
    await world.add("s")
    await world.hold("a", "s", size_bytes=ROOM)
    assert (len(world.sessions), world.sessions.size_bytes) == (0, 0)


async def test_room_is_counted_off_when_sessions_are_deleted() -> None:
    world = World()
    await world.add("s", "t")
    await world.hold("a", "s", size_bytes=SESSION_BYTES)
    assert world.sessions.size_bytes > 3 * SESSION_BYTES
    await world.sessions.delete(ALICE, HELPER.id, "s")
    assert world.sessions.size_bytes == SESSION_BYTES


async def test_a_session_that_is_deleted_while_a_turn_goes_on_keeps_nothing() -> None:
    world = World()
    await world.add("s")
    with world.sessions.turn(ALICE, "s") as store:
        await store.agents.put_turn(ALICE, turn("a", of=session("s")))
        assert await world.sessions.delete(ALICE, HELPER.id, "s") == Gone("s", None)
        end = StoredTurnEnd(turn("a", "completed", session("s")), moves_tip=True)
        assert await store.agents.end_turn(ALICE, end, response("a"), continues=None) is False
    assert (len(world.sessions), world.sessions.size_bytes) == (0, 0)


async def test_a_session_is_deleted_only_as_one_of_its_agent() -> None:
    world = World()
    await world.add("s")
    assert await world.sessions.delete(ALICE, "another", "s") is None
    assert list(await world.sessions.list(ALICE, "another", 0, None)) == []
    assert await world.sessions.delete(ALICE, HELPER.id, "s") == Gone("s", None)
    assert await world.sessions.delete(ALICE, HELPER.id, "s") is None


async def test_the_sessions_of_everybody_go_with_their_agent() -> None:
    world = World()
    await world.add("s")
    await world.add("s", "t", owner=BOB)
    await world.add("s", owner=ELSEWHERE)
    await world.sessions.add(ALICE, session("kept", agent("another")))
    await world.sessions.delete_agent(BOB, HELPER.id)
    assert world.there("s", "kept") == ["kept"]
    assert world.there("s", "t", owner=BOB) == []
    assert world.there("s", owner=ELSEWHERE) == ["s"]


async def test_sessions_are_listed_oldest_first_in_pieces() -> None:
    world = World()
    made: list[StoredSession] = []
    for number, name in enumerate("cab"):
        made.append(replace(session(name), started_at=number))
        await world.sessions.add(ALICE, made[-1])
    await world.hold("t", "c")
    for start, limit in ((0, None), (1, 1), (2, 9), (3, None), (0, 0)):
        got = await world.sessions.list(ALICE, HELPER.id, start, limit)
        assert [one.id for one in got] == [one.id for one in made][start:][:limit]


def chunks(document: str, count: int, text: str = "x" * 500) -> list[Chunk]:
    return [Chunk(f"{document}-{at}", document, at, text) for at in range(count)]


async def test_documents_go_with_their_session_and_count_for_its_size() -> None:
    world = World()
    await world.add("s")
    with world.sessions.turn(ALICE, "s"):
        world.sessions.remember(ALICE, "s", chunks("a", 2))
        world.sessions.remember(ALICE, "s", chunks("b", 1))
        world.sessions.remember(ALICE, "s", chunks("a", 1))
    assert [one.id for one in world.sessions.chunks(ALICE, "s")] == ["b-0", "a-0"]
    assert world.sessions.size_bytes > SESSION_BYTES + 1_000
    assert world.sessions.chunks(BOB, "s") == ()
    await world.sessions.delete(ALICE, HELPER.id, "s")
    assert (world.sessions.chunks(ALICE, "s"), world.sessions.size_bytes) == ((), 0)
    world.sessions.remember(ALICE, "s", chunks("a", 1))
    assert world.sessions.chunks(ALICE, "s") == ()


async def test_the_oldest_documents_are_forgotten_where_there_is_no_room() -> None:
    world = World()
    await world.add("s")
    for document in "abc":
        world.sessions.remember(ALICE, "s", chunks(document, 8))
    assert {one.file_id for one in world.sessions.chunks(ALICE, "s")} == {"b", "c"}
    world.sessions.remember(ALICE, "s", chunks("huge", 30))
    assert world.sessions.chunks(ALICE, "s") == ()
