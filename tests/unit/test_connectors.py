"""Connectors: what is stored of them, who sees them, what an update may do, and what becomes of their secrets."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from antiphon.config.mcp_settings import ConnectorOAuth, ConnectorSettings
from antiphon.connectors.drafts import refuse, shown_url
from antiphon.connectors.registry import ConnectorRegistry
from antiphon.connectors.service import MAX_CONNECTORS, ConnectorService
from antiphon.connectors.shapes import CreateConnector, NewOAuth, UpdateConnector
from antiphon.core.errors import AntiphonError, Conflict, InvalidRequest, NotFound, PermissionDenied
from antiphon.core.parse import load
from antiphon.core.wire import encode
from antiphon.mcp_tools.addresses import Address, AddressRefused, ServerPolicy
from antiphon.ports import Owner
from antiphon.ports.mcp import Connector, StoredConnector
from antiphon.sealing.aead import AeadSealer
from antiphon.storage.memory import MemoryStore
from antiphon.testing import FakeClock

ALICE, BOB, EVE = Owner("acme", "alice"), Owner("acme", "bob"), Owner("other", "eve")
OLD, NEW = b"o" * 32, b"n" * 32
URL = "https://mcp.example.com/mcp"
ELSEWHERE = "https://evil.example.net/mcp"
CONFIGURED = ConnectorSettings(
    connector_id="tickets",
    url="http://10.0.0.7/mcp?key=CANARY",
    description="Of the desk",
    headers={"X-Key": "CANARY", "X-Empty": ""},
    env={},
)


def read(text: str) -> Address:
    scheme, _, rest = text.partition("://")
    if scheme not in {"http", "https"} or not rest:
        raise AddressRefused("has to begin with https:// or http://")
    return Address(text, rest.partition("/")[0])


@dataclass
class World:
    """A service over a store in memory. `forgotten` are the connectors whose tokens were removed."""

    configured: tuple[ConnectorSettings, ...] = (CONFIGURED,)
    clock: FakeClock = field(default_factory=FakeClock)
    store: MemoryStore = field(default_factory=MemoryStore)
    keys: tuple[bytes, ...] = (OLD,)
    policy: ServerPolicy = field(default_factory=lambda: ServerPolicy(read, "any"))
    shows_addresses: bool = True
    forgotten: list[Connector] = field(default_factory=list[Connector])

    @property
    def registry(self) -> ConnectorRegistry:
        sealer = AeadSealer(lambda: self.keys, self.clock, max_age_days=None)
        return ConnectorRegistry(
            self.store.mcp, sealer, self.policy, self.configured, shows_addresses=self.shows_addresses
        )

    @property
    def service(self) -> ConnectorService:
        async def forget(tenant: str, connector: Connector) -> None:
            del tenant
            self.forgotten.append(connector)

        return ConnectorService(self.registry, self.store.mcp, forget, self.clock)

    async def create(self, owner: Owner = ALICE, **body: Any) -> dict[str, Any]:
        made = load(encode({"connector_id": "a", "url": URL} | body), CreateConnector, refuse=refuse)
        return as_json(await self.service.create(owner, made))

    async def update(self, owner: Owner = ALICE, name: str = "a", **body: Any) -> dict[str, Any]:
        change = load(encode(body), UpdateConnector, refuse=refuse)
        return as_json(await self.service.update(owner, name, change))

    async def headers(self, owner: Owner = ALICE, name: str = "a") -> Mapping[str, str]:
        found = await self.registry.find(owner, name)
        assert found is not None
        return dict(found.server.headers)

    async def stored(self, owner: Owner = ALICE, name: str = "a") -> StoredConnector:
        found = await self.store.mcp.get_connector(owner, name)
        assert found is not None
        return found


def as_json(value: object) -> dict[str, Any]:
    import msgspec

    found: dict[str, Any] = msgspec.to_builtins(value)
    return found


async def refused(call: Any, kind: type[AntiphonError] = InvalidRequest) -> AntiphonError:
    with pytest.raises(kind) as caught:
        await call
    return caught.value


# --- what there is, for whom ---------------------------------------------------------------------------------
async def test_a_connector_is_made_and_found_with_what_it_sends() -> None:
    world = World()
    made = await world.create(
        authorization="CANARY", headers={"X-Tenant": "CANARY"}, server_label="Docs", metadata={"team": "a"}
    )
    assert made == await world.update(server_label="Docs") | {"updated_at": world.clock.at}
    assert made["has_authorization"] is True
    assert made["header_names"] == ["x-tenant"]
    assert made["created_at"] == made["updated_at"] == world.clock.at
    assert (made["source"], made["problem"], made["server_label"]) == ("api", None, "Docs")
    found = await world.registry.find(BOB, "a")
    assert found is not None
    assert found.server.owner == BOB
    assert (found.server.url, found.server.trusted, found.server.transport) == (URL, False, "auto")
    assert dict(found.server.headers) == {"authorization": "Bearer CANARY", "x-tenant": "CANARY"}
    assert "CANARY" not in str(made) + repr(found)


async def test_one_of_the_configuration_is_trusted_and_comes_first() -> None:
    world = World()
    found = await world.registry.find(EVE, "tickets")
    assert found is not None
    assert (found.server.url, found.server.trusted) == (CONFIGURED.url, True)
    assert dict(found.server.headers) == {"x-key": "CANARY"}  # an empty one is none
    await world.create(connector_id="b")
    world.clock.at += 1
    await world.create(connector_id="c")
    assert await world.registry.ids(ALICE) == ["tickets", "b", "c"]
    listed = [world.registry.shown(ALICE, one) for one in await world.registry.list_all(ALICE)]
    assert [one.id for one in listed] == ["tickets", "b", "c"]
    assert listed[0].url == "http://10.0.0.7/mcp?key=***"
    assert listed[0].source == "config"
    assert "CANARY" not in str(listed)
    world.shows_addresses = False
    assert (await world.service.get(ALICE, "tickets")).url == ""


async def test_what_the_configuration_keeps_for_some_tenants_is_unknown_to_others() -> None:
    world = World(configured=(ConnectorSettings(connector_id="a", url=URL, tenants=("acme",)),))
    assert await world.registry.find(EVE, "a") is None
    assert await world.registry.list_all(EVE) == []
    made = await world.create(EVE, url=ELSEWHERE)  # so the id is free there
    assert made["source"] == "api"
    assert (await refused(world.create(ALICE), Conflict)).param == "connector_id"
    world.configured = (ConnectorSettings(connector_id="a", url=URL),)  # the operator gives it to all
    found = await world.registry.find(EVE, "a")
    assert found is not None
    assert found.server.url == URL
    assert await world.registry.list_all(EVE) == list(world.configured)


async def test_a_foreign_connector_is_an_unknown_one() -> None:
    world = World()
    await world.create()
    for call in (
        world.service.get(EVE, "a"),
        world.update(EVE, server_description="mine now"),
        world.service.delete(EVE, "a"),
    ):
        foreign = await refused(call, NotFound)
        unknown = await refused(World().service.get(EVE, "a"), NotFound)
        assert foreign.envelope() == unknown.envelope()
    assert await world.registry.find(EVE, "a") is None
    await world.create(EVE, url=ELSEWHERE)
    assert (await world.service.get(ALICE, "a")).url == URL


async def test_what_the_configuration_has_is_changed_there() -> None:
    world = World()
    for call in (world.update(name="tickets", url=ELSEWHERE), world.service.delete(ALICE, "tickets")):
        assert (await refused(call, PermissionDenied)).param == "connector_id"
    assert (await refused(world.create(connector_id="tickets"), Conflict)).param == "connector_id"


async def test_a_tenant_has_only_so_many() -> None:
    world = World()
    for number in range(MAX_CONNECTORS):
        await world.store.mcp.add_connector(ALICE, StoredConnector(f"c{number}", 1, 1, b"{}"))
    await refused(world.create(), Conflict)
    assert (await world.create(EVE))["id"] == "a"


async def test_deleting_one_forgets_what_users_authorised() -> None:
    world = World()
    await world.create(oauth={"client_id": "us"})
    await world.service.delete(BOB, "a")
    assert [(one.id, one.server.url) for one in world.forgotten] == [("a", URL)]
    assert await world.registry.find(ALICE, "a") is None
    await refused(world.service.delete(BOB, "a"), NotFound)


# --- updates -------------------------------------------------------------------------------------------------
async def test_what_is_left_out_stays_and_null_takes_away() -> None:
    world = World()
    first = await world.create(
        authorization="one", headers={"x": "two"}, server_description="d", metadata={"a": "b"}
    )
    second = await world.update(server_description="e")
    assert second == first | {"server_description": "e", "updated_at": first["updated_at"] + 1}
    assert await world.headers() == {"authorization": "Bearer one", "x": "two"}
    third = await world.update(authorization=None, metadata=None, server_description=None, transport="sse")
    assert (third["has_authorization"], third["metadata"]) == (False, {})
    assert (third["server_description"], third["transport"]) == (None, "sse")
    assert await world.headers() == {"x": "two"}
    assert world.forgotten == []


async def test_of_two_updates_of_what_was_read_one_is_refused() -> None:
    world = World()
    read_at = (await world.create())["updated_at"]
    done = await asyncio.gather(
        *(world.update(updated_at=read_at, server_description=f"{n}") for n in range(20)),
        return_exceptions=True,
    )
    assert sum(not isinstance(one, Exception) for one in done) == 1
    assert sum(isinstance(one, Conflict) for one in done) == 19
    assert (await refused(world.update(updated_at=read_at, metadata={}), Conflict)).param == "updated_at"


async def test_an_update_that_lost_a_race_says_so_and_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    await world.create()
    replace_connector = world.store.mcp.replace_connector

    async def beaten(owner: Owner, connector: StoredConnector, expected: int) -> bool:
        faster = StoredConnector("a", 0, expected + 1, (await world.stored()).body)
        assert await replace_connector(owner, faster, expected)
        return await replace_connector(owner, connector, expected)

    monkeypatch.setattr(world.store.mcp, "replace_connector", beaten)
    await refused(world.update(server_description="late"), Conflict)
    assert (await world.service.get(ALICE, "a")).server_description is None


async def test_a_new_address_takes_no_secret_along() -> None:
    world = World()
    await world.create(authorization="one", headers={"x": "two"})
    error = await refused(world.update(BOB, url=ELSEWHERE))
    assert error.param == "authorization"
    assert "`authorization` and `headers`" in error.message
    assert (await refused(world.update(BOB, url=ELSEWHERE, authorization="new"))).param == "headers"
    moved = await world.update(BOB, url=ELSEWHERE, authorization="new", headers=None)
    assert (moved["url"], moved["header_names"]) == (ELSEWHERE, [])
    assert await world.headers() == {"authorization": "Bearer new"}
    assert [one.server.url for one in world.forgotten] == [URL]


async def test_a_client_secret_does_not_move_either_nor_do_users_tokens() -> None:
    world = World()
    await world.create(oauth={"client_id": "us", "client_secret": "CANARY", "scopes": ["read"]})
    assert (await refused(world.update(url=ELSEWHERE))).param == "oauth"
    await world.update(url=ELSEWHERE, oauth={"client_id": "us"})
    assert len(world.forgotten) == 1
    shown = await world.update(oauth={"client_id": "others"})
    assert shown["oauth"] == {
        "client_id": "others",
        "has_client_secret": False,
        "scopes": [],
        "issuer": None,
    }
    assert len(world.forgotten) == 2
    found = await world.registry.find(ALICE, "a")
    assert found is not None
    assert found.oauth is not None
    assert found.oauth.client_id == "others"


async def test_values_in_the_query_are_secrets_and_survive_being_sent_back() -> None:
    world = World()
    whole = f"{URL}?key=CANARY&CANARY&a=CANARY"
    made = await world.create(url=whole)
    assert made["url"] == f"{URL}?key=***&***&a=***"
    assert "CANARY" not in (await world.stored()).body.decode()
    await world.update(url=made["url"], server_description="d")
    found = await world.registry.find(ALICE, "a")
    assert found is not None
    assert found.server.url == whole
    await world.update(url=f"{URL}?key=new")
    found = await world.registry.find(ALICE, "a")
    assert found is not None
    assert found.server.url == f"{URL}?key=new"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://x.com", "https://x.com"),
        ("https://x.com/a=b", "https://x.com/a=b"),
        ("https://x.com/?", "https://x.com/?"),
        ("https://x.com/?a=", "https://x.com/?a="),
        ("https://x.com/?a=b=c", "https://x.com/?a=***"),
        ("https://x.com/?a=b?c&d#e=f", "https://x.com/?a=***&***#e=f"),
    ],
)
def test_a_url_is_shown_without_the_values_of_its_query(url: str, shown: str) -> None:
    assert shown_url(url) == shown
    assert shown_url(shown) == shown


@dataclass(frozen=True)
class Step:
    """An update; secrets that it sets are named after the address that they are sent to from then on."""

    url: str | None
    authorization: str | None  # "set", "null", or left out
    headers: str | None
    oauth: str | None


_SAID = st.sampled_from([None, None, "set", "null"])
_STEPS = st.lists(
    st.builds(Step, st.sampled_from([None, None, URL, ELSEWHERE]), _SAID, _SAID, _SAID), max_size=8
)


@settings(max_examples=150, deadline=None)
@given(_STEPS)
async def test_no_updates_lead_a_secret_to_an_address_that_it_was_not_sent_for(steps: list[Step]) -> None:
    world = World()
    await world.create(headers={"x": f"for {URL}"})
    at = URL
    for step in steps:
        there = step.url or at
        values: dict[str, Any] = {
            "authorization": f"for-{there}",
            "headers": {"x": f"for {there}"},
            "oauth": {"client_id": "us", "client_secret": f"for {there}"},
        }
        body: dict[str, Any] = {} if step.url is None else {"url": step.url}
        for name, value in values.items():
            if (said := getattr(step, name)) is not None:
                body[name] = value if said == "set" else None
        try:
            await world.update(**body)
        except InvalidRequest:
            event("refused")
            continue
        event("moved" if there != at else "stayed")
        at = there
    found = await world.registry.find(ALICE, "a")
    assert found is not None
    sent = [value.removeprefix("Bearer ").removeprefix("for")[1:] for _, value in found.server.headers]
    if found.oauth is not None and found.oauth.client_secret:
        sent.append(found.oauth.client_secret.removeprefix("for "))
    assert set(sent) <= {found.server.url} == {at}


# --- secrets at rest -----------------------------------------------------------------------------------------
async def test_nothing_secret_is_stored_in_clear_and_a_blob_opens_in_its_place_alone() -> None:
    world = World()
    await world.create(authorization="CANARY")
    await world.create(connector_id="b", authorization="CANARY")
    await world.create(EVE, authorization="CANARY")
    one, other, foreign = (
        await world.stored(),
        await world.stored(name="b"),
        await world.stored(EVE),
    )
    assert "CANARY" not in one.body.decode() + one.secret
    for moved in (other.secret, foreign.secret):
        wrong = StoredConnector("a", one.created_at, one.updated_at + 1, one.body, moved)
        await world.store.mcp.delete_connector(ALICE, "a")
        await world.store.mcp.add_connector(ALICE, wrong)
        assert "cannot be read" in (await refused(world.registry.find(ALICE, "a"))).message


async def test_secrets_outlive_rotations_as_long_as_their_key_is_there() -> None:
    world = World()
    await world.create(authorization="CANARY")
    world.clock.at += 20_000 * 86_400
    world.keys = (NEW, OLD)
    assert await world.headers() == {"authorization": "Bearer CANARY"}
    await world.update(server_description="sealed anew by any update")
    world.keys = (NEW,)
    assert await world.headers() == {"authorization": "Bearer CANARY"}


async def test_a_connector_whose_secrets_are_lost_says_so_and_takes_new_ones() -> None:
    world = World()
    await world.create(authorization="one", headers={"x": "two"})
    world.keys = (NEW,)
    error = await refused(world.registry.find(ALICE, "a"))
    assert "POST /v1/connectors/a" in error.message
    shown = await world.update(server_description="no secret is touched")
    assert shown["problem"] == error.message
    assert (shown["has_authorization"], shown["header_names"]) == (True, ["x"])
    assert (await refused(world.update(authorization="new"))).param == "headers"
    assert (await refused(world.update(url=ELSEWHERE, headers=None))).param == "authorization"
    fixed = await world.update(authorization="new", headers=None)
    assert (fixed["problem"], fixed["server_description"]) == (None, "no secret is touched")
    assert await world.headers() == {"authorization": "Bearer new"}


async def test_one_that_cannot_be_used_is_still_known_without_what_is_lost() -> None:
    world = World()
    await world.create(oauth={"client_id": "us", "client_secret": "CANARY"}, headers={"x": "CANARY"})
    usable = await world.registry.find(ALICE, "a")
    world.keys, world.policy = (NEW,), ServerPolicy(read, "none")
    known = await world.registry.known(ALICE, "a")
    assert usable is not None
    assert known is not None
    assert known.oauth is not None
    assert (known.server.url, known.oauth.client_id) == (usable.server.url, "us")
    assert (known.server.headers, known.oauth.client_secret) == ((), "")
    assert await world.registry.known(EVE, "a") is None
    await world.service.delete(ALICE, "a")
    assert world.forgotten == [known]


async def test_a_lost_url_has_to_be_sent_whole() -> None:
    world = World()
    made = await world.create(url=f"{URL}?key=CANARY", authorization="one")
    world.keys = (NEW,)
    assert (await refused(world.update(authorization="new"))).param == "url"
    assert (await refused(world.update(authorization="new", url=made["url"]))).param == "url"
    await world.update(authorization="new", url=f"{URL}?key=other")
    assert await world.headers() == {"authorization": "Bearer new"}
    await world.service.delete(ALICE, "a")


async def test_a_connector_without_secrets_loses_nothing() -> None:
    world = World()
    await world.create()
    world.keys = (NEW,)
    assert (await world.service.get(ALICE, "a")).problem is None


async def test_an_address_that_is_no_longer_let_through_is_not_asked() -> None:
    world = World()
    await world.create()
    world.policy = ServerPolicy(read, "listed", ("other.example.com",))
    error = await refused(world.registry.find(ALICE, "a"))
    assert error.param == "connector_id"
    shown = await world.service.get(ALICE, "a")
    assert shown.problem == error.message
    world.policy = ServerPolicy(read, "none")
    assert (await refused(world.create(connector_id="b"))).param == "url"
    assert await world.registry.find(ALICE, "tickets") is not None


# --- bad input -----------------------------------------------------------------------------------------------
_WRONG: list[tuple[dict[str, Any], str]] = [
    ({"connector_id": "a b"}, "connector_id"),
    ({"connector_id": "a\n"}, "connector_id"),
    ({"connector_id": "x" * 129}, "connector_id"),
    ({"connector_type": "api"}, "connector_type"),
    ({"url": ""}, "url"),
    ({"url": "ftp://x.com"}, "url"),
    ({"url": None}, "url"),
    ({"url": "https://x.com/" + "a" * 8192}, "url"),
    ({"transport": "websocket"}, "transport"),
    ({"transport": "stdio"}, "transport"),
    ({"command": ["CANARY"]}, "command"),
    ({"env": {"TOKEN": "CANARY"}}, "env"),
    ({"cwd": "/"}, "cwd"),
    ({"args": []}, "args"),
    ({"server_label": "-x"}, "server_label"),
    ({"server_description": "x" * 4097}, "server_description"),
    ({"authorization": ""}, "authorization"),
    ({"authorization": "CANARY 1"}, "authorization"),
    ({"authorization": 8_714_255}, "authorization"),
    ({"authorization": ["CANARY"]}, "authorization"),
    ({"authorization": "CANARY", "headers": {"Authorization": "CANARY"}}, "authorization"),
    ({"headers": {"Host": "CANARY"}}, "headers.Host"),
    ({"headers": {"mcp-session-id": "CANARY"}}, "headers.mcp-session-id"),
    ({"headers": {"x": "CANARY\r\nhost: y"}}, "headers.x"),
    ({"headers": {"x y": "CANARY"}}, "headers"),
    ({"headers": {"x": 8_714_255}}, "headers.x"),
    ({"headers": ["CANARY"]}, "headers"),
    ({"headers": {f"x{n}": "CANARY" for n in range(65)}}, "headers"),
    ({"headers": {f"x{n}": "CANARY" * 2000 for n in range(3)}}, "headers"),
    ({"authorization": "CANARY", "oauth": {}}, "oauth"),
    ({"headers": {"authorization": "CANARY"}, "oauth": {}}, "oauth"),
    ({"oauth": {"client_secret": "CANARY"}}, "oauth.client_secret"),
    ({"oauth": {"client_id": "x", "client_secret": "CANARY\n"}}, "oauth.client_secret"),
    ({"oauth": {"client_id": "x", "client_secret": 8_714_255}}, "oauth.client_secret"),
    ({"oauth": {"issuer": "nowhere"}}, "oauth.issuer"),
    ({"oauth": {"scopes": ["a b"]}}, "oauth.scopes[0]"),
    ({"oauth": {"token": "CANARY"}}, "oauth.token"),
    ({"metadata": {"a": 1}}, "metadata.a"),
    ({"tools": []}, "tools"),
    ({"updated_at": 1}, "updated_at"),
]


@pytest.mark.parametrize(("wrong", "param"), _WRONG)
async def test_what_is_malformed_is_refused_by_its_field_and_no_secret_is_repeated(
    wrong: dict[str, Any], param: str
) -> None:
    world = World()
    error = await refused(world.create(**wrong))
    assert error.param == param
    assert f"`{param}`" in error.message
    assert "CANARY" not in error.message
    assert "8714255" not in error.message
    assert await world.store.mcp.list_connectors(ALICE) == []


@pytest.mark.parametrize(("wrong", "param"), [one for one in _WRONG if "connector_id" not in one[0]][:-1])
async def test_an_update_is_held_to_the_same(wrong: dict[str, Any], param: str) -> None:
    world = World()
    await world.create()
    before = await world.stored()
    error = await refused(world.update(**wrong))
    assert error.param == param
    assert "CANARY" not in error.message
    assert await world.stored() == before


async def test_what_goes_together_is_looked_at_after_the_update() -> None:
    world = World()
    await world.create(authorization="one")
    assert (await refused(world.update(oauth={}))).param == "oauth"
    assert (await refused(world.update(headers={"Authorization": "x"}))).param == "authorization"
    assert (await world.update(oauth={}, authorization=None))["oauth"] is not None


def test_no_repr_shows_a_secret() -> None:
    body = CreateConnector(connector_id="a", url=f"{URL}?CANARY", authorization="CANARY")
    shown = [
        body,
        UpdateConnector(authorization="CANARY"),
        NewOAuth(client_id="x", client_secret="CANARY"),
        CONFIGURED,
        ConnectorOAuth(client_id="x", client_secret="CANARY"),
    ]
    assert "CANARY" not in repr(shown)
