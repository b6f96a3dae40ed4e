"""Structured output, log-probabilities, reasoning, refusals and ends that are not plain success."""

import openai
import pytest
from openai.types.responses import ResponseFormatTextJSONSchemaConfigParam, ResponseIncludable
from pydantic import BaseModel

from tests.integration.upstream import Upstream

SCHEMA: ResponseFormatTextJSONSchemaConfigParam = {
    "type": "json_schema",
    "name": "weather",
    "schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "degrees": {"type": "integer"}},
        "required": ["city", "degrees"],
        "additionalProperties": False,
    },
    "strict": True,
}


class Weather(BaseModel):
    city: str
    degrees: int


def test_json_schema_reaches_the_upstream_and_holds(client: openai.OpenAI, upstream: Upstream) -> None:
    response = client.responses.create(model="up/json", input="?", text={"format": SCHEMA})
    assert response.output_text == '{"city":"Paris","degrees":21}'
    assert response.text is not None
    assert response.text.format is not None
    assert response.text.format.type == "json_schema"
    sent = upstream.last_request()["response_format"]
    assert sent["json_schema"]["schema"] == SCHEMA["schema"]


def test_parse_gives_the_typed_object(client: openai.OpenAI) -> None:
    response = client.responses.parse(model="up/json", input="?", text_format=Weather)
    assert response.output_parsed == Weather(city="Paris", degrees=21)


def test_the_stream_helper_parses_too(client: openai.OpenAI) -> None:
    with client.responses.stream(model="up/json", input="?", text_format=Weather) as stream:
        for _ in stream:
            pass
        assert stream.get_final_response().output_parsed == Weather(city="Paris", degrees=21)


def test_json_object_is_passed(client: openai.OpenAI, upstream: Upstream) -> None:
    client.responses.create(model="up/json", input="JSON?", text={"format": {"type": "json_object"}})
    assert upstream.last_request()["response_format"] == {"type": "json_object"}


@pytest.mark.parametrize("stream", [False, True])
def test_logprobs_are_shown_when_included(client: openai.OpenAI, stream: bool) -> None:
    include: list[ResponseIncludable] = ["message.output_text.logprobs"]
    if stream:
        with client.responses.stream(model="echo", input="hi", top_logprobs=1, include=include) as events:
            seen = [event.logprobs for event in events if event.type == "response.output_text.delta"]
            item = events.get_final_response().output[0].to_dict()
        assert all(seen)
    else:
        item = (
            client.responses.create(model="echo", input="hi", top_logprobs=1, include=include)
            .output[0]
            .to_dict()
        )
    first = item["content"][0]["logprobs"][0]  # type: ignore[index]  # JSON of a known shape
    assert first["logprob"] == -0.25
    assert first["top_logprobs"]


@pytest.mark.parametrize("stream", [False, True])
def test_reasoning_is_an_item_before_the_message(client: openai.OpenAI, stream: bool) -> None:
    if stream:
        kinds, final = list[str](), None
        for event in client.responses.create(model="thinker", input="why?", stream=True):
            kinds.append(event.type)
            final = event.response if event.type == "response.completed" else final
        assert "response.reasoning_text.delta" in kinds
        assert kinds.index("response.reasoning_text.done") < kinds.index("response.output_text.delta")
        assert final is not None
    else:
        final = client.responses.create(model="thinker", input="why?")
    assert [item.type for item in final.output] == ["reasoning", "message"]
    assert final.output[0].to_dict()["content"] == [{"type": "reasoning_text", "text": "Let me think."}]


def test_reasoning_is_a_summary_when_one_is_asked_for(client: openai.OpenAI) -> None:
    kinds, final = list[str](), None
    for event in client.responses.create(
        model="thinker", input="why?", stream=True, reasoning={"summary": "auto"}
    ):
        kinds.append(event.type)
        final = event.response if event.type == "response.completed" else final
    assert "response.reasoning_summary_text.delta" in kinds
    assert "response.reasoning_text.delta" not in kinds
    assert final is not None
    assert final.output[0].to_dict()["summary"] == [{"type": "summary_text", "text": "Let me think."}]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("model", "reason"), [("cut", "max_output_tokens"), ("filtered", "content_filter")])
def test_an_answer_that_was_cut_is_incomplete(
    client: openai.OpenAI, model: str, reason: str, stream: bool
) -> None:
    if stream:
        events = list(client.responses.create(model=model, input="go", stream=True))
        assert events[-1].type == "response.incomplete"
        response = events[-1].response
    else:
        response = client.responses.create(model=model, input="go")
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == reason
    assert response.output[-1].to_dict()["status"] == "incomplete"


@pytest.mark.parametrize("stream", [False, True])
def test_a_refusal_is_a_refusal_part(client: openai.OpenAI, stream: bool) -> None:
    if stream:
        events = list(client.responses.create(model="refuser", input="do it", stream=True))
        assert "response.refusal.delta" in {event.type for event in events}
        last = events[-1]
        assert last.type == "response.completed"
        response = last.response
    else:
        response = client.responses.create(model="refuser", input="do it")
    assert response.output[0].to_dict()["content"] == [{"type": "refusal", "refusal": "I will not."}]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "below",
    [{"pattern": "("}, {"minimum": "low"}, {"unevaluatedItems": {"$ref": "http://127.0.0.1:1/schema"}}],
)
def test_a_schema_that_cannot_be_checked_here_is_refused_before_the_model_is_asked(
    client: openai.OpenAI, upstream: Upstream, below: dict[str, object], stream: bool
) -> None:
    before = len(upstream.seen.requests)
    schema: dict[str, object] = {"type": "object", "properties": {"a": below}}
    text: ResponseFormatTextJSONSchemaConfigParam = {"type": "json_schema", "name": "n", "schema": schema}
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model="plain/json", input="?", text={"format": text}, stream=stream)
    assert caught.value.param == "text.format.schema"
    assert len(upstream.seen.requests) == before
