"""Function tools with the official client: the whole round trip, parallel calls, choices."""

from typing import Any

import openai
import pytest
from openai.types.responses import FunctionToolParam, ResponseFunctionToolCall

from tests.integration.upstream import Upstream

WEATHER: FunctionToolParam = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city now.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": None,
}
TIME: FunctionToolParam = {**WEATHER, "name": "get_time", "description": "The time in a city."}
TOOLS = [WEATHER, TIME]


def calls_of(response: Any) -> list[ResponseFunctionToolCall]:
    return [item for item in response.output if item.type == "function_call"]


def test_a_tool_round_trip_by_previous_response_id(client: openai.OpenAI, upstream: Upstream) -> None:
    first = client.responses.create(model="caller", input="weather?", tools=TOOLS)
    assert first.status == "completed"
    [call] = calls_of(first)
    assert (call.name, call.arguments, call.status) == ("get_weather", '{"city":"Paris"}', "completed")
    second = client.responses.create(
        model="caller",
        previous_response_id=first.id,
        input=[{"type": "function_call_output", "call_id": call.call_id, "output": "21 degrees"}],
        tools=TOOLS,
    )
    assert second.output_text == "You said: 21 degrees"
    user, assistant, tool = upstream.last_request()["messages"]
    assert user["role"] == "user"
    assert assistant["tool_calls"][0]["function"] == {"name": "get_weather", "arguments": '{"city":"Paris"}'}
    assert tool == {"role": "tool", "tool_call_id": assistant["tool_calls"][0]["id"], "content": "21 degrees"}


def test_a_tool_round_trip_by_sending_the_items_back(client: openai.OpenAI, upstream: Upstream) -> None:
    first = client.responses.create(model="caller", input="weather?", tools=TOOLS, store=False)
    [call] = calls_of(first)
    second = client.responses.create(
        model="caller",
        store=False,
        tools=TOOLS,
        input=[
            {"role": "user", "content": "weather?"},
            call.to_dict(),  # type: ignore[list-item]  # an item as the wire has it
            {"type": "function_call_output", "call_id": call.call_id, "output": "rain"},
        ],
    )
    assert second.output_text == "You said: rain"
    assert [message["role"] for message in upstream.last_request()["messages"]] == [
        "user",
        "assistant",
        "tool",
    ]


def test_a_streamed_call_arrives_whole(client: openai.OpenAI) -> None:
    arguments, kinds = "", list[str]()
    with client.responses.stream(model="caller", input="weather?", tools=TOOLS) as stream:
        for event in stream:
            kinds.append(event.type)
            if event.type == "response.function_call_arguments.delta":
                arguments += event.delta
        final = stream.get_final_response()
    assert arguments == '{"city":"Paris"}'
    assert "response.function_call_arguments.done" in kinds
    assert calls_of(final)[0].arguments == arguments


@pytest.mark.parametrize("stream", [False, True])
def test_parallel_calls_stay_apart_and_go_back_as_one_turn(
    client: openai.OpenAI, upstream: Upstream, stream: bool
) -> None:
    if stream:
        with client.responses.stream(model="parallel", input="both?", tools=TOOLS) as events:
            for _ in events:
                pass
            first: Any = events.get_final_response()
    else:
        first = client.responses.create(model="parallel", input="both?", tools=TOOLS)
    calls = calls_of(first)
    assert [(call.name, call.arguments) for call in calls] == [
        ("get_weather", '{"city":"Paris"}'),
        ("get_time", '{"city":"Rome"}'),
    ]
    assert first.output[0].type == "message"
    assert first.output_text == "Let me look."
    second = client.responses.create(
        model="parallel",
        previous_response_id=first.id,
        tools=TOOLS,
        input=[
            {"type": "function_call_output", "call_id": call.call_id, "output": f"{call.name} says 7"}
            for call in calls
        ],
    )
    assert second.output_text == "You said: get_time says 7"
    messages = upstream.last_request()["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "tool"]
    assert len(messages[1]["tool_calls"]) == 2
    assert messages[1]["content"] == "Let me look."


def test_a_branch_can_answer_the_same_call_differently(client: openai.OpenAI) -> None:
    first = client.responses.create(model="caller", input="weather?", tools=TOOLS)
    [call] = calls_of(first)
    for output in ("sun", "snow"):
        answer = client.responses.create(
            model="caller",
            previous_response_id=first.id,
            input=[{"type": "function_call_output", "call_id": call.call_id, "output": output}],
            tools=TOOLS,
        )
        assert answer.output_text == f"You said: {output}"


def test_an_output_without_its_call_is_refused(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(
            model="caller",
            input=[{"type": "function_call_output", "call_id": "call_nobody", "output": "?"}],
            tools=TOOLS,
        )
    assert (caught.value.param or "").startswith("input")


def test_tool_choice_reaches_the_upstream(client: openai.OpenAI, upstream: Upstream) -> None:
    client.responses.create(
        model="caller", input="?", tools=TOOLS, tool_choice={"type": "function", "name": "get_time"}
    )
    sent = upstream.last_request()
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "get_time"}}
    assert [tool["function"]["name"] for tool in sent["tools"]] == ["get_weather", "get_time"]
    client.responses.create(model="caller", input="?", tools=TOOLS, tool_choice="required")
    assert upstream.last_request()["tool_choice"] == "required"


def test_a_call_outside_the_allowed_tools_does_not_reach_the_client(
    client: openai.OpenAI, upstream: Upstream
) -> None:
    response = client.responses.create(
        model="caller",
        input="?",
        tools=TOOLS,
        tool_choice={
            "type": "allowed_tools",
            "mode": "auto",
            "tools": [{"type": "function", "name": "get_time"}],
        },
    )
    assert [call.name for call in calls_of(response)] == []
    assert len(upstream.last_request()["tools"]) == 2


def test_a_tool_without_arguments_works(client: openai.OpenAI, upstream: Upstream) -> None:
    tool: FunctionToolParam = {"type": "function", "name": "ping", "parameters": None, "strict": None}
    response = client.responses.create(model="caller", input="?", tools=[tool])
    assert calls_of(response)[0].name == "ping"
    function = upstream.last_request()["tools"][0]["function"]
    assert function.get("parameters", {"type": "object"}).get("type") == "object"


def test_a_tool_with_references_in_its_schema_works(client: openai.OpenAI, upstream: Upstream) -> None:
    schema: dict[str, object] = {
        "type": "object",
        "$defs": {"stop": {"type": "object", "properties": {"city": {"type": "string"}}}},
        "properties": {"stops": {"type": "array", "items": {"$ref": "#/$defs/stop"}}},
    }
    tool: FunctionToolParam = {"type": "function", "name": "route", "parameters": schema, "strict": None}
    client.responses.create(model="caller", input="?", tools=[tool])
    assert upstream.last_request()["tools"][0]["function"]["parameters"] == schema
