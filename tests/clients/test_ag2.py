"""AG2's two lines, each in an environment of its own: 0.10 and 0.14 (`autogen`), and the 1.x that was written anew."""

from pathlib import Path
from typing import Any

import pytest

from bench.program import Program
from tests.clients.installed import HERE, facts, install_python, installed_once

FOLDER = HERE / "ag2"
TOLD = "It says: rain in Oslo, noon in Oslo."
VERSIONS = {"classic-0.10": "0.10.5", "classic-0.14": "0.14.0", "modern": "1.2.1"}


def python(cache: Path, line: str) -> str:
    requirements = FOLDER / f"{line}.txt"
    folder = installed_once(cache, f"ag2-{line}", [requirements], install_python(requirements))
    return str(folder / "venv" / "bin" / "python")


def check_machine(patched: dict[str, Any], shell: dict[str, Any]) -> None:
    """It runs what was called, and brings the outputs back. Patches it applies twice, the second time to no good."""
    assert patched["files"] == ["new.txt", "notes.txt"]
    said = " ".join(patched["outputs"])
    assert all(done in said for done in ("Created new.txt", "Updated notes.txt", "gone.txt"))
    (ran,) = shell["outputs"]
    assert "one\\nold" in ran
    assert "none.txt" in ran


@pytest.mark.parametrize("wire", ["responses", "openai", "openai, streamed"])
@pytest.mark.parametrize("line", ["classic-0.10", "classic-0.14"])
def test_ag2_0_runs_chats_groups_and_tools(line: str, wire: str, cache: Path, server: Program) -> None:
    """Its Responses client cannot stream: it looks for an `id` on the stream."""
    api_type, _, streamed = wire.partition(", ")
    more = ['{"stream": true}'] if streamed else []
    seen = facts([python(cache, line), str(FOLDER / "classic.py")], f"{server.url}/v1", api_type, *more)
    # 0.10 takes what the other agent said for an answer of its own, and sends `input: []`.
    deaf = (line, wire) == ("classic-0.10", "responses")
    written = "Written after: " if deaf else "Written after: Too long."
    turns = [["critic", "Too long."], ["writer", written]]
    assert seen.pop("group_with_tools")[:3] == ["user", "clerk", "critic" if wire == "responses" else "user"]
    if wire == "responses":
        check_machine(seen.pop("apply_patch"), seen.pop("shell"))
    assert seen == {
        "version": VERSIONS[line],
        "two_agents": ["A poem.", "Too long.", written, "Too long.", written, "Too long."],
        "tools": {"roles": ["assistant", "assistant", "tool", "user"] * 2, "first": TOLD, "again": TOLD},
        "round_robin": [["writer", "A poem."], *turns, *turns],
        "auto": [["writer", "A poem."], *([turns[0]] * 4 if deaf else [*turns, *turns])],
        "form": {"city": "city", "degrees": 1},
        "run": {"kinds": ["run_completion", "tool_call", "tool_response"], "summary": TOLD, "last": TOLD},
    }


@pytest.mark.parametrize("wire", ["responses", "openai"])
def test_ag2_1_runs_agents_channels_and_tools(wire: str, cache: Path, server: Program) -> None:
    seen = facts([python(cache, "modern"), str(FOLDER / "modern.py")], f"{server.url}/v1", wire)
    tools = {"first": TOLD, "again": TOLD, "called": 4, "tokens": True}
    assert seen == {
        "version": VERSIONS["modern"],
        "whole": tools,
        "streamed": tools,
        "not_stored": tools,
        "run": {"chunks": len(TOLD.split()), "spelled": TOLD, "said": TOLD},
        "form": {"type": "Weather"},
        "image": "Too long.",
        "delegation": "The expert says: Too long.",
        "two_agents": [
            ["writer", "A poem."],
            ["critic", "Too long."],
            ["writer", "Written after: Too long."],
            ["critic", "Too long."],
        ],
        "group": [
            ["writer", "A poem."],
            ["critic", "Too long."],
            ["other critic", "Too long."],
            ["writer", "Written after: [other critic]: Too long."],
            ["critic", "Too long."],
        ],
    }
