"""Tools of connectors through our MCP server: real servers behind it, the official client before it, over HTTP."""

import asyncio
import base64
import hashlib
import json
import socket
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import aiohttp
import httpx2
import mcp_types as types
import pytest
from mcp.client.client import Client
from mcp.client.context import ClientRequestContext
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from bench.program import Program, start_antiphon
from tests.support.mcp_servers import McpServers
from tests.support.mcp_tools import BEEP, PIXEL
from tests.support.mcp_wire import Case, Events
from tests.support.oauth_server import OAuthCase, OAuthServers

MODES = ("legacy", "auto")
KEYS = {"ann": "sk-ann", "bob": "sk-bob", "eve": "sk-eve"}


def a_dead_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def configuration(case: Case, notes: OAuthCase, folder: Any) -> str:
    def digest(text: str) -> str:
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"

    return f"""\
version: 2
server:
  egress: {{allow_private: ["127.0.0.0/8"]}}
  auth:
    keys:
    - {{name: ann, hash: "{digest("sk-ann")}", tenant: acme}}
    - {{name: bob, hash: "{digest("sk-bob")}", tenant: acme}}
    - {{name: eve, hash: "{digest("sk-eve")}", tenant: other}}
mcp: {{servers: any, connect_timeout_s: 2, list_timeout_s: 2, call_timeout_s: 5, max_output_chars: 2000}}
connectors:
- {{connector_id: desk, url: "{case.url("mcp")}", authorization: "desk-secret-token", tenants: [acme]}}
- {{connector_id: old.desk, url: "{case.url("handshake")}", tenants: [acme]}}
- {{connector_id: notes, url: "{notes.mcp}", oauth: {{}}, tenants: [acme]}}
- {{connector_id: down, url: "http://127.0.0.1:{a_dead_port()}/mcp"}}
providers:
  inference:
  - provider_id: scripted
    provider_type: inline::scripted
storage: {{url: "sqlite:///{folder}/antiphon.db"}}
"""


@pytest.fixture(scope="module")
def case(mcp_servers: McpServers) -> Case:
    return mcp_servers.case()


@pytest.fixture(scope="module")
def notes() -> Iterator[OAuthCase]:
    """A server whose users authorise each for themselves."""
    with OAuthServers() as servers:
        yield servers.case()


@pytest.fixture(scope="module")
def program(case: Case, notes: OAuthCase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("mcp-server")
    with start_antiphon(folder, configuration(case, notes, folder)) as running:
        running.wait_ready()
        yield running


@asynccontextmanager
async def client(
    program: Program, mode: str = "auto", who: str = "ann", **more: Any
) -> AsyncGenerator[Client]:
    headers = {"authorization": f"Bearer {KEYS[who]}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=30) as http,
        Client(
            streamable_http_client(f"{program.url}/mcp", http_client=http), mode=mode, cache=None, **more
        ) as made,
    ):
        yield made


def texts(result: types.CallToolResult) -> list[str]:
    return [block.text for block in result.content if isinstance(block, types.TextContent)]


@pytest.mark.parametrize("mode", MODES)
async def test_tools_of_connectors_are_listed_by_their_names_and_called(program: Program, mode: str) -> None:
    async with client(program, mode) as ann:
        tools = {one.name: one for one in (await ann.list_tools()).tools}
        assert {"file_search", "create_response", "desk__add", "old_desk__add"} <= tools.keys()
        assert not any(name.startswith("down") for name in tools)
        assert tools["desk__add"].description == "Add two numbers."
        assert tools["desk__add"].input_schema["required"] == ["a", "b"]
        assert tools["desk__add"].annotations is not None
        assert tools["desk__add"].annotations.read_only_hint is True
        assert tools["desk__erase"].annotations is not None
        assert tools["desk__erase"].annotations.destructive_hint is True
        for name in ("desk__add", "old_desk__add"):
            assert texts(await ann.call_tool(name, {"a": 2, "b": 3})) == ["5"]
        assert texts(await ann.call_tool("desk__hello")) == ["hello"]
        assert texts(await ann.call_tool("desk__total", {"numbers": [1, 2.5]})) == ["3.5"]


async def test_the_credentials_are_those_of_the_connector_and_not_the_callers(
    program: Program, case: Case
) -> None:
    async with client(program) as ann:
        shown = (await ann.call_tool("desk__whoami")).structured_content
    assert shown is not None
    expected = hashlib.sha256(b"Bearer desk-secret-token").hexdigest()[:16]
    assert shown["authorization"] == expected
    assert all(KEYS["ann"] not in json.dumps(dict(one)) for one in case.headers("tools/call"))


async def test_other_tenants_see_and_call_none_of_them(program: Program) -> None:
    async with client(program, who="eve") as eve:
        names = [one.name for one in (await eve.list_tools()).tools]
        assert sorted(names) == ["create_response", "file_search", "list_vector_stores"]
        with pytest.raises(MCPError, match="there is no tool"):
            await eve.call_tool("desk__add", {"a": 1, "b": 2})


async def test_results_come_as_the_server_gave_them(program: Program) -> None:
    async with client(program) as ann:
        [picture] = (await ann.call_tool("desk__picture")).content
        [sound] = (await ann.call_tool("desk__sound")).content
        document = (await ann.call_tool("desk__document")).content
        forecast = await ann.call_tool("desk__forecast", {"city": "Oslo"})
        nothing = await ann.call_tool("desk__nothing")
    assert isinstance(picture, types.ImageContent)
    assert (picture.mime_type, base64.b64decode(picture.data)) == ("image/png", PIXEL)
    assert isinstance(sound, types.AudioContent)
    assert base64.b64decode(sound.data) == BEEP
    assert [one.type for one in document] == ["text", "resource", "resource", "resource_link"]
    link = document[3]
    assert isinstance(link, types.ResourceLink)
    assert (link.name, link.uri) == ("report", "https://example.com/report.pdf")
    assert forecast.structured_content == {"city": "Oslo", "degrees": 21.5, "days": ["Mon", "Tue"]}
    assert nothing.content == []
    assert not nothing.is_error


async def test_results_are_bounded_and_say_so(program: Program) -> None:
    async with client(program) as ann:
        result = await ann.call_tool("desk__big", {"chars": 5000})
    first, note, *_ = texts(result)
    assert len(first) == 2000
    assert "3000 more characters" in note
    assert result.structured_content is None


@pytest.mark.parametrize(
    ("tool", "says"),
    [("fails", "the disk is full"), ("breaks", "out of order"), ("add", "Field required")],
)
async def test_what_fails_there_is_a_result_that_says_so(program: Program, tool: str, says: str) -> None:
    async with client(program) as ann:
        result = await ann.call_tool(f"desk__{tool}")
    assert result.is_error
    assert says in "".join(texts(result))


async def test_a_connector_that_is_down_says_so_when_it_is_called(program: Program) -> None:
    async with client(program) as ann:
        result = await ann.call_tool("down__add")
        with pytest.raises(MCPError, match="there is no tool"):
            await ann.call_tool("desk__nope")
    assert result.is_error
    assert "`down`" in "".join(texts(result))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("tool", ["desk__ask_name", "old_desk__ask_name"])
async def test_questions_of_either_generation_reach_users_of_either(
    program: Program, mode: str, tool: str
) -> None:
    asked: list[Any] = []

    async def answer(_: ClientRequestContext, params: Any) -> types.ElicitResult:
        asked.append(params)
        return types.ElicitResult(action="accept", content={"name": "Ada"})

    async with client(program, mode, elicitation_callback=answer) as ann:
        assert texts(await ann.call_tool(tool)) == ["user said: accept Ada"]
    assert [one.message for one in asked] == ["Who are you?"]


@pytest.mark.parametrize("mode", MODES)
async def test_two_questions_in_a_row_are_both_answered(program: Program, mode: str) -> None:
    async def answer(_: ClientRequestContext, params: Any) -> types.ElicitResult:
        content: Any = {"name": "Ada"} if params.message == "Who are you?" else {"sure": True}
        return types.ElicitResult(action="accept", content=content)

    async with client(program, mode, elicitation_callback=answer) as ann:
        assert texts(await ann.call_tool("desk__ask_twice", {"item": "tea"})) == ["Ada orders tea: True"]


@pytest.mark.parametrize("mode", MODES)
async def test_an_answer_that_does_not_fit_the_form_never_reaches_the_server(
    program: Program, case: Case, mode: str
) -> None:
    async def answer(_: ClientRequestContext, params: Any) -> types.ElicitResult:
        del params
        return types.ElicitResult(action="accept", content={"name": "x" * 41})

    before = case.seen.calls["ask_name done"]
    async with client(program, mode, elicitation_callback=answer) as ann:
        result = await ann.call_tool("desk__ask_name")
    assert result.is_error
    assert "`answer.content.name`" in "".join(texts(result))
    assert case.seen.calls["ask_name done"] == before


@pytest.mark.parametrize("mode", MODES)
async def test_a_client_without_a_user_cancels_the_question(program: Program, mode: str) -> None:
    async with client(program, mode) as ann:
        assert texts(await ann.call_tool("desk__ask_name")) == ["user said: cancel"]


async def test_a_server_gets_no_model_here(program: Program) -> None:
    async with client(program) as ann:
        result = await ann.call_tool("desk__summarize", {"text": "long"})
    assert result.is_error


def has_cancelled(least: int, seen: Events) -> bool:
    return seen.cancelled >= least


async def test_cancelling_reaches_the_server_behind(program: Program, case: Case) -> None:
    for mode in MODES:
        before = case.seen.cancelled
        async with client(program, mode) as ann:
            calling = asyncio.create_task(ann.call_tool("desk__hold"))
            await asyncio.to_thread(case.wait_for, "a call that holds", lambda seen: seen.holding == 1)
            calling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await calling
            await asyncio.to_thread(case.wait_for, "the call cancelled", partial(has_cancelled, before + 1))
            assert texts(await ann.call_tool("desk__hello")) == ["hello"]


async def test_many_users_at_once_get_their_own_answers(program: Program) -> None:
    async with client(program) as ann, client(program, "legacy", "bob") as bob:
        calls = [one.call_tool("desk__add", {"a": n, "b": 1}) for n in range(40) for one in (ann, bob)]
        answers = await asyncio.gather(*calls)
    assert [texts(one) for one in answers] == [[str(n + 1)] for n in range(40) for _ in "ab"]


async def test_a_server_that_is_a_connector_of_itself_does_not_go_round_in_circles(
    program: Program, case: Case
) -> None:
    headers = {"authorization": "Bearer sk-ann"}
    async with httpx2.AsyncClient(headers=headers, timeout=30) as http:
        body = {"connector_id": "me", "url": f"{program.url}/mcp", "authorization": "sk-ann"}
        made = await http.post(f"{program.url}/v1/connectors", json=body)
        assert made.status_code == 200, made.text
        try:
            async with client(program) as ann:
                names = [one.name for one in (await ann.list_tools()).tools if one.name.startswith("me__")]
                assert sorted(names) == ["me__create_response", "me__file_search", "me__list_vector_stores"]
                assert not (await ann.call_tool("me__file_search", {"query": "anything"})).is_error
                arguments = {"input": "hello", "connector_ids": ["me"]}
                refused = await ann.call_tool("me__create_response", arguments)
                assert refused.is_error
                assert "`connector_ids`" in "".join(texts(refused))
        finally:
            await http.delete(f"{program.url}/v1/connectors/me")


async def grant(url: str, user: str) -> None:
    """Open the page as this user's browser does, and go where it sends."""
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True), cookies={"user": user}) as browser,
        browser.get(url) as answer,
    ):
        assert answer.status == 200, await answer.text()


async def test_each_user_authorises_for_themselves_and_their_tools_are_there(program: Program) -> None:
    async def in_the_browser(_: ClientRequestContext, params: Any) -> types.ElicitResult:
        await grant(params.url, "bob")
        return types.ElicitResult(action="accept")

    async with client(program, "legacy", elicitation_callback=in_the_browser) as ann:
        names = [one.name for one in (await ann.list_tools()).tools if one.name.startswith("notes__")]
        assert names == ["notes__authorize"]
        with pytest.raises(MCPError) as needed:
            await ann.call_tool("notes__authorize")
        assert needed.value.code == -32042
        data = types.ElicitationRequiredErrorData.model_validate(needed.value.data)
        await grant(data.elicitations[0].url, "ann")
        names = [one.name for one in (await ann.list_tools()).tools if one.name.startswith("notes__")]
        assert "notes__whoami" in names
        assert "notes__authorize" not in names
        assert texts(await ann.call_tool("notes__whoami")) == ["you are ann"]
        async with client(program, "auto", "bob", elicitation_callback=in_the_browser) as bob:
            assert texts(await bob.call_tool("notes__whoami")) == ["you are bob"]
        assert texts(await ann.call_tool("notes__whoami")) == ["you are ann"]
    async with client(program, who="eve") as eve:
        with pytest.raises(MCPError, match="there is no tool"):
            await eve.call_tool("notes__authorize")
