"""The official client drives chat completions, completions and models."""

import openai
import pytest
from openai.types.chat import ChatCompletionToolParam

from tests.integration.upstream import MODELS, Upstream

TOOL: ChatCompletionToolParam = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}},
}


def test_a_chat_completion_passes_through(client: openai.OpenAI, upstream: Upstream) -> None:
    answer = client.chat.completions.create(
        model="echo",
        messages=[{"role": "system", "content": "Be kind."}, {"role": "user", "content": "hello"}],
        temperature=0.5,
        seed=7,
        stop=["END"],
        max_completion_tokens=50,
    )
    assert answer.choices[0].message.content == "You said: hello"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 18
    sent = upstream.last_request()
    assert (sent["temperature"], sent["seed"], sent["stop"], sent["model"]) == (0.5, 7, ["END"], "echo")


def test_a_chat_stream_spells_the_answer_and_gives_usage_when_asked(client: openai.OpenAI) -> None:
    text, usage = "", None
    for chunk in client.chat.completions.create(
        model="echo",
        messages=[{"role": "user", "content": "stream me"}],
        stream=True,
        stream_options={"include_usage": True},
    ):
        text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
        usage = chunk.usage or usage
    assert text == "You said: stream me"
    assert usage is not None
    assert usage.total_tokens == 18


def test_a_chat_stream_has_no_usage_when_not_asked(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="echo", messages=[{"role": "user", "content": "stream me"}], stream=True
        )
    )
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)


@pytest.mark.parametrize("model", ["caller", "parallel"])
def test_the_chat_stream_helper_gathers_calls(client: openai.OpenAI, model: str) -> None:
    with client.chat.completions.stream(
        model=model, messages=[{"role": "user", "content": "weather?"}], tools=[TOOL]
    ) as stream:
        for _ in stream:
            pass
        final = stream.get_final_completion()
    calls = final.choices[0].message.tool_calls or []
    assert calls[0].function.arguments == '{"city":"Paris"}'
    assert len(calls) == (2 if model == "parallel" else 1)


async def test_the_async_client_chats(aclient: openai.AsyncOpenAI) -> None:
    answer = await aclient.chat.completions.create(
        model="up/echo", messages=[{"role": "user", "content": "by full name"}]
    )
    assert answer.choices[0].message.content == "You said: by full name"


def test_legacy_completions_answer_and_stream(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="echo", prompt="finish this", max_tokens=20)
    assert "finish this" in answer.choices[0].text
    text = "".join(
        chunk.choices[0].text if chunk.choices else ""
        for chunk in client.completions.create(model="echo", prompt="and this", stream=True)
    )
    assert "and this" in text


def test_models_are_listed_and_found(client: openai.OpenAI) -> None:
    listed = {model.id for model in client.models.list()}
    assert {f"up/{name}" for name in MODELS} <= listed
    assert client.models.retrieve("echo").id in {"echo", "up/echo"}
    assert client.models.retrieve("up/echo").object == "model"


def test_an_unknown_model_is_404_and_says_what_is_served(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="nobody", messages=[{"role": "user", "content": "?"}])
    assert caught.value.code == "model_not_found"
    assert "echo" in caught.value.message
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nobody")
