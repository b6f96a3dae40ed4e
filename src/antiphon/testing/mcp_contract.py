"""What all `McpRecords` promise, as tests. Subclass `McpRecordsContract` and give it a fixture `store`, a `Store`.

As `store_contract`, which says more.
"""

import asyncio
from dataclasses import replace

from antiphon.ports import Owner, Store
from antiphon.ports.mcp import Grant, GrantState, StoredConnector, StoredFlow, StoredToken
from antiphon.testing.store_contract import ALICE, STRANGERS, refused_as_unavailable

NOW = 1_767_225_600
DAY = 86_400
BOB = Owner(ALICE.tenant, "bob")
OTHER_TENANTS = (Owner("other", ALICE.subject), Owner("", ""))


def connector(name: str, *, at: int = NOW, body: bytes = b"{}", sealed: str = "") -> StoredConnector:
    return StoredConnector(name, at, at, body, sealed)


def grant(name: str, *, at: int = NOW, lasts_s: int = 600) -> Grant:
    """A question `mcpr_<name>` that may be answered for so long."""
    return Grant(f"mcpr_{name}", "approval", f"digest of {name}", f"definition of {name}", at, at + lasts_s)


def token(server: str, *, sealed: str = "sealed", expires_at: int | None = NOW + 60) -> StoredToken:
    return StoredToken(server, sealed, expires_at, NOW)


def flow(state: str, server: str = "server", *, expires_at: int = NOW + 600) -> StoredFlow:
    return StoredFlow(state, server, f"sealed for {state}", expires_at)


class McpRecordsContract:
    """The promises. Test names are the sentences that are false when they fail."""

    # --- connectors
    async def test_a_connector_that_was_added_is_what_is_got(self, store: Store) -> None:
        one = connector("github", body=b'{"url":"https://mcp.example"}', sealed="sealed")
        assert await store.mcp.get_connector(ALICE, "github") is None
        assert await store.mcp.add_connector(ALICE, one) is True
        assert await store.mcp.get_connector(ALICE, "github") == one
        assert list(await store.mcp.list_connectors(ALICE)) == [one]

    async def test_of_two_connectors_of_one_id_the_first_stays(self, store: Store) -> None:
        rivals = [connector("github", body=body) for body in (b'{"by":1}', b'{"by":2}')]
        added = await asyncio.gather(*(store.mcp.add_connector(ALICE, one) for one in rivals))
        assert sorted(added) == [False, True]
        assert await store.mcp.get_connector(ALICE, "github") == rivals[added.index(True)]

    async def test_the_tenant_shares_its_connectors_and_no_other_sees_them(self, store: Store) -> None:
        mine = connector("github", sealed="mine")
        await store.mcp.add_connector(ALICE, mine)
        for stranger in OTHER_TENANTS:
            assert await store.mcp.get_connector(stranger, "github") is None
            assert list(await store.mcp.list_connectors(stranger)) == []
            assert (
                await store.mcp.replace_connector(stranger, connector("github", sealed="theirs"), NOW)
                is False
            )
            assert await store.mcp.delete_connector(stranger, "github") is False
            theirs = connector("github", sealed="theirs")
            assert await store.mcp.add_connector(stranger, theirs) is True
            assert await store.mcp.get_connector(stranger, "github") == theirs
        assert await store.mcp.get_connector(BOB, "github") == mine
        assert await store.mcp.delete_connector(BOB, "github") is True
        assert await store.mcp.get_connector(ALICE, "github") is None
        assert await store.mcp.get_connector(OTHER_TENANTS[0], "github") is not None

    async def test_connectors_are_listed_newest_first(self, store: Store) -> None:
        for name, at in (("b", NOW), ("a", NOW), ("old", NOW - 9), ("c", NOW + 1)):
            await store.mcp.add_connector(ALICE, connector(name, at=at))
        assert [one.id for one in await store.mcp.list_connectors(ALICE)] == ["c", "a", "b", "old"]

    async def test_a_connector_is_replaced_only_as_it_was_read(self, store: Store) -> None:
        first = connector("github")
        await store.mcp.add_connector(ALICE, first)
        second = StoredConnector("github", NOW + 5, NOW + 5, b'{"changed":true}', "sealed")
        assert await store.mcp.replace_connector(ALICE, second, NOW - 1) is False
        assert await store.mcp.get_connector(ALICE, "github") == first
        assert await store.mcp.replace_connector(BOB, second, NOW) is True
        assert await store.mcp.get_connector(ALICE, "github") == replace(second, created_at=NOW)
        assert await store.mcp.replace_connector(ALICE, first, NOW) is False
        assert await store.mcp.replace_connector(ALICE, connector("none"), NOW) is False
        assert await store.mcp.get_connector(ALICE, "none") is None

    async def test_of_many_that_replace_a_connector_one_wins(self, store: Store) -> None:
        await store.mcp.add_connector(ALICE, connector("github"))
        rivals = [StoredConnector("github", NOW, NOW + n, b"%d" % n) for n in range(1, 21)]
        done = await asyncio.gather(*(store.mcp.replace_connector(ALICE, one, NOW) for one in rivals))
        assert done.count(True) == 1
        assert await store.mcp.get_connector(ALICE, "github") == rivals[done.index(True)]

    async def test_a_deleted_connector_is_gone_and_its_id_is_free(self, store: Store) -> None:
        await store.mcp.add_connector(ALICE, connector("github", body=b'{"by":1}'))
        assert await store.mcp.delete_connector(ALICE, "github") is True
        assert await store.mcp.delete_connector(ALICE, "github") is False
        assert list(await store.mcp.list_connectors(ALICE)) == []
        assert await store.mcp.add_connector(ALICE, connector("github", body=b'{"by":2}')) is True

    # --- grants
    async def test_grants_that_were_added_are_found_by_their_ids(self, store: Store) -> None:
        one, two = grant("a"), replace(grant("b"), kind="elicitation", definition="")
        await store.mcp.add_grants(ALICE, [one, two])
        await store.mcp.add_grants(ALICE, [])
        found = await store.mcp.get_grants(ALICE, [two.id, "mcpr_none", one.id])
        assert dict(found) == {one.id: GrantState(one, used=False), two.id: GrantState(two, used=False)}
        assert dict(await store.mcp.get_grants(ALICE, [])) == {}

    async def test_a_grant_is_used_once(self, store: Store) -> None:
        await store.mcp.add_grants(ALICE, [grant("a"), grant("b")])
        assert await store.mcp.use_grants(ALICE, ["mcpr_a"], NOW) is None
        assert await store.mcp.use_grants(ALICE, ["mcpr_a"], NOW) == "mcpr_a"
        found = await store.mcp.get_grants(ALICE, ["mcpr_a", "mcpr_b"])
        assert {id: state.used for id, state in found.items()} == {"mcpr_a": True, "mcpr_b": False}
        assert await store.mcp.use_grants(ALICE, [], NOW) is None

    async def test_a_grant_that_is_added_again_stays_used(self, store: Store) -> None:
        await store.mcp.add_grants(ALICE, [grant("a")])
        assert await store.mcp.use_grants(ALICE, ["mcpr_a"], NOW) is None
        await store.mcp.add_grants(ALICE, [grant("a"), grant("b")])
        assert await store.mcp.use_grants(ALICE, ["mcpr_a"], NOW) == "mcpr_a"
        assert await store.mcp.use_grants(ALICE, ["mcpr_b"], NOW) is None

    async def test_a_grant_is_used_before_it_expires_and_not_at_that_second(self, store: Store) -> None:
        await store.mcp.add_grants(ALICE, [grant("a", lasts_s=60), grant("b", lasts_s=60)])
        assert await store.mcp.use_grants(ALICE, ["mcpr_a"], NOW + 59) is None
        assert await store.mcp.use_grants(ALICE, ["mcpr_b"], NOW + 60) == "mcpr_b"
        assert (await store.mcp.get_grants(ALICE, ["mcpr_b"]))["mcpr_b"].used is False

    async def test_grants_are_used_all_or_none(self, store: Store) -> None:
        await store.mcp.add_grants(ALICE, [grant(name) for name in "abcd"] + [grant("old", lasts_s=1)])
        await store.mcp.use_grants(ALICE, ["mcpr_d"], NOW)
        for ids, at_fault in (
            (["mcpr_a", "mcpr_none", "mcpr_b"], "mcpr_none"),
            (["mcpr_a", "mcpr_b", "mcpr_d"], "mcpr_d"),
            (["mcpr_old", "mcpr_d"], "mcpr_old"),
            (["mcpr_a", "mcpr_b", "mcpr_a"], "mcpr_a"),
        ):
            assert await store.mcp.use_grants(ALICE, ids, NOW + 1) == at_fault
        found = await store.mcp.get_grants(ALICE, ["mcpr_a", "mcpr_b", "mcpr_old"])
        assert [state.used for state in found.values()] == [False, False, False]
        assert await store.mcp.use_grants(ALICE, ["mcpr_c", "mcpr_a", "mcpr_b"], NOW) is None

    async def test_of_a_hundred_that_use_a_grant_one_wins(self, store: Store) -> None:
        await store.mcp.add_grants(ALICE, [grant("a"), *(grant(f"own{n}") for n in range(100))])
        uses = (store.mcp.use_grants(ALICE, [f"mcpr_own{n}", "mcpr_a"], NOW) for n in range(100))
        done = await asyncio.gather(*uses)
        assert done.count(None) == 1
        assert done.count("mcpr_a") == 99
        found = await store.mcp.get_grants(ALICE, [f"mcpr_own{n}" for n in range(100)])
        winner = f"mcpr_own{done.index(None)}"
        assert [id for id, state in found.items() if state.used] == [winner]

    async def test_a_grant_of_somebody_else_is_an_unknown_one(self, store: Store) -> None:
        await store.mcp.add_grants(ALICE, [grant("a")])
        for stranger in STRANGERS:
            assert await store.mcp.use_grants(stranger, ["mcpr_a"], NOW) == "mcpr_a"
            assert dict(await store.mcp.get_grants(stranger, ["mcpr_a"])) == {}
        assert await store.mcp.use_grants(ALICE, ["mcpr_a"], NOW) is None

    async def test_grants_that_expired_long_ago_go_and_others_stay(self, store: Store) -> None:
        await store.mcp.add_grants(ALICE, [grant("old"), grant("long", lasts_s=3 * DAY)])
        await store.mcp.add_grants(ALICE, [grant("soon after", at=NOW + 700)])
        assert len(await store.mcp.get_grants(ALICE, ["mcpr_old"])) == 1
        await store.mcp.add_grants(BOB, [grant("later", at=NOW + 2 * DAY)])
        found = await store.mcp.get_grants(ALICE, ["mcpr_old", "mcpr_long", "mcpr_soon after"])
        assert list(found) == ["mcpr_long"]

    # --- tokens
    async def test_a_token_is_got_and_the_last_one_put_counts(self, store: Store) -> None:
        assert await store.mcp.get_token(ALICE, "server") is None
        for one in (token("server", expires_at=None), token("server", sealed="newer")):
            await store.mcp.put_token(ALICE, one)
            assert await store.mcp.get_token(ALICE, "server") == one
        assert await store.mcp.get_token(ALICE, "another") is None

    async def test_a_token_is_its_owners_alone(self, store: Store) -> None:
        await store.mcp.put_token(ALICE, token("server", sealed="mine"))
        for stranger in STRANGERS:
            assert await store.mcp.get_token(stranger, "server") is None
            assert await store.mcp.delete_token(stranger, "server") is False
            await store.mcp.put_token(stranger, token("server", sealed="theirs"))
        assert await store.mcp.get_token(ALICE, "server") == token("server", sealed="mine")
        assert await store.mcp.delete_token(ALICE, "server") is True
        assert await store.mcp.delete_token(ALICE, "server") is False
        assert await store.mcp.get_token(BOB, "server") == token("server", sealed="theirs")

    async def test_everybodys_tokens_for_a_server_go_with_what_was_begun(self, store: Store) -> None:
        elsewhere = OTHER_TENANTS[0]
        for owner in (ALICE, BOB, elsewhere):
            await store.mcp.put_token(owner, token("server"))
            await store.mcp.put_token(owner, token("another"))
            await store.mcp.add_flow(owner, flow(f"of {owner.tenant} {owner.subject}"))
        await store.mcp.add_flow(ALICE, flow("for another", "another"))
        assert await store.mcp.delete_tokens(ALICE.tenant, "server") == 2
        assert await store.mcp.delete_tokens(ALICE.tenant, "server") == 0
        assert [await store.mcp.get_token(one, "server") for one in (ALICE, BOB)] == [None, None]
        assert await store.mcp.take_flow("of acme alice", NOW) is None
        assert await store.mcp.take_flow("of acme bob", NOW) is None
        assert await store.mcp.take_flow("for another", NOW) is not None
        assert await store.mcp.get_token(BOB, "another") == token("another")
        assert await store.mcp.get_token(elsewhere, "server") == token("server")
        assert await store.mcp.take_flow(f"of {elsewhere.tenant} {elsewhere.subject}", NOW) is not None

    # --- flows
    async def test_a_flow_is_taken_once_and_says_whose_it_is(self, store: Store) -> None:
        await store.mcp.add_flow(BOB, flow("a"))
        takes = await asyncio.gather(*(store.mcp.take_flow("a", NOW) for _ in range(20)))
        assert [taken for taken in takes if taken is not None] == [(BOB, flow("a"))]
        assert await store.mcp.take_flow("none", NOW) is None

    async def test_a_flow_that_has_expired_is_not_there(self, store: Store) -> None:
        await store.mcp.add_flow(ALICE, flow("a", expires_at=NOW))
        await store.mcp.add_flow(ALICE, flow("b", expires_at=NOW + 1))
        assert await store.mcp.take_flow("a", NOW) is None
        assert await store.mcp.take_flow("b", NOW) is not None

    async def test_a_state_that_is_in_use_stays_with_who_began(self, store: Store) -> None:
        await store.mcp.add_flow(ALICE, flow("a"))
        await store.mcp.add_flow(BOB, replace(flow("a"), sealed="theirs"))
        assert await store.mcp.take_flow("a", NOW) == (ALICE, flow("a"))

    async def test_flows_that_expired_long_ago_go_and_others_stay(self, store: Store) -> None:
        await store.mcp.add_flow(ALICE, flow("old"))
        await store.mcp.add_flow(ALICE, flow("young", expires_at=NOW + 2 * DAY - 1))
        await store.mcp.add_flow(BOB, flow("new", expires_at=NOW + 2 * DAY))
        # Asked as of a time when it was still good, it shows whether the row is there.
        assert await store.mcp.take_flow("old", NOW) is None
        assert await store.mcp.take_flow("young", NOW) is not None

    # --- clients
    async def test_a_client_is_kept_by_tenant_and_server(self, store: Store) -> None:
        assert await store.mcp.get_client("acme", "server") is None
        await store.mcp.put_client("acme", "server", "first")
        await store.mcp.put_client("acme", "server", "second")
        await store.mcp.put_client("other", "server", "theirs")
        assert await store.mcp.get_client("acme", "server") == "second"
        assert await store.mcp.get_client("acme", "another") is None
        assert await store.mcp.delete_client("acme", "server") is True
        assert await store.mcp.delete_client("acme", "server") is False
        assert await store.mcp.get_client("acme", "server") is None
        assert await store.mcp.get_client("other", "server") == "theirs"

    async def test_a_closed_store_has_no_records_to_give(self, store: Store) -> None:
        await store.aclose()
        for call in (
            store.mcp.add_connector(ALICE, connector("a")),
            store.mcp.replace_connector(ALICE, connector("a"), NOW),
            store.mcp.get_connector(ALICE, "a"),
            store.mcp.list_connectors(ALICE),
            store.mcp.delete_connector(ALICE, "a"),
            store.mcp.add_grants(ALICE, [grant("a")]),
            store.mcp.get_grants(ALICE, ["mcpr_a"]),
            store.mcp.use_grants(ALICE, ["mcpr_a"], NOW),
            store.mcp.put_token(ALICE, token("a")),
            store.mcp.get_token(ALICE, "a"),
            store.mcp.delete_token(ALICE, "a"),
            store.mcp.delete_tokens("acme", "a"),
            store.mcp.add_flow(ALICE, flow("a")),
            store.mcp.take_flow("a", NOW),
            store.mcp.put_client("acme", "a", "sealed"),
            store.mcp.get_client("acme", "a"),
            store.mcp.delete_client("acme", "a"),
        ):
            assert await refused_as_unavailable(call)
