"""The commands of the reference pages, as they stand there, and the tables that the code decides."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from antiphon.providers.presets import PRESETS
from bench.program import Program

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
ADDRESS = "http://127.0.0.1:8321"
SAID: dict[str, set[str]] = {
    "connectors.md": {"object", "connector_id", "url", "has_authorization", "problem"},
    "embeddings.md": {"object", "data", "model", "usage"},
    "list-responses.md": {"object", "data", "first_id", "last_id", "has_more"},
    "prompts.md": {"id", "prompt", "instructions", "data"},
    "request-bodies.md": {"id", "output", "metadata"},
    "rerank.md": {"results", "data"},
    "stored-chat.md": {"id", "choices", "metadata", "data", "has_more"},
}


@pytest.mark.parametrize("page", SAID)
def test_the_commands_of_a_page_answer(server: Program, page: str) -> None:
    commands = re.findall(r"```sh\n(.*?)```", (REFERENCE / page).read_text(), re.DOTALL)
    assert commands
    keys = set[str]()
    for command in commands:
        assert ADDRESS in command
        text = command.replace(ADDRESS, server.url)
        done = subprocess.run(["sh", "-c", text], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        assert answer.get("error") is None, done.stdout
        keys |= set(answer)
    assert SAID[page] <= keys


@pytest.mark.parametrize("name", PRESETS)
def test_the_table_of_embeddings_says_what_each_preset_does(name: str) -> None:
    able = PRESETS[name].capabilities
    dimensions = {"pass": "passed", "refuse": "refused", "truncate": "cut here"}[able.embedding_dimensions]
    cells = [f"`{name}`", _word(able.embeddings)]
    cells += [_word(able.embedding_tokens), dimensions] if able.embeddings else ["", ""]
    cells.append(_word(able.rerank_path is not None))
    row = "|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|"
    assert row in (REFERENCE / "embeddings.md").read_text().splitlines()


def _word(able: bool) -> str:
    return "yes" if able else "no"
