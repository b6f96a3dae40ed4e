"""Lists of tools of MCP servers: how long they are kept and for whom, who shares a request, what is taken of them."""

import asyncio

import msgspec
import pytest

from antiphon.core.errors import InvalidRequest
from antiphon.core.hosted_items import McpAuthorizationRequest, McpListTools
from antiphon.core.hosted_tools import AnyTool
from antiphon.core.tools import FunctionTool, McpTool
from antiphon.mcp_tools.addresses import Rule, ServerPolicy
from antiphon.mcp_tools.listings import Listings
from antiphon.mcp_tools.targets import OPENAIS_CONNECTORS
from antiphon.ports import Owner
from antiphon.ports.mcp import (
    Connector,
    Listing,
    McpHttpFailure,
    McpProtocolFailure,
    McpServer,
    McpUnreachable,
    OAuthSettings,
)
from tests.unit.mcp_tools_world import (
    OWNER,
    URL,
    ScriptedMcp,
    World,
    connected,
    listed,
    listing_of,
    names,
    read,
    server,
    until,
)

BOB = Owner("acme", "bob")
ELSEWHERE = Owner("other", "ada")


@pytest.fixture
def world() -> World:
    return World()


# --- what is kept --------------------------------------------------------------------------------------------
async def test_a_list_is_asked_for_once_while_it_holds(world: World) -> None:
    first = await world.list_tools()
    world.now = 299.0
    again = await world.list_tools()
    assert names(first.tools) == names(again.tools) == ["add", "hello"]
    assert len(world.client.listed) == 1
    world.now = 300.0
    await world.list_tools()
    assert len(world.client.listed) == 2


@pytest.mark.parametrize(("said", "holds_at"), [(10.0, 9.9), (1000.0, 999.0), (1e12, 86_399.0)])
async def test_a_list_holds_for_as_long_as_its_server_says_and_for_a_day_at_most(
    world: World, said: float, holds_at: float
) -> None:
    world.client.listing = holding(world.client.listing, said)
    await world.list_tools()
    world.now = holds_at
    await world.list_tools()
    assert len(world.client.listed) == 1
    world.now = min(said, 86_400.0)
    await world.list_tools()
    assert len(world.client.listed) == 2


@pytest.mark.parametrize("said", [0.0, -5.0])
async def test_a_list_that_does_not_hold_is_asked_for_each_time(world: World, said: float) -> None:
    world.client.listing = holding(world.client.listing, said)
    await world.list_tools()
    await world.list_tools()
    assert len(world.client.listed) == 2
    assert world.listings.kept_bytes == 0


def holding(listing: Listing, lifetime_s: float) -> Listing:
    return Listing(listing.tools, lifetime_s)


@pytest.mark.parametrize(
    ("tool", "owner"),
    [
        (server(), BOB),
        (server(), ELSEWHERE),
        (server(authorization="token-of-ada"), OWNER),
        (server(headers={"X-Token": "another"}), OWNER),
        (server(url=URL + "/2"), OWNER),
    ],
)
async def test_a_list_is_shared_with_nobody_who_asks_as_somebody_else(
    world: World, tool: McpTool, owner: Owner
) -> None:
    await world.list_tools()
    await world.list_tools(tool, owner)
    assert len(world.client.listed) == 2


async def test_names_of_headers_count_in_one_case(world: World) -> None:
    await world.list_tools(server(headers={"X-Token": "abc", "x-b": "1"}))
    await world.list_tools(server(headers={"X-B": "1", "x-token": "abc"}))
    assert len(world.client.listed) == 1


async def test_no_credential_is_held_by_the_keys_of_what_is_kept(world: World) -> None:
    await world.list_tools(server(authorization="token-of-ada"))
    held = repr(world.listings)
    assert "token-of-ada" not in held
    assert "token-of-ada" not in repr(world.client.listed)


def outdated(world: World, known: McpListTools, owner: Owner = OWNER) -> bool:
    return world.tools.outdated(owner, server(), known)


async def test_a_server_that_said_its_tools_changed_is_asked_again(world: World) -> None:
    known = await world.list_tools()
    assert not outdated(world, known)
    world.client.changed[URL] += 1
    assert outdated(world, known)
    assert not outdated(world, known, BOB)  # who has listed nothing has nothing that is out of date
    world.client.listing = Listing([listed("sub")])
    again = await world.list_tools()
    assert names(again.tools) == ["sub"]
    assert not outdated(world, again)


async def test_a_change_that_another_conversation_found_makes_a_list_outdated(world: World) -> None:
    known = await world.list_tools()
    world.now = 1000.0
    same = await world.list_tools()
    assert not outdated(world, same)
    world.client.listing = Listing([listed("add", description="does worse"), listed("hello"), listed("new")])
    world.now = 2000.0
    found = await world.list_tools()
    assert outdated(world, known)
    assert not outdated(world, found)
    some = msgspec.structs.replace(
        known, tools=known.tools[1:]
    )  # `allowed_tools` left the one out that changed
    assert not outdated(world, some)


async def test_a_server_is_heard_whichever_token_of_the_user_it_is_asked_with(world: World) -> None:
    """Tokens are renewed between the requests of a conversation, and each has connections of its own."""
    told: dict[str, int] = {}
    world.client.on_changes = lambda one: told.get(dict(one.headers).get("authorization", ""), 0)
    known = await world.list_tools(server(authorization="of-monday"))
    await world.run("add", tool=server(authorization="of-tuesday"))
    wednesday = server(authorization="of-wednesday")
    assert not world.tools.outdated(OWNER, wednesday, known)
    told["Bearer of-tuesday"] = 1
    assert world.tools.outdated(OWNER, wednesday, known)
    known = await world.list_tools(wednesday)
    assert not world.tools.outdated(OWNER, wednesday, known)
    for day in range(20):
        await world.run("add", tool=server(authorization=f"of-day-{day}"))
    told["Bearer of-day-19"] = 1
    assert world.tools.outdated(OWNER, wednesday, known)


async def test_what_a_server_says_after_a_restart_is_heard(world: World) -> None:
    known = await world.list_tools()
    again = World()
    assert not outdated(again, known)
    await again.run("add")
    again.client.changed[URL] += 1
    assert outdated(again, known)


async def test_a_change_during_the_request_makes_its_list_outdated(world: World) -> None:
    async def changing(_: McpServer) -> Listing:
        world.client.changed[URL] += 1
        return Listing([listed("add")])

    world.client.on_list = changing
    assert outdated(world, await world.list_tools())


async def test_what_is_kept_is_bounded_and_what_was_used_last_stays() -> None:
    client = ScriptedMcp()
    by_count = Listings(client, lambda: 0.0, 300.0, 20.0, max_lists=2)
    size = await kept_size()
    by_bytes = Listings(client, lambda: 0.0, 300.0, 20.0, max_bytes=2 * size)
    for listings in (by_count, by_bytes):
        client.listed.clear()
        for url in ("a", "b", "a", "c", "a", "b"):
            await listings.get(OWNER, server(), McpServer(OWNER, "s", url), lambda one: one.tools)
        assert [one.url for one in client.listed] == ["a", "b", "c", "b"]
        assert listings.kept_bytes == 2 * size


async def kept_size() -> int:
    listings = Listings(ScriptedMcp(), lambda: 0.0, 300.0, 20.0)
    await listings.get(OWNER, server(), McpServer(OWNER, "s", "a"), lambda one: one.tools)
    return listings.kept_bytes


async def test_a_list_that_is_larger_than_all_that_is_kept_is_not_kept() -> None:
    client = ScriptedMcp()
    listings = Listings(client, lambda: 0.0, 300.0, 20.0, max_bytes=10)
    for _ in range(2):
        await listings.get(OWNER, server(), McpServer(OWNER, "s", "a"), lambda one: one.tools)
    assert len(client.listed) == 2
    assert listings.kept_bytes == 0


# --- one request for all -------------------------------------------------------------------------------------
class Gate:
    """A server that answers when the test says so."""

    def __init__(self, world: World) -> None:
        self.open = asyncio.Event()
        self.cancelled = 0
        world.client.on_list = self

    async def __call__(self, _: McpServer) -> Listing:
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return Listing([listed("add")])


async def test_equal_lists_at_once_are_one_request(world: World) -> None:
    gate = Gate(world)
    tasks = [asyncio.create_task(world.list_tools()) for _ in range(50)]
    other = asyncio.create_task(world.list_tools(owner=BOB))
    await until(lambda: len(world.client.listed) == 2)
    gate.open.set()
    found = await asyncio.gather(*tasks, other)
    assert all(names(one.tools) == ["add"] for one in found)
    assert len(world.client.listed) == 2


async def test_who_is_cancelled_leaves_the_others_their_list(world: World) -> None:
    gate = Gate(world)
    first, second = (asyncio.create_task(world.list_tools()) for _ in range(2))
    await until(lambda: len(world.client.listed) == 1)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    gate.open.set()
    assert names((await second).tools) == ["add"]
    assert gate.cancelled == 0


async def test_with_the_last_one_the_request_is_cancelled_and_the_next_one_asks_anew(world: World) -> None:
    gate = Gate(world)
    tasks = [asyncio.create_task(world.list_tools()) for _ in range(3)]
    await until(lambda: len(world.client.listed) == 1)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await until(lambda: gate.cancelled == 1)
    gate.open.set()
    assert names((await world.list_tools()).tools) == ["add"]
    assert len(world.client.listed) == 2


async def test_a_failure_is_told_to_all_who_wait_and_not_kept(world: World) -> None:
    refusing = asyncio.Event()

    async def fails(_: McpServer) -> Listing:
        await refusing.wait()
        raise McpUnreachable("it is down")

    world.client.on_list = fails
    tasks = [asyncio.create_task(world.list_tools()) for _ in range(3)]
    await until(lambda: len(world.client.listed) == 1)
    refusing.set()
    found = await asyncio.gather(*tasks)
    assert {one.error for one in found} == {"MCP server `tools`: it is down"}
    world.client.on_list = None
    assert names((await world.list_tools()).tools) == ["add", "hello"]


async def test_lists_on_their_way_are_given_up_at_the_end(world: World) -> None:
    gate = Gate(world)
    task = asyncio.create_task(world.list_tools())
    await until(lambda: len(world.client.listed) == 1)
    await world.tools.aclose()
    assert gate.cancelled == 1
    assert "broke off" in str((await task).error)  # nobody cancelled this one


# --- what is taken of a list ---------------------------------------------------------------------------------
async def test_tools_that_cannot_be_shown_or_called_are_left_out(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    deep: dict[str, object] = {"type": "object"}
    for _ in range(70):
        deep = {"type": "object", "properties": {"a": deep}}
    world.client.listing = Listing(
        [
            listed("good", annotations={"readOnlyHint": True}),
            listed("good", description="another"),
            listed(""),
            listed("bell\x07"),
            listed("x" * 300),
            listed("array", input_schema={"type": "array"}),
            listed("odd", input_schema={"type": "object", "properties": {"a": {"type": "text"}}}),
            listed("far", input_schema={"type": "object", "properties": {"a": {"$ref": "https://e.com/s"}}}),
            listed("deep", input_schema=deep),
            listed("large", description="x" * 300_000),
            listed("bare", input_schema={}, description=None),
        ]
    )
    found = (await world.list_tools()).tools
    assert names(found) == ["good", "bare"]
    assert found[0].description == "does good"
    assert found[0].annotations == {"readOnlyHint": True}
    assert len(caplog.messages) == 9
    assert all("is left out" in one for one in caplog.messages)


async def test_more_tools_than_are_taken_are_no_list(world: World) -> None:
    world.client.listing = Listing([listed(f"t{at}") for at in range(513)])
    found = await world.list_tools()
    assert found.tools == []
    assert "513 tools; at most 512" in str(found.error)


async def test_definitions_show_neither_secrets_nor_control_characters(world: World) -> None:
    token = "s3cret-token-of-ada"
    world.client.listing = Listing(
        [
            listed(
                "add",
                description=f"takes\x1b[31m {token}",
                input_schema={
                    "type": "object",
                    "properties": {"a": {"description": f"Bearer {token}\ud800"}},
                },
                annotations={"title": token},
            )
        ]
    )
    found = await world.list_tools(server(authorization=token))
    shown = msgspec.json.encode(found).decode()
    assert token not in shown
    assert found.tools[0].description == "takes\ufffd[31m ***"
    assert found.tools[0].input_schema["properties"]["a"]["description"] == "***\ufffd"
    assert found.tools[0].annotations == {"title": "***"}


# --- failures ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (
            McpHttpFailure("answered with status 401", 401),
            "refused the credentials of this request (status 401)",
        ),
        (
            McpHttpFailure("answered with status 403", 403),
            "refused the credentials of this request (status 403)",
        ),
        (McpHttpFailure("answered with status 500", 500), "answered with status 500"),
        (McpUnreachable("did not answer in time"), "did not answer in time"),
        (McpProtocolFailure("has no tools", -32601), "has no tools"),
        (RuntimeError("hunter2-hunter2"), "an internal error"),
    ],
)
async def test_a_list_that_cannot_be_had_says_why_and_of_which_server(
    world: World, failure: Exception, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails(_: McpServer) -> Listing:
        raise failure

    world.client.on_list = fails
    found = await world.list_tools(server("my tools"))
    assert found.tools == []
    assert "`my tools`" in str(found.error)
    assert said in str(found.error)
    assert "hunter2" not in str(found.error) + caplog.text


async def test_a_cancelled_caller_is_cancelled(world: World) -> None:
    Gate(world)
    task = asyncio.create_task(world.list_tools())
    await until(lambda: len(world.client.listed) == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_inner_cancellation_is_a_failure_of_the_server(world: World) -> None:
    async def dies(_: McpServer) -> Listing:
        raise asyncio.CancelledError

    world.client.on_list = dies
    assert "broke off" in str((await world.list_tools()).error)


# --- which servers -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("rule", "tenant", "url", "allowed"),
    [
        ("any", "acme", "https://anything.example.org/mcp", True),
        ("any", "kept", "https://anything.example.org/mcp", False),
        ("any", "kept", "https://own.example.net/", True),
        ("listed", "acme", "https://mcp.example.com/mcp", True),
        ("listed", "acme", "https://MCP.Example.COM:8443/mcp", True),
        ("listed", "acme", "https://a.b.tools.example.com/", True),
        ("listed", "acme", "https://tools.example.com/", False),
        ("listed", "acme", "https://mcp.example.com.evil.example.org/", False),
        ("listed", "acme", "https://own.example.net/", False),
        ("listed", "kept", "https://mcp.example.com/", True),
        ("none", "acme", "https://mcp.example.com/", False),
        ("none", "kept", "https://own.example.net/", False),
        ("any", "acme", "http://127.0.0.1:9000/mcp", False),
        ("any", "acme", "https://user:pass@example.com/", False),
        ("any", "acme", "stdio:///bin/sh", False),
        ("any", "acme", "https://[::1]/", False),
        ("any", "acme", "https://0x7f000001/", False),
        (
            "any",
            "acme",
            "https://example.com:22/",
            True,
        ),  # the port is judged with the address, when it is known
        ("any", "acme", "not a url", False),
    ],
)
async def test_which_servers_a_request_may_name(rule: Rule, tenant: str, url: str, allowed: bool) -> None:
    policy = ServerPolicy(
        read, rule, ("mcp.example.com", "*.tools.example.com"), {"kept": ("own.example.net",)}
    )
    world = World(policy=policy)
    tools: list[AnyTool] = [FunctionTool(name="f"), server(url=url)]
    if allowed:
        await world.tools.check(Owner(tenant, "x"), tools)
        return
    with pytest.raises(InvalidRequest) as refused:
        await world.tools.check(Owner(tenant, "x"), tools)
    assert refused.value.param == "tools[1].server_url"
    assert "127.0.0.1" not in refused.value.message
    found = await world.list_tools(server(url=url), Owner(tenant, "x"))
    assert found.error
    assert not world.client.listed


@pytest.mark.parametrize("connector_id", sorted(OPENAIS_CONNECTORS))
async def test_connectors_of_openai_are_refused_by_name(world: World, connector_id: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await world.tools.check(OWNER, [connected(connector_id)])
    assert refused.value.param == "tools[0].connector_id"
    assert connector_id in refused.value.message
    world.connectors.known["acme", connector_id] = Connector(connector_id, McpServer(OWNER, "own", URL))
    await world.tools.check(OWNER, [connected(connector_id)])  # unless they are configured


async def test_a_foreign_connector_answers_as_an_unknown_one(world: World) -> None:
    world.connectors.known["acme", "desk"] = Connector("desk", McpServer(OWNER, "desk", URL))
    await world.tools.check(OWNER, [connected("desk")])
    said: list[str] = []
    for owner, connector_id in ((ELSEWHERE, "desk"), (OWNER, "dask")):
        with pytest.raises(InvalidRequest) as unknown:
            await world.tools.check(owner, [connected(connector_id)])
        assert unknown.value.param == "tools[0].connector_id"
        said.append(unknown.value.message.replace(connector_id, "*"))
        assert (await world.list_tools(connected(connector_id), owner)).error
    assert said[0] == said[1]
    assert not world.client.listed


async def test_what_a_connector_sends_wins_over_the_request_and_its_own_token_over_all(world: World) -> None:
    operators = McpServer(
        OWNER,
        "desk",
        "http://10.0.0.5/mcp",
        headers=(("Authorization", "Bearer operators"), ("X-Scope", "read")),
        trusted=True,
    )
    world.connectors.known["acme", "desk"] = Connector("desk", operators)
    await world.list_tools(connected(headers={"x-scope": "all", "X-More": "1"}), BOB)
    await world.list_tools(connected(authorization="of-bob"), BOB)
    await world.list_tools(connected(headers={"Authorization": "Basic of-bob"}), BOB)
    first, second, third = world.client.listed
    assert dict(first.headers) == {"authorization": "Bearer operators", "x-scope": "read", "x-more": "1"}
    assert dict(second.headers)["authorization"] == "Bearer of-bob"
    assert dict(third.headers)["authorization"] == "Basic of-bob"
    assert first.trusted
    assert first.owner == BOB
    assert first.url == "http://10.0.0.5/mcp"


# --- authorisation -------------------------------------------------------------------------------------------
@pytest.fixture
def desk(world: World) -> Connector:
    connector = Connector("desk", McpServer(OWNER, "desk", URL, trusted=True), oauth=OAuthSettings())
    world.connectors.known["acme", "desk"] = connector
    return connector


@pytest.mark.usefixtures("desk")
async def test_a_user_without_a_token_is_asked_to_authorise(world: World) -> None:
    done = await world.tools.list_tools(OWNER, listing_of(connected()))
    assert "needs the user's authorisation" in str(done.item.error)
    (ask,) = done.asks
    assert isinstance(ask, McpAuthorizationRequest)
    assert (ask.url, ask.connector_id) == ("https://login.example.com/desk", "desk")
    assert not world.client.listed
    world.authorizations.tokens["ada"] = "of-ada"
    assert names((await world.list_tools(connected())).tools) == ["add", "hello"]
    assert dict(world.client.listed[0].headers) == {"authorization": "Bearer of-ada"}


@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize(
    ("status", "challenge", "asks", "forgets"),
    [
        (401, 'Bearer error="invalid_token"', True, True),
        (403, 'Bearer error="insufficient_scope", scope="files:write"', True, False),
        (403, "", False, False),
        (500, "", False, False),
    ],
)
async def test_a_token_that_is_refused_is_asked_for_anew(
    world: World, status: int, challenge: str, asks: bool, forgets: bool
) -> None:
    async def refuses(_: McpServer) -> Listing:
        raise McpHttpFailure(f"answered with status {status}", status, challenge)

    world.client.on_list = refuses
    world.authorizations.tokens["ada"] = "of-ada"
    done = await world.tools.list_tools(OWNER, listing_of(connected()))
    assert bool(done.asks) == asks
    assert world.authorizations.begun == ([challenge] if asks else [])
    assert ("ada" not in world.authorizations.tokens) == forgets


@pytest.mark.usefixtures("desk")
async def test_a_token_of_the_request_is_the_users_own_affair(world: World) -> None:
    async def refuses(_: McpServer) -> Listing:
        raise McpHttpFailure("answered with status 401", 401, "Bearer")

    world.client.on_list = refuses
    done = await world.tools.list_tools(OWNER, listing_of(connected(authorization="mine")))
    assert not done.asks
    assert "refused the credentials" in str(done.item.error)


@pytest.mark.usefixtures("desk")
async def test_an_authorisation_that_cannot_be_begun_says_so(world: World) -> None:
    world.authorizations.failure = McpUnreachable("login.example.com did not answer in time")
    done = await world.tools.list_tools(OWNER, listing_of(connected()))
    assert not done.asks
    assert "cannot be authorised now: login.example.com did not answer in time" in str(done.item.error)
