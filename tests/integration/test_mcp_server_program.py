"""`/mcp` of the program: files, responses, a server without keys and one that is not asked to serve it."""

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import jsonschema_rs
import mcp_types as types
import openai
import pytest
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client

from antiphon.in_process.server import EmbeddedServer
from bench.program import Program
from tests.integration.conftest import StartServer
from tests.integration.upstream import Seen, Upstream

MODES = ("legacy", "auto")


@asynccontextmanager
async def client(program: Program, mode: str = "auto", **more: Any) -> AsyncGenerator[Client]:
    async with Client(f"{program.url}/mcp", mode=mode, cache=None, **more) as made:
        yield made


async def unheard(progress: float, total: float | None, message: str | None) -> None:
    """Progress that is asked for and not looked at."""


def texts(result: types.CallToolResult) -> list[str]:
    return [block.text for block in result.content if isinstance(block, types.TextContent)]


def text(result: types.CallToolResult) -> str:
    block = result.content[0]
    assert isinstance(block, types.TextContent)
    return block.text


@pytest.fixture(scope="module")
def library(server: Program) -> Iterator[str]:
    """A vector store of two files."""
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none") as own:
        store = own.vector_stores.create(name="Norway", description="Water and rock")
        for name, content in (
            ("fjords.md", b"The Sognefjord is the deepest fjord."),
            ("lakes.txt", b"The Mjosa."),
        ):
            put = own.vector_stores.files.upload_and_poll(vector_store_id=store.id, file=(name, content))
            assert put.status == "completed", put.last_error
        yield store.id
        own.vector_stores.delete(store.id)


@pytest.mark.parametrize("mode", MODES)
async def test_results_follow_the_schemas_that_the_tools_declare(
    server: Program, library: str, mode: str
) -> None:
    async with client(server, mode) as made:
        tools = {one.name: one for one in (await made.list_tools()).tools}
        calls: dict[str, dict[str, Any]] = {
            "file_search": {"query": "deepest fjord", "vector_store_ids": [library]},
            "list_vector_stores": {},
            "create_response": {"model": "scripted/demo", "input": "hello"},
        }
        for name, arguments in calls.items():
            jsonschema_rs.validator_for(tools[name].input_schema).validate(arguments)
            result = await made.call_tool(name, arguments)
            assert not result.is_error
            schema = tools[name].output_schema
            assert schema is not None
            jsonschema_rs.validator_for(schema).validate(result.structured_content)
            assert tools[name].annotations is not None


async def test_what_is_found_has_its_file_and_its_score(server: Program, library: str) -> None:
    async with client(server) as made:
        result = await made.call_tool("file_search", {"query": "Which fjord is the deepest?"})
        listed = await made.call_tool("list_vector_stores", {"limit": 100})
        unknown = await made.call_tool("file_search", {"query": "x", "vector_store_ids": ["vs_nope"]})
    assert result.structured_content is not None
    best = result.structured_content["results"][0]
    assert (best["filename"], best["vector_store_id"]) == ("fjords.md", library)
    assert "Sognefjord" in text(result)
    assert listed.structured_content is not None
    [store] = [one for one in listed.structured_content["vector_stores"] if one["id"] == library]
    assert (store["name"], store["description"], store["files"]) == ("Norway", "Water and rock", 2)
    assert unknown.is_error
    assert "vs_nope" in text(unknown)


@pytest.mark.parametrize("mode", MODES)
async def test_a_response_searches_and_goes_on_from_the_one_before(
    server: Program, library: str, mode: str
) -> None:
    steps: list[str | None] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        del progress, total
        steps.append(message)

    async with client(server, mode) as made:
        asked = {
            "model": "scripted/demo",
            "input": "Which fjord is the deepest?",
            "vector_store_ids": [library],
        }
        first = await made.call_tool("create_response", asked, progress_callback=hear)
        assert first.structured_content is not None
        assert "Sognefjord" in text(first)
        assert steps == ["file_search_call", "message"]
        again = {
            "model": "scripted/demo",
            "input": "And now?",
            "instructions": "Be brief.",
            "previous_response_id": first.structured_content["response_id"],
        }
        second = await made.call_tool("create_response", again)
        assert second.structured_content is not None
        assert second.structured_content["status"] == "completed"
    async with httpx2.AsyncClient() as http:
        stored = await http.get(f"{server.url}/v1/responses/{second.structured_content['response_id']}")
    assert stored.json()["previous_response_id"] == first.structured_content["response_id"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "`input`"),
        ({"input": ""}, "`input`"),
        ({"input": ["x"]}, "`input`"),
        ({"input": "x"}, "`model`"),
        ({"input": "x", "model": "nope"}, '"nope"'),
        ({"input": "x", "model": "scripted/demo", "temperature": 1}, "`temperature`"),
        ({"input": "x", "model": "scripted/demo", "previous_response_id": "resp_nope"}, "resp_nope"),
        ({"input": "x", "model": "scripted/demo", "vector_store_ids": ["vs_nope"]}, "vs_nope"),
        ({"input": "x", "model": "scripted/demo", "connector_ids": ["nope"]}, '"nope"'),
    ],
)
async def test_a_response_that_cannot_be_is_refused_in_words(
    server: Program, arguments: dict[str, Any], says: str
) -> None:
    async with client(server) as made:
        result = await made.call_tool("create_response", arguments)
    assert result.is_error
    assert says in text(result)


async def test_a_response_that_fails_says_so(server: Program) -> None:
    async with client(server) as made:
        for model, says in [("up/fails-400", "temperature is no good"), ("up/fails-429", "slow down")]:
            result = await made.call_tool("create_response", {"model": model, "input": "x"})
            assert result.is_error
            assert says in text(result)
        asked = {"model": "up/breaks", "input": "x"}
        broken = await made.call_tool("create_response", asked, progress_callback=unheard)
        assert broken.is_error
        assert broken.structured_content is not None
        assert broken.structured_content["status"] == "failed"
        assert "The response failed" in "".join(texts(broken))
        cut = await made.call_tool("create_response", {"model": "up/cut", "input": "x"})
        assert not cut.is_error
        assert "The response is incomplete: max_output_tokens." in texts(cut)


@pytest.mark.parametrize("mode", MODES)
async def test_cancelling_a_response_cancels_its_model_call(
    server: Program, upstream: Upstream, mode: str
) -> None:
    asked_before, closed_before = len(upstream.seen.requests), upstream.seen.closed_by_client

    def is_asked(seen: Seen) -> bool:
        return len(seen.requests) > asked_before

    def is_closed(seen: Seen) -> bool:
        return seen.closed_by_client > closed_before

    async with client(server, mode) as made:
        arguments = {"model": "up/endless-whole", "input": "x"}
        asking = asyncio.create_task(made.call_tool("create_response", arguments))
        await asyncio.to_thread(upstream.wait_for, "a call that hangs", is_asked)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await asyncio.to_thread(upstream.wait_for, "the call closed", is_closed)
        assert (await made.list_tools()).tools


def test_the_server_is_not_there_where_it_is_not_wanted(start_server: StartServer) -> None:
    program = start_server("mcp: {serve: false}")
    body = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    for path in ("/mcp", "/mcp/"):
        answer = httpx2.post(f"{program.url}{path}", json=body)
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "not_found"
    assert "/mcp" not in httpx2.get(f"{program.url}/openapi.json").json()["paths"]


def test_the_path_may_end_in_a_slash_and_is_in_the_document(server: Program) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    for path in ("/mcp", "/mcp/"):
        answer = httpx2.post(f"{server.url}{path}", json=body)
        assert answer.json() == {"jsonrpc": "2.0", "id": 1, "result": {}}
        assert answer.headers["x-request-id"].startswith("req_")
    assert set(httpx2.get(f"{server.url}/openapi.json").json()["paths"]["/mcp"]) == {"post", "delete"}


async def test_a_server_in_this_process_is_one_too(embedded_server: EmbeddedServer) -> None:
    transport = embedded_server.async_transport("httpx2")
    url = embedded_server.base_url.replace("/v1", "/mcp")
    async with (
        httpx2.AsyncClient(transport=transport) as http,
        Client(streamable_http_client(url, http_client=http), cache=None) as made,
    ):
        asked = {"model": "scripted/demo", "input": "Hello"}
        assert "Hello" in text(await made.call_tool("create_response", asked))


def test_a_page_of_another_site_gets_nothing_from_a_server_without_keys(server: Program) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).encode()
    for headers in ({"origin": "https://evil.example"}, {"host": "evil.example"}):
        answer = httpx2.post(f"{server.url}/mcp", content=body, headers=headers)
        assert answer.status_code == 403
