"""The runtime of MCP tools over the real client and real servers: what its unit tests show with a scripted client."""

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial

import pytest

from antiphon.core.hosted_items import McpCall, McpElicitationRequest, McpHttpError, McpProtocolError
from antiphon.core.mcp import ElicitationAnswer
from antiphon.core.tools import McpTool
from antiphon.fetching.addresses import Reach
from antiphon.fetching.urls import Egress
from antiphon.mcp.client import SdkMcpClient
from antiphon.mcp_tools.addresses import ServerPolicy
from antiphon.ports import Owner
from tests.support.hostile_mcp import SECRET
from tests.support.mcp_servers import FLAVOURS
from tests.support.mcp_tools import PIXEL, digest
from tests.support.mcp_wire import Case
from tests.unit.mcp_tools_world import OWNER, Host, World, call_of, names, read, server, until

BOB = Owner("acme", "bob")
LOOPBACK = Egress(Reach.of(["127.0.0.0/8"]))


@pytest.fixture
async def world() -> AsyncIterator[World]:
    client = SdkMcpClient(LOOPBACK)
    world = World(policy=ServerPolicy(partial(read, egress=LOOPBACK), "any"), client=client)
    yield world
    await world.tools.aclose()
    await client.aclose()


def tools_of(case: Case, flavour: str = "mcp", token: str = "") -> McpTool:
    return server("desk", case.url(flavour), **({"authorization": token} if token else {}))


@pytest.mark.parametrize(("flavour", "number"), [("mcp", 1000), ("handshake", 200)])
async def test_the_tokens_of_two_users_never_cross(
    world: World, mcp_case: Case, flavour: str, number: int
) -> None:
    """Calls of both at once, over shared limits and pooled connections; the server says whose token it got."""
    users = [(OWNER, "token-of-ada"), (BOB, "token-of-bob")]

    async def one(at: int) -> None:
        owner, token = users[at % 2]
        item = await world.run("whoami", tool=tools_of(mcp_case, flavour, token), owner=owner)
        assert item.status == "completed", item.error
        assert json.loads(str(item.output))["authorization"] == digest(f"Bearer {token}")

    await asyncio.gather(*(one(at) for at in range(number)))
    assert mcp_case.calls("whoami") == number
    assert world.calls.servers.keys == world.calls.tenants.keys == 0


async def test_lists_of_many_at_once_are_one_request_for_each_user(world: World, mcp_case: Case) -> None:
    """Of a server that does not say how long its list holds; one of the stateless revision always does."""
    asked = [(owner, token) for owner in (OWNER, BOB) for token in ("one-token", "another")] * 10
    found = await asyncio.gather(
        *(world.list_tools(tools_of(mcp_case, "handshake", token), owner) for owner, token in asked)
    )
    assert all("whoami" in names(one.tools) and not one.error for one in found)
    assert mcp_case.count("tools/list") == 4
    await world.list_tools(tools_of(mcp_case, "handshake", "one-token"))
    assert mcp_case.count("tools/list") == 4


@pytest.mark.parametrize("flavour", ["handshake", "sse"])
async def test_a_server_that_says_its_tools_changed_is_listed_again(
    world: World, mcp_case: Case, flavour: str
) -> None:
    tool = tools_of(mcp_case, flavour)
    known = await world.list_tools(tool)
    assert not world.tools.outdated(OWNER, tool, known)
    await world.run("change_tools", '{"description": "adds up"}', tool=tool)
    async with asyncio.timeout(20):
        while not world.tools.outdated(OWNER, tool, known):  # noqa: ASYNC110 a port without an event: heard when it is heard
            await asyncio.sleep(0.01)
    again = await world.list_tools(tool)
    assert {"adds up"} == {one.description for one in again.tools if one.name == "add"}
    assert not world.tools.outdated(OWNER, tool, again)


async def test_results_of_every_kind(world: World, mcp_case: Case) -> None:
    tool = tools_of(mcp_case)
    shown = await world.run("document", tool=tool)
    parts = str(shown.output).split("\n\n")
    assert parts[:2] == ["see below", "[resource memo://note]\na note inside"]
    assert parts[2].startswith("[resource memo://blob: application/zip, 4 bytes; file file-")
    assert parts[3] == "[resource link https://example.com/report.pdf: report; the report]"
    assert (await world.run("picture", tool=tool)).status == "completed"
    assert (await world.run("nothing", tool=tool)).output == ""
    big = await world.run("big", '{"chars": 150000}', tool=tool)
    assert "100000 of 150000 characters" in str(big.output)
    kept = await world.kept()
    assert [len(data) for _, _, data in kept] == [4, len(PIXEL), 150_000]
    assert kept[1][1:] == ("image/png", PIXEL)
    unkept = await world.run("picture", tool=tool, host=Host(keeps=False))
    assert "not kept" in str(unkept.output)
    assert len(await world.kept()) == 3


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_a_question_is_answered_and_the_call_goes_on(
    world: World, mcp_case: Case, flavour: str
) -> None:
    tool = tools_of(mcp_case, flavour, "token-of-ada")
    done = await world.tools.run(OWNER, call_of("ask_name", "{}", tool), Host())
    assert isinstance(done.item, McpCall)
    assert done.item.status == "incomplete", done.item.error
    (ask,) = done.asks
    assert isinstance(ask, McpElicitationRequest)
    assert ask.requested_schema
    assert "token-of-ada" not in ask.encrypted_content
    answer = ElicitationAnswer(ask, "accept", {"name": "Ada"})
    stolen = await world.run("ask_name", tool=tool, owner=BOB, answer=answer)
    assert isinstance(stolen.error, McpProtocolError)
    item = await world.run("ask_name", tool=tool, answer=answer)
    assert item.output == "user said: accept Ada"


async def test_a_cancelled_run_is_cancelled_at_the_server(world: World, mcp_case: Case) -> None:
    task = asyncio.create_task(world.run("hold", tool=tools_of(mcp_case)))
    await asyncio.to_thread(mcp_case.wait_for, "the call", lambda seen: seen.holding == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.to_thread(mcp_case.wait_for, "its end", lambda seen: seen.cancelled == 1)
    await until(lambda: world.calls.servers.keys == world.calls.tenants.keys == 0)


async def test_a_private_address_is_refused_without_being_told(mcp_case: Case) -> None:
    client = SdkMcpClient(Egress())
    strict = World(client=client)
    found = await strict.list_tools(server("desk", "http://localhost:9/mcp"))
    await client.aclose()
    assert "server.egress.allow_private" in str(found.error)
    assert "127.0.0.1" not in str(found.error)
    assert "`desk`" in str(found.error)


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("401", McpHttpError(code=401, message="refused the credentials")),
        ("500", McpHttpError(code=500, message="answered with status 500")),
        ("abort", McpProtocolError(code=-32000, message="broke off")),
        ("garbage", McpProtocolError(code=-32700, message="")),
        ("error", McpProtocolError(code=-32000, message="out of order")),
        ("huge", McpProtocolError(code=-32050, message="holds more than")),
        ("redirect-other", McpProtocolError(code=-32050, message="redirects")),
        ("malformed", McpProtocolError(code=-32700, message="")),
        ("bad-image", McpProtocolError(code=-32700, message="base64")),
    ],
)
async def test_what_a_hostile_server_does_is_the_error_of_its_call_alone(
    world: World, hostile_mcp: Case, kind: str, error: McpHttpError | McpProtocolError
) -> None:
    tool = server("desk", hostile_mcp.url(f"call-{kind}"), authorization="token-of-ada")
    bad, good = await asyncio.gather(
        world.run("echo", '{"text": "x"}', tool=tool),
        world.run("echo", '{"text": "x"}', tool=server("fine", hostile_mcp.url("right"))),
    )
    assert isinstance(bad.error, McpHttpError | McpProtocolError)
    assert (type(bad.error), bad.error.code) == (type(error), error.code)
    assert "`desk`" in bad.error.message
    assert error.message in bad.error.message
    assert "token-of-ada" not in bad.error.message
    assert SECRET not in bad.error.message
    assert good.status == "completed"


async def test_a_server_that_echoes_the_token_shows_none(world: World, hostile_mcp: Case) -> None:
    tool = server("desk", hostile_mcp.url("call-secret"), authorization="token-of-ada")
    item = await world.run("echo", '{"text": "x"}', tool=tool)
    assert "***" in str(item.output)
    assert "token-of-ada" not in str(item.output)
