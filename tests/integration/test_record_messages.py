"""Recording over the Messages API: what clients of ours asked for is replayed, whatever the upstream speaks."""

import asyncio
import json
from pathlib import Path

import pytest

from antiphon.cli.commands import run as run_command
from antiphon.testing.simulation import Answer
from tests.integration.recording import Json, final, normal, recorded, respond, scripted_config, serving
from tests.wire.fake_upstream import Exchange, fake_upstream

MESSAGE: Json = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude",
    "content": [{"type": "text", "text": "Hello from there."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 4},
}


async def answer(exchange: Exchange) -> None:
    await exchange.reply(200, json.dumps(MESSAGE).encode())


def config(url: str, folder: Path) -> str:
    return f"""\
recording: {{path: "{folder}/recordings"}}
providers:
  inference:
  - provider_id: up
    provider_type: remote::anthropic
    config: {{base_url: "{url.removesuffix("/v1")}", api_key: sk-ant-0123456789abcdef, allowed_models: [claude]}}
storage: {{url: "sqlite:///{folder}/recorded.db"}}
"""


def test_the_messages_api_is_recorded_and_replayed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    body = {"model": "up/claude", "input": "hello", "max_output_tokens": 64}

    async def ask() -> Answer:
        async with (
            fake_upstream(answer) as upstream,
            serving(tmp_path, config(upstream.url, tmp_path)) as app,
        ):
            return await respond(app, body)

    async def ask_again() -> tuple[Answer, Answer]:
        async with serving(tmp_path, scripted_config(tmp_path)) as app:
            streamed = await respond(app, {**body, "stream": True})
            return await respond(app, body), streamed

    first = asyncio.run(ask())
    assert first.status == 200
    (one,) = recorded(tmp_path).exchanges
    assert one.sent is not None
    assert one.sent.path == "/v1/messages"
    flags = ["--config", str(tmp_path / "antiphon.yaml")]
    assert run_command(["replay", one.run, *flags]) == 0
    assert capsys.readouterr().out == f"{one.run}  from its recorded answers, 1 model call: the same\n"
    again, streamed = asyncio.run(ask_again())
    assert normal(again.body) == normal(first.body)
    assert final(streamed)["output"][0]["content"][0]["text"] == "Hello from there."
