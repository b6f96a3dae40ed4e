"""Custom tools with the official client, over an upstream that knows functions only."""

from typing import Any

import openai
import pytest
from openai.types.responses import CustomToolParam, ResponseCustomToolCall

from tests.integration.clients import Raw
from tests.integration.upstream import Upstream

PATCH: CustomToolParam = {"type": "custom", "name": "apply", "description": "Applies a patch."}
SUM: CustomToolParam = {
    "type": "custom",
    "name": "add",
    "description": "Adds.",
    "format": {
        "type": "grammar",
        "syntax": "lark",
        "definition": 'start: NUMBER ("+" NUMBER)*\nNUMBER: /[0-9]+/',
    },
}


def calls_of(response: Any) -> list[ResponseCustomToolCall]:
    return [item for item in response.output if item.type == "custom_tool_call"]


def test_a_custom_tool_is_called_with_raw_text_and_answered(
    client: openai.OpenAI, upstream: Upstream
) -> None:
    text = '*** Begin "Patch"\n+é\n'
    first = client.responses.create(model="patcher", input=text, tools=[PATCH])
    [call] = calls_of(first)
    assert (call.name, call.input) == ("apply", text)
    sent = upstream.last_request()["tools"]
    assert [tool["type"] for tool in sent] == ["function"]
    assert sent[0]["function"]["parameters"]["required"] == ["input"]
    second = client.responses.create(
        model="patcher",
        previous_response_id=first.id,
        input=[{"type": "custom_tool_call_output", "call_id": call.call_id, "output": "applied"}],
        tools=[PATCH],
    )
    assert second.output_text == "You said: applied"
    assistant, tool = upstream.last_request()["messages"][-2:]
    assert assistant["tool_calls"][0]["function"]["name"] == "apply"
    assert tool["content"] == "applied"
    kinds = [item.type for item in client.responses.input_items.list(second.id, order="asc")]
    assert kinds == ["message", "custom_tool_call", "custom_tool_call_output"]


def test_its_input_is_streamed_as_it_comes(client: openai.OpenAI) -> None:
    text = "line one\nline two"
    with client.responses.stream(model="patcher", input=text, tools=[PATCH]) as stream:
        events = list(stream)
        final = stream.get_final_response()
    deltas = [event.delta for event in events if event.type == "response.custom_tool_call_input.delta"]
    assert "".join(deltas) == text
    assert len(deltas) > 1
    [done] = [event for event in events if event.type == "response.custom_tool_call_input.done"]
    assert done.input == text
    assert calls_of(final)[0].input == text


def test_the_items_can_be_sent_back_without_a_store(client: openai.OpenAI) -> None:
    first = client.responses.create(model="patcher", input="x", tools=[PATCH], store=False)
    [call] = calls_of(first)
    second = client.responses.create(
        model="patcher",
        store=False,
        tools=[PATCH],
        input=[
            {"role": "user", "content": "x"},
            call.to_dict(),  # type: ignore[list-item]  # an item as the wire has it
            {"type": "custom_tool_call_output", "call_id": call.call_id, "output": "done"},
        ],
    )
    assert second.output_text == "You said: done"


@pytest.mark.parametrize("streamed", [False, True])
def test_an_input_outside_the_grammar_is_asked_for_once_more_and_never_shown(
    client: openai.OpenAI, upstream: Upstream, streamed: bool
) -> None:
    before = len(upstream.seen.requests)
    final: Any
    if streamed:
        events = list(client.responses.create(model="patcher", input="one", tools=[SUM], stream=True))
        assert "one" not in "".join(
            event.delta for event in events if event.type == "response.custom_tool_call_input.delta"
        )
        last: Any = events[-1]
        final = last.response
    else:
        final = client.responses.create(model="patcher", input="one", tools=[SUM])
    assert [call.input for call in calls_of(final)] == ["1+2"]
    assert len(final.output) == 1
    assert len(upstream.seen.requests) == before + 2
    told = upstream.last_request()["messages"][-1]["content"]
    assert "does not match the grammar" in told
    assert 'character 0, before "one"' in told


def test_a_model_that_keeps_breaking_the_grammar_ends_as_a_failed_response(client: openai.OpenAI) -> None:
    final = client.responses.create(model="stubborn", input="one", tools=[SUM])
    assert final.status == "failed"
    assert final.error is not None
    assert "its input for the tool add does not match" in final.error.message
    assert final.output == []


def test_an_input_inside_the_grammar_goes_through_at_once(client: openai.OpenAI, upstream: Upstream) -> None:
    before = len(upstream.seen.requests)
    final = client.responses.create(model="patcher", input="20+3", tools=[SUM])
    assert [call.input for call in calls_of(final)] == ["20+3"]
    assert len(upstream.seen.requests) == before + 1


def test_choices_name_custom_tools(client: openai.OpenAI, upstream: Upstream) -> None:
    final = client.responses.create(
        model="patcher", input="7", tools=[PATCH, SUM], tool_choice={"type": "custom", "name": "add"}
    )
    assert upstream.last_request()["tool_choice"] == {"type": "function", "function": {"name": "add"}}
    assert [call.name for call in calls_of(final)] == ["add"]
    assert final.tool_choice.type == "custom"  # type: ignore[union-attr]  # as it was sent


@pytest.mark.parametrize(
    ("tool", "param"),
    [
        ({"name": "a b"}, "tools[0].name"),
        ({"name": ""}, "tools[0].name"),
        ({"name": "a", "format": {"type": "xml"}}, "tools[0].format.type"),
        (
            {"name": "a", "format": {"type": "grammar", "syntax": "ebnf", "definition": "x"}},
            "tools[0].format.syntax",
        ),
        ({"name": "a", "format": {"type": "grammar", "syntax": "lark"}}, "tools[0].format.definition"),
        (
            {"name": "a", "format": {"type": "grammar", "syntax": "lark", "definition": " "}},
            "tools[0].format.definition",
        ),
        (
            {"name": "a", "format": {"type": "grammar", "syntax": "regex", "definition": "(a"}},
            "tools[0].format.definition",
        ),
        ({"name": "a", "parameters": {}}, "tools[0].parameters"),
    ],
)
def test_a_custom_tool_that_is_wrong_names_the_field(raw: Raw, tool: dict[str, Any], param: str) -> None:
    answer = raw.post("/v1/responses", {"model": "echo", "input": "x", "tools": [{"type": "custom", **tool}]})
    assert (answer.status, answer.error["param"]) == (400, param), answer.error["message"]


def test_a_choice_of_the_wrong_kind_is_refused(raw: Raw) -> None:
    body = {
        "model": "echo",
        "input": "x",
        "tools": [PATCH],
        "tool_choice": {"type": "function", "name": "apply"},
    }
    answer = raw.post("/v1/responses", body)
    assert (answer.status, answer.error["param"]) == (400, "tool_choice.name")
