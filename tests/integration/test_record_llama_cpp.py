"""A real engine recorded, and its answers replayed: real streams, grammars, tool calls and token counts."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from antiphon.cli.commands import run as run_command
from bench.program import Program, environment
from tests.integration.recording import (
    CHAT_TOOL,
    TOOL,
    Json,
    chat,
    normal,
    recorded,
    respond,
    scripted_config,
    serving,
)

ROOT = Path(__file__).resolve().parents[2]
SCHEMA: Json = {
    "type": "object",
    "properties": {"city": {"enum": ["Paris", "Rome"]}},
    "required": ["city"],
    "additionalProperties": False,
}
PATHS = {
    "chat": {"/v1/chat/completions"},
    "responses": {"/v1/responses"},
    "auto": {"/v1/chat/completions", "/v1/responses"},
}
WIRES = tuple(PATHS)
ASKED: dict[str, Json] = {
    "text": {"input": "hi", "max_output_tokens": 24},
    "schema": {
        "input": "a city",
        "text": {"format": {"type": "json_schema", "name": "city", "schema": SCHEMA, "strict": True}},
    },
    "tool": {"input": "weather?", "tools": [TOOL], "max_output_tokens": 24, "temperature": 0},
    "logprobs": {
        "input": "hi",
        "max_output_tokens": 16,
        "top_logprobs": 2,
        "include": ["message.output_text.logprobs"],
    },
}


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


def config(llama: Program, folder: Path, wire: str = "chat") -> str:
    return f"""\
recording: {{path: "{folder}/recordings"}}
providers:
  inference:
  - provider_id: up
    provider_type: remote::llama-cpp-server
    config: {{base_url: "{llama.url}/v1", wire: {wire}}}
storage: {{url: "sqlite:///{folder}/recorded.db"}}
"""


def asked_by(wire: str) -> list[str]:
    """The engine's `/v1/responses` gives no log-probabilities; `auto` asks its chat route for them."""
    return [name for name in ASKED if wire != "responses" or name != "logprobs"]


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize(("wire", "name"), [(wire, name) for wire in WIRES for name in asked_by(wire)])
async def test_a_real_answer_is_replayed(
    wire: str, name: str, stream: bool, llama: Program, tmp_path: Path
) -> None:
    body = {"model": "tiny", "temperature": 0, **ASKED[name], "stream": stream}
    async with serving(tmp_path, config(llama, tmp_path, wire)) as app:
        first = await respond(app, body)
    assert first.status == 200, first.body
    async with serving(tmp_path, scripted_config(tmp_path)) as app:
        again = await respond(app, body)
    assert normal(again.body) == normal(first.body)


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_a_real_completion_is_replayed(stream: bool, llama: Program, tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "hi"}]
    body = {
        "model": "tiny",
        "messages": messages,
        "tools": [CHAT_TOOL],
        "max_tokens": 16,
        "temperature": 0,
        "stream": stream,
    }
    async with serving(tmp_path, config(llama, tmp_path)) as app:
        first = await chat(app, body)
    async with serving(tmp_path, scripted_config(tmp_path)) as app:
        again = await chat(app, body)
    assert first.status == 200
    assert again.body == first.body


@pytest.mark.parametrize("wire", WIRES)
def test_a_real_run_is_made_again_from_its_recording(
    wire: str, llama: Program, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def ask() -> None:
        async with serving(tmp_path, config(llama, tmp_path, wire)) as app:
            for name in asked_by(wire):
                await respond(app, {"model": "tiny", **ASKED[name], "stream": True})

    asyncio.run(ask())
    answers = [one.answer for one in recorded(tmp_path).exchanges if one.answer is not None]
    assert max(len(answer.pieces) for answer in answers) > 1, "it came in pieces, of whatever size"
    flags = ["--config", str(tmp_path / "antiphon.yaml")]
    assert run_command(["replay", str(tmp_path / "recordings"), *flags]) == 0
    printed = capsys.readouterr().out
    assert printed.count("1 model call: the same") == len(asked_by(wire))
    assert "note" not in printed, "the request of each was compared too"
    paths = {one.sent.path for one in recorded(tmp_path).exchanges if one.sent is not None}
    assert paths <= PATHS[wire]
