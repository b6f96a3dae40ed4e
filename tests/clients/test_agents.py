"""openai-agents: an agent with tools, streamed; sessions of both kinds; one agent hands over to another."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import agents
import openai
import pytest
from agents import (
    Agent,
    ModelSettings,
    OpenAIConversationsSession,
    OpenAIResponsesModel,
    Runner,
    SQLiteSession,
    function_tool,
)
from pydantic import BaseModel

QUESTION = "What is the weather, and what time is it?"


@pytest.fixture(autouse=True)
def no_tracing() -> Iterator[None]:
    """The SDK would send its traces to OpenAI."""
    agents.set_tracing_disabled(True)
    yield
    agents.set_tracing_disabled(False)


@pytest.fixture
async def client(base_url: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0) as made:
        yield made


@function_tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"rain in {city}"


@function_tool
def get_time(city: str) -> str:
    """The time in a city."""
    return f"noon in {city}"


def clerk(client: openai.AsyncOpenAI, **settings: Any) -> "Agent[None]":
    return Agent(
        name="clerk",
        instructions="Look things up.",
        model=OpenAIResponsesModel("clerk", client),
        tools=[get_weather, get_time],
        model_settings=ModelSettings(**settings),
    )


async def test_a_streamed_run_calls_both_tools_and_answers(client: openai.AsyncOpenAI) -> None:
    result = Runner.run_streamed(clerk(client), QUESTION)
    text, kinds = "", list[str]()
    async for event in result.stream_events():
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
            text += event.data.delta
        elif event.type == "run_item_stream_event":
            kinds.append(event.name)
    assert result.final_output == text == "It says: rain in Oslo, noon in Oslo."
    assert kinds.count("tool_called") == kinds.count("tool_output") == 2
    assert "reasoning_item_created" in kinds
    assert result.context_wrapper.usage.requests == 2
    assert result.context_wrapper.usage.total_tokens > 0


@pytest.mark.parametrize("store", [True, False])
async def test_a_run_without_a_stream(client: openai.AsyncOpenAI, store: bool) -> None:
    """The SDK sends the reasoning items back with the calls, ids and all, sealed ones too."""
    include = [] if store else ["reasoning.encrypted_content"]
    agent = clerk(client, store=store, parallel_tool_calls=True, response_include=include)
    result = await Runner.run(agent, QUESTION)
    thought = result.new_items[0].to_input_item()
    assert "encrypted_content" in thought
    assert result.final_output == "It says: rain in Oslo, noon in Oslo."
    assert [item.type for item in result.new_items] == [
        "reasoning_item",
        "tool_call_item",
        "tool_call_item",
        "tool_call_output_item",
        "tool_call_output_item",
        "reasoning_item",
        "message_output_item",
    ]


async def test_a_conversation_kept_by_the_server(client: openai.AsyncOpenAI) -> None:
    """`auto_previous_response_id`: each turn sends only what is new, also between the steps of a turn."""
    first = await Runner.run(clerk(client), QUESTION, auto_previous_response_id=True)
    second = Runner.run_streamed(clerk(client), "Thanks", previous_response_id=first.last_response_id)
    async for _ in second.stream_events():
        pass
    assert "Thanks" in second.final_output
    context = client.responses.input_items.list(second.last_response_id or "", order="asc")
    kinds = [item.type async for item in context]
    assert kinds.count("function_call") == kinds.count("function_call_output") == 2
    assert (kinds[0], kinds[-1]) == ("message", "message")


async def test_a_conversation_kept_by_the_application(client: openai.AsyncOpenAI) -> None:
    """A session of the SDK sends the whole history back, output items with their ids and statuses."""
    session = SQLiteSession("one")
    try:
        await Runner.run(clerk(client), QUESTION, session=session)
        result = await Runner.run(clerk(client), "Thanks", session=session)
        assert "Thanks" in result.final_output
        assert len(await session.get_items()) > 6
    finally:
        session.close()


async def test_a_session_in_a_conversation_of_the_server(client: openai.AsyncOpenAI) -> None:
    """The SDK makes the conversation empty, lists all of its items before each run and adds the new ones after it."""
    session: Any = OpenAIConversationsSession(
        openai_client=client
    )  # its types and those of the runner differ
    await Runner.run(clerk(client), QUESTION, session=session)
    result = await Runner.run(clerk(client), "Thanks", session=session)
    assert "Thanks" in result.final_output
    kinds = [str(item.get("type")) for item in await session.get_items()]
    assert kinds.count("function_call") == kinds.count("function_call_output") == 2
    assert (kinds[0], kinds[-1]) == ("message", "message")
    last = await session.pop_item()
    assert last is not None
    assert len(await session.get_items()) == len(kinds) - 1
    await session.add_items([{"role": "user", "content": f"note {at}"} for at in range(45)])
    assert len(await session.get_items()) == len(kinds) + 44
    made = session.session_id
    await session.clear_session()
    with pytest.raises(openai.NotFoundError):
        await client.conversations.retrieve(made)


async def test_turns_in_a_conversation_of_the_server(client: openai.AsyncOpenAI) -> None:
    """`conversation_id`: each step of a run sends only what is new."""
    made = await client.conversations.create()
    await Runner.run(clerk(client), QUESTION, conversation_id=made.id)
    result = Runner.run_streamed(clerk(client), "Thanks", conversation_id=made.id)
    async for _ in result.stream_events():
        pass
    assert "Thanks" in result.final_output
    kinds = [item.type async for item in client.conversations.items.list(made.id, order="asc")]
    assert kinds.count("function_call") == kinds.count("function_call_output") == 2
    assert kinds.count("reasoning") == 2
    assert (kinds[0], kinds[-1]) == ("message", "message")


async def test_one_agent_hands_over_to_another(client: openai.AsyncOpenAI) -> None:
    expert = Agent[None](
        name="Weather expert", model=OpenAIResponsesModel("expert", client), tools=[get_weather]
    )
    desk = Agent[None](name="Desk", model=OpenAIResponsesModel("desk", client), handoffs=[expert])
    result = Runner.run_streamed(desk, QUESTION)
    agents_seen = [
        event.new_agent.name
        async for event in result.stream_events()
        if event.type == "agent_updated_stream_event"
    ]
    assert agents_seen == ["Desk", "Weather expert"]
    assert result.last_agent.name == "Weather expert"
    assert "rain in Oslo" in result.final_output


async def test_a_structured_answer(client: openai.AsyncOpenAI) -> None:
    class Weather(BaseModel):
        city: str
        degrees: int

    agent = Agent[None](name="Form", model=OpenAIResponsesModel("demo", client), output_type=Weather)
    result = await Runner.run(agent, "Oslo?")
    assert isinstance(result.final_output, Weather)
