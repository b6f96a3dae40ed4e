"""What model servers are sent of tools that the client runs: functions, calls of functions and images, on each wire."""

import re
from collections.abc import Iterator
from typing import Any, cast

import openai
import pytest

import antiphon
from antiphon.in_process.server import EmbeddedServer
from tests.conformance import official
from tests.conformance.recorder import Recorder
from tests.integration.clients import InProcess
from tests.integration.upstream import Upstream
from tests.properties.test_mutated_bodies import GRAMMAR, MACHINE_CALLS, MACHINE_TOOLS
from tests.wire.fake_anthropic import KEY, FakeAnthropic
from tests.wire.fake_responses import FakeResponses

Json = dict[str, Any]
LONG: Json = {
    "type": "namespace",
    "name": "a very long namespace, with spaces and more",
    "description": "Long",
    "tools": [{"type": "function", "name": "and_a_function_of_a_very_long_name_too", "parameters": {}}],
}
TOOLS: list[Json] = [*MACHINE_TOOLS, LONG]
ITEMS: list[Json] = [*MACHINE_CALLS, {"role": "user", "content": "go on"}]
NAMES = [
    "computer",
    "local_shell",
    "shell",
    "apply_patch",
    "crm__f",
    "crm__g",
    "tool_search",
    "a_very_long_namespace__with_spaces_and_more__and_a_func",
    "found",
]
"""The last but one ends in a checksum; `f` is deferred, and `found` was found in the conversation."""
CALLED = ["computer", "local_shell", "shell", "apply_patch", "tool_search", "crm__f"]
CHOICE: Json = {
    "type": "allowed_tools",
    "mode": "auto",
    "tools": [{"type": "shell"}, {"type": "namespace", "name": "crm"}],
}


@pytest.fixture(scope="module")
def responses_upstream() -> Iterator[FakeResponses]:
    with FakeResponses() as running:
        yield running


@pytest.fixture(scope="module")
def anthropic_upstream() -> Iterator[FakeAnthropic]:
    with FakeAnthropic() as running:
        yield running


@pytest.fixture(scope="module")
def embedded_server(
    upstream: Upstream, responses_upstream: FakeResponses, anthropic_upstream: FakeAnthropic
) -> Iterator[EmbeddedServer]:
    def provider(name: str, kind: str, **config: Any) -> Json:
        return {"provider_id": name, "provider_type": f"remote::{kind}", "config": config}

    compatible = "openai-compatible"
    inference = [
        provider("chat", compatible, base_url=upstream.url, wire="chat"),
        provider("responses", compatible, base_url=responses_upstream.url, wire="responses"),
        provider("messages", "anthropic", base_url=anthropic_upstream.url, api_key=KEY),
    ]
    routed = {"model": "messages/echo", "when": {"images": True}}
    candidates = [routed, {"model": "chat/echo"}]
    config = {
        "version": 2,
        "providers": {"inference": inference},
        "models": [{"model_id": "by-sight", "route": {"candidates": candidates, "sticky": False}}],
    }
    with antiphon.embedded(config, temporary=True) as running:
        yield running


@pytest.fixture
def client(embedded_server: EmbeddedServer, recorder: Recorder) -> Iterator[openai.OpenAI]:
    with InProcess(embedded_server, recorder).sync() as made:
        yield made


def go_on(client: openai.OpenAI, model: str, **more: Any) -> Any:
    body: Json = {"input": ITEMS, "tools": TOOLS, **more}
    return cast("Any", client.responses.create(model=model, **cast("Any", body)))


def known(names: list[str]) -> list[str]:
    """The names without the checksum of the long one, each held to what chat APIs take."""
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name) for name in names)
    return [re.sub(r"_[0-9a-f]{8}\Z", "", name) for name in names]


def test_a_chat_server_is_shown_functions_and_pictures(client: openai.OpenAI, upstream: Upstream) -> None:
    assert go_on(client, "chat/echo").output_text == "You said: go on"
    sent = upstream.last_request()
    if official.available():
        assert official.openai().errors("CreateChatCompletionRequest", sent) == []
    assert known([tool["function"]["name"] for tool in sent["tools"]]) == NAMES
    calls = [call for message in sent["messages"] for call in message.get("tool_calls", ())]
    assert [call["function"]["name"] for call in calls] == CALLED
    answered = {message["tool_call_id"] for message in sent["messages"] if message["role"] == "tool"}
    assert answered == {call["id"] for call in calls}
    pictures = [
        part["image_url"]["url"]
        for message in sent["messages"]
        if isinstance(message["content"], list)
        for part in message["content"]
        if part["type"] == "image_url"
    ]
    assert pictures == [MACHINE_CALLS[2]["output"]["image_url"]]


def test_a_responses_server_is_shown_functions_and_pictures(
    client: openai.OpenAI, responses_upstream: FakeResponses
) -> None:
    assert go_on(client, "responses/echo").output_text == "You said: go on"
    sent = responses_upstream.seen.requests[-1]
    assert responses_upstream.seen.violations == []
    assert known([tool["name"] for tool in sent["tools"]]) == NAMES
    assert {tool["type"] for tool in sent["tools"]} == {"function"}
    calls = [item for item in sent["input"] if item["type"] == "function_call"]
    assert [call["name"] for call in calls] == CALLED
    outputs = {item["call_id"]: item["output"] for item in sent["input"] if item["type"].endswith("_output")}
    assert outputs[calls[0]["call_id"]][0]["image_url"] == MACHINE_CALLS[2]["output"]["image_url"]
    assert "namespace" not in sent["input"][-3]


def test_a_messages_server_is_shown_functions_and_pictures(
    client: openai.OpenAI, anthropic_upstream: FakeAnthropic
) -> None:
    assert go_on(client, "messages/echo").output_text.endswith("go on")
    assert anthropic_upstream.seen.refused == []
    sent = anthropic_upstream.seen.requests[-1]
    assert known([tool["name"] for tool in sent["tools"]]) == NAMES
    blocks = [
        block
        for message in sent["messages"]
        for block in message["content"]
        if isinstance(message["content"], list)
    ]
    assert [block["name"] for block in blocks if block["type"] == "tool_use"] == CALLED
    results = [block["content"] for block in blocks if block["type"] == "tool_result"]
    assert results[0][0]["type"] == "image"
    assert results[0][0]["source"]["data"] == "AAAA"


@pytest.mark.parametrize("model", ["chat/echo", "responses/echo", "messages/echo"])
def test_the_choice_is_told_by_the_names_that_the_model_knows(client: openai.OpenAI, model: str) -> None:
    made = go_on(client, model, tool_choice=CHOICE)
    assert made.status == "completed"
    assert made.tool_choice.to_dict() == CHOICE
    assert [tool.type for tool in made.tools] == [tool["type"] for tool in TOOLS]


def test_a_screenshot_counts_as_an_image_now_and_later(client: openai.OpenAI) -> None:
    first = go_on(client, "by-sight")
    plain = client.responses.create(model="by-sight", input="hi")
    later = client.responses.create(model="by-sight", previous_response_id=first.id, input="go on")
    served = [
        client.responses.with_raw_response.create(
            model="by-sight", previous_response_id=one, input="x"
        ).headers["x-antiphon-served-by"]
        for one in (plain.id, later.id)
    ]
    assert served == ["chat/echo", "messages/echo"]


def test_a_grammar_in_a_namespace_is_kept(client: openai.OpenAI, upstream: Upstream) -> None:
    """The upstream knows functions only and says what it likes: it is told once, and asked again."""
    note: Json = {"type": "custom", "name": "note", "format": {**GRAMMAR, "definition": "[0-9]\\+[0-9]"}}
    space: Json = {"type": "namespace", "name": "n", "description": "Notes", "tools": [note]}
    before = len(upstream.seen.requests)
    made = client.responses.create(model="chat/patcher", input="one", tools=cast("Any", [space]))
    [item] = made.output
    assert item.type == "custom_tool_call"
    assert (item.name, item.namespace, item.input) == ("note", "n", "1+2")
    assert len(upstream.seen.requests) == before + 2
    assert "does not match the grammar" in upstream.last_request()["messages"][-1]["content"]
