"""`docs/howto/reasoning.md` and `docs/reference/custom-tools.md`: their programs, configurations and tools, run."""

import json
import re
import subprocess
import sys
from pathlib import Path

from bench.program import start_antiphon
from tests.conformance.recorder import Recorder
from tests.integration.clients import Raw

DOCS = Path(__file__).parents[2] / "docs"
ADDRESS = "http://127.0.0.1:8321"


def block(page: str, language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    return str(found)


def test_the_program_runs_against_the_configuration_of_the_page(tmp_path: Path) -> None:
    with start_antiphon(tmp_path, block("howto/reasoning.md", "yaml")) as server:
        server.wait_ready()
        program = block("howto/reasoning.md", "python")
        assert ADDRESS in program
        command = [sys.executable, "-c", program.replace(ADDRESS, server.url)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "Which one was it?" in done.stdout
    assert not list(tmp_path.rglob("sealing.keys")), "configured keys need no file"


def test_the_tool_of_the_reference_is_taken_and_bound(raw: Raw, recorder: Recorder) -> None:
    tool = json.loads(block("reference/custom-tools.md", "json"))
    body = {"model": "demo", "input": "use add: 1+2", "tools": [tool], "tool_choice": "required"}
    answer = raw.post("/v1/responses", body).json
    kinds = [item["type"] for item in answer["output"]]
    assert kinds == ["message"], "the scripted model says the whole sentence, which is no sum, and is told so"
    good = raw.post("/v1/responses", {**body, "input": "1+2"}).json
    assert [item["input"] for item in good["output"]] == ["1+2"]
