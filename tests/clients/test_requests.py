"""Bodies as clients send them whose own package is not installed here: AG2 0.10 and Codex, seen on the wire."""

from typing import Any

import pytest

from bench.program import Program
from tests.conformance.recorder import Recorder
from tests.integration.clients import Raw

TOOL: dict[str, Any] = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
USER = {"role": "user", "content": "Tell me the weather please."}


@pytest.fixture
def raw(server: Program, recorder: Recorder) -> Any:
    with Raw(server.port, recorder) as connection:
        yield connection


def made(raw: Raw, **body: Any) -> dict[str, Any]:
    answer = raw.post("/v1/responses", {"model": "demo", **body})
    assert answer.status == 200, answer.body
    return answer.json


def text_of(response: dict[str, Any]) -> str:
    return "".join(part["text"] for item in response["output"] for part in item.get("content", []))


def test_ag2_sends_a_previous_response_and_its_history_once_more(raw: Raw) -> None:
    first = made(raw, input=[USER], tools=[TOOL], tool_choice="auto")
    (call,) = first["output"]
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "rain"}
    for _ in range(2):  # it reads the previous response twice before each turn
        assert raw.get(f"/v1/responses/{first['id']}").json == first
    second = made(raw, input=[USER, call, output], previous_response_id=first["id"], tools=[TOOL])
    assert "rain" in text_of(second)


def test_ag2_sends_assistant_messages_whose_text_is_null(raw: Raw) -> None:
    said = {"role": "assistant", "content": [{"type": "output_text", "text": None}]}
    assert "Go on" in text_of(made(raw, input=[USER, said, {"role": "user", "content": "Go on"}]))


def test_ag2_sends_no_input_when_two_agents_talk(raw: Raw) -> None:
    first = made(raw, input="Remember me.")
    assert made(raw, input=[], previous_response_id=first["id"])["status"] == "completed"


def test_ag2_spells_the_computer_tool_in_its_own_way(raw: Raw) -> None:
    """`computer_use`, as a tool, which comes back as the official document has it, and as a choice."""
    tool = {"type": "computer_use", "display_width": 1024, "display_height": 768, "environment": "browser"}
    choice = {"type": "computer_use"}
    first = made(raw, model="machinist", input=[USER], tools=[tool], tool_choice=choice)
    (call,) = (item for item in first["output"] if item["type"] == "computer_call")
    image = {"type": "computer_screenshot", "image_url": "data:image/png;base64,iVBORw0KGgo="}
    output = {"type": "computer_call_output", "call_id": call["call_id"], "output": image}
    second = made(raw, model="machinist", input=[output], previous_response_id=first["id"], tools=[tool])
    assert [item["type"] for item in second["output"]] == ["computer_call"]
    assert (first["tools"], first["tool_choice"]) == ([{"type": "computer"}], choice)


def test_codex_sends_custom_tools_sealed_reasoning_and_metadata_of_its_own(raw: Raw) -> None:
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"}
    patch = {"type": "custom", "name": "apply_patch", "description": "Edits files.", "format": grammar}
    rules = {
        "type": "message",
        "role": "developer",
        "id": "msg_1",
        "content": [{"type": "input_text", "text": "Be brief."}],
    }
    answer = raw.post(
        "/v1/responses",
        {
            "model": "clerk",
            "instructions": "You are a coding agent.",
            "input": [rules, {"type": "message", **USER}],
            "tools": [TOOL, {**TOOL, "name": "get_time"}, patch],
            "tool_choice": "auto",
            "parallel_tool_calls": True,
            "reasoning": {"summary": "auto"},
            "store": False,
            "stream": True,
            "include": ["reasoning.encrypted_content"],
            "prompt_cache_key": "thread-1",
            "client_metadata": {"originator": "codex"},
        },
    )
    assert answer.status == 200, answer.body
    for needed in (b"response.output_item.done", b"response.completed", b'"encrypted_content"', b'"usage"'):
        assert needed in answer.body
