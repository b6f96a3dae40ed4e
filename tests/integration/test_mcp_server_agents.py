"""`/mcp` of the program: stored agents that have names, as tools."""

from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any

import httpx2
import jsonschema_rs
import mcp_types as types
import pytest
from mcp.client.client import Client

from bench.program import Program, start_antiphon
from tests.integration.conftest import StartServer
from tests.integration.upstream import Upstream

Json = dict[str, Any]
HELPER: Json = {"model": "echo", "instructions": "Say it again.", "name": "helper"}
LOOKER: Json = {
    "model": "echo",
    "instructions": "",
    "name": "looker",
    "client_tools": [{"name": "look", "description": "", "input_schema": {"type": "object"}}],
}


class Agents:
    """The routes of agents of a program."""

    def __init__(self, program: Program, key: str = "none") -> None:
        self._url = f"{program.url}/v1/agents"
        self._headers = {"authorization": f"Bearer {key}"}

    def create(self, config: Json) -> str:
        return str(self.ask("POST", "", {"agent_config": config})["agent_id"])

    def ask(self, method: str, path: str, body: Json | None = None) -> Json:
        answer = httpx2.request(method, self._url + path, json=body, headers=self._headers, timeout=30)
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found

    def get(self, path: str) -> Json:
        return self.ask("GET", path)


@pytest.fixture
def agents(server: Program) -> Iterator[Agents]:
    """Those that a test makes go with it."""
    made = Agents(server)
    yield made
    for one in made.get("")["data"]:
        made.ask("DELETE", f"/{one['agent_id']}")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A server with a model that breaks off, and a tool group of an MCP server."""
    folder = tmp_path_factory.mktemp("own")
    with start_antiphon(folder, OWN + f'storage: {{url: "sqlite:///{folder}/antiphon.db"}}\n') as program:
        program.wait_ready()
        yield program


@asynccontextmanager
async def client(program: Program, mode: str = "auto", **more: Any) -> AsyncGenerator[Client]:
    async with Client(f"{program.url}/mcp", mode=mode, cache=None, **more) as made:
        yield made


def text(result: types.CallToolResult) -> str:
    return "\n".join(block.text for block in result.content if isinstance(block, types.TextContent))


def structured(result: types.CallToolResult) -> Json:
    found: Json | None = result.structured_content
    assert found is not None
    return found


async def names(made: Client) -> list[str]:
    return [one.name for one in (await made.list_tools()).tools if one.name.startswith("agent_")]


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_an_agent_answers_in_a_session_that_goes_on(
    server: Program, agents: Agents, upstream: Upstream, mode: str
) -> None:
    agent_id = agents.create(HELPER)
    agents.create({**HELPER, "name": None})
    async with client(server, mode) as made:
        [tool] = [one for one in (await made.list_tools()).tools if one.name.startswith("agent_")]
        assert tool.name == "agent_helper"
        assert "Say it again." in (tool.description or "")
        first = await made.call_tool(tool.name, {"message": "hello"})
        said = structured(first)
        assert tool.output_schema is not None
        jsonschema_rs.validator_for(tool.output_schema).validate(said)
        assert (said["text"], said["status"]) == ("You said: hello", "completed")
        assert text(first).startswith("You said: hello")
        assert said["session_id"] in text(first)
        second = await made.call_tool(tool.name, {"message": "and?", "session_id": said["session_id"]})
    assert structured(second)["session_id"] == said["session_id"]
    told = upstream.seen.requests[-1]["messages"]
    assert [one["content"] for one in told] == ["Say it again.", "hello", "You said: hello", "and?"]
    session = agents.get(f"/{agent_id}/session/{said['session_id']}")
    assert [one["turn_id"] for one in session["turns"]] == [
        structured(one)["turn_id"] for one in (first, second)
    ]


async def test_names_become_names_of_tools_and_the_newest_of_a_name_counts(
    server: Program, agents: Agents, upstream: Upstream
) -> None:
    for name in ("my agent!", "my agent?", "x" * 100, "helper"):
        agents.create({**HELPER, "name": name})
    agents.create({**HELPER, "instructions": "Newer."})
    async with client(server) as made:
        found = await names(made)
        assert len(set(found)) == 4
        assert [len(one) for one in found if "xxx" in one] == [64]
        mine = [one for one in found if "my_agent" in one]
        assert mine[0] == "agent_my_agent_"
        assert mine[1].startswith("agent_my_agent__")
        await made.call_tool("agent_helper", {"message": "hello"})
        for one in found:
            assert structured(await made.call_tool(one, {"message": "hello"}))["text"] == "You said: hello"
    assert any(one["messages"][0]["content"] == "Newer." for one in upstream.seen.requests)


async def test_agents_whose_tools_are_for_their_client_are_not_offered(
    server: Program, agents: Agents
) -> None:
    agents.create(LOOKER)
    async with client(server) as made:
        assert await names(made) == []
        with pytest.raises(Exception, match="no tool"):
            await made.call_tool("agent_looker", {"message": "hello"})


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "message"),
        ({"message": ""}, "message"),
        ({"message": 7}, "message"),
        ({"message": ["hello"]}, "message"),
        ({"message": "hello", "session_id": ""}, "session_id"),
        ({"message": "hello", "session_id": "x" * 300}, "session_id"),
        ({"message": "hello", "session_id": "none"}, "there is no session"),
        ({"message": "hello", "more": 1}, "more"),
    ],
)
async def test_what_cannot_be_said_names_the_argument(
    server: Program, agents: Agents, arguments: Json, says: str
) -> None:
    agent_id = agents.create(HELPER)
    async with client(server) as made:
        result = await made.call_tool("agent_helper", arguments)
    assert result.is_error
    assert says in text(result)
    assert agents.get(f"/{agent_id}/sessions")["data"] == []


async def test_a_turn_that_never_began_leaves_no_session(server: Program, agents: Agents) -> None:
    agent_id = agents.create({**HELPER, "model": "fails-401"})
    async with client(server) as made:
        result = await made.call_tool("agent_helper", {"message": "hello"})
    assert result.is_error
    assert "sk-upstream-secret" not in text(result)
    assert agents.get(f"/{agent_id}/sessions")["data"] == []


async def test_an_answer_that_was_cut_says_so(server: Program, agents: Agents) -> None:
    agents.create({**HELPER, "model": "cut"})
    async with client(server) as made:
        result = await made.call_tool("agent_helper", {"message": "hello"})
    assert not result.is_error
    assert "was cut" in text(result)


async def test_a_client_that_wants_progress_is_told_of_items(server: Program, agents: Agents) -> None:
    agents.create(HELPER)
    heard: list[str | None] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        del progress, total
        heard.append(message)

    async with client(server) as made:
        result = await made.call_tool("agent_helper", {"message": "hello"}, progress_callback=hear)
    assert structured(result)["text"] == "You said: hello"
    assert heard == ["message"]


async def test_a_session_that_is_not_stored_goes_on_too(server: Program, agents: Agents) -> None:
    agents.create({**HELPER, "enable_session_persistence": False})
    async with client(server) as made:
        first = structured(await made.call_tool("agent_helper", {"message": "hello"}))
        again = {"message": "and?", "session_id": first["session_id"]}
        second = structured(await made.call_tool("agent_helper", again))
    assert second["session_id"] == first["session_id"]


def test_a_turn_that_failed_says_so_and_where_it_is(own: Program) -> None:
    agents = Agents(own)
    agent_id = agents.create({**HELPER, "model": "breaker", "name": "breaker"})
    result = _post(own, "tools/call", name="agent_breaker", arguments={"message": "hello"})["result"]
    assert result["isError"] is True
    said = result["structuredContent"]
    assert said["status"] == "failed"
    turn = agents.get(f"/{agent_id}/session/{said['session_id']}/turn/{said['turn_id']}")
    assert turn["status"] == "failed"
    assert said["session_id"] in result["content"][-1]["text"]


@pytest.mark.parametrize(("group", "offered"), [("builtin::rag", True), ("mcp::desk", False)])
def test_another_server_is_offered_only_agents_that_lead_no_further(
    own: Program, group: str, offered: bool
) -> None:
    name = f"agent_{group.partition('::')[2]}"
    Agents(own).create(
        {**HELPER, "model": "breaker", "name": group.partition("::")[2], "toolgroups": [group]}
    )
    for hop, there in (({}, True), ({"antiphon-hop": "1"}, offered)):
        listed = _post(own, "tools/list", hop)["result"]["tools"]
        assert (name in [one["name"] for one in listed]) is there
        called = _post(own, "tools/call", hop, name=name, arguments={"message": ""})
        assert ("result" in called) is there


def test_agents_are_for_their_tenant_and_sessions_for_who_began_them(start_server: StartServer) -> None:
    server = start_server(KEYS)
    Agents(server, "sk-ann").create(HELPER)

    def ask(key: str, **arguments: str) -> Json:
        said = {"name": "agent_helper", "arguments": {"message": "hello", **arguments}}
        headers = {"authorization": f"Bearer {key}"}
        answer = httpx2.post(
            f"{server.url}/mcp", json=_call("tools/call", **said), headers=headers, timeout=30
        )
        body: Json = answer.json()
        return body

    mine = ask("sk-ann")["result"]["structuredContent"]["session_id"]
    assert ask("sk-bob")["result"]["isError"] is False
    assert ask("sk-bob", session_id=mine)["result"]["isError"] is True
    assert ask("sk-ann", session_id=mine)["result"]["isError"] is False
    assert ask("sk-eve")["error"]["code"] == -32602


def _call(method: str, **params: Any) -> Json:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


def _post(program: Program, method: str, headers: Mapping[str, str] | None = None, **params: Any) -> Json:
    answer = httpx2.post(
        f"{program.url}/mcp", json=_call(method, **params), headers=dict(headers or {}), timeout=30
    )
    body: Json = answer.json()
    return body


OWN = """\
version: 2
tool_groups:
- {toolgroup_id: "mcp::desk", provider_id: model-context-protocol, mcp_endpoint: {uri: "http://127.0.0.1:9/mcp"}}
providers:
  inference:
  - provider_id: scripted
    provider_type: inline::scripted
    config: {models: [{name: breaker, rules: [{reply: [{text: Once}, {fail: {kind: drop}}]}]}]}
"""
KEYS = f"""\
server:
  auth:
    keys:
    - {{name: ann, hash: "sha256:{sha256(b"sk-ann").hexdigest()}", tenant: acme}}
    - {{name: bob, hash: "sha256:{sha256(b"sk-bob").hexdigest()}", tenant: acme}}
    - {{name: eve, hash: "sha256:{sha256(b"sk-eve").hexdigest()}", tenant: other}}
"""
