"""A whole server over Text Generation Inference: turns with tools, formats, and both at once."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import openai
import pytest

import antiphon
from tests.wire.fake_upstream import fake_upstream
from tests.wire.tgi import MODEL, TextGenerationInference

TOOL: Any = {
    "type": "function",
    "name": "get_weather",
    "strict": False,
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FORMAT: Any = {"format": {"type": "json_schema", "name": "place", "schema": SCHEMA}}


@dataclass
class Served:
    tgi: TextGenerationInference
    client: openai.AsyncOpenAI


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    tgi = TextGenerationInference()
    async with fake_upstream(tgi) as upstream:
        entry = {"provider_id": "tgi", "provider_type": "remote::tgi", "config": {"base_url": upstream.url}}
        config = {"providers": {"inference": [entry]}}
        async with antiphon.embedded(config, temporary=True) as server:
            yield Served(tgi, server.async_client(max_retries=0))


async def test_two_turns_with_a_tool_have_calls_of_different_ids(served: Served) -> None:
    create = served.client.responses.create
    seen: set[str] = set()
    previous: str | None = None
    for _ in range(2):
        asked = await create(model=MODEL, input="weather?", tools=[TOOL], previous_response_id=previous)
        call = asked.output[-1]
        assert call.type == "function_call"
        assert json.loads(call.arguments) == {"city": "Paris"}
        output: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "21"}
        told = await create(model=MODEL, input=[output], tools=[TOOL], previous_response_id=asked.id)
        assert told.output_text == "Bonjour !"
        seen.add(call.call_id)
        previous = told.id
    assert len(seen) == 2
    sent = [one["tool_call_id"] for one in served.tgi.seen[-1]["messages"] if one["role"] == "tool"]
    assert set(sent) == seen


async def test_a_streamed_call_is_whole(served: Served) -> None:
    stream = await served.client.responses.create(model=MODEL, input="weather?", tools=[TOOL], stream=True)
    events = [event async for event in stream]
    arguments = "".join(e.delta for e in events if e.type == "response.function_call_arguments.delta")
    assert json.loads(arguments) == {"city": "Paris"}
    assert events[-1].type == "response.completed"


async def test_a_format_is_enforced_there_and_streamed_as_it_comes(served: Served) -> None:
    stream = await served.client.responses.create(model=MODEL, input="where?", text=FORMAT, stream=True)
    deltas = [event.delta async for event in stream if event.type == "response.output_text.delta"]
    assert served.tgi.seen[-1]["response_format"] == {"type": "json", "value": SCHEMA}
    assert json.loads("".join(deltas)) == {"city": "Paris"}
    assert len(deltas) > 1


async def test_a_format_beside_tools_is_checked_here_and_asked_for_again(served: Served) -> None:
    """The fake answers in prose, as it was given no grammar: the answer never reaches the client as if it fitted."""
    call: Any = {"type": "function_call", "call_id": "c1", "name": "get_weather", "arguments": "{}"}
    result: Any = {"type": "function_call_output", "call_id": "c1", "output": "21"}
    items: Any = [{"role": "user", "content": "weather?"}, call, result]
    response = await served.client.responses.create(model=MODEL, input=items, tools=[TOOL], text=FORMAT)
    assert len(served.tgi.seen) > 1, "it was asked again"
    assert all("response_format" not in body for body in served.tgi.seen)
    assert response.status == "failed"
