"""One application, run unchanged over several kinds of model servers: only the configuration differs."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.program import Program, environment, start_antiphon
from tests.integration.upstream import Upstream
from tests.wire.fake_anthropic import KEY, FakeAnthropic

ROOT = Path(__file__).parents[2]
CONFIG = """\
version: 2
providers:
  inference:
  - provider_id: models
    provider_type: %(type)s
    config: %(config)s
models:
- {model_id: assistant, provider_id: models, provider_model_id: %(model)s}
storage: {url: "sqlite:///%(folder)s/antiphon.db"}
"""
SCRIPT = {
    "models": [
        {
            "name": "parrot",
            "rules": [
                {
                    "when": {"tools": ["get_weather"], "tool_outputs": False},
                    "reply": [{"calls": [{"name": "get_weather", "arguments": {"city": "Paris"}}]}],
                },
                {"when": {"tool_outputs": True}, "reply": [{"text": "It says: {{tool_outputs}}"}]},
            ],
        }
    ]
}


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    pytest.importorskip("xllamacpp", reason="no xllamacpp wheel here: the swap to llama.cpp is not tested")
    folder = tmp_path_factory.mktemp("llama")
    command = [sys.executable, "-m", "tests.integration.llama_server", str(folder / "tiny.gguf")]
    with Program(command, cwd=ROOT, env=environment(folder)) as program:
        program.wait_ready("/health")
        yield program


def run_over(folder: Path, provider_type: str, config: dict[str, Any], model: str) -> dict[str, Any]:
    """What the application saw of a server whose `assistant` is this model."""
    text = CONFIG % {"type": provider_type, "config": json.dumps(config), "model": model, "folder": folder}
    with start_antiphon(folder, text) as server:
        server.wait_ready()
        given = {"OPENAI_BASE_URL": f"{server.url}/v1", "OPENAI_API_KEY": "none"}
        command = [sys.executable, "-W", "error", "-m", "tests.clients.application"]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=environment(folder, given),
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


def assert_told_once(loop: dict[str, Any]) -> None:
    """What holds whatever the model says."""
    assert loop["spelled"] == loop["text"] == loop["stored"]
    assert loop["text"]
    assert loop["model"] == "assistant"
    assert loop["tokens"] > 0


def test_over_a_scripted_model(tmp_path: Path) -> None:
    seen = run_over(tmp_path, "inline::scripted", SCRIPT, "parrot")
    assert_told_once(seen["loop"])
    assert (seen["loop"]["called"], seen["loop"]["status"]) == (["get_weather"], "completed")
    assert seen["loop"]["text"] == "It says: rain in Paris"
    assert set(seen["report"]["parsed"]) == {"city", "degrees"}


def test_over_openai(tmp_path: Path, upstream: Upstream) -> None:
    seen = run_over(
        tmp_path,
        "remote::openai",
        {"base_url": upstream.url, "api_key": "sk-x", "wire": "chat"},
        "gpt-assistant",
    )
    assert_told_once(seen["loop"])
    assert (seen["loop"]["called"], seen["loop"]["status"]) == (["get_weather"], "completed")
    assert seen["loop"]["text"] == "You said: rain in Paris"
    assert seen["report"]["parsed"] == {"city": "Paris", "degrees": 21}


def test_over_anthropic(tmp_path: Path) -> None:
    with FakeAnthropic() as fake:
        config = {"base_url": fake.url, "api_key": KEY}
        seen = run_over(tmp_path, "remote::anthropic", config, "assistant")
        assert fake.seen.refused == []
    assert_told_once(seen["loop"])
    assert (seen["loop"]["called"], seen["loop"]["status"]) == (["get_weather"], "completed")
    assert seen["loop"]["text"] == "You said: rain in Paris"
    assert seen["report"]["parsed"] == {"city": "Paris", "degrees": 21}


def test_over_a_server_that_speaks_responses(tmp_path: Path) -> None:
    """Antiphon before Antiphon: the one behind is an OpenAI with `/v1/responses`."""
    behind, before = tmp_path / "behind", tmp_path / "before"
    behind.mkdir()
    before.mkdir()
    script = json.dumps(SCRIPT)
    text = CONFIG % {"type": "inline::scripted", "config": script, "model": "parrot", "folder": behind}
    with start_antiphon(behind, text) as server:
        server.wait_ready()
        config = {"base_url": f"{server.url}/v1", "api_key": "sk-x", "wire": "responses"}
        seen = run_over(before, "remote::openai", config, "parrot")
    assert_told_once(seen["loop"])
    assert (seen["loop"]["called"], seen["loop"]["status"]) == (["get_weather"], "completed")
    assert seen["loop"]["text"] == "It says: rain in Paris"
    assert set(seen["report"]["parsed"]) == {"city", "degrees"}


@pytest.mark.parametrize("wire", ["chat", "responses"])
def test_over_llama_cpp(tmp_path: Path, llama: Program, wire: str) -> None:
    """Its weights are random, so nothing is known of what it says; its grammar holds the structured answer."""
    config = {"base_url": f"{llama.url}/v1", "wire": wire}
    seen = run_over(tmp_path, "remote::llama-cpp-server", config, "tiny")
    assert_told_once(seen["loop"])
    assert seen["loop"]["status"] in {"completed", "incomplete"}
    assert set(seen["report"]["parsed"]) == {"city", "degrees"}
