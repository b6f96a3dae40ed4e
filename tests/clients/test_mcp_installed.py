"""Clients in environments of their own with tools of an MCP server: Node's, AG2, llama-stack-client, Codex."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.program import Program
from tests.clients import test_ag2, test_codex, test_llama_stack
from tests.clients.installed import HERE, facts, node_environment, node_project
from tests.clients.mcp_world import ERASED, TOLD
from tests.clients.relay import Relay
from tests.support.mcp_servers import Case, McpServers

LIST = ["response.mcp_list_tools.in_progress", "response.mcp_list_tools.completed"]
BEGUN = [
    "response.mcp_call.in_progress",
    "response.mcp_call_arguments.delta",
    "response.mcp_call_arguments.done",
]


# --- Node ----------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def node_desk(mcp_servers: McpServers) -> Case:
    return mcp_servers.case()


@pytest.fixture(scope="module")
def node(
    cache: Path, tmp_path_factory: pytest.TempPathFactory, mcp_server: Program, node_desk: Case
) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("node")
    shutil.copy(HERE / "node" / "mcp.mjs", folder / "mcp.mjs")
    (folder / "node_modules").symlink_to(node_project(cache, HERE / "node"))
    command = ["node", "mcp.mjs", f"{mcp_server.url}/v1", node_desk.url()]
    return facts(command, cwd=folder, env=node_environment())


def test_openai_node(node: dict[str, Any]) -> None:
    seen = node["node"]
    assert seen["events"][:2] == LIST
    assert sorted(seen["events"][2:]) == sorted([*BEGUN, "response.mcp_call.completed"] * 2)
    assert seen["text"] == TOLD
    assert seen["items"] == ["mcp_list_tools", "reasoning", "mcp_call", "mcp_call", "message"]


def test_openai_node_approves_a_call_once(node: dict[str, Any]) -> None:
    seen = node["node"]
    assert seen["asked"] == {"status": "completed", "name": "erase", "arguments": '{"path":"notes.txt"}'}
    assert (seen["answered"], seen["call"]) == (ERASED, True)
    assert seen["again"]["status"] == 400
    assert seen["again"]["param"].endswith("approval_request_id")


def test_the_ai_sdk(node: dict[str, Any]) -> None:
    """It validates each item: `status` of calls has to be there, `error` of lists may not be null."""
    assert list(node["sdk"]) == ["whole", "whole, not stored", "streamed", "streamed, not stored"]
    for how, seen in node["sdk"].items():
        assert seen["errors"] == [], how
        assert seen["text"] == TOLD, how
        assert seen["results"] == [["mcp.add", "5"], ["mcp.hello", "hello"]], how
        assert seen["again"] == "You are welcome.", how


def test_the_ai_sdk_approves(node: dict[str, Any]) -> None:
    """It names the request by an `item_reference`, and sends the answer after it."""
    assert list(node["approved"]) == ["whole", "whole, denied", "streamed", "streamed, denied"]
    for how, seen in node["approved"].items():
        assert seen["asked"] == ["mcp.erase", {"path": "notes.txt"}], how
        assert seen["errors"] == [], how
        assert (seen["text"] == ERASED) == ("denied" not in how), how
        assert seen["results"] == int("denied" not in how), how


def test_no_call_was_made_that_nobody_approved(node: dict[str, Any], node_desk: Case) -> None:
    runs = [how for how in node["approved"] if "denied" not in how]
    assert node_desk.calls("erase") == len(runs) + 1


# --- AG2 -----------------------------------------------------------------------------------------------------
def test_agents_of_ag2(cache: Path, mcp_server: Program, desk: Case) -> None:
    """It sends its token as a header, and calls and lists back as they were."""
    command = [test_ag2.python(cache, "modern"), str(HERE / "ag2" / "mcp_tools.py")]
    seen = facts(command, f"{mcp_server.url}/v1", desk.url())
    assert seen.pop("version") == test_ag2.VERSIONS["modern"]
    assert list(seen) == ["whole", "streamed", "not stored"]
    for how, run in seen.items():
        assert run["said"] == [TOLD, "You are welcome."], how
        assert len(run["seen"]) == 6, how  # one list and two calls, each with what came of it
    assert {one["authorization"] for one in desk.headers("tools/call")} == {"Bearer secret-of-the-desk"}


# --- llama-stack-client --------------------------------------------------------------------------------------
@pytest.mark.parametrize("version", test_llama_stack.VERSIONS[1:])
def test_agents_of_llama_stack(cache: Path, mcp_server: Program, desk: Case, version: str) -> None:
    python, package = test_llama_stack.stack_client(cache, version)
    script = str(HERE / "llama_stack" / "mcp_flow.py")
    env = {**os.environ, "PYTHONPATH": str(package)}
    seen = facts([python, script], mcp_server.url, desk.url(), env=env)
    assert seen["client"] == version.partition("==")[2]
    assert (seen["text"], seen["again"]) == (TOLD, "You are welcome.")
    assert TOLD in seen["printed"]
    assert seen["items"] == [
        *("message", "mcp_list_tools", "reasoning", "mcp_call", "mcp_call", "message"),
        *("message", "message"),
    ]
    assert desk.count("tools/list") == 1


# --- Codex ---------------------------------------------------------------------------------------------------
@pytest.fixture
def relay(mcp_server: Program) -> Iterator[Relay]:
    with Relay(mcp_server.port) as running:
        yield running


def test_codex_calls_the_servers_of_its_configuration(
    cache: Path, relay: Relay, tmp_path: Path, desk: Case
) -> None:
    """It speaks MCP itself: the model gets the tools as functions in a namespace, and their outputs come as usual."""
    binary = test_codex.codex_binary(cache)
    codex = test_codex.installed(binary, tmp_path, relay, "coder", websockets=False)
    config = tmp_path / "codex" / "config.toml"
    config.write_text(f'{config.read_text()}\n[mcp_servers.desk]\nurl = "{desk.url()}"\n')
    events = codex.run(*test_codex.UNATTENDED, "Please add two and three.")
    (call,) = (
        one["item"]
        for one in events
        if one["type"] == "item.completed" and one["item"]["type"] == "mcp_tool_call"
    )
    assert (call["server"], call["tool"], call["status"]) == ("desk", "add", "completed")
    assert "5" in test_codex.last_message(events)
    assert desk.arguments("add") == [{"a": 2, "b": 3}]
