"""The program in front of a server that has `/v1/responses`: reasoning survives, and nothing is stored there."""

import http.client
import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai.types.responses import FunctionToolParam

from bench.program import Program, start_antiphon
from tests.conformance.recorder import Recorder
from tests.integration.clients import sync_client
from tests.wire.fake_responses import FakeResponses

Json = dict[str, Any]
GRAMMAR: Any = {
    "type": "custom",
    "name": "patch",
    "format": {"type": "grammar", "syntax": "regex", "definition": "[a-c]+"},
}
WEATHER: FunctionToolParam = {
    "type": "function",
    "name": "weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": None,
}
SCHEMA: Any = {
    "type": "json_schema",
    "name": "place",
    "schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "degrees": {"type": "integer"}},
        "required": ["city", "degrees"],
        "additionalProperties": False,
    },
    "strict": True,
}


@pytest.fixture(scope="module")
def running() -> Iterator[FakeResponses]:
    with FakeResponses() as fake:
        yield fake


@pytest.fixture
def fake(running: FakeResponses) -> Iterator[FakeResponses]:
    """The model server. What it was sent, and what it sent, keeps to the official document."""
    running.seen.violations.clear()
    yield running
    assert running.seen.violations == []


@pytest.fixture(scope="module")
def front(running: FakeResponses, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("front")
    config = f"""\
version: 2
providers:
  inference:
  - provider_id: up
    provider_type: remote::openai
    config: {{base_url: "{running.url}", api_key: sk-upstream-secret, max_retries: 0}}
  - provider_id: other
    provider_type: remote::openai
    config: {{base_url: "{running.url}", api_key: sk-upstream-secret, wire: responses}}
  - provider_id: plain
    provider_type: remote::openai-compatible
    config: {{base_url: "{running.url}", wire: responses}}
storage: {{url: "sqlite:///{folder}/antiphon.db"}}
"""
    with start_antiphon(folder, config) as program:
        program.wait_ready()
        yield program


@pytest.fixture
def client(front: Program, recorder: Recorder) -> Iterator[openai.OpenAI]:
    with sync_client(front.url, recorder) as made:
        yield made


def sent(fake: FakeResponses) -> Json:
    """The last request, which is always one that stores nothing."""
    body = fake.last_request()
    assert body["store"] is False
    return body


def ending(client: openai.OpenAI, *, stream: bool, **request: Any) -> Json:
    """The final response object of a request, streamed or not."""
    if not stream:
        responses: Any = client.responses  # the request is no type of the client's
        whole: Json = responses.create(**request).to_dict()
        return whole
    last: Any = list(client.responses.create(**request, stream=True))[-1]
    final: Json = last.response.to_dict()
    return final


def kinds(body: Json) -> list[str]:
    return [item["type"] for item in body["input"]]


def test_a_text_is_answered_by_responses(client: openai.OpenAI, fake: FakeResponses) -> None:
    response = client.responses.create(model="up/echo", input="hello", instructions="Be kind.", top_p=0.5)
    assert response.output_text == "You said: hello"
    assert response.usage is not None
    assert response.usage.input_tokens == 11
    assert response.usage.input_tokens_details.cached_tokens == 3
    assert response.usage.output_tokens_details.reasoning_tokens == 4
    body = sent(fake)
    said = [{"type": "input_text", "text": "hello"}]
    assert body["input"] == [{"type": "message", "role": "user", "content": said}]
    assert (body["instructions"], body["top_p"], body["stream"]) == ("Be kind.", 0.5, False)
    assert not {"metadata", "truncation", "previous_response_id", "background"} & set(body)
    assert not fake.seen.chats


def test_the_server_is_asked_once_what_it_has(client: openai.OpenAI, fake: FakeResponses) -> None:
    for _ in range(3):
        client.responses.create(model="up/echo", input="hello", stream=False)
    assert fake.seen.probes == 1


def test_reasoning_is_streamed_as_its_summary(client: openai.OpenAI, fake: FakeResponses) -> None:
    with client.responses.stream(model="up/thinker", input="why", reasoning={"summary": "auto"}) as stream:
        pieces = [event for event in stream if event.type == "response.reasoning_summary_text.delta"]
        final = stream.get_final_response()
    thought = final.output[0]
    assert thought.type == "reasoning"
    assert [part.text for part in thought.summary] == ["I look.", "Then I speak."]
    assert [piece.summary_index for piece in pieces] == [0, 0, 1, 1, 1]
    assert thought.encrypted_content
    assert "blob-" not in thought.encrypted_content
    assert final.output_text == "You said: why"
    body = sent(fake)
    assert body["reasoning"] == {"summary": "auto"}
    assert body["include"] == ["reasoning.encrypted_content"]
    assert body["stream_options"] == {"include_obfuscation": False}


def test_a_client_that_keeps_everything_brings_the_reasoning_back(
    client: openai.OpenAI, fake: FakeResponses
) -> None:
    first = client.responses.create(model="up/thinker", input="why", store=False)
    kept: Any = [item.to_dict() for item in first.output]
    again: Any = [{"role": "user", "content": "why"}, *kept, {"role": "user", "content": "and then?"}]
    client.responses.create(model="up/thinker", input=again, store=False)
    body = sent(fake)
    assert kinds(body) == ["message", "reasoning", "message", "message"]
    assert body["input"][1]["encrypted_content"] == body["input"][1]["id"].replace("rs_", "blob-")
    assert body["input"][2] == {"type": "message", "role": "assistant", "content": "You said: why"}


@pytest.mark.parametrize("stream", [False, True])
def test_a_chain_brings_the_reasoning_back(client: openai.OpenAI, fake: FakeResponses, stream: bool) -> None:
    first = client.responses.create(model="up/caller", input="weather?", tools=[WEATHER], stream=False)
    call = first.output[-1]
    assert call.type == "function_call"
    assert json.loads(call.arguments) == {"city": "Paris"}
    answer: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    again = ending(
        client,
        stream=stream,
        model="up/caller",
        input=[answer],
        previous_response_id=first.id,
        tools=[WEATHER],
    )
    assert again["status"] == "completed"
    body = sent(fake)
    assert kinds(body) == ["message", "reasoning", "function_call", "function_call_output"]
    assert body["input"][1]["encrypted_content"].startswith("blob-")
    assert "id" not in body["input"][2]


def test_another_provider_never_sees_the_reasoning(client: openai.OpenAI, fake: FakeResponses) -> None:
    first = client.responses.create(model="up/thinker", input="why", reasoning={"summary": "auto"})
    client.responses.create(model="other/echo", input="and?", previous_response_id=first.id)
    assert kinds(sent(fake)) == ["message", "message", "message"]


def test_a_custom_tool_keeps_its_grammar(client: openai.OpenAI, fake: FakeResponses) -> None:
    with client.responses.stream(model="up/patcher", input="do", tools=[GRAMMAR]) as stream:
        pieces = [event.delta for event in stream if event.type == "response.custom_tool_call_input.delta"]
        first = stream.get_final_response()
    call = first.output[-1]
    assert call.type == "custom_tool_call"
    assert call.input == "".join(pieces) == "abc"
    assert sent(fake)["tools"] == [GRAMMAR]
    answer: Any = {"type": "custom_tool_call_output", "call_id": call.call_id, "output": "done"}
    client.responses.create(
        model="up/patcher", input=[answer], previous_response_id=first.id, tools=[GRAMMAR]
    )
    assert kinds(sent(fake)) == ["message", "reasoning", "custom_tool_call", "custom_tool_call_output"]


def test_a_custom_tool_is_a_function_where_none_are_known(client: openai.OpenAI, fake: FakeResponses) -> None:
    client.responses.create(model="plain/echo", input="do", tools=[GRAMMAR])
    tool = sent(fake)["tools"][0]
    assert tool["type"] == "function"
    assert list(tool["parameters"]["properties"]) == ["input"]


def test_parallel_calls_come_apart(client: openai.OpenAI, fake: FakeResponses) -> None:
    with client.responses.stream(model="up/parallel", input="both", tools=[WEATHER]) as stream:
        final = stream.get_final_response() if list(stream) else None
    assert final is not None
    calls = [item for item in final.output if item.type == "function_call"]
    assert [json.loads(call.arguments)["city"] for call in calls] == ["Paris", "Rome"]
    assert len({call.call_id for call in calls}) == 2
    answers: Any = [
        {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"} for call in calls
    ]
    client.responses.create(
        model="up/parallel", input=answers, previous_response_id=final.id, tools=[WEATHER]
    )
    assert kinds(sent(fake))[1:] == ["function_call"] * 2 + ["function_call_output"] * 2


def test_a_format_is_asked_for_in_the_upstreams_own_words(client: openai.OpenAI, fake: FakeResponses) -> None:
    response = client.responses.create(
        model="up/json", input="where", text={"format": SCHEMA, "verbosity": "low"}
    )
    assert json.loads(response.output_text) == {"city": "Paris", "degrees": 21}
    assert sent(fake)["text"] == {"format": SCHEMA, "verbosity": "low"}


def test_parts_become_one_text_and_their_notes_move_along(client: openai.OpenAI, fake: FakeResponses) -> None:
    for stream in (False, True):
        response = ending(client, stream=stream, model="up/cited", input="x")
        [part] = response["output"][0]["content"]
        assert part["text"] == "First. see this"
        [note] = part["annotations"]
        assert part["text"][note["start_index"] : note["end_index"]] == "see"


def test_log_probabilities_come_through(client: openai.OpenAI, fake: FakeResponses) -> None:
    response = client.responses.create(
        model="up/probable", input="x", top_logprobs=1, include=["message.output_text.logprobs"]
    )
    item: Any = response.output[0].to_dict()
    assert [one["token"] for one in item["content"][0]["logprobs"]] == ["hm"]
    body = sent(fake)
    assert body["top_logprobs"] == 1
    assert set(body["include"]) == {"reasoning.encrypted_content", "message.output_text.logprobs"}


@pytest.mark.parametrize("stream", [False, True])
def test_phases_of_messages_are_kept_both_ways(
    client: openai.OpenAI, fake: FakeResponses, stream: bool
) -> None:
    response = ending(client, stream=stream, model="up/phased", input="x")
    phases = [item.get("phase") for item in response["output"]]
    assert phases == ["commentary", "final_answer"]
    client.responses.create(model="up/phased", input="y", previous_response_id=response["id"])
    assert [item.get("phase") for item in sent(fake)["input"]] == [None, "commentary", "final_answer", None]


def test_a_refusal_is_one(client: openai.OpenAI, fake: FakeResponses) -> None:
    with client.responses.stream(model="up/refuser", input="x") as stream:
        said = "".join(event.delta for event in stream if event.type == "response.refusal.delta")
    assert said == "I will not."


@pytest.mark.parametrize(("model", "reason"), [("cut", "max_output_tokens"), ("filtered", "content_filter")])
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_was_cut_says_why(
    client: openai.OpenAI, fake: FakeResponses, model: str, reason: str, stream: bool
) -> None:
    response = ending(client, stream=stream, model=f"up/{model}", input="x")
    assert response["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": reason}
    assert response["output"][-1]["status"] == "incomplete"


@pytest.mark.parametrize("model", ["fails", "errors", "breaks"])
def test_a_failure_in_the_middle_ends_the_response_as_failed(
    client: openai.OpenAI, fake: FakeResponses, model: str
) -> None:
    events = list(client.responses.create(model=f"up/{model}", input="x", stream=True))
    last = events[-1]
    assert last.type == "response.failed"
    assert last.response.error is not None
    assert last.response.error.code == "server_error"
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == "You said: x"


def test_a_limit_keeps_how_long_to_wait(client: openai.OpenAI, fake: FakeResponses) -> None:
    with pytest.raises(openai.RateLimitError) as caught:
        client.responses.create(model="up/limited", input="x")
    assert caught.value.response.headers["retry-after"] == "7"


def test_a_refusal_names_the_callers_field(client: openai.OpenAI, fake: FakeResponses) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model="up/rejects", input="x")
    assert caught.value.param == "input"
    assert "Invalid image" in caught.value.message


def test_a_client_that_leaves_closes_the_connection_upstream(
    client: openai.OpenAI, front: Program, fake: FakeResponses
) -> None:
    before = fake.seen.closed_by_client
    connection = http.client.HTTPConnection("127.0.0.1", front.port)
    body = json.dumps({"model": "up/endless", "input": "x", "stream": True})
    connection.request("POST", "/v1/responses", body, {"content-type": "application/json"})
    response = connection.getresponse()
    while b"output_text.delta" not in response.readline():
        pass
    response.close()
    connection.close()
    fake.wait_for("the connection closed", lambda seen: seen.closed_by_client > before)


def test_a_model_without_encrypted_reasoning_is_asked_again_without(
    client: openai.OpenAI, fake: FakeResponses
) -> None:
    assert client.responses.create(model="up/plain", input="x").output_text == "You said: x"
    count = len(fake.seen.requests)
    client.responses.create(model="up/plain", input="y")
    assert len(fake.seen.requests) == count + 1, "what was learnt is remembered"
    assert "include" not in sent(fake)


def test_what_only_chat_can_do_goes_by_chat(client: openai.OpenAI, fake: FakeResponses) -> None:
    count = len(fake.seen.chats)
    response = client.responses.create(model="up/echo", input="x", extra_body={"seed": 7})
    assert response.output_text == "by chat"
    assert fake.seen.chats[count]["seed"] == 7


def test_a_model_for_chat_only_goes_by_chat(client: openai.OpenAI, fake: FakeResponses) -> None:
    for _ in range(2):
        assert client.responses.create(model="up/chat-only", input="x").output_text == "by chat"
    asked = [body for body in fake.seen.requests if body["model"] == "chat-only"]
    assert len(asked) == 1, "what was learnt is remembered"


def test_what_is_said_of_a_parameter_is_no_reason_to_go_by_chat(
    client: openai.OpenAI, fake: FakeResponses
) -> None:
    for _ in range(2):
        with pytest.raises(openai.BadRequestError) as caught:
            client.responses.create(model="up/picky", input="x", top_p=0.5)
        assert caught.value.param == "top_p"
    assert len([body for body in fake.seen.requests if body["model"] == "picky"]) == 2


def test_an_explicit_wire_refuses_what_it_cannot_do(client: openai.OpenAI, fake: FakeResponses) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model="other/echo", input="x", extra_body={"seed": 7})
    assert caught.value.param == "seed"


def test_completions_pass_as_chat(client: openai.OpenAI, fake: FakeResponses) -> None:
    answer = client.chat.completions.create(model="up/echo", messages=[{"role": "user", "content": "x"}])
    assert answer.choices[0].message.content == "by chat"
