"""The official TypeScript SDK's client on our MCP server, driven by a script that prints what it saw."""

import json
import shutil
from pathlib import Path
from typing import Any

import httpx2
import pytest

from bench.program import Program
from tests.clients.installed import HERE, facts, node_environment, node_project
from tests.support.mcp_wire import Case

FOLDER = HERE / "mcp_sdk"


@pytest.fixture
def script(cache: Path, tmp_path: Path) -> Path:
    shutil.copy(FOLDER / "use.mjs", tmp_path / "use.mjs")
    (tmp_path / "node_modules").symlink_to(node_project(cache, FOLDER))
    return tmp_path


def test_the_lock_file_names_no_registry() -> None:
    packages: dict[str, dict[str, Any]] = json.loads((FOLDER / "package-lock.json").read_text())["packages"]
    assert not [path for path, entry in packages.items() if "resolved" in entry]
    assert all("integrity" in entry for path, entry in packages.items() if path)


def test_it_lists_calls_asks_and_cancels(script: Path, mcp_server: Program, desk: Case) -> None:
    connectors = f"{mcp_server.url}/v1/connectors"
    made = httpx2.post(connectors, json={"connector_id": "desk", "url": desk.url("mcp")})
    assert made.status_code == 200, made.text
    try:
        command = ["node", "use.mjs", f"{mcp_server.url}/mcp", "scripted/demo"]
        seen = facts(command, cwd=script, env=node_environment())
    finally:
        httpx2.delete(f"{connectors}/desk")
    assert (seen["server"], seen["session"]) == ("antiphon", "2025-11-25.f")
    assert {"file_search", "list_vector_stores", "create_response", "desk__add"} <= set(seen["tools"])
    assert seen["structured"] == ["left_out", "queries", "results", "vector_store_ids"]
    assert "Hello" in seen["answer"]
    assert seen["progress"] == ["message"]
    assert (seen["asked"], seen["question"]) == (["Who are you?"], "user said: accept Ada")
    assert seen["unknown"] == -32602
    assert seen["cancelled"] is True
    desk.wait_for("that nothing is held", lambda events: events.holding == 0)
