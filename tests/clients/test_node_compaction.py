"""openai-node's `responses.compact` and `responses.inputTokens.count`."""

import shutil
from pathlib import Path

from bench.program import Program
from tests.clients.installed import HERE, facts, node_environment, node_project

FOLDER = HERE / "node"


def test_openai_node_counts_compacts_and_goes_on(cache: Path, server: Program, tmp_path: Path) -> None:
    shutil.copy(FOLDER / "compaction.mjs", tmp_path)
    (tmp_path / "node_modules").symlink_to(node_project(cache, FOLDER))
    seen = facts(["node", "compaction.mjs"], f"{server.url}/v1", cwd=tmp_path, env=node_environment())
    assert seen == {
        "counted": ["response.input_tokens", 3, "exact"],
        "compacted": ["response.compaction", "message", "compaction"],
        "goesOn": True,
        "managed": ["compaction", "message"],
        "refused": "previous_response_not_found",
    }
