"""The programs of the how-tos about clients, as they stand there."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.program import Program, environment, start_antiphon
from tests.clients.installed import HERE, node_environment, node_project

HOWTO = Path(__file__).parents[2] / "docs" / "howto"
ADDRESS = "http://127.0.0.1:8321"


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (HOWTO / page).read_text(), re.DOTALL)


CLIENTS, EMBEDDED = blocks("use-your-client.md", "python"), blocks("embed-in-python.md", "python")
SCRIPTS = blocks("use-your-client.md", "js")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("demo")
    with start_antiphon(folder, "version: 2\n", env={"ANTIPHON_DISCOVERY": "off"}) as program:
        program.wait_ready()
        yield program


def run(command: list[str], folder: Path, path: str | None = None) -> str:
    """What it prints. The environment says nothing of OpenAI, as that of a reader might."""
    own = environment(folder, {} if path is None else {"PATH": path})
    done = subprocess.run(
        command, cwd=folder, env=own, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_pages_have_programs() -> None:
    assert (len(CLIENTS), len(EMBEDDED), len(SCRIPTS)) == (4, 4, 3)


@pytest.mark.parametrize("code", CLIENTS, ids=["openai", "agents", "langchain", "pydantic-ai"])
def test_a_python_client_of_the_page_runs(code: str, demo: Program, tmp_path: Path) -> None:
    assert ADDRESS in code
    assert "sunny" in run([sys.executable, "-c", code.replace(ADDRESS, demo.url)], tmp_path)


@pytest.mark.parametrize("code", EMBEDDED, ids=["sync", "script", "async", "transport"])
def test_an_embedded_program_of_the_page_runs(code: str, tmp_path: Path) -> None:
    assert "sunny" in run([sys.executable, "-X", "dev", "-W", "error", "-c", code], tmp_path)


@pytest.mark.parametrize("code", SCRIPTS, ids=["openai", "ai-sdk", "open-responses"])
def test_a_node_client_of_the_page_runs(code: str, demo: Program, cache: Path, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(node_project(cache, HERE / "node"))
    (tmp_path / "page.mjs").write_text(code.replace(ADDRESS, demo.url))
    assert "sunny" in run(["node", "page.mjs"], tmp_path, node_environment()["PATH"])
