"""pydantic-ai over the Responses API: tools, structured output both ways, streams, parallel calls."""

from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

import openai
import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput, RunContext, ToolOutput
from pydantic_ai.messages import AgentStreamEvent, ModelResponse, ToolCallPart
from pydantic_ai.models.openai import OpenAIResponsesModel, OpenAIResponsesModelSettings
from pydantic_ai.providers.openai import OpenAIProvider

from tests.integration.upstream import Upstream

QUESTION = "What is the weather, and what time is it?"
TOLD = "It says: rain in Oslo, noon in Oslo."


class Weather(BaseModel):
    city: str
    degrees: int


def get_weather(city: str) -> str:
    return f"rain in {city}"


def get_time(city: str) -> str:
    return f"noon in {city}"


@pytest.fixture
async def client(base_url: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0) as made:
        yield made


def model_of(client: openai.AsyncOpenAI, name: str = "clerk") -> OpenAIResponsesModel:
    return OpenAIResponsesModel(name, provider=OpenAIProvider(openai_client=client))


def clerk(client: openai.AsyncOpenAI, name: str = "clerk") -> Agent[None, str]:
    return Agent(model_of(client, name), tools=[get_weather, get_time])


async def test_a_run_calls_both_tools_and_answers(client: openai.AsyncOpenAI) -> None:
    result = await clerk(client).run(QUESTION)
    assert result.output == TOLD
    assert result.usage.requests == 2
    more = await clerk(client).run("Thanks", message_history=result.all_messages())
    assert "Thanks" in more.output


async def test_a_streamed_run(client: openai.AsyncOpenAI) -> None:
    async with clerk(client).run_stream(QUESTION) as result:
        pieces = [piece async for piece in result.stream_text(delta=True, debounce_by=None)]
    assert "".join(pieces) == TOLD
    assert len(pieces) > 3


async def test_a_run_chained_by_the_server(client: openai.AsyncOpenAI) -> None:
    settings = OpenAIResponsesModelSettings(openai_previous_response_id="auto")
    result = await clerk(client).run(QUESTION, model_settings=settings)
    assert result.output == TOLD


@pytest.mark.parametrize("stream", [False, True])
async def test_parallel_calls_are_one_turn_of_the_model(
    client: openai.AsyncOpenAI, upstream: Upstream, stream: bool
) -> None:
    heard = list[str]()

    async def listen(_: RunContext[None], events: AsyncIterable[AgentStreamEvent]) -> None:
        heard.extend([event.event_kind async for event in events])

    agent = clerk(client, "up/parallel")
    result = await agent.run(QUESTION, event_stream_handler=listen if stream else None)
    messages = result.all_messages()
    assert ("part_delta" in heard) == stream
    calls: list[Any] = [
        [part.args_as_dict() for part in message.parts if isinstance(part, ToolCallPart)]
        for message in messages
        if isinstance(message, ModelResponse)
    ]
    assert calls[0] == [{"city": "Paris"}, {"city": "Rome"}]
    sent = upstream.last_request()["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant", "tool", "tool"]


async def test_a_structured_answer_by_schema(client: openai.AsyncOpenAI) -> None:
    agent = Agent(model_of(client, "demo"), output_type=NativeOutput(Weather))
    assert isinstance((await agent.run("Oslo?")).output, Weather)
    async with agent.run_stream("Oslo?") as result:
        assert isinstance(await result.get_output(), Weather)


async def test_a_structured_answer_by_tool(client: openai.AsyncOpenAI) -> None:
    agent = Agent(model_of(client, "demo"), output_type=ToolOutput(Weather))
    assert isinstance((await agent.run("Oslo?")).output, Weather)
