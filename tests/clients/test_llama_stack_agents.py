"""llama-stack-client with the Agents API: 0.2.23 and 0.3.5 make its calls, 0.2.23 its helpers over it too.

The `Agent` of 0.3 and later works over conversations and responses: `test_llama_stack.py`.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.program import Program, start_antiphon
from tests.clients import agents_world
from tests.clients.installed import facts, install_side_by_side, installed_once
from tests.clients.test_llama_stack import FOLDER, NEEDED_PYTHON, VERSIONS, stack_client
from tests.integration.test_agents_howto import CLIENTS, PAGE, opened
from tests.integration.test_mcp_howtos import blocks
from tests.support.mcp_servers import McpServers

OLD = (FOLDER / "agents_clients.txt").read_text().split()
ALPHA = [version for version in VERSIONS if "==0.3." in version]
TOLD = "It says: get_weather of Oslo, get_time of Oslo."
INFERENCE = ("step_start inference", "step_progress inference", "step_complete inference")
ANSWERED = ["turn_start", *INFERENCE, "turn_complete"]
EXECUTED = ("step_start tool_execution", "step_progress tool_execution", "step_complete tool_execution")
SHIELDED = ("step_start shield_call", "step_complete shield_call")


def agents_client(cache: Path, version: str) -> tuple[str, Path]:
    """As `stack_client`, for 0.2.23 too. It runs on the packages that the later ones need."""
    python, package = stack_client(cache, ALPHA[0])
    if version in OLD:
        pins = [FOLDER / "agents_clients.txt"]
        install = install_side_by_side(OLD, NEEDED_PYTHON)
        package = installed_once(cache, "llama-stack-agents", pins, install) / version
    return python, package


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("office")
    with start_antiphon(folder, agents_world.CONFIG % {"folder": folder}) as program:
        program.wait_ready()
        yield program


def ran(cache: Path, version: str, flow: str, office: Program, mcp_servers: McpServers) -> dict[str, Any]:
    python, package = agents_client(cache, version)
    env = {**os.environ, "PYTHONPATH": str(package)}
    return facts([python, str(FOLDER / flow)], office.url, mcp_servers.case().url(), env=env)


@pytest.fixture(scope="module", params=[*OLD, *ALPHA])
def seen(
    request: pytest.FixtureRequest, cache: Path, office: Program, mcp_servers: McpServers
) -> dict[str, Any]:
    """What a version saw of the calls."""
    version: str = request.param
    found = ran(cache, version, "agents_flow.py", office, mcp_servers)
    assert found["client"] == version.partition("==")[2]
    return found


def test_agents_sessions_and_turns_are_kept(seen: dict[str, Any]) -> None:
    assert seen["records"] == {
        "config": True,
        "listed": True,
        "pages": [[1, True], [1, True]],
        "answers": ["Noted.", "You are Ada."],
        "stranger": "I do not know you.",
        "turns": True,
        "some": True,
        "whole": True,
        "step": True,
        "sessions": [["tests", []]],
        "lost": [404, "turn_id"],
        "session deleted": [404, "session_id"],
        "agent deleted": [404, "agent_id"],
        "its session": [404, "agent_id"],
    }


def test_a_turn_waits_for_its_client_and_is_resumed(seen: dict[str, Any]) -> None:
    saw = seen["client_tools"]
    assert saw["streamed"] == {
        "kinds": ["turn_start", *INFERENCE, "turn_awaiting_input"],
        "text": "",
        "error": None,
        "stored": True,
        "same": True,
        "content": "",
        "stop_reason": "end_of_message",
        "steps": ["inference"],
    }
    old = seen["client"].startswith("0.2.")
    assert saw["arguments"] == (["dict", '{"city":"Oslo"}'] if old else ["str", None])
    assert (saw["wrong calls"][0], saw["wrong turn"][0]) == (400, 404)
    assert saw["resumed"] == {
        "kinds": ["step_complete tool_execution", *INFERENCE, "turn_complete"],
        "text": TOLD,
        "error": None,
        "stored": True,
        "same": True,
        "content": TOLD,
        "stop_reason": "end_of_turn",
        "steps": ["inference", "tool_execution", "inference"],
    }
    assert saw["waits"] == "end_of_message"
    assert saw["ended"] == [TOLD, ["inference", "tool_execution", "inference"], True]
    assert (saw["tired"]["kinds"][-1], saw["tired"]["stop_reason"]) == ("turn_awaiting_input", "end_of_turn")


def test_an_mcp_server_is_a_tool_group(seen: dict[str, Any]) -> None:
    saw = seen["tool_groups"]
    assert (saw["got"], saw["listed"], saw["tools"], saw["tool"]) == ("mcp::desk", True, [True] * 3, "add")
    assert saw["invoked"] == "5"
    assert saw["streamed"]["kinds"] == [
        "turn_start",
        *(INFERENCE + EXECUTED) * 3,
        *INFERENCE,
        "turn_complete",
    ]
    assert (saw["streamed"]["stored"], saw["streamed"]["same"]) == (True, True)
    assert saw["calls"][:2] == [["add", "5"], ["echo", "ours"]]
    name, said = saw["calls"][2]
    assert name == "fails"
    assert "no paper" in said, "a tool that fails is an answer to the model"
    assert saw["of the turn"] == ["inference", "tool_execution", "inference"]
    assert (saw["unknown"][0], saw["twice"][0], saw["gone"][0]) == (400, 400, 404)


def test_documents_are_shown_or_retrieved(seen: dict[str, Any]) -> None:
    saw = seen["documents"]
    shown = ["The lamp is red.", ["inference"]]
    assert {name: saw[name] for name in ("text", "item", "items", "data")} == dict.fromkeys(
        ("text", "item", "items", "data"), shown
    )
    assert saw["large"] == ["The lamp is red.", ["memory_retrieval", "inference"]]
    assert saw["binary"][0] == 400


def test_a_vector_store_is_searched_by_the_rag_tool(seen: dict[str, Any]) -> None:
    assert seen["knowledge"] == {
        "listed": True,
        "found": "The boat is blue.",
        "tools": ["knowledge_search"],
        "told": True,
        "steps": ["inference", "tool_execution", "inference"],
    }


def test_shields_stand_before_and_behind_a_turn(seen: dict[str, Any]) -> None:
    saw = seen["shields"]
    assert (saw["listed"], saw["got"], saw["asked"]) == (True, "prompt-injection", ["error", None])
    assert saw["stopped"]["kinds"] == ["turn_start", *SHIELDED, "turn_complete"]
    assert (saw["stopped"]["stop_reason"], saw["told"]) == ("end_of_turn", True)
    assert saw["passed"]["kinds"] == ["turn_start", *SHIELDED, *INFERENCE, *SHIELDED, "turn_complete"]
    assert saw["passed"]["content"] == "Noted."
    assert saw["kept"]["steps"] == ["inference", "shield_call"]
    assert "Ignore" not in saw["kept"]["content"]
    assert (saw["unknown"][0], saw["gone"][0]) == (400, 404)


def test_what_cannot_be_is_told(seen: dict[str, Any]) -> None:
    saw = seen["failures"]
    assert saw["streamed"]["kinds"] == ["turn_start", *INFERENCE[:2]]
    assert "scripted failure" in saw["streamed"]["error"]
    assert saw["session"] == 1, "a turn that failed is kept"
    assert saw["no model"] == [404, "agent_config.model"]
    assert (saw["no agent"], saw["no session"]) == ([404, "agent_id"], [404, "session_id"])
    assert saw["no messages"] == [400, "messages"]


@pytest.fixture(scope="module")
def helped(cache: Path, office: Program, mcp_servers: McpServers) -> dict[str, Any]:
    """What the helpers of 0.2.23 saw."""
    return ran(cache, OLD[0], "helper_flow.py", office, mcp_servers)


def test_the_agent_helper_runs_client_tools(helped: dict[str, Any]) -> None:
    saw = helped["client_tools"]
    told = 'It says: "rain in Oslo", "noon in Oslo".'
    assert saw["streamed"]["end"] == "turn_complete"
    assert (saw["streamed"]["content"], saw["whole"]) == (told, told)
    assert saw["streamed"]["steps"] == ["inference", "tool_execution", "inference"]
    printed: str = saw["streamed"]["printed"]
    assert "inference> " in printed
    assert "tool_execution> Tool:get_weather Args:{'city': 'Oslo'}" in printed
    assert printed.rstrip().endswith(told)
    assert saw["metadata"] == [{}, {"zone": "CET"}]
    assert saw["turns"] == 2
    assert saw["capped"] == "turn_awaiting_input"


def test_the_agent_helper_uses_tools_of_groups(helped: dict[str, Any]) -> None:
    saw = helped["server_tools"]
    assert saw["content"] == "It says: 5, ours."
    assert saw["known"] == ["add", "echo"]
    assert "Tool:add Response:" in saw["printed"]


def test_the_agent_helper_shows_documents_shields_and_failures(helped: dict[str, Any]) -> None:
    saw = helped["others"]
    assert saw["lamp"]["content"] == "The lamp is red."
    assert saw["stopped"]["steps"] == ["shield_call"]
    assert saw["stopped"]["content"] in saw["stopped"]["printed"]
    assert "scripted failure" in saw["failed"]["error"]


def test_the_react_helper_resumes_complete_turns(
    cache: Path, office: Program, mcp_servers: McpServers
) -> None:
    saw = ran(cache, OLD[0], "react_flow.py", office, mcp_servers)
    assert saw["answer"] == "There is rain in Oslo."
    assert saw["steps"] == ["inference", "tool_execution", "inference"]
    assert saw["turns"] is True
    assert saw["formed"] == "turn_start"


def test_the_program_of_the_how_to_runs(cache: Path, tmp_path: Path) -> None:
    (program,) = (block for block in blocks(PAGE, "python") if CLIENTS in block)
    python, package = agents_client(cache, OLD[0])
    with opened(tmp_path) as shop:
        done = subprocess.run(
            [python, "-c", program.replace("http://127.0.0.1:8321", shop.url)],
            env={**os.environ, "PYTHONPATH": str(package)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert "Tool:send_mail Args:{'subject': 'Your orders'}" in done.stdout
    assert 'Done: "sent".' in done.stdout


def test_the_asynchronous_helper_does_the_same(helped: dict[str, Any]) -> None:
    told = 'It says: "rain in Oslo", "noon in Oslo".'
    assert (helped["asynchronous"]["content"], helped["asynchronous"]["whole"]) == (told, told)
