"""The HTTP cases of the Open Responses compliance suite, by their ids, against the installed program.

Every body must be a `ResponseResource` and every event a member of the document's event union.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from antiphon.conformance.stream import check_stream, response_events
from bench.program import Program, start_antiphon
from tests.conformance import official
from tests.conformance.recorder import Recorder
from tests.integration.clients import Answer, Raw
from tests.integration.upstream import Upstream

pytestmark = pytest.mark.skipif(not official.available(), reason=official.MISSING)

PIXEL = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)
WEATHER: dict[str, Any] = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a place now",
    "parameters": {
        "type": "object",
        "properties": {"location": {"type": "string", "description": "City, country"}},
        "required": ["location"],
    },
}


def message(role: str, content: Any, **more: str) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": content, **more}


CASES: dict[str, dict[str, Any]] = {
    "basic-response": {"input": [message("user", "Say hello in exactly three words.")]},
    "assistant-phase": {
        "input": [
            message("user", "Find the train and tell me when it leaves."),
            message("assistant", "Looking it up.", phase="commentary"),
            message("assistant", "It leaves at nine.", phase="final_answer"),
            message("user", "And when does it arrive?"),
        ]
    },
    "streaming-response": {"input": [message("user", "Count from 1 to 5.")], "stream": True},
    "system-prompt": {
        "input": [
            message("system", "You are a pirate. Answer as one."),
            message("user", "Say hello."),
        ]
    },
    "tool-calling": {
        "input": [message("user", "What is the weather in San Francisco?")],
        "tools": [WEATHER],
    },
    "image-input": {
        "input": [
            message(
                "user",
                [
                    {"type": "input_text", "text": "What is in this picture? One sentence."},
                    {"type": "input_image", "image_url": PIXEL},
                ],
            )
        ]
    },
    "multi-turn": {
        "input": [
            message("user", "My name is Ada."),
            message("assistant", "Hello Ada, how can I help?"),
            message("user", "What is my name?"),
        ]
    },
    "tool-calling-streaming": {
        "input": [message("user", "What is the weather in San Francisco?")],
        "tools": [WEATHER],
        "stream": True,
    },
}


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as running:
        yield running


@pytest.fixture(scope="module")
def server(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("conformance")
    config = f"""\
version: 2
providers:
  inference:
  - provider_id: up
    provider_type: remote::openai-compatible
    config: {{base_url: "{upstream.url}", api_key: none, wire: chat}}
  - provider_id: scripted
    provider_type: inline::scripted
storage: {{url: "sqlite:///{folder}/antiphon.db"}}
"""
    with start_antiphon(folder, config) as program:
        program.wait_ready()
        yield program


def asked(server: Program, recorder: Recorder, case: str, model: str) -> Answer:
    with Raw(server.port, recorder) as raw:
        answer = raw.post("/v1/responses", {"model": model, **CASES[case]})
    assert answer.status == 200, answer.body
    return answer


def final_of(answer: Answer, *, stream: bool) -> dict[str, Any]:
    """The response object of an answer, after everything in the answer was held against the document."""
    if stream:
        problems: list[str] = []
        events = response_events(answer.body, problems)
        for event in events:
            problems += official.open_responses().event_errors(event)
        problems += check_stream(events)
        assert not problems, "\n".join(problems)
        response: dict[str, Any] = events[-1]["response"]
    else:
        response = answer.json
    assert official.open_responses().errors("ResponseResource", response) == []
    return response


@pytest.mark.parametrize("model", ["up/echo", "demo"])
@pytest.mark.parametrize("case", [case for case in CASES if "tool" not in case])
def test_a_case_completes_with_output(server: Program, recorder: Recorder, case: str, model: str) -> None:
    answer = asked(server, recorder, case, model)
    response = final_of(answer, stream="stream" in case)
    assert response["status"] == "completed"
    assert response["output"]


@pytest.mark.parametrize("model", ["up/caller", "demo"])
def test_tool_calling(server: Program, recorder: Recorder, model: str) -> None:
    response = final_of(asked(server, recorder, "tool-calling", model), stream=False)
    calls = [item for item in response["output"] if item["type"] == "function_call"]
    assert [call["name"] for call in calls] == ["get_weather"]
    assert isinstance(json.loads(calls[0]["arguments"]), dict)


@pytest.mark.parametrize("model", ["up/caller", "demo"])
def test_tool_calling_streaming(server: Program, recorder: Recorder, model: str) -> None:
    answer = asked(server, recorder, "tool-calling-streaming", model)
    final_of(answer, stream=True)
    events = response_events(answer.body, [])
    kinds = [event["type"] for event in events]
    items = [event["item"]["type"] for event in events if event["type"] == "response.output_item.added"]
    assert "function_call" in items
    assert "response.function_call_arguments.delta" in kinds
    assert "response.function_call_arguments.done" in kinds
    assert kinds.count("response.output_item.done") == kinds.count("response.output_item.added")


def test_a_missing_required_field_is_400(server: Program, recorder: Recorder) -> None:
    with Raw(server.port, recorder) as raw:
        assert raw.post("/v1/responses", {"input": "no model"}).status == 400
