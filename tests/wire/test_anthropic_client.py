"""`FakeAnthropic` speaks the Messages API: Anthropic's own client works with it, and is refused by its rules."""

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from tests.wire.fake_anthropic import KEY, MODELS, THOUGHT, FakeAnthropic

TOOL: Any = {
    "name": "weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}
THINKING: Any = {"type": "adaptive", "display": "summarized"}


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeAnthropic]:
    with FakeAnthropic() as running:
        yield running


@pytest.fixture
def client(fake: FakeAnthropic) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(
        api_key=KEY,
        base_url=fake.url.removesuffix("/v1"),
        max_retries=0,
        http_client=anthropic.DefaultHttpxClient(trust_env=False),
    ) as made:
        yield made


def user(text: str, **more: Any) -> Any:
    return {"role": "user", "content": [{"type": "text", "text": text, **more}]}


def test_a_whole_answer_is_a_message(client: anthropic.Anthropic) -> None:
    cached = user("hi", cache_control={"type": "ephemeral"})
    message = client.messages.create(model="echo", max_tokens=99, messages=[cached])
    assert [block.to_dict() for block in message.content] == [{"type": "text", "text": "You said: hi"}]
    assert (message.stop_reason, message.usage.cache_creation_input_tokens) == ("end_turn", 10)


@pytest.mark.parametrize("model", ["caller", "redacted"])
def test_a_stream_is_what_the_client_accumulates(client: anthropic.Anthropic, model: str) -> None:
    asking: Any = {"model": model, "max_tokens": 99, "tools": [TOOL], "thinking": THINKING}
    with client.messages.stream(**asking, messages=[user("weather?")]) as stream:
        first = stream.get_final_message()
    thought, last = first.content
    if model == "redacted":
        assert (thought.type, last.type) == ("redacted_thinking", "text")
        return
    assert thought.type == "thinking"
    assert (thought.thinking, bool(thought.signature)) == (THOUGHT, True)
    assert last.type == "tool_use"
    assert (last.input, first.stop_reason) == ({"city": "Paris"}, "tool_use")
    result: Any = {"type": "tool_result", "tool_use_id": last.id, "content": "21"}
    history: Any = [user("weather?"), first.to_param(), {"role": "user", "content": [result]}]
    create: Any = client.messages.create
    assert "21" in str(create(**asking, messages=history))


def test_a_refusal_has_its_details(client: anthropic.Anthropic) -> None:
    message = client.messages.create(model="refuser", max_tokens=99, messages=[user("hi")])
    assert message.stop_reason == "refusal"
    assert message.stop_details is not None
    assert message.stop_details.explanation == "This could do harm."


def test_every_page_of_models_is_read(client: anthropic.Anthropic) -> None:
    listed = {model.id: model for model in client.models.list()}
    assert set(listed) == set(MODELS)
    assert listed["old"].max_tokens == MODELS["old"].max_tokens


@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("fails-400", anthropic.BadRequestError),
        ("fails-401", anthropic.AuthenticationError),
        ("fails-404", anthropic.NotFoundError),
        ("fails-413", anthropic.APIStatusError),
        ("fails-429", anthropic.RateLimitError),
        ("fails-529", anthropic.APIStatusError),
        ("not-there", anthropic.NotFoundError),
    ],
)
def test_failures_are_those_of_the_api(
    client: anthropic.Anthropic, model: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        client.messages.create(model=model, max_tokens=9, messages=[user("hi")])


def test_a_stream_may_end_in_an_error(client: anthropic.Anthropic) -> None:
    asking: Any = {"model": "errs", "max_tokens": 9, "messages": [user("hi")]}
    with (
        client.messages.stream(**asking) as stream,
        pytest.raises(anthropic.APIStatusError, match="Overloaded"),
    ):
        stream.until_done()


ASSISTANT: Any = {"role": "assistant", "content": [{"type": "text", "text": "yes"}]}
USE: Any = {"type": "tool_use", "id": "t1", "name": "weather", "input": {}}
RESULT: Any = {"type": "tool_result", "tool_use_id": "t1", "content": "21"}
ASKED: Any = {"role": "assistant", "content": [USE]}
MADE_UP: Any = {"type": "thinking", "thinking": "hm", "signature": "made up"}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"messages": []}, "at least one"),
        ({"messages": [ASSISTANT, user("hi")]}, "first message"),
        ({"messages": [user("hi"), user("ho")]}, "alternate"),
        ({"messages": [user("hi"), ASSISTANT]}, "prefill"),
        ({"messages": [user(" ")]}, "non-whitespace"),
        ({"messages": [user("hi"), ASKED, user("so?")]}, "without `tool_result`"),
        (
            {"messages": [user("hi"), ASKED, {"role": "user", "content": [user("x")["content"][0], RESULT]}]},
            "first",
        ),
        ({"messages": [{"role": "user", "content": [RESULT]}]}, "unexpected `tool_use_id`"),
        (
            {
                "messages": [
                    user("hi"),
                    {"role": "assistant", "content": [MADE_UP, *ASSISTANT["content"]]},
                    user("x"),
                ]
            },
            "Invalid `signature`",
        ),
        ({"messages": [{"role": "user", "content": [USE]}]}, "unexpected 'tool_use'"),
        ({"temperature": 1.5}, "temperature"),
        ({"stop_sequences": [" "]}, "stop_sequences"),
        ({"unheard_of": 1}, "unheard_of"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "not supported"),
        ({"thinking": THINKING, "temperature": 0.5}, "temperature"),
        ({"thinking": THINKING, "tools": [TOOL], "tool_choice": {"type": "any"}}, "forces"),
        ({"tools": [{**TOOL, "strict": True}]}, "additionalProperties"),
        ({"tools": [TOOL, TOOL]}, "unique"),
        ({"tool_choice": {"type": "auto"}}, "providing tools"),
        ({"output_config": {"effort": "enormous"}}, "effort"),
        ({"output_config": {"format": {"type": "json_schema", "schema": {"minimum": 1}}}}, "minimum"),
        ({"max_tokens": 70_000}, "maximum allowed"),
        (
            {
                "system": [
                    {"type": "text", "text": str(at), "cache_control": {"type": "ephemeral"}}
                    for at in range(5)
                ]
            },
            "maximum of 4",
        ),
    ],
)
def test_requests_that_break_a_rule_are_refused(client: anthropic.Anthropic, body: Any, why: str) -> None:
    whole = {"model": "echo", "max_tokens": 9, "messages": [user("hi")], **body}
    with pytest.raises(anthropic.BadRequestError, match=why):
        client.post("/v1/messages", body=whole, cast_to=object)
