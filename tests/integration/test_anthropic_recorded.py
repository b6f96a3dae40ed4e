"""What a server with the Messages API answered is recorded, answers again from the recording, and is replayed."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from antiphon.cli.commands import run as run_command
from tests.integration.recording import Json, final, normal, recorded, respond, scripted_config, serving
from tests.wire.fake_anthropic import KEY, FakeAnthropic

TOOL: Json = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}
ASKED: dict[str, Json] = {
    "thought": {"model": "thinker", "input": "why?", "reasoning": {"effort": "low"}},
    "hidden": {"model": "redacted", "input": "why?", "reasoning": {"effort": "high", "summary": "auto"}},
    "older": {"model": "middle", "input": "why?", "reasoning": {"effort": "high"}},
    "calls": {"model": "parallel", "input": "both?", "tools": [TOOL, {**TOOL, "name": "time"}]},
    "refused": {"model": "refuser", "input": "no"},
    "broken": {"model": "errs", "input": "x", "stream": True},
    "failed": {"model": "fails-529", "input": "x"},
}


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeAnthropic]:
    with FakeAnthropic() as running:
        yield running


def configuration(fake: FakeAnthropic, folder: Path) -> str:
    return f"""\
recording: {{path: "{folder}/recordings"}}
providers:
  inference:
  - provider_id: up
    provider_type: remote::anthropic
    config: {{base_url: "{fake.url}", api_key: {KEY}, max_retries: 0}}
storage: {{url: "sqlite:///{folder}/recorded.db"}}
"""


@pytest.mark.parametrize("name", ASKED)
async def test_a_replayed_response_is_the_recorded_one(
    name: str, fake: FakeAnthropic, tmp_path: Path
) -> None:
    async with serving(tmp_path, configuration(fake, tmp_path)) as app:
        first = await respond(app, ASKED[name])
    seen = len(fake.seen.requests)
    async with serving(tmp_path, scripted_config(tmp_path)) as app:
        again = await respond(app, ASKED[name])
    assert again.status == first.status
    if name != "failed":
        assert final(again)["status"] == final(first)["status"]
    assert normal(again.body) == normal(first.body)
    assert len(fake.seen.requests) == seen, "nobody was asked"
    written = b"".join(path.read_bytes() for path in (tmp_path / "recordings").iterdir())
    assert KEY.encode() not in written


@pytest.mark.parametrize("name", ASKED)
def test_an_unchanged_server_makes_the_same_run(
    name: str, fake: FakeAnthropic, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def ask() -> None:
        async with serving(tmp_path, configuration(fake, tmp_path)) as app:
            await respond(app, ASKED[name])

    asyncio.run(ask())
    [run] = recorded(tmp_path).run_ids()
    seen = len(fake.seen.requests)
    capsys.readouterr()
    code = run_command(["replay", run, "--json", "--config", str(tmp_path / "antiphon.yaml")])
    [result] = json.loads(capsys.readouterr().out)
    assert result["same"], result
    assert result["notes"] == []
    assert code == 0
    assert len(fake.seen.requests) == seen, "nobody was asked"
