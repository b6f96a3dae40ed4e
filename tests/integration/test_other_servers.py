"""The chat and the checks against a Responses API that is not ours: the one of llama.cpp's own server."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from antiphon.conformance.cases import CASES
from bench.program import Program, antiphon_command, environment

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    pytest.importorskip(
        "xllamacpp", reason="no xllamacpp wheel here: the real llama.cpp engine is not tested"
    )
    folder = tmp_path_factory.mktemp("llama")
    command = [sys.executable, "-m", "tests.integration.llama_server", str(folder / "tiny.gguf")]
    with Program(command, cwd=ROOT, env=environment(folder)) as program:
        program.wait_ready("/health")
        yield program


def run(folder: Path, *arguments: str, text: str = "") -> subprocess.CompletedProcess[bytes]:
    """The tiny model says bytes that are not always text."""
    return subprocess.run(
        [*antiphon_command(), *arguments],
        cwd=folder,
        env=environment(folder),
        input=text.encode(),
        capture_output=True,
        timeout=120,
        check=False,
    )


def test_the_chat_sends_the_conversation_to_a_server_that_keeps_none(llama: Program, tmp_path: Path) -> None:
    done = run(tmp_path, "chat", "--url", llama.url, text="hello\nand again\n")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(b"keeps no responses") == 1


def test_the_checks_say_what_it_does_not_have_and_what_is_wrong(llama: Program, tmp_path: Path) -> None:
    done = run(tmp_path, "doctor", "--client", llama.url, "--json")
    report = json.loads(done.stdout)
    found = {case["name"]: case for case in report["cases"]}
    assert set(found) == {case.name for case in CASES}
    assert report["ok"] == (done.returncode == 0)
    assert found["chat.stream_usage"]["status"] == "pass"
    assert found["state.retrieve"]["status"] == "not supported"
    for case in report["cases"]:
        assert (case["status"] == "pass") == (case["detail"] == "")
        assert "that no client expects" not in case["detail"], "a finding names what is wrong"


def test_its_models_and_its_abilities_are_shown(llama: Program, tmp_path: Path) -> None:
    (tmp_path / "antiphon.yaml").write_text(
        "providers: {inference: [{provider_id: here, provider_type: 'remote::llama-cpp-server',"
        f" config: {{base_url: '{llama.url}/v1'}}}}]}}\n"
    )
    (model,) = json.loads(run(tmp_path, "models", "--json").stdout)["models"]
    assert (model["provider"], model["upstream_model"], model["short"]) == ("here", "tiny", "tiny")
    (provider,) = json.loads(run(tmp_path, "providers", "--json").stdout)["providers"]
    assert provider["reachable"] is True
    assert provider["capabilities"]["json_schema"] is True
