"""openai-node and the AI SDK, driven by scripts that print what they saw."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from bench.program import Program
from tests.clients.installed import HERE, facts, node_environment, node_project

FOLDER = HERE / "node"
CALLS = [["get_weather", {"city": "Oslo"}], ["get_time", {"city": "Oslo"}]]
TOLD = "It says: rain in Oslo, noon in Oslo."


@pytest.fixture(scope="module")
def scripts(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the scripts, and beside them the packages they import."""
    folder = tmp_path_factory.mktemp("node")
    for script in FOLDER.glob("*.mjs"):
        shutil.copy(script, folder / script.name)
    (folder / "node_modules").symlink_to(node_project(cache, FOLDER))
    return folder


@pytest.fixture(scope="module")
def openai_node(scripts: Path, server: Program) -> dict[str, Any]:
    return facts(["node", "openai.mjs"], f"{server.url}/v1", cwd=scripts, env=node_environment())


@pytest.fixture(scope="module")
def machine(scripts: Path, server: Program) -> dict[str, Any]:
    return facts(["node", "machine.mjs"], f"{server.url}/v1", cwd=scripts, env=node_environment())


@pytest.fixture(scope="module", params=["openai", "open-responses"])
def ai_sdk(request: pytest.FixtureRequest, scripts: Path, server: Program) -> dict[str, Any]:
    kind: str = request.param
    command = ["node", "ai_sdk.mjs", kind, f"{server.url}/v1"]
    return {"kind": kind, **facts(command, cwd=scripts, env=node_environment())}


def test_the_lock_file_names_no_registry() -> None:
    packages: dict[str, dict[str, Any]] = json.loads((FOLDER / "package-lock.json").read_text())["packages"]
    assert not [path for path, entry in packages.items() if "resolved" in entry]
    assert all("integrity" in entry for path, entry in packages.items() if path)


def test_openai_node_runs_a_streamed_tool_flow_by_chaining(openai_node: dict[str, Any]) -> None:
    assert openai_node["calls"] == [["get_weather", '{"city":"Oslo"}'], ["get_time", '{"city":"Oslo"}']]
    assert openai_node["types"] == ["response.created", "response.completed"]
    assert openai_node["spelled"] == openai_node["chained"] == "It says: rain, noon."


def test_openai_node_sends_items_back(openai_node: dict[str, Any]) -> None:
    assert openai_node["sentBack"] == "It says: rain, noon."


def test_openai_node_sends_items_back_with_what_it_parsed(openai_node: dict[str, Any]) -> None:
    """Its helpers leave `parsed_arguments` on the calls that applications push back into the input."""
    assert openai_node["sentBackParsed"] == "It says: rain, noon."


def test_openai_node_stores_chat_completions(openai_node: dict[str, Any]) -> None:
    assert openai_node["stored"] == {
        "listed": True,
        "same": True,
        "seen": "yes",
        "asked": [["user", "Store me."]],
        "deleted": True,
        "left": 0,
    }


def test_openai_node_parses_a_structured_answer_and_reads_errors(openai_node: dict[str, Any]) -> None:
    assert openai_node["parsed"] == "number"
    assert openai_node["refused"] == {"status": 400, "param": "temperature"}


def test_openai_node_has_a_conversation(openai_node: dict[str, Any]) -> None:
    conversed = openai_node["conversed"]
    assert conversed["told"] == "It says: rain, noon."
    assert conversed["in"]
    assert conversed["kinds"].count("function_call") == conversed["kinds"].count("function_call_output") == 2
    assert (conversed["kinds"][0], conversed["kinds"][-1]) == ("message", "message")
    assert (conversed["one"], conversed["without"]) == ("Bye.", "conversation")
    assert conversed["metadata"] == [{"a": "b"}, {"c": "d"}, {"c": "d"}]
    assert conversed["deleted"] == {"id": conversed["id"], "object": "conversation.deleted", "deleted": True}
    assert conversed["gone"] == 404


def test_the_ai_sdk_runs_a_streamed_tool_flow(ai_sdk: dict[str, Any]) -> None:
    streamed = ai_sdk["streamed"]
    assert streamed["calls"] == CALLS
    assert streamed["text"] == ai_sdk["whole"] == TOLD
    assert streamed["finish"] == ["tool-calls", "stop"]
    assert streamed["errors"] == []
    assert streamed["tokens"]


def test_the_ai_sdk_shows_reasoning(ai_sdk: dict[str, Any]) -> None:
    """`@ai-sdk/openai` reads summaries only, and those only on demand; `open-responses` reads the text itself."""
    reasoned = "The city decides.Both are known."
    if ai_sdk["kind"] == "openai":
        assert ai_sdk["summarised"]["reasoning"] == reasoned
        assert ai_sdk["summarised"]["text"] == TOLD
    else:
        assert ai_sdk["streamed"]["reasoning"] == reasoned


def test_the_ai_sdk_names_what_is_stored_and_sends_what_is_not(ai_sdk: dict[str, Any]) -> None:
    if ai_sdk["kind"] == "openai":
        assert "item_reference" in ai_sdk["sent"]
        assert ai_sdk["notStored"]["text"] == TOLD
        assert ai_sdk["sealed"] == 1  # the reasoning before the calls
    assert {"function_call", "function_call_output"} <= set(ai_sdk["sent"])


def test_the_ai_sdk_parses_a_structured_answer_and_knows_why_one_ended(ai_sdk: dict[str, Any]) -> None:
    assert ai_sdk["form"] == "number"
    assert ai_sdk["cut"] == "length"


PATCHES = [
    ["create_file", "new.txt", "+first\n"],
    ["update_file", "notes.txt", "@@\n-old\n+new\n"],
    ["delete_file", "gone.txt", None],
]


@pytest.mark.parametrize(
    ("name", "asked", "said"),
    [
        ("local_shell", [["cat", "notes.txt"]], ["one line"]),
        ("shell", [["cat notes.txt", "ls none.txt"]], ["one line", "exit code 3"]),
        ("apply_patch", PATCHES, ["did create_file", "did update_file", "did delete_file"]),
    ],
)
def test_the_ai_sdk_works_a_machine(machine: dict[str, Any], name: str, asked: Any, said: list[str]) -> None:
    """Streamed and not; with calls named by their ids, and, not stored, with calls sent back whole."""
    runs: dict[str, Any] = machine["sdk"][name]
    assert list(runs) == ["streamed", "whole", "streamed, not stored"]
    for how, run in runs.items():
        assert run["seen"] == asked, how
        assert run.get("errors", []) == [], how
        assert all(part in run["text"] for part in said), (how, run["text"])


@pytest.mark.parametrize("execution", ["server", "client"])
def test_the_ai_sdk_finds_tools_on_demand(machine: dict[str, Any], execution: str) -> None:
    found = machine["searched"][execution]
    assert found["called"] == ["tool_search", "get_weather"]
    assert "rain in Oslo" in found["text"]


def test_openai_node_works_a_machine(machine: dict[str, Any]) -> None:
    """How many calls each response had, until one had none."""
    runs = machine["openai"]
    assert {name: run["kinds"] for name, run in runs.items()} == {
        "local_shell": [1, 0],
        "shell": [1, 0],
        "apply_patch": [3, 0],
        "computer": [1, 1, 0],
    }
    assert all(run["text"].startswith("It says: ") for run in runs.values())
