"""Codex itself (`@openai/codex`, its platform package alone) edits a file through the server, without a person."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bench.program import Program, environment
from tests.clients.installed import HERE, node_project, unavailable
from tests.clients.relay import Relay

SSE, WEBSOCKET = "POST /v1/responses HTTP/1.1", "GET /v1/responses HTTP/1.1"
CONFIG = """\
model = "{model}"
model_provider = "antiphon"
check_for_update_on_startup = false

[model_providers.antiphon]
name = "Antiphon"
base_url = "{url}/v1"
env_key = "ANTIPHON_API_KEY"
wire_api = "responses"
supports_websockets = {websockets}
request_max_retries = 0
stream_max_retries = 0

[analytics]
enabled = false

[features]
plugins = false  # else it asks GitHub for a list of them
"""
UNATTENDED = ["--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "--json"]


@dataclass(frozen=True)
class Codex:
    """One installation with a configuration of its own. The relay stands before the server, and before the world."""

    binary: Path
    folder: Path
    relay: Relay

    @property
    def notes(self) -> Path:
        return self.folder / "work" / "notes.txt"

    def run(self, *arguments: str) -> list[dict[str, Any]]:
        """The events that `codex exec` prints; it ends with 0."""
        own = {
            "CODEX_HOME": str(self.folder / "codex"),
            "ANTIPHON_API_KEY": "none",
            "HTTP_PROXY": self.relay.url,
            "HTTPS_PROXY": self.relay.url,
            "NO_PROXY": "127.0.0.1",
        }
        done = subprocess.run(
            [str(self.binary), "exec", *arguments],
            cwd=self.folder / "work",
            env=environment(self.folder, own),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr + done.stdout
        return [json.loads(line) for line in done.stdout.splitlines()]


def codex_binary(cache: Path) -> Path:
    modules = node_project(cache, HERE / "codex")
    found = list(modules.glob("@openai/codex-*/vendor/*/bin/codex"))
    if not found:
        unavailable("no package of Codex is made for this machine")
    return found[0]


@pytest.fixture(scope="module")
def binary(cache: Path) -> Path:
    return codex_binary(cache)


@pytest.fixture
def relay(server: Program) -> Iterator[Relay]:
    with Relay(server.port) as running:
        yield running


def installed(binary: Path, folder: Path, relay: Relay, model: str, *, websockets: bool) -> Codex:
    for name in ("codex", "work"):
        (folder / name).mkdir()
    config = CONFIG.format(model=model, url=relay.url, websockets=str(websockets).lower())
    (folder / "codex" / "config.toml").write_text(config)
    made = Codex(binary, folder, relay)
    made.notes.write_text("one\nold\nthree\n")
    return made


def last_message(events: list[dict[str, Any]]) -> str:
    items = (one.get("item", {}) for one in events)
    *_, last = (str(item["text"]) for item in items if item.get("type") == "agent_message")
    return last


@pytest.mark.parametrize("wire", ["sse", "websocket"])
@pytest.mark.parametrize("model", ["gpt-5.5", "coder"])
def test_codex_edits_a_file(binary: Path, relay: Relay, tmp_path: Path, model: str, wire: str) -> None:
    """It offers `apply_patch` to models that it knows, to others a shell; beside them what the server leaves out."""
    codex = installed(binary, tmp_path, relay, model, websockets=wire == "websocket")
    events = codex.run(*UNATTENDED, "Please change the old line.")
    assert codex.notes.read_text() == "one\nnew\nthree\n"
    kind = "file_change" if model == "gpt-5.5" else "command_execution"
    (edit,) = (
        one["item"] for one in events if one["type"] == "item.completed" and one["item"]["type"] == kind
    )
    assert edit["status"] == "completed"
    assert last_message(events).startswith("It said: ")
    assert events[-1]["type"] == "turn.completed"
    assert events[-1]["usage"]["input_tokens"] > 0
    assert set(relay.lines) == {WEBSOCKET if wire == "websocket" else SSE}


@pytest.mark.parametrize("wire", ["sse", "websocket"])
def test_codex_goes_on_with_a_session(binary: Path, relay: Relay, tmp_path: Path, wire: str) -> None:
    codex = installed(binary, tmp_path, relay, "gpt-5.5", websockets=wire == "websocket")
    begun = codex.run(*UNATTENDED, "Please change the old line.")
    resumed = codex.run("resume", "--last", *UNATTENDED, "What have I asked before?")
    assert resumed[0]["thread_id"] == begun[0]["thread_id"]
    assert last_message(resumed) == "You asked: What have I asked before?"
    assert resumed[-1]["usage"]["input_tokens"] > begun[-1]["usage"]["input_tokens"] / 2
    assert set(relay.lines) == {WEBSOCKET if wire == "websocket" else SSE}


def test_codex_tells_what_the_server_says(binary: Path, relay: Relay, tmp_path: Path) -> None:
    codex = installed(binary, tmp_path, relay, "no-such-model", websockets=False)
    with pytest.raises(AssertionError, match="no-such-model"):
        codex.run(*UNATTENDED, "Please change the old line.")
    assert codex.notes.read_text() == "one\nold\nthree\n"
