"""`docs/howto/client-run-tools.md`: its programs against its configuration, and the names in the reference."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from antiphon.core.client_tools import as_function
from antiphon.core.tools import ApplyPatchTool, ComputerTool, LocalShellTool, ShellTool, ToolSearchTool
from bench.program import Program, start_antiphon

DOCS = Path(__file__).parents[2] / "docs"
ADDRESS = "http://127.0.0.1:8321"


def blocks(language: str) -> list[str]:
    page = (DOCS / "howto/client-run-tools.md").read_text()
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    (config,) = blocks("yaml")
    with start_antiphon(tmp_path_factory.mktemp("howto"), config) as program:
        program.wait_ready()
        yield program


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, ["It says: hello", "[exit code 0]"]),
        (
            1,
            [
                "orders of a customer -> ['list_orders', 'get_address']",
                'crm.list_orders {"customer":"c-7"}',
                "Two orders are open.",
            ],
        ),
    ],
)
def test_each_program_of_the_page_runs(server: Program, number: int, said: list[str]) -> None:
    program = blocks("python")[number]
    assert ADDRESS in program
    command = [sys.executable, "-c", program.replace(ADDRESS, server.url)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == said


@pytest.mark.parametrize(
    "tool", [ComputerTool(), ShellTool(), LocalShellTool(), ApplyPatchTool(), ToolSearchTool()]
)
def test_the_reference_has_each_function_as_models_see_it(
    tool: ComputerTool | ShellTool | LocalShellTool | ApplyPatchTool | ToolSearchTool,
) -> None:
    face = as_function(tool)
    assert face.parameters is not None
    signature = f"`{face.name}({', '.join(face.parameters['properties'])})`"
    assert signature in (DOCS / "reference/client-run-tools.md").read_text()
