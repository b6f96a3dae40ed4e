"""The requests of Claude Code, replayed: each is answered as that program needs it, over every wire."""

import http.client
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bench.program import Program, start_antiphon
from tests.integration.claude_code import (
    ASKED,
    HEADERS,
    LATE,
    SYSTEM,
    TOOLS,
    USER_ID,
    counting,
    quota,
    text,
    title,
    turn,
)
from tests.integration.messages import LIMIT_S, configuration
from tests.integration.upstream import Upstream
from tests.properties.test_messages_projection import assembled, read
from tests.wire.fake_anthropic import FakeAnthropic
from tests.wire.fake_responses import FakeResponses

Json = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def message(self) -> Json:
        """What Claude Code puts together."""
        if self.headers["content-type"].startswith("text/event-stream"):
            return assembled(read(self.body))
        whole: Json = json.loads(self.body)
        return whole


@dataclass(frozen=True)
class Stand:
    server: Program
    chat: Upstream
    responses: FakeResponses
    claude: FakeAnthropic

    def send(self, method: str, path: str, body: Json | None = None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=LIMIT_S)
        data = None if body is None else json.dumps(body).encode()
        connection.request(method, path, body=data, headers=HEADERS)
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        answer = Answer(response.status, headers, response.read())
        connection.close()
        return answer

    def ask(self, body: Json) -> Json:
        answer = self.send("POST", "/v1/messages?beta=true", body)
        assert answer.status == 200, answer.body
        assert answer.headers["request-id"]
        assert "warning" not in answer.headers
        return answer.message


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    folder: Path = tmp_path_factory.mktemp("claude-code")
    with ExitStack() as running:
        chat = running.enter_context(Upstream())
        responses = running.enter_context(FakeResponses())
        claude = running.enter_context(FakeAnthropic())
        config = configuration(folder, chat, responses, claude)
        server = running.enter_context(start_antiphon(folder, config))
        server.wait_ready()
        yield Stand(server, chat, responses, claude)
        assert claude.seen.refused == []
        assert responses.seen.violations == []


def results(message: Json, *extra: Json) -> Json:
    """The turn behind calls: each result, then what the program puts beside them."""
    calls = [block for block in message["content"] if block["type"] == "tool_use"]
    made = [
        {"tool_use_id": call["id"], "type": "tool_result", "content": f"result {at}", "is_error": at > 0}
        for at, call in enumerate(calls)
    ]
    made[-1]["cache_control"] = {"type": "ephemeral"}
    return {"role": "user", "content": [*made, *extra]}


@pytest.mark.parametrize("model", ["scripted/coder", "chat/parallel", "responses/caller", "claude/caller"])
def test_a_chain_of_calls_with_thinking_in_between(stand: Stand, model: str) -> None:
    first = stand.ask(turn(model, ASKED, LATE))
    assert first["stop_reason"] == "tool_use"
    assert first["usage"]["output_tokens"] > 0
    assistant = {"role": "assistant", "content": first["content"]}
    last = stand.ask(turn(model, ASKED, LATE, assistant, results(first)))
    assert last["stop_reason"] in ("end_turn", "tool_use")
    if model == "claude/caller":
        assert [block["type"] for block in first["content"]] == ["thinking", "tool_use"]
        sent = stand.claude.last_request()
        assert sent["messages"][1]["content"][0]["type"] == "thinking"  # the fake knows its own, and no other
        assert sent["thinking"]["type"] == "adaptive"
        assert sent["output_config"]["effort"] == "high"
        assert len(sent["metadata"]["user_id"]) == 64
    if model == "scripted/coder":
        assert [block["type"] for block in first["content"]] == ["thinking", "text", "tool_use", "tool_use"]
        assert "Error: result 1" in last["content"][-1]["text"]


def test_what_a_chat_model_is_shown_of_it(stand: Stand) -> None:
    message = stand.ask(
        turn("chat/echo", ASKED, LATE, {"role": "assistant", "content": [text("yes")]}, ASKED)
    )
    assert message["content"][0]["text"].endswith("write it")
    sent = stand.chat.last_request()
    assert [one["role"] for one in sent["messages"]] == ["system", "user", "assistant", "user"]
    assert sent["messages"][0]["content"].endswith(SYSTEM[-1]["text"])
    assert sent["messages"][1]["content"][-1]["text"].startswith("<system>\nAvailable agent types")
    assert [tool["function"]["name"] for tool in sent["tools"]] == [tool["name"] for tool in TOOLS]
    assert sent["tools"][0]["function"]["parameters"] == TOOLS[0]["input_schema"]
    assert sent["reasoning_effort"] == "high"
    assert USER_ID not in json.dumps(sent)


@pytest.mark.parametrize("model", ["demo", "chat/echo", "responses/echo", "claude/echo"])
def test_the_probes_beside_the_main_loop(stand: Stand, model: str) -> None:
    assert stand.ask(quota(model))["type"] == "message"
    counted = stand.send("POST", "/v1/messages/count_tokens?beta=true", counting(model))
    assert counted.status == 200, counted.body
    least = 0 if model == "demo" else 500  # a scripted model counts words, and none of the tools
    assert json.loads(counted.body)["input_tokens"] > least


def test_a_title_is_of_the_form_that_was_asked(stand: Stand) -> None:
    message = stand.ask(title("demo"))
    assert set(json.loads(message["content"][0]["text"])) == {"title"}


def test_the_looks_at_the_server_do_no_harm(stand: Stand) -> None:
    head = stand.send("HEAD", "/")
    assert head.status in (200, 404)
    models = stand.send("GET", "/v1/models?limit=1000")
    assert {model["type"] for model in json.loads(models.body)["data"]} == {"model"}
    for path in ("/api/event_logging/batch", "/v1/messages/batches"):
        answer = stand.send("POST", path, {})
        assert answer.status == 404


def test_a_model_that_is_not_there_is_said_so(stand: Stand) -> None:
    """Claude Code looks for `not_found_error` to advise another `--model`."""
    answer = stand.send("POST", "/v1/messages?beta=true", turn("claude-opus-4-8", ASKED))
    assert (answer.status, answer.message["error"]["type"]) == (404, "not_found_error")
    assert "claude-opus-4-8" in answer.message["error"]["message"]
