"""The programs of the how-tos about clients, as they stand there."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.program import Program, environment, start_antiphon
from tests.clients.installed import HERE, node_environment, node_project
from tests.clients.test_ag2 import python as ag2_python
from tests.clients.test_codex import codex_binary
from tests.clients.test_llama_stack import NEWEST, stack_client

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
    assert (len(CLIENTS), len(EMBEDDED), len(SCRIPTS)) == (7, 4, 3)


@pytest.mark.parametrize("code", CLIENTS[:4], ids=["openai", "agents", "langchain", "pydantic-ai"])
def test_a_python_client_of_the_page_runs(code: str, demo: Program, tmp_path: Path) -> None:
    assert ADDRESS in code
    assert "sunny" in run([sys.executable, "-c", code.replace(ADDRESS, demo.url)], tmp_path)


@pytest.mark.parametrize(("code", "line"), [(CLIENTS[4], "classic-0.14"), (CLIENTS[5], "modern")])
def test_a_program_of_the_page_runs_with_ag2(
    code: str, line: str, demo: Program, cache: Path, tmp_path: Path
) -> None:
    assert "sunny" in run([ag2_python(cache, line), "-c", code.replace(ADDRESS, demo.url)], tmp_path)


def test_a_program_of_the_page_runs_with_llama_stack(demo: Program, cache: Path, tmp_path: Path) -> None:
    python, package = stack_client(cache, NEWEST)
    code = f"import sys; sys.path.insert(0, {str(package)!r})\n{CLIENTS[6].replace(ADDRESS, demo.url)}"
    assert "sunny" in run([python, "-c", code], tmp_path)


@pytest.mark.parametrize("code", EMBEDDED, ids=["sync", "script", "async", "transport"])
def test_an_embedded_program_of_the_page_runs(code: str, tmp_path: Path) -> None:
    assert "sunny" in run([sys.executable, "-X", "dev", "-W", "error", "-c", code], tmp_path)


@pytest.mark.parametrize("code", SCRIPTS, ids=["openai", "ai-sdk", "open-responses"])
def test_a_node_client_of_the_page_runs(code: str, demo: Program, cache: Path, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(node_project(cache, HERE / "node"))
    (tmp_path / "page.mjs").write_text(code.replace(ADDRESS, demo.url))
    assert "sunny" in run(["node", "page.mjs"], tmp_path, node_environment()["PATH"])


def test_codex_runs_with_the_configuration_of_the_page(demo: Program, cache: Path, tmp_path: Path) -> None:
    (config,) = blocks("use-your-client.md", "toml")
    (tmp_path / ".codex").mkdir()
    (tmp_path / ".codex" / "config.toml").write_text(config.replace(ADDRESS, demo.url))
    own = environment(tmp_path, {"ANTIPHON_API_KEY": "none"})
    done = subprocess.run(
        [str(codex_binary(cache)), "exec", "--skip-git-repo-check", "Say that it is sunny."],
        cwd=tmp_path,
        env=own,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "sunny" in done.stdout
