"""Servers in this process that record from the controlled upstream, or answer from what was recorded."""

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.types import Message

from antiphon.app import Services, build
from antiphon.config.load import load
from antiphon.core.wire import encode
from antiphon.recording.reader import Recording
from antiphon.testing.simulation import Answer, exchange
from antiphon.web.edge import Edge

Json = dict[str, Any]
TOOL: Json = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
CHAT_TOOL: Json = {"type": "function", "function": {"name": "get_weather", "parameters": TOOL["parameters"]}}
SECRET = "sk-upstream-secret"
_VOLATILE = re.compile(rb'"(?:created|created_at|completed_at)":\s?[0-9]+')
_SEALED = re.compile(rb'"encrypted_content":"[^"]*"')
_IDS = re.compile(rb"[0-9a-f]{32}")


def recording_config(url: str, folder: Path, more: str = "", recording: str = "") -> str:
    return f"""\
recording: {{path: "{folder}/recordings"{recording}}}
{more}
providers:
  inference:
  - provider_id: up
    provider_type: remote::openai-compatible
    config: {{base_url: "{url}", api_key: {SECRET}, wire: chat}}
  - provider_id: plain
    provider_type: remote::openai-compatible
    config:
      base_url: "{url}"
      wire: chat
      allowed_models: [json-late]
      capabilities: {{json_schema: false}}
storage: {{url: "sqlite:///{folder}/recorded.db"}}
"""


def scripted_config(folder: Path, more: str = "") -> str:
    return f"""\
providers:
  inference:
  - provider_id: up
    provider_type: inline::scripted
    config: {{recording: "{folder}/recordings"{more}}}
storage: {{url: "sqlite:///{folder}/replayed.db"}}
"""


@asynccontextmanager
async def serving(folder: Path, config: str) -> AsyncGenerator[Edge, None]:
    """The application of this configuration, shut down afterwards."""
    (folder / "antiphon.yaml").write_text(config)
    app = build(load(cwd=folder, environ={"ANTIPHON_HOME": str(folder / "home")}))
    try:
        yield app
    finally:
        await services_of(app).shutdown()


def services_of(app: Edge) -> Services:
    services: Services = app._shutdown.__self__  # type: ignore[attr-defined]  # the bound method of the services
    return services


async def respond(app: Edge, body: Mapping[str, object]) -> Answer:
    return await exchange(app, "POST", "/v1/responses", body)


async def chat(app: Edge, body: Mapping[str, object]) -> Answer:
    return await exchange(app, "POST", "/v1/chat/completions", body)


async def leave_at(app: Edge, body: Mapping[str, object], seen: bytes) -> None:
    """Ask for a stream, and leave as soon as these bytes were in it."""
    gone = asyncio.Event()
    given: list[Message] = [{"type": "http.request", "body": encode(body), "more_body": False}]

    async def receive() -> Message:
        if given:
            return given.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if seen in message.get("body", b""):
            gone.set()

    scope = {"type": "http", "method": "POST", "path": "/v1/responses", "query_string": b""}
    await app({**scope, "headers": [(b"content-type", b"application/json")]}, receive, send)


def final(answer: Answer) -> Json:
    """The final response of an answer, streamed or not."""
    if answer.body.startswith(b"{"):
        whole: Json = answer.json
        return whole
    last: Json = answer.events[-1]["response"]
    return last


def normal(body: bytes) -> bytes:
    """The bytes with ids numbered in their order, without times and what is sealed anew each time."""
    numbers: dict[bytes, bytes] = {}

    def numbered(found: re.Match[bytes]) -> bytes:
        return numbers.setdefault(found[0], b"id-%d" % len(numbers))

    settled = _SEALED.sub(b'"sealed":0', _VOLATILE.sub(b'"at":0', body))
    return _IDS.sub(numbered, settled)


def recorded(folder: Path) -> Recording:
    return Recording.load(folder / "recordings")


def written(folder: Path) -> str:
    return "".join(path.read_text() for path in sorted((folder / "recordings").glob("*.jsonl")))
