"""openai-node's own WebSocket helper, `ResponsesWS`."""

import shutil
from pathlib import Path

from bench.program import Program
from tests.clients.installed import HERE, facts, node_environment, node_project


def test_openai_node_over_a_websocket(cache: Path, tmp_path: Path, server: Program) -> None:
    shutil.copy(HERE / "node" / "socket.mjs", tmp_path)
    (tmp_path / "node_modules").symlink_to(node_project(cache, HERE / "node"))
    seen = facts(["node", "socket.mjs"], f"{server.url}/v1", cwd=tmp_path, env=node_environment())
    assert seen["calls"] == ["get_weather", "get_time"]
    assert "rain" in seen["told"]
    assert "noon" in seen["told"]
    assert seen["refused"] == [400, "previous_response_not_found"]
    assert seen["lanes"] == {"a": "Written after: a", "b": "Written after: b"}
