"""The how-to on recording and replay, as it stands there, with the installed program; and a program that is killed."""

import http.client
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from antiphon.recording.reader import Recording
from bench.program import Program, antiphon_command, environment
from tests.integration.recording import Json
from tests.integration.upstream import Upstream

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "record-and-replay.md").read_text()
UPSTREAM = """\
providers:
  inference:
  - provider_id: up
    provider_type: remote::openai-compatible
    config: {{base_url: "{url}", wire: chat}}
"""
LIMIT_S = 60


def block(language: str, containing: str) -> str:
    """The one fenced block of the page in this language that contains the text."""
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    (found,) = [text for text in blocks if containing in text]
    return str(found)


def start(folder: Path, config: str, *command: str) -> Program:
    (folder / "antiphon.yaml").write_text(config)
    program = Program(
        [*antiphon_command(), *command, "--port", "0"], cwd=folder, env=environment(folder / "home")
    )
    program.wait_ready()
    return program


def post(program: Program, path: str, body: Json) -> Json:
    connection = http.client.HTTPConnection("127.0.0.1", program.port, timeout=LIMIT_S)
    try:
        connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
        answer: Json = json.loads(connection.getresponse().read())
        return answer
    finally:
        connection.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path


def test_the_how_to_does_what_it_says(upstream: Upstream, folder: Path) -> None:
    _, *record = shlex.split(block("sh", "antiphon record"))
    question: Json = {"model": "echo", "input": "hello", "instructions": "Be kind."}
    with start(folder, UPSTREAM.format(url=upstream.url), *record) as program:
        assert "record  recordings" in program.output
        first = post(program, "/v1/responses", question)
    with start(folder, block("yaml", "inline::scripted"), "serve") as program:
        again = post(program, "/v1/responses", {**question, "model": "recorded/echo"})
        bare = post(program, "/v1/responses", question)
        refused = post(program, "/v1/responses", {**question, "instructions": "Be kind!"})
    environ = environment(folder / "home")
    snippet = [sys.executable, "-c", block("python", "antiphon.embedded")]
    subprocess.run(snippet, cwd=folder, env=environ, timeout=LIMIT_S, check=True)
    assert first["output"][0]["content"] == again["output"][0]["content"] == bare["output"][0]["content"]
    said, shown = refused["error"]["message"], " ".join(block("text", "holds no answer").split())
    assert said.replace(first["id"], "resp_…").replace('"echo"', '"gpt-5"') == shown

    (folder / "prompt.txt").write_text("Be kind.")
    (folder / "tools.json").write_text("[]")
    (folder / "antiphon.yaml").write_text(UPSTREAM.format(url=upstream.url))
    commands = block("sh", "antiphon replay resp_") + block("sh", "antiphon replay RUN")
    assert len(commands.splitlines()) == 6
    codes = {line: replay(folder, line, first["id"]) for line in commands.splitlines()}
    differ = [line for line, code in codes.items() if code == 1]
    assert set(codes.values()) == {0, 1}
    assert [line.split()[3] for line in differ] == ["--model", "--set"]


def replay(folder: Path, line: str, run: str) -> int:
    """The exit code of a command of the page, for this run. `up/other` is a model that the upstream has not."""
    words = shlex.split(line.replace("up/other", "up/refuser"))
    words[2] = run
    command = [*antiphon_command(), *words[1:]]
    environ = environment(folder / "home")
    done = subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.stderr == ""
    assert done.stdout.startswith(run)
    return done.returncode


def test_the_configuration_with_patterns_records_too(upstream: Upstream, folder: Path) -> None:
    config = block("yaml", "redact:") + UPSTREAM.format(url=upstream.url)
    with start(folder, config, "serve") as program:
        post(program, "/v1/responses", {"model": "echo", "input": "123-45-6789 is ann@example.com"})
    (one,) = Recording.load(folder / "recordings").exchanges
    assert one.question == {"messages": [{"role": "user", "content": "*** is ***"}]}


def test_a_program_that_is_killed_leaves_what_was_answered(upstream: Upstream, folder: Path) -> None:
    with start(folder, UPSTREAM.format(url=upstream.url), "record") as program:
        ids = [post(program, "/v1/responses", {"model": "echo", "input": str(at)})["id"] for at in range(5)]
        program.kill()
    recording = Recording.load(folder / "recordings")
    assert recording.run_ids() == ids
    assert set(recording.records) == set(ids)


def test_unstored_requests_are_recorded_by_a_flag(upstream: Upstream, folder: Path) -> None:
    body: Json = {"model": "echo", "input": "hush", "store": False}
    with start(
        folder, UPSTREAM.format(url=upstream.url), "record", "--include-unstored", "--out", "r"
    ) as one:
        post(one, "/v1/responses", body)
    assert len(Recording.load(folder / "r").exchanges) == 1
