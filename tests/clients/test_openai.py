"""openai-python, the newest: a streamed tool flow by chaining, by items sent back, and with its helpers."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai.types.responses import FunctionToolParam, Response, ResponseFunctionToolCall
from pydantic import BaseModel

CITY: dict[str, object] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER: FunctionToolParam = {"type": "function", "name": "get_weather", "parameters": CITY, "strict": True}
TIME: FunctionToolParam = {"type": "function", "name": "get_time", "parameters": CITY, "strict": True}
TOOLS = [WEATHER, TIME]
QUESTION = "What is the weather, and what time is it?"
ANSWERS = {"get_weather": "rain", "get_time": "noon"}


@pytest.fixture
def client(base_url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=base_url, api_key="none", max_retries=0) as made:
        yield made


def streamed(client: openai.OpenAI, **request: Any) -> tuple[Response, str, dict[int, str]]:
    """The final response, the text and the arguments by output index as the deltas spelled them."""
    text, arguments, final = "", dict[int, str](), None
    with client.responses.create(model="clerk", tools=TOOLS, stream=True, **request) as events:
        for event in events:
            if event.type == "response.output_text.delta":
                text += event.delta
            elif event.type == "response.function_call_arguments.delta":
                arguments[event.output_index] = arguments.get(event.output_index, "") + event.delta
            elif event.type == "response.completed":
                final = event.response
    assert final is not None
    return final, text, arguments


def outputs(response: Response) -> list[Any]:
    calls = [item for item in response.output if isinstance(item, ResponseFunctionToolCall)]
    assert [call.name for call in calls] == ["get_weather", "get_time"]
    return [
        {"type": "function_call_output", "call_id": call.call_id, "output": ANSWERS[call.name]}
        for call in calls
    ]


def test_a_streamed_tool_flow_by_chaining(client: openai.OpenAI) -> None:
    first, text, arguments = streamed(client, input=QUESTION)
    assert text == ""
    assert [item.type for item in first.output] == ["reasoning", "function_call", "function_call"]
    assert arguments == {1: '{"city":"Oslo"}', 2: '{"city":"Oslo"}'}
    second, text, _ = streamed(client, input=outputs(first), previous_response_id=first.id)
    assert text == second.output_text == "It says: rain, noon."
    context = client.responses.input_items.list(second.id, order="asc")
    assert [item.type for item in context] == [
        "message",
        "reasoning",
        "function_call",
        "function_call",
        "function_call_output",
        "function_call_output",
    ]


def test_a_streamed_tool_flow_by_items_sent_back(client: openai.OpenAI) -> None:
    """Nothing is stored; reasoning items travel with the calls they led to."""
    history: list[Any] = [{"role": "user", "content": QUESTION}]
    first, _, _ = streamed(client, input=history, store=False, include=["reasoning.encrypted_content"])
    assert first.output[0].type == "reasoning"
    assert first.output[0].encrypted_content
    history += [item.to_dict() for item in first.output] + outputs(first)
    second, text, _ = streamed(client, input=history, store=False)
    assert text == "It says: rain, noon."
    history += [item.to_dict() for item in second.output] + [{"role": "user", "content": "Thanks"}]
    third, text, _ = streamed(client, input=history, store=False)
    assert "Thanks" in text
    assert third.status == "completed"


def test_the_stream_helper_gathers_calls_and_parses_arguments(client: openai.OpenAI) -> None:
    with client.responses.stream(model="clerk", input=QUESTION, tools=TOOLS) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert kinds.count("response.function_call_arguments.done") == 2
    call = next(item for item in final.output if item.type == "function_call")
    assert call.parsed_arguments == {"city": "Oslo"}


def test_a_structured_answer_is_parsed(client: openai.OpenAI) -> None:
    class Weather(BaseModel):
        city: str
        degrees: int

    parsed = client.responses.parse(model="demo", input="Oslo?", text_format=Weather)
    assert isinstance(parsed.output_parsed, Weather)
    with client.responses.stream(model="demo", input="Oslo?", text_format=Weather) as stream:
        for _ in stream:
            pass
        assert isinstance(stream.get_final_response().output_parsed, Weather)


def test_a_failure_in_a_stream_reaches_the_reader(client: openai.OpenAI) -> None:
    """As an event and as the end: data with a key `error` at its top would raise in the client before the end."""
    *_, error, last = client.responses.create(model="up/breaks", input="go", stream=True)
    assert error.type == "error"
    assert "broke off" in error.message
    assert last.type == "response.failed"
    assert last.response.error is not None
    assert last.response.error.message == error.message


async def test_the_async_client_runs_the_flow(base_url: str) -> None:
    async with openai.AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0) as client:
        async with client.responses.stream(model="clerk", input=QUESTION, tools=TOOLS) as stream:
            first: Any = await stream.get_final_response()
        async with client.responses.stream(
            model="clerk", input=outputs(first), tools=TOOLS, previous_response_id=first.id
        ) as stream:
            text = "".join(
                [event.delta async for event in stream if event.type == "response.output_text.delta"]
            )
    assert text == "It says: rain, noon."
