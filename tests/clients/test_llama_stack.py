"""llama-stack-client of each minor version from 0.3 on: its `Agent` over conversations, and its other calls."""

import os
from pathlib import Path
from typing import Any

import pytest

import antiphon
from bench.program import Program
from tests.clients.installed import HERE, facts, install_python, install_side_by_side, installed_once

FOLDER = HERE / "llama_stack"
VERSIONS = (FOLDER / "clients.txt").read_text().split()
NEWEST = VERSIONS[-1]
NEEDED_PYTHON = "3.12"
TOLD = 'It says: "rain in Oslo", "noon in Oslo".'


def stack_client(cache: Path, version: str) -> tuple[str, Path]:
    """The Python of all versions, and where this one's package is.

    They share the packages that they need, which are much larger than they are.
    """
    requirements, clients = FOLDER / "requirements.txt", FOLDER / "clients.txt"
    shared = installed_once(cache, "llama-stack", [requirements], install_python(requirements))
    side_by_side = install_side_by_side(VERSIONS, NEEDED_PYTHON)
    packages = installed_once(cache, "llama-stack-clients", [clients], side_by_side)
    return str(shared / "venv" / "bin" / "python"), packages / version


@pytest.fixture(scope="module", params=VERSIONS)
def seen(request: pytest.FixtureRequest, cache: Path, server: Program) -> dict[str, Any]:
    """What a version saw."""
    version: str = request.param
    python, package = stack_client(cache, version)
    env = {**os.environ, "PYTHONPATH": str(package)}
    found = facts([python, str(FOLDER / "flow.py")], server.url, env=env)
    assert found["client"] == version.partition("==")[2]
    return found


def test_its_agent_runs_turns_of_sessions(seen: dict[str, Any]) -> None:
    saw = seen["agent"]
    assert saw["first"] == {
        "kinds": [
            *("TurnStarted", "StepStarted", "StepProgress", "StepCompleted"),
            *("StepStarted", "StepCompleted"),
            *("StepStarted", "StepProgress", "StepCompleted", "TurnCompleted"),
        ],
        "printed": (
            "🤔 \n📞 Function call: get_weather({})\n📞 Function call: get_time({})"
            "\n🔧 Executing function tools (client-side)...\n"
            '  → get_weather: "rain in Oslo"\n  → get_time: "noon in Oslo"\n'
            f"🤔 {TOLD}\n"
        ),
        "text": TOLD,
    }
    assert "Thanks." in saw["whole"]
    assert saw["items"] == [
        *("message", "reasoning", "function_call", "function_call"),
        *("function_call_output", "function_call_output", "reasoning", "message"),
        *("message", "message"),
    ]
    assert saw["session"] == {"name": "tests"}
    assert saw["again"] == TOLD
    assert saw["removed"] is True


def test_its_agent_is_told_of_a_turn_that_failed(seen: dict[str, Any]) -> None:
    """What came before the failure was an answer that began."""
    saw = seen["failure"]
    assert saw["failed"] == ["TurnStarted", "StepStarted", "StepProgress", "TurnFailed"]
    assert "scripted failure" in saw["printed"]
    assert saw["again"] == TOLD  # the session goes on


def test_its_other_calls_are_answered(seen: dict[str, Any]) -> None:
    """Its streams of chat completions too, which up to 0.6 may not end with `[DONE]`."""
    saw = seen["calls"]
    assert "Hello there." in saw["whole"]
    yes = ("stored", "listed", "deleted", "chat", "routes")
    assert {name: saw[name] for name in yes} == dict.fromkeys(yes, True)
    assert (saw["input"], saw["events"]) == (["message"], ["response.created", "response.completed"])
    assert saw["embedding"] == 2
    assert ["scripted/demo", "llm", "scripted", "demo"] in saw["models"]
    assert (saw["health"], saw["version"]) == ("OK", antiphon.__version__)
    assert saw["admin"] == (None if seen["client"].startswith("0.3.") else antiphon.__version__)
    assert ["inference", "scripted", "inline::scripted"] in saw["providers"]
    assert saw["provider"] == "inline::scripted"


def test_its_prompts_have_versions(seen: dict[str, Any]) -> None:
    """Clients of 0.3 have no prompts."""
    expected = {
        "versions": [1, 2],
        "changed": [2, "Sing of {{ city }}."],
        "default": [2, True],
        "first": "Tell of {{ city }}.",
        "listed": True,
        "status": "completed",
        "late": 409,
        "latest": 2,
        "deleted": 404,
    }
    assert seen["prompts"] == (None if seen["client"].startswith("0.3.") else expected)


def test_its_files_are_kept_listed_read_and_deleted(seen: dict[str, Any]) -> None:
    assert seen["files"] == {
        "made": ["lamp.txt", 16, "assistants", 3600],
        "got": True,
        "listed": True,
        "content": "The lamp is red.",
        "deleted": True,
        "gone": 404,
        "path": "flow.py",
    }


def test_its_chunks_are_put_into_vector_stores_and_found(seen: dict[str, Any]) -> None:
    """Clients of 0.3 have the RAG tool too."""
    old = seen["client"].startswith("0.3.")
    assert seen["knowledge"] == {
        "found": ["The lamp is red.", "doc-0", "tests"],
        "scores": True,
        "lost": 404,
        "rag": [["notes"], "1: Snow falls in Oslo."] if old else None,
    }
