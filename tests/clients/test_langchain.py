"""langchain-openai over the Responses API: bound tools, streams, parallel calls, chaining, structured output."""

from collections.abc import AsyncIterator
from typing import Any, Protocol

import openai
import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, SecretStr

from tests.integration.upstream import Upstream

QUESTION = "What is the weather, and what time is it?"


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"rain in {city}"


@tool
def get_time(city: str) -> str:
    """The time in a city."""
    return f"noon in {city}"


TOOLS = {one.name: one for one in (get_weather, get_time)}


class ModelOf(Protocol):
    def __call__(self, name: str = "clerk", **settings: Any) -> Any:
        """A ChatOpenAI. Half of what its methods take and give has no type."""


@pytest.fixture
async def model_of(base_url: str) -> AsyncIterator[ModelOf]:
    """Makes models over HTTP clients that are closed afterwards; LangChain keeps its own open."""
    with openai.DefaultHttpxClient() as http_client:
        async with openai.DefaultAsyncHttpxClient() as http_async_client:

            def make(name: str = "clerk", **settings: Any) -> ChatOpenAI:
                return ChatOpenAI(
                    model=name,
                    base_url=base_url,
                    api_key=SecretStr("none"),
                    use_responses_api=True,
                    max_retries=0,
                    http_client=http_client,
                    http_async_client=http_async_client,
                    **settings,
                )

            yield make


def with_outputs(message: AIMessage) -> list[ToolMessage]:
    """What the tools say to the calls of a message."""
    assert [call["name"] for call in message.tool_calls] == ["get_weather", "get_time"]
    assert [call["args"] for call in message.tool_calls] == [{"city": "Oslo"}] * 2
    return [TOOLS[call["name"]].invoke(call) for call in message.tool_calls]


def gathered(chunks: Any) -> AIMessageChunk:
    whole: AIMessageChunk | None = None
    for chunk in chunks:
        assert isinstance(chunk, AIMessageChunk)
        whole = chunk if whole is None else whole + chunk
    assert whole is not None
    return whole


@pytest.mark.parametrize("version", ["v0", "responses/v1", "v1"])
def test_a_streamed_flow_of_parallel_calls(model_of: ModelOf, version: str) -> None:
    model = model_of(output_version=version).bind_tools([get_weather, get_time])
    history: list[BaseMessage] = [HumanMessage(QUESTION)]
    first = gathered(model.stream(history))
    history += [first, *with_outputs(first)]
    second = gathered(model.stream(history))
    assert second.text == "It says: rain in Oslo, noon in Oslo."
    assert second.usage_metadata is not None
    assert second.usage_metadata["total_tokens"] > 0
    history += [second, HumanMessage("Thanks")]
    assert "Thanks" in gathered(model.stream(history)).text


def test_a_flow_without_a_stream_by_previous_response_id(model_of: ModelOf) -> None:
    model = model_of(use_previous_response_id=True).bind_tools([get_weather, get_time])
    history: list[BaseMessage] = [HumanMessage(QUESTION)]
    first = model.invoke(history)
    assert first.response_metadata["id"].startswith("resp_")
    second = model.invoke([*history, first, *with_outputs(first)])
    assert second.text == "It says: rain in Oslo, noon in Oslo."


def test_parallel_calls_sent_back_are_one_turn_of_the_model(model_of: ModelOf, upstream: Upstream) -> None:
    model = model_of("up/parallel").bind_tools([get_weather, get_time])
    first = model.invoke([HumanMessage(QUESTION)])
    assert [call["args"] for call in first.tool_calls] == [{"city": "Paris"}, {"city": "Rome"}]
    answers = [TOOLS[call["name"]].invoke(call) for call in first.tool_calls]
    model.invoke([HumanMessage(QUESTION), first, *answers])
    sent = upstream.last_request()["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant", "tool", "tool"]
    assert len(sent[1]["tool_calls"]) == 2


@pytest.mark.parametrize("name", ["juggler", "up/parallel"])
def test_calls_that_the_model_spells_at_once_stay_apart(model_of: ModelOf, name: str) -> None:
    """LangChain begins a new block whenever the output index changes, so one item has to end before the next."""
    model = model_of(name).bind_tools([get_weather, get_time])
    first = gathered(model.stream(QUESTION))
    assert [call["name"] for call in first.tool_calls] == ["get_weather", "get_time"]
    assert all(call["args"].get("city") for call in first.tool_calls)


async def test_the_async_stream(model_of: ModelOf) -> None:
    model = model_of().bind_tools([get_weather, get_time])
    first = gathered([chunk async for chunk in model.astream(QUESTION)])
    assert len(first.tool_calls) == 2


def test_a_structured_answer(model_of: ModelOf) -> None:
    class Weather(BaseModel):
        """The weather in a city."""

        city: str
        degrees: int

    model = model_of("demo")
    for method in ("json_schema", "function_calling"):
        found = model.with_structured_output(Weather, method=method).invoke("Oslo?")
        assert isinstance(found, Weather)
