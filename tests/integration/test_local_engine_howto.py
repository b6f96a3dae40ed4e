"""The how-to on local models: its commands and its configuration, as they stand there."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from antiphon.config.load import load
from antiphon.providers.llama_cpp.settings import LlamaCppConfig, ModelConfig
from bench.program import Program, antiphon_command, environment
from tests.hub import FakeHub
from tests.integration.llama_server import write_model

pytest.importorskip("xllamacpp", reason="no xllamacpp wheel here: the local engine is not tested")

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "run-a-local-model.md").read_text()


def blocks(language: str, containing: str) -> list[str]:
    found = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return [str(block).strip() for block in found if containing in block]


def started(command: str, folder: Path, **env: str) -> Program:
    words = [*antiphon_command(), *shlex.split(command.replace("\\\n", ""))[1:], "--port", "0"]
    return Program(words, cwd=folder, env=environment(folder, env))


def test_the_commands_and_the_curl_answer(tmp_path: Path) -> None:
    by_path, by_hub = blocks("sh", "antiphon serve")
    (curl,) = blocks("sh", "curl")
    write_model(tmp_path / by_path.split()[-1])
    content = (tmp_path / by_path.split()[-1]).read_bytes()
    with started(by_path, tmp_path) as program:
        program.wait_ready()
        asked = curl.replace("http://127.0.0.1:8321", program.url)
        done = subprocess.run(["sh", "-c", asked], capture_output=True, text=True, timeout=60, check=True)
        assert '"object":"response"' in done.stdout
        assert '"error":null' in done.stdout
    with (
        FakeHub({"Qwen3-8B-Q4_K_M.gguf": content}, repo_id="Qwen/Qwen3-8B-GGUF") as hub,
        started(by_hub, tmp_path, HF_ENDPOINT=hub.url) as program,
    ):
        program.wait_ready()
        assert "Qwen3-8B-Q4_K_M.gguf: 100 %" in program.output


def test_the_configuration_is_one(tmp_path: Path) -> None:
    (text,) = blocks("yaml", "inline::llama-cpp")
    for name in ("coder-Q5_K_M.gguf", "embed-Q8_0.gguf"):
        write_model(tmp_path / name)
    (tmp_path / "antiphon.yaml").write_text(text.replace("/models/", f"{tmp_path}/"))
    check = [*antiphon_command(), "check"]
    done = subprocess.run(
        check,
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (provider,) = load(cwd=tmp_path, environ={}).providers.inference
    assert set(provider.config["models"]) == {"qwen", "coder", "embed"}


def test_each_key_is_explained() -> None:
    rows = "".join(line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `"))
    explained = set(re.findall(r"`(\w+)`", rows))
    assert explained == {*LlamaCppConfig.__struct_fields__, *ModelConfig.__struct_fields__}
