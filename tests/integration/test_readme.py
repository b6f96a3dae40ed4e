"""The README's commands, as they stand there, against a server that was started with nothing configured."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.program import Program
from tests.integration.examples_world import AGENTS, RESPONSES

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(path for path in (ROOT / "examples").glob("*.py") if path.stem not in RESPONSES + AGENTS)
ADDRESS = "http://127.0.0.1:8321"


def snippet(language: str, containing: str) -> str:
    """The one fenced block of the README in this language that contains the text."""
    blocks = re.findall(rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (found,) = [block for block in blocks if containing in block]
    return str(found)


def run(program: str, text: str, server: Program) -> str:
    """What the text prints when it is sent to the server under test instead of the usual address."""
    assert ADDRESS in text
    command = [program, "-c", text.replace(ADDRESS, server.url)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def bare_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """`antiphon serve` in an empty folder, on a free port, where no model server is looked for."""
    folder = tmp_path_factory.mktemp("bare")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OPENAI_", "VLLM_", "OLLAMA_"))
    }
    environ = {**kept, "ANTIPHON_HOME": str(folder / "state"), "ANTIPHON_DISCOVERY": "off"}
    command = [str(Path(sys.executable).with_name("antiphon")), "serve", "--port", "0"]
    with Program(command, cwd=folder, env=environ) as program:
        program.wait_ready()
        yield program


def test_make_serve_starts_the_server() -> None:
    assert snippet("sh", "make serve").strip() == "make serve"
    recipe = subprocess.run(["make", "-n", "serve"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ".venv/bin/antiphon serve" in recipe.stdout


def test_the_curl_command_answers(bare_server: Program) -> None:
    answer = run("sh", snippet("sh", "curl"), bare_server)
    assert '"object":"response"' in answer
    assert '"status":"completed"' in answer


def test_the_python_snippet_answers(bare_server: Program) -> None:
    lines = run(sys.executable, snippet("python", "OpenAI("), bare_server).splitlines()
    assert "Say hello." in lines[0]
    assert "And again." in lines[-1]


def test_the_summary_says_how_to_connect_a_real_model(bare_server: Program) -> None:
    assert "demo, a scripted model" in bare_server.output
    assert "set OPENAI_API_KEY" in bare_server.output
    assert f"listening on {bare_server.url}" in bare_server.output


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 5


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_runs(path: Path, bare_server: Program) -> None:
    assert len(path.read_text().splitlines()) < 40
    assert run(sys.executable, path.read_text(), bare_server).strip()


def test_the_shell_example_runs(bare_server: Program) -> None:
    assert "response.completed" in run("sh", (ROOT / "examples" / "stream.sh").read_text(), bare_server)


def tutorial_files() -> dict[str, str]:
    """The files that the tutorial has its reader make: each block goes to the file named last before it."""
    text, files, name = (ROOT / "docs" / "tutorial.md").read_text(), dict[str, str](), ""
    for part in re.split(r"(```python\n.*?```)", text, flags=re.DOTALL):
        if part.startswith("```python"):
            code = part.removeprefix("```python\n").removesuffix("```")
            files[name] = f"{files[name]}\n\n{code}" if name in files else code
        else:
            name = (re.findall(r"`(\w+\.py)`", part) or [name])[-1]
    return files


def test_the_tutorial_runs(bare_server: Program, tmp_path: Path) -> None:
    files = tutorial_files()
    assert list(files) == ["agent.py", "test_agent.py"]
    for name, code in files.items():
        (tmp_path / name).write_text(code)
    shown = run(sys.executable, files["agent.py"], bare_server)
    assert 'the model calls get_weather {"city":"Oslo"}' in shown
    assert '"sky": "clear"' in shown
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-W",
        "error",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:asyncio",
    ]
    tested = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert "1 passed" in tested.stdout, tested.stdout + tested.stderr


def test_the_commands_of_the_tutorial_work(bare_server: Program) -> None:
    text = (ROOT / "docs" / "tutorial.md").read_text()
    (commands,) = re.findall(r"```sh\n(\.venv/bin/antiphon.*?)```", text, re.DOTALL)
    models, chat = commands.splitlines()
    environ = {**os.environ, "ANTIPHON_PORT": str(bare_server.port), "ANTIPHON_DISCOVERY": "off"}
    environ = {name: value for name, value in environ.items() if not name.startswith("OPENAI_")}
    for command, said, wanted in ((models, "", "demo"), (chat, "Good morning.\n", "Good morning.")):
        words = [str(Path(sys.executable).with_name("antiphon")), *command.split()[1:]]
        done = subprocess.run(
            words, input=said, env=environ, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        assert wanted in done.stdout
