"""What all `AgentStore`s promise, as tests. Subclass `AgentStoreContract` and give it a fixture `store`, a `Store`.

As `store_contract`, which says more; `ShieldRecordsContract` and `ToolGroupRecordsContract` are used alike.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from antiphon.ports import Owner, Store, StoredConversation, StoredResponse
from antiphon.ports.agents import (
    Gone,
    StoredAgent,
    StoredSession,
    StoredToolGroup,
    StoredTurn,
    StoredTurnEnd,
)
from antiphon.ports.safety import StoredShield
from antiphon.testing.store_contract import ALICE, STRANGERS, ids, refused_as_unavailable, response

NOW = 1_767_225_600_000_000
BOB = Owner(ALICE.tenant, "bob")
ELSEWHERE = Owner("other", ALICE.subject)
HELPER = StoredAgent("helper", NOW, b'{"model":"demo"}', ALICE.subject)
TALK = StoredSession("talk", HELPER.id, "about the weather", NOW + 1, stores=("vs_1", "vs_2"))


def agent(name: str, *, at: int = NOW) -> StoredAgent:
    return StoredAgent(name, at, f'{{"name":"{name}"}}'.encode(), ALICE.subject)


def session(name: str, of: StoredAgent = HELPER, *, at: int = NOW) -> StoredSession:
    return StoredSession(name, of.id, f"session {name}", at)


def turn(name: str, status: str = "in_progress", of: StoredSession = TALK, *, at: int = NOW) -> StoredTurn:
    """A turn whose body tells its name and its status."""
    body = f'{{"turn":"{name}","is":"{status}"}}'.encode()
    ended = None if status == "in_progress" else at + 9
    return StoredTurn(name, of.id, status, at, body, f'{{"of":"{name}"}}'.encode(), ended)


async def begin(store: Store, owner: Owner = ALICE, talk: StoredSession = TALK) -> None:
    """An agent with a session."""
    if await store.agents.get_agent(owner, talk.agent_id) is None:
        await store.agents.add_agent(owner, replace(HELPER, id=talk.agent_id))
    assert await store.agents.add_session(owner, talk) is True


async def end(
    store: Store,
    ended: StoredTurn,
    made: StoredResponse,
    *,
    owner: Owner = ALICE,
    moves_tip: bool = True,
) -> bool:
    """End a run of a turn behind whatever `made` continues."""
    return await store.agents.end_turn(owner, StoredTurnEnd(ended, moves_tip), made, continues=made.parent_id)


async def hold(
    store: Store, *names: str, owner: Owner = ALICE, of: StoredSession = TALK, after: str | None = None
) -> None:
    """Completed turns `a`, `b` …, whose responses `resp_a`, `resp_b` … are the chain of the session."""
    parents = (after, *names)
    for name, parent in zip(names, parents, strict=False):
        assert await store.agents.put_turn(owner, turn(name, of=of)) is True
        assert await end(store, turn(name, "completed", of), response(name, parent), owner=owner) is True


async def tip(store: Store, talk: StoredSession = TALK, owner: Owner = ALICE) -> str | None:
    found = await store.agents.get_session(owner, talk.agent_id, talk.id)
    assert found is not None
    return found.tip


async def chain(store: Store, response_id: str, owner: Owner = ALICE) -> list[str]:
    """What is still there of a chain, hidden or not."""
    return ids(await store.conversations.get_turns(owner, response_id))


async def names_of_turns(
    store: Store, *, owner: Owner = ALICE, only: Sequence[str] | None = None
) -> list[str]:
    return [one.id for one in await store.agents.list_turns(owner, TALK.id, only)]


class AgentStoreContract:
    """The promises. Test names are the sentences that are false when they fail."""

    # --- agents
    async def test_an_agent_that_was_added_is_what_is_got(self, store: Store) -> None:
        assert await store.agents.get_agent(ALICE, HELPER.id) is None
        assert list(await store.agents.list_agents(ALICE, 0, None)) == []
        await store.agents.add_agent(ALICE, HELPER)
        assert await store.agents.get_agent(ALICE, HELPER.id) == HELPER
        assert list(await store.agents.list_agents(ALICE, 0, None)) == [HELPER]

    async def test_the_tenant_shares_its_agents_and_no_other_sees_them(self, store: Store) -> None:
        await store.agents.add_agent(ALICE, HELPER)
        assert await store.agents.get_agent(BOB, HELPER.id) == HELPER
        assert list(await store.agents.list_agents(BOB, 0, None)) == [HELPER]
        for stranger in (ELSEWHERE, Owner("", "")):
            assert await store.agents.get_agent(stranger, HELPER.id) is None
            assert list(await store.agents.list_agents(stranger, 0, None)) == []
            assert await store.agents.add_session(stranger, TALK) is False
            assert await store.agents.delete_agent(stranger, HELPER.id) is None
        await store.agents.add_agent(ELSEWHERE, replace(HELPER, config=b"{}"))
        assert await store.agents.get_agent(ALICE, HELPER.id) == HELPER

    async def test_agents_are_listed_oldest_first_in_pieces(self, store: Store) -> None:
        ages = {"b": NOW, "a": NOW, "old": NOW - 9, "c": NOW + 1}
        for name, at in ages.items():
            await store.agents.add_agent(ALICE, agent(name, at=at))
        everything = ["old", "b", "a", "c"]
        for start, limit in ((0, None), (0, 4), (1, 2), (3, 9), (4, 1), (9, None), (0, 0), (2, None)):
            got = [one.id for one in await store.agents.list_agents(ALICE, start, limit)]
            assert got == everything[start:][:limit], (start, limit)

    async def test_of_agents_of_one_name_the_newest_counts(self, store: Store) -> None:
        named = [
            StoredAgent(str(number), NOW, config)
            for number, config in enumerate(
                (b'{"name":"b"}', b'{"name":"a","n":1}', b'{"name":null}', b'{"name":"a","n":2}', b"{}")
            )
        ]
        for one in named:
            await store.agents.add_agent(ALICE, one)
        await store.agents.add_agent(ELSEWHERE, agent("c"))
        assert list(await store.agents.list_named(BOB, 9)) == [named[3], named[0]]
        assert list(await store.agents.list_named(ALICE, 1)) == [named[3]]
        await store.agents.delete_agent(ALICE, named[3].id)
        assert list(await store.agents.list_named(ALICE, 9)) == [named[1], named[0]]

    # --- sessions
    async def test_a_session_that_was_added_is_what_is_got(self, store: Store) -> None:
        await begin(store)
        assert await store.agents.get_session(ALICE, HELPER.id, TALK.id) == TALK
        assert list(await store.agents.list_sessions(ALICE, HELPER.id, 0, None)) == [TALK]
        assert list(await store.agents.list_turns(ALICE, TALK.id)) == []
        assert await store.agents.last_turn(ALICE, TALK.id) is None

    async def test_a_session_of_no_agent_is_not_added(self, store: Store) -> None:
        assert await store.agents.add_session(ALICE, TALK) is False
        assert await store.agents.get_session(ALICE, HELPER.id, TALK.id) is None
        assert list(await store.agents.list_sessions(ALICE, HELPER.id, 0, None)) == []
        assert await store.agents.put_turn(ALICE, turn("a")) is False

    async def test_a_session_is_its_owners_alone_and_of_its_agent_alone(self, store: Store) -> None:
        await begin(store)
        await store.agents.add_agent(ALICE, agent("another"))
        await hold(store, "a")
        assert await store.agents.get_session(ALICE, "another", TALK.id) is None
        assert await store.agents.delete_session(ALICE, "another", TALK.id) is None
        for stranger in STRANGERS:
            assert await store.agents.get_session(stranger, HELPER.id, TALK.id) is None
            assert list(await store.agents.list_sessions(stranger, HELPER.id, 0, None)) == []
            assert await store.agents.set_memory(stranger, TALK.id, "vs_theirs") is False
            assert await store.agents.delete_session(stranger, HELPER.id, TALK.id) is None
            assert await store.agents.put_turn(stranger, turn("b")) is False
            assert await end(store, turn("a", "failed"), response("b", "a"), owner=stranger) is False
            assert await store.get_response(stranger, "resp_b") is None
            assert await store.agents.get_turn(stranger, TALK.id, "a") is None
            assert await store.agents.turn_of(stranger, "a") is None
            assert await store.agents.last_turn(stranger, TALK.id) is None
            assert await names_of_turns(store, owner=stranger) == []
            assert await names_of_turns(store, owner=stranger, only=["a"]) == []
        assert await store.agents.get_session(ALICE, HELPER.id, TALK.id) == replace(TALK, tip="resp_a")
        assert await store.agents.get_turn(ALICE, TALK.id, "a") == turn("a", "completed")

    async def test_two_owners_may_have_sessions_of_one_agent(self, store: Store) -> None:
        await begin(store)
        theirs = replace(TALK, name="theirs")
        assert await store.agents.add_session(BOB, theirs) is True
        assert await store.agents.get_session(BOB, HELPER.id, TALK.id) == theirs
        assert await store.agents.get_session(ALICE, HELPER.id, TALK.id) == TALK

    async def test_sessions_are_listed_oldest_first_in_pieces(self, store: Store) -> None:
        await begin(store, talk=session("b"))
        for name, at in {"a": NOW, "old": NOW - 9, "c": NOW + 1}.items():
            await begin(store, talk=session(name, at=at))
        await begin(store, talk=session("of another agent", agent("another")))
        everything = ["old", "b", "a", "c"]
        for start, limit in ((0, None), (1, 2), (3, 9), (4, 1), (0, 0)):
            got = [one.id for one in await store.agents.list_sessions(ALICE, HELPER.id, start, limit)]
            assert got == everything[start:][:limit], (start, limit)

    async def test_a_session_gets_one_memory(self, store: Store) -> None:
        await begin(store)
        rivals = [store.agents.set_memory(ALICE, TALK.id, f"vs_{n}") for n in range(5)]
        done = await asyncio.gather(*rivals)
        assert done.count(True) == 1
        found = await store.agents.get_session(ALICE, HELPER.id, TALK.id)
        assert found == replace(TALK, memory=f"vs_{done.index(True)}")
        assert await store.agents.set_memory(ALICE, "none", "vs_9") is False

    # --- turns
    async def test_a_turn_is_put_when_it_begins_and_replaced_when_it_ends(self, store: Store) -> None:
        await begin(store)
        assert await store.agents.put_turn(ALICE, turn("a")) is True
        assert await store.agents.get_turn(ALICE, TALK.id, "a") == turn("a")
        assert await end(store, turn("a", "completed"), response("a")) is True
        for found in (
            await store.agents.get_turn(ALICE, TALK.id, "a"),
            await store.agents.turn_of(ALICE, "a"),
            await store.agents.last_turn(ALICE, TALK.id),
        ):
            assert found == turn("a", "completed")
        assert await store.get_response(ALICE, "resp_a") == response("a")
        assert await tip(store) == "resp_a"

    async def test_a_turn_that_awaited_input_goes_on_where_it_stands(self, store: Store) -> None:
        await begin(store)
        await store.agents.put_turn(ALICE, turn("a"))
        assert await end(store, turn("a", "awaiting_input"), response("a1"))
        assert await store.agents.put_turn(ALICE, turn("a")) is True
        assert await end(store, turn("a", "completed"), response("a2", "a1"))
        await hold(store, "b", after="a2")
        assert list(await store.agents.list_turns(ALICE, TALK.id)) == [
            turn("a", "completed"),
            turn("b", "completed"),
        ]
        assert await chain(store, "resp_b") == ["resp_a1", "resp_a2", "resp_b"]

    async def test_turns_are_in_the_order_in_which_they_began(self, store: Store) -> None:
        """Whatever the clock said."""
        await begin(store)
        for name, at in {"c": NOW + 2, "a": NOW + 2, "b": NOW}.items():
            assert await store.agents.put_turn(ALICE, turn(name, at=at))
        assert await store.agents.put_turn(ALICE, turn("c", "failed"))
        assert await names_of_turns(store) == ["c", "a", "b"]
        assert await names_of_turns(store, only=["b", "none", "c"]) == ["c", "b"]
        assert await names_of_turns(store, only=[]) == []
        last = await store.agents.last_turn(ALICE, TALK.id)
        assert last == turn("b", at=NOW)

    async def test_a_turn_is_of_one_session(self, store: Store) -> None:
        await begin(store)
        other = session("other")
        await begin(store, talk=other)
        await hold(store, "a")
        assert await store.agents.get_turn(ALICE, other.id, "a") is None
        assert await store.agents.put_turn(ALICE, turn("a", of=other)) is False
        assert await end(store, turn("a", "failed", other), response("b")) is False
        assert await store.get_response(ALICE, "resp_b") is None
        assert list(await store.agents.list_turns(ALICE, other.id, ["a"])) == []
        assert await store.agents.turn_of(ALICE, "a") == turn("a", "completed")

    async def test_what_is_not_there_is_none(self, store: Store) -> None:
        await begin(store)
        assert await store.agents.get_turn(ALICE, TALK.id, "none") is None
        assert await store.agents.get_turn(ALICE, "none", "none") is None
        assert await store.agents.turn_of(ALICE, "none") is None
        assert await store.agents.delete_session(ALICE, HELPER.id, "none") is None
        assert await store.agents.delete_agent(ALICE, "none") is None

    # --- how a run ends
    async def test_an_end_for_another_tip_changes_nothing(self, store: Store) -> None:
        await begin(store)
        await hold(store, "a", "b")
        await store.agents.put_turn(ALICE, turn("late"))
        for parent in (None, "a", "none"):
            for moves_tip in (True, False):
                ended = turn("late", "completed")
                assert await end(store, ended, response("late", parent), moves_tip=moves_tip) is False
        assert await store.get_response(ALICE, "resp_late") is None
        assert await store.agents.turn_of(ALICE, "late") == turn("late")
        assert await tip(store) == "resp_b"

    async def test_of_ends_for_one_tip_at_once_one_is_taken(self, store: Store) -> None:
        await begin(store)
        await hold(store, "a")
        names = [f"n{number}" for number in range(10)]
        for name in names:
            await store.agents.put_turn(ALICE, turn(name))
        done = await asyncio.gather(
            *(end(store, turn(name, "completed"), response(name, "a")) for name in names)
        )
        assert done.count(True) == 1
        kept = names[done.index(True)]
        assert await tip(store) == f"resp_{kept}"
        statuses = {one.id: one.status for one in await store.agents.list_turns(ALICE, TALK.id)}
        assert [name for name in names if statuses[name] == "completed"] == [kept]

    async def test_a_failed_run_stands_beside_the_chain(self, store: Store) -> None:
        await begin(store)
        await hold(store, "a")
        await store.agents.put_turn(ALICE, turn("bad"))
        failed = replace(response("bad", "a"), status="failed")
        assert await end(store, turn("bad", "failed"), failed, moves_tip=False) is True
        assert await store.get_response(ALICE, "resp_bad") == failed
        assert await tip(store) == "resp_a"
        await hold(store, "b", after="a")
        assert await chain(store, "resp_b") == ["resp_a", "resp_b"]

    async def test_a_cancelled_caller_learns_of_it_when_the_tip_stands_still(self, store: Store) -> None:
        """Else the next turn would be made for a tip that is about to move."""
        await begin(store)
        await store.agents.put_turn(ALICE, turn("a"))
        call = asyncio.ensure_future(end(store, turn("a", "completed"), response("a")))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call])
        assert await tip(store) == "resp_a"
        assert await store.agents.turn_of(ALICE, "a") == turn("a", "completed")

    async def test_a_long_session_is_read_whole(self, store: Store) -> None:
        await begin(store)
        names = [f"t{number}" for number in range(60)]
        await hold(store, *names)
        assert await names_of_turns(store) == names
        assert await chain(store, "resp_t59") == [f"resp_{name}" for name in names]

    # --- what is deleted
    async def test_a_deleted_session_is_gone_with_its_turns_and_responses(self, store: Store) -> None:
        await begin(store)
        await hold(store, "a", "b")
        await store.agents.put_turn(ALICE, turn("bad"))
        await end(
            store, turn("bad", "failed"), replace(response("bad", "b"), status="failed"), moves_tip=False
        )
        assert await store.agents.delete_session(ALICE, HELPER.id, TALK.id) == Gone(TALK.id, None)
        assert await store.agents.delete_session(ALICE, HELPER.id, TALK.id) is None
        assert await store.agents.get_session(ALICE, HELPER.id, TALK.id) is None
        assert list(await store.agents.list_sessions(ALICE, HELPER.id, 0, None)) == []
        assert await names_of_turns(store) == []
        assert await store.agents.turn_of(ALICE, "a") is None
        for name in ("resp_a", "resp_b", "resp_bad"):
            assert await store.get_response(ALICE, name) is None
            assert await chain(store, name) == []
        assert await store.agents.get_agent(ALICE, HELPER.id) is not None

    async def test_a_run_that_ends_after_its_session_was_deleted_leaves_nothing(self, store: Store) -> None:
        await begin(store)
        await store.agents.put_turn(ALICE, turn("a"))
        await store.agents.delete_session(ALICE, HELPER.id, TALK.id)
        assert await end(store, turn("a", "completed"), response("a")) is False
        assert await store.agents.put_turn(ALICE, turn("a")) is False
        assert await store.agents.turn_of(ALICE, "a") is None
        assert await store.get_response(ALICE, "resp_a") is None

    async def test_it_is_told_what_memory_goes_with_a_session(self, store: Store) -> None:
        await begin(store)
        await store.agents.set_memory(ALICE, TALK.id, "vs_mine")
        assert await store.agents.delete_session(ALICE, HELPER.id, TALK.id) == Gone(TALK.id, "vs_mine")

    async def test_a_response_that_went_another_way_keeps_what_it_continues(self, store: Store) -> None:
        await begin(store)
        await hold(store, "a", "b", "c")
        await store.put_response(ALICE, response("branch", "b"))
        await store.agents.delete_session(ALICE, HELPER.id, TALK.id)
        for name in ("resp_a", "resp_b", "resp_c"):
            assert await store.get_response(ALICE, name) is None
        assert ids(await store.get_chain(ALICE, "resp_branch")) == ["resp_a", "resp_b", "resp_branch"]
        assert await chain(store, "resp_c") == []
        await store.delete_response(ALICE, "resp_branch")
        assert await chain(store, "resp_branch") == []
        assert await chain(store, "resp_b") == []

    async def test_a_conversation_keeps_the_responses_that_it_continues(self, store: Store) -> None:
        await begin(store)
        await hold(store, "a")
        holiday = StoredConversation("conv_1", 5, b"{}")
        await store.conversations.create(ALICE, holiday)
        await store.conversations.append(ALICE, holiday.id, response("c", "a"), continues=None)
        await store.agents.delete_session(ALICE, HELPER.id, TALK.id)
        assert await chain(store, "resp_c") == ["resp_a", "resp_c"]

    async def test_deleting_a_response_leaves_the_session_whole(self, store: Store) -> None:
        """Also the newest one: nothing continues it yet, but the session does."""
        await begin(store)
        await hold(store, "a", "b")
        assert await store.delete_response(ALICE, "resp_a")
        assert await store.delete_response(ALICE, "resp_b")
        assert await chain(store, "resp_b") == ["resp_a", "resp_b"]
        await hold(store, "c", after="b")
        assert await chain(store, "resp_c") == ["resp_a", "resp_b", "resp_c"]
        await store.agents.delete_session(ALICE, HELPER.id, TALK.id)
        assert await chain(store, "resp_c") == await chain(store, "resp_a") == []

    async def test_other_sessions_stay_when_one_is_deleted(self, store: Store) -> None:
        await begin(store)
        other = session("other")
        await begin(store, talk=other)
        await hold(store, "a")
        await hold(store, "b", of=other)
        await store.agents.add_session(BOB, TALK)
        await hold(store, "a", owner=BOB)
        await store.agents.delete_session(ALICE, HELPER.id, TALK.id)
        assert await chain(store, "resp_b") == ["resp_b"]
        assert await store.agents.turn_of(ALICE, "b") == turn("b", "completed", other)
        assert await chain(store, "resp_a", BOB) == ["resp_a"]
        assert await names_of_turns(store, owner=BOB) == ["a"]

    async def test_a_deleted_agent_is_gone_with_the_sessions_of_everybody(self, store: Store) -> None:
        await begin(store)
        await hold(store, "a", "b")
        await store.agents.set_memory(ALICE, TALK.id, "vs_mine")
        theirs = session("theirs")
        await store.agents.add_session(BOB, theirs)
        await hold(store, "c", owner=BOB, of=theirs)
        bystander = session("bystander", agent("another"))
        await begin(store, talk=bystander)
        await hold(store, "d", of=bystander)
        gone = await store.agents.delete_agent(BOB, HELPER.id)
        assert gone is not None
        assert sorted(gone, key=str) == [(ALICE, Gone(TALK.id, "vs_mine")), (BOB, Gone(theirs.id, None))]
        assert await store.agents.get_agent(ALICE, HELPER.id) is None
        assert await store.agents.delete_agent(ALICE, HELPER.id) is None
        assert await store.agents.get_session(ALICE, HELPER.id, TALK.id) is None
        assert list(await store.agents.list_sessions(BOB, HELPER.id, 0, None)) == []
        assert await names_of_turns(store) == []
        assert await chain(store, "resp_b") == await chain(store, "resp_c", BOB) == []
        assert await store.agents.add_session(ALICE, session("late")) is False
        assert await chain(store, "resp_d") == ["resp_d"]
        assert await store.agents.turn_of(ALICE, "d") is not None

    async def test_a_closed_store_is_unavailable(self, store: Store) -> None:
        await begin(store)
        await store.aclose()
        agents = store.agents
        for call in (
            agents.add_agent(ALICE, agent("late")),
            agents.get_agent(ALICE, HELPER.id),
            agents.list_agents(ALICE, 0, None),
            agents.list_named(ALICE, 9),
            agents.delete_agent(ALICE, HELPER.id),
            agents.add_session(ALICE, session("late")),
            agents.get_session(ALICE, HELPER.id, TALK.id),
            agents.list_sessions(ALICE, HELPER.id, 0, None),
            agents.set_memory(ALICE, TALK.id, "vs_1"),
            agents.delete_session(ALICE, HELPER.id, TALK.id),
            agents.put_turn(ALICE, turn("a")),
            end(store, turn("a", "completed"), response("a")),
            agents.get_turn(ALICE, TALK.id, "a"),
            agents.list_turns(ALICE, TALK.id),
            agents.last_turn(ALICE, TALK.id),
            agents.turn_of(ALICE, "a"),
        ):
            assert await refused_as_unavailable(call)


def shield(name: str, *, at: int = 5, params: bytes = b"{}") -> StoredShield:
    return StoredShield(name, "rules", f"set of {name}", params, at)


class ShieldRecordsContract:
    """The promises of `ShieldRecords`."""

    async def test_a_shield_that_was_added_is_what_is_got(self, store: Store) -> None:
        one = shield("pii", params=b'{"threshold":0.5}')
        assert dict(await store.shields.get_shields(ALICE, ["pii"])) == {}
        assert await store.shields.add_shield(ALICE, one) is True
        await store.shields.add_shield(ALICE, shield("other"))
        assert dict(await store.shields.get_shields(ALICE, ["pii", "none", "pii"])) == {"pii": one}
        assert dict(await store.shields.get_shields(ALICE, [])) == {}

    async def test_of_two_shields_of_one_id_the_first_stays(self, store: Store) -> None:
        rivals = [shield("pii", params=params) for params in (b'{"by":1}', b'{"by":2}')]
        added = await asyncio.gather(*(store.shields.add_shield(ALICE, one) for one in rivals))
        assert sorted(added) == [False, True]
        assert dict(await store.shields.get_shields(BOB, ["pii"])) == {"pii": rivals[added.index(True)]}

    async def test_the_tenant_shares_its_shields_and_no_other_sees_them(self, store: Store) -> None:
        await store.shields.add_shield(ALICE, shield("pii"))
        for stranger in (ELSEWHERE, Owner("", "")):
            assert dict(await store.shields.get_shields(stranger, ["pii"])) == {}
            assert list(await store.shields.list_shields(stranger)) == []
            assert await store.shields.delete_shield(stranger, "pii") is False
            assert await store.shields.add_shield(stranger, shield("pii", params=b'{"theirs":1}')) is True
        assert list(await store.shields.list_shields(BOB)) == [shield("pii")]

    async def test_shields_are_listed_oldest_first(self, store: Store) -> None:
        for name, at in {"b": 5, "a": 5, "old": 4, "c": 6}.items():
            await store.shields.add_shield(ALICE, shield(name, at=at))
        assert [one.id for one in await store.shields.list_shields(ALICE)] == ["old", "b", "a", "c"]

    async def test_a_deleted_shield_is_gone_and_its_id_is_free(self, store: Store) -> None:
        await store.shields.add_shield(ALICE, shield("pii"))
        assert await store.shields.delete_shield(BOB, "pii") is True
        assert await store.shields.delete_shield(ALICE, "pii") is False
        assert list(await store.shields.list_shields(ALICE)) == []
        assert await store.shields.add_shield(ALICE, shield("pii", at=7)) is True
        assert dict(await store.shields.get_shields(ALICE, ["pii"])) == {"pii": shield("pii", at=7)}

    async def test_a_closed_store_has_no_shields_to_give(self, store: Store) -> None:
        await store.aclose()
        shields = store.shields
        for call in (
            shields.add_shield(ALICE, shield("pii")),
            shields.get_shields(ALICE, ["pii"]),
            shields.list_shields(ALICE),
            shields.delete_shield(ALICE, "pii"),
        ):
            assert await refused_as_unavailable(call)


def tool_group(name: str, *, at: int = 5, args: bytes = b"{}") -> StoredToolGroup:
    return StoredToolGroup(name, "model-context-protocol", f"connector of {name}", args, at)


class ToolGroupRecordsContract:
    """The promises of `ToolGroupRecords`."""

    async def test_a_tool_group_that_was_added_is_what_is_got(self, store: Store) -> None:
        one = tool_group("mcp::github", args=b'{"owner":"me"}')
        assert await store.tool_groups.get_tool_group(ALICE, one.id) is None
        assert await store.tool_groups.add_tool_group(ALICE, one) is True
        assert await store.tool_groups.get_tool_group(ALICE, one.id) == one

    async def test_of_two_tool_groups_of_one_id_the_first_stays(self, store: Store) -> None:
        rivals = [tool_group("g", args=args) for args in (b'{"by":1}', b'{"by":2}')]
        added = await asyncio.gather(*(store.tool_groups.add_tool_group(ALICE, one) for one in rivals))
        assert sorted(added) == [False, True]
        assert await store.tool_groups.get_tool_group(BOB, "g") == rivals[added.index(True)]

    async def test_the_tenant_shares_its_tool_groups_and_no_other_sees_them(self, store: Store) -> None:
        await store.tool_groups.add_tool_group(ALICE, tool_group("g"))
        for stranger in (ELSEWHERE, Owner("", "")):
            assert await store.tool_groups.get_tool_group(stranger, "g") is None
            assert list(await store.tool_groups.list_tool_groups(stranger)) == []
            assert await store.tool_groups.delete_tool_group(stranger, "g") is False
            assert await store.tool_groups.add_tool_group(stranger, tool_group("g", args=b"[]")) is True
        assert list(await store.tool_groups.list_tool_groups(BOB)) == [tool_group("g")]

    async def test_tool_groups_are_listed_oldest_first(self, store: Store) -> None:
        for name, at in {"b": 5, "a": 5, "old": 4, "c": 6}.items():
            await store.tool_groups.add_tool_group(ALICE, tool_group(name, at=at))
        listed = await store.tool_groups.list_tool_groups(ALICE)
        assert [one.id for one in listed] == ["old", "b", "a", "c"]

    async def test_a_deleted_tool_group_is_gone_and_its_id_is_free(self, store: Store) -> None:
        await store.tool_groups.add_tool_group(ALICE, tool_group("g"))
        assert await store.tool_groups.delete_tool_group(BOB, "g") is True
        assert await store.tool_groups.delete_tool_group(ALICE, "g") is False
        assert await store.tool_groups.get_tool_group(ALICE, "g") is None
        assert await store.tool_groups.add_tool_group(ALICE, tool_group("g", at=7)) is True

    async def test_a_closed_store_has_no_tool_groups_to_give(self, store: Store) -> None:
        await store.aclose()
        groups = store.tool_groups
        for call in (
            groups.add_tool_group(ALICE, tool_group("g")),
            groups.get_tool_group(ALICE, "g"),
            groups.list_tool_groups(ALICE),
            groups.delete_tool_group(ALICE, "g"),
        ):
            assert await refused_as_unavailable(call)
