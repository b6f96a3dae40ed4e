"""The program in front of a server with Anthropic's Messages API: everything a client asks of it, seen there."""

import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import openai
import pytest

from bench.program import Program, start_antiphon
from tests.conformance.recorder import Recorder
from tests.integration.clients import Raw, open_stream, read_until, sync_client
from tests.integration.test_looking import document, run
from tests.wire.fake_anthropic import KEY, MODELS, PAGE_SIZE, RETIRED, THOUGHT, FakeAnthropic

Json = dict[str, Any]
WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "description": "The weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": True,
}
TIME: Any = {**WEATHER, "name": "time", "strict": False}
SUM: Any = {
    "type": "custom",
    "name": "sum",
    "format": {"type": "grammar", "syntax": "regex", "definition": r"\d\+\d"},
}
PLACE: Any = {
    "type": "json_schema",
    "name": "place",
    "schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "degrees": {"type": "integer"}},
        "required": ["city", "degrees"],
    },
}
LIMITED: Any = {
    **PLACE,
    "schema": {**PLACE["schema"], "properties": {"city": {"type": "string"}, "degrees": {"maximum": 50}}},
}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="


@pytest.fixture(scope="module")
def running() -> Iterator[FakeAnthropic]:
    with FakeAnthropic() as fake:
        yield fake


@pytest.fixture
def fake(running: FakeAnthropic) -> Iterator[FakeAnthropic]:
    """The model server. Whatever it was sent keeps to the rules of its API, unless a test takes the refusals away."""
    running.seen.refused.clear()
    yield running
    assert running.seen.refused == []


def configuration(fake: FakeAnthropic, folder: Path) -> str:
    return f"""\
version: 2
providers:
  inference:
  - provider_id: claude
    provider_type: remote::anthropic
    config: {{base_url: "{fake.url}", api_key: {KEY}, max_retries: 0}}
  - provider_id: other
    provider_type: remote::anthropic
    config: {{base_url: "{fake.url}", api_key: {KEY}, allowed_models: [caller], max_tokens: 500, cache: explicit}}
  - provider_id: quiet
    provider_type: remote::anthropic
    config: {{base_url: "{fake.url}", api_key: {KEY}, allowed_models: [none]}}
models:
- {{model_id: elder, provider_id: quiet, provider_model_id: old}}
storage: {{url: "sqlite:///{folder}/antiphon.db"}}
"""


@pytest.fixture(scope="module")
def front(running: FakeAnthropic, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("front")
    with start_antiphon(folder, configuration(running, folder)) as program:
        program.wait_ready()
        yield program


@pytest.fixture
def start(fake: FakeAnthropic, tmp_path: Path) -> Iterator[Callable[[], Program]]:
    """Starts a server of the test's own, which has asked nothing yet."""
    with ExitStack() as running:

        def begin() -> Program:
            program = running.enter_context(start_antiphon(tmp_path, configuration(fake, tmp_path)))
            program.wait_ready("/livez")
            return program

        yield begin


@pytest.fixture
def client(front: Program, recorder: Recorder) -> Iterator[openai.OpenAI]:
    with sync_client(front.url, recorder) as made:
        yield made


@pytest.fixture
def raw(front: Program, recorder: Recorder) -> Iterator[Raw]:
    with Raw(front.port, recorder) as made:
        yield made


def ask(client: openai.OpenAI, **request: Any) -> Any:
    """The response; items and settings are as the wire has them, not of the client's types."""
    create: Any = client.responses.create
    return create(**request)


def events_of(client: openai.OpenAI, **request: Any) -> list[Any]:
    return list(ask(client, **request, stream=True))


def ending(client: openai.OpenAI, *, stream: bool, **request: Any) -> Any:
    """The final response of a request, streamed or not."""
    return events_of(client, **request)[-1].response if stream else ask(client, **request)


def blocks(body: Json) -> list[tuple[str, list[str]]]:
    """The roles of the messages and the types of their blocks."""
    return [(one["role"], [block["type"] for block in one["content"]]) for one in body["messages"]]


def output_of(call: Any, text: str) -> Any:
    kind = {"function_call": "function_call_output", "custom_tool_call": "custom_tool_call_output"}[call.type]
    return {"type": kind, "call_id": call.call_id, "output": text}


# --- texts and settings ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
def test_a_text_is_asked_and_answered(client: openai.OpenAI, fake: FakeAnthropic, stream: bool) -> None:
    response = ending(
        client,
        stream=stream,
        model="claude/echo",
        input="hello",
        instructions="Be kind.",
        temperature=0.5,
        max_output_tokens=99,
        service_tier="default",
        safety_identifier="s-1",
    )
    assert response.output_text == "You said: hello"
    assert response.status == "completed"
    assert response.service_tier == "default"
    body = fake.last_request()
    assert body["messages"][0]["content"][0]["text"] == "hello"
    assert body["system"][0]["text"] == "Be kind."
    assert (body["temperature"], body["max_tokens"], body["stream"]) == (0.5, 99, stream)
    assert (body["service_tier"], body["metadata"]) == ("standard_only", {"user_id": "s-1"})
    headers = fake.seen.headers[-1]
    assert (headers["x-api-key"], headers["anthropic-version"]) == (KEY, "2023-06-01")
    assert "authorization" not in headers


def test_prompts_are_cached_and_usage_says_so(client: openai.OpenAI, fake: FakeAnthropic) -> None:
    first = ask(client, model="claude/echo", input="cache this", instructions="Long instructions.")
    assert first.usage is not None
    assert (first.usage.input_tokens, first.usage.output_tokens, first.usage.total_tokens) == (21, 7, 28)
    assert first.usage.input_tokens_details.cached_tokens == 0
    assert first.usage.input_tokens_details.to_dict()["cache_write_tokens"] == 20
    other = ask(client, model="claude/echo", input="else", instructions="Long instructions.")
    assert other.usage is not None
    assert other.usage.input_tokens_details.cached_tokens == 10, "the instructions are shared"
    again = ask(
        client,
        model="claude/echo",
        input="more",
        instructions="Long instructions.",
        previous_response_id=first.id,
    )
    assert again.usage is not None
    assert again.usage.input_tokens_details.cached_tokens == 20
    assert fake.last_request()["messages"][-1]["content"][-1]["cache_control"] == {"type": "ephemeral"}


def test_marks_of_the_caller_go_over_the_latest_four(client: openai.OpenAI, fake: FakeAnthropic) -> None:
    parts = [
        {"type": "input_text", "text": f"part {at}", "prompt_cache_breakpoint": {"mode": "explicit"}}
        for at in range(6)
    ]
    asked: Any = [{"role": "user", "content": [*parts, {"type": "input_text", "text": "and?"}]}]
    options: Any = {"mode": "explicit", "ttl": "30m"}
    ask(client, model="claude/echo", input=asked, extra_body={"prompt_cache_options": options})
    content = fake.last_request()["messages"][0]["content"]
    assert [block.get("cache_control") for block in content] == [
        None,
        None,
        *[{"type": "ephemeral", "ttl": "1h"}] * 4,
        None,
    ]


def test_caching_can_be_off(client: openai.OpenAI, fake: FakeAnthropic) -> None:
    ask(client, model="other/caller", input="hi", instructions="x")
    assert "cache_control" not in json.dumps(fake.last_request())
    assert fake.last_request()["max_tokens"] == 500


# --- reasoning and tools --------------------------------------------------------------------------------------


def test_thinking_streams_then_a_tool_then_the_answer(client: openai.OpenAI, fake: FakeAnthropic) -> None:
    reasoning = {"effort": "high", "summary": "auto"}
    asking: Any = {"model": "claude/caller", "tools": [WEATHER], "reasoning": reasoning}
    events = events_of(client, **asking, input="weather?")
    pieces = [event.delta for event in events if event.type == "response.reasoning_summary_text.delta"]
    assert "".join(pieces) == THOUGHT
    assert len(pieces) > 2
    last: Any = events[-1]
    first = last.response
    assert [item.type for item in first.output] == ["reasoning", "function_call"]
    assert json.loads(first.output[1].arguments) == {"city": "Paris"}
    assert first.usage.output_tokens_details.reasoning_tokens == 4
    body = fake.last_request()
    assert body["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert body["output_config"] == {"effort": "high"}
    assert body["tools"][0]["strict"] is True
    final = ask(
        client, **asking, previous_response_id=first.id, input=[output_of(first.output[1], "21 degrees")]
    )
    assert final.output_text == "You said: 21 degrees"
    assert blocks(fake.last_request()) == [
        ("user", ["text"]),
        ("assistant", ["thinking", "tool_use"]),
        ("user", ["tool_result"]),
    ]


@pytest.mark.parametrize("model", ["thinker", "omits", "redacted"])
def test_thoughts_come_back_without_a_store(client: openai.OpenAI, fake: FakeAnthropic, model: str) -> None:
    asking: Any = {"model": f"claude/{model}", "reasoning": {"effort": "low"}, "store": False}
    first = ask(client, **asking, input="one")
    [thought] = [item for item in first.output if item.type == "reasoning"]
    assert thought.encrypted_content
    assert bool(thought.content) is (model == "thinker")
    user = {"role": "user", "content": "one"}
    bare: Json = {"type": "reasoning", "summary": [], "encrypted_content": thought.encrypted_content}
    said = {"role": "assistant", "content": first.output_text}
    ask(client, **asking, input=[user, bare, said, {"role": "user", "content": "two"}])
    sent = fake.last_request()["messages"][1]["content"]
    kind = "redacted_thinking" if model == "redacted" else "thinking"
    assert [block["type"] for block in sent] == [kind, "text"]


def test_a_tampered_thought_is_refused_here(client: openai.OpenAI, fake: FakeAnthropic) -> None:
    first = ask(client, model="claude/thinker", input="one", reasoning={"effort": "low"})
    blob: Any = first.output[0].to_dict()["encrypted_content"]
    wrong: Json = {"type": "reasoning", "summary": [], "encrypted_content": blob[:30] + "AAAA" + blob[34:]}
    before = len(fake.seen.requests)
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, model="claude/thinker", input=[wrong, {"role": "user", "content": "two"}])
    assert caught.value.param == "input[0].encrypted_content"
    assert len(fake.seen.requests) == before


def test_thoughts_of_another_provider_are_left_out(client: openai.OpenAI, fake: FakeAnthropic) -> None:
    asking: Any = {"tools": [WEATHER], "reasoning": {"effort": "low"}}
    first = ask(client, model="claude/caller", input="weather?", **asking)
    told = [output_of(first.output[-1], "21")]
    ask(client, model="other/caller", input=told, previous_response_id=first.id, **asking)
    assert blocks(fake.last_request())[1] == ("assistant", ["tool_use"])


def test_thoughts_of_earlier_turns_are_left_out_on_demand(client: openai.OpenAI, fake: FakeAnthropic) -> None:
    asking: Any = {"model": "claude/thinker", "reasoning": {"effort": "low"}}
    first = ask(client, **asking, input="one")
    asking["previous_response_id"] = first.id
    ask(client, **asking, input="two")
    assert blocks(fake.last_request())[1] == ("assistant", ["thinking", "text"])
    asking["reasoning"] = {"effort": "low", "context": "current_turn"}
    ask(client, **asking, input="two")
    assert blocks(fake.last_request())[1] == ("assistant", ["text"])


def test_an_older_model_is_given_a_budget(client: openai.OpenAI, fake: FakeAnthropic) -> None:
    asking: Any = {"model": "claude/old", "reasoning": {"effort": "max"}, "tools": [WEATHER]}
    first = ask(client, **asking, input="weather?")
    body = fake.last_request()
    assert body["max_tokens"] == MODELS["old"].max_tokens
    assert body["thinking"] == {"type": "enabled", "budget_tokens": 6144}
    assert "output_config" not in body
    told = [output_of(first.output[-1], "21")]
    ask(client, **asking, input=told, previous_response_id=first.id)
    assert blocks(fake.last_request())[1] == ("assistant", ["thinking", "tool_use"])
    ask(client, **{**asking, "reasoning": {"effort": "none"}}, input="hi")
    assert fake.last_request()["thinking"] == {"type": "disabled"}


def test_a_model_that_nobody_listed_is_asked_about_first(
    start: Callable[[], Program], recorder: Recorder, fake: FakeAnthropic
) -> None:
    """The list of models is asked for once, when the limit or the effort depends on it."""
    program = start()
    before = len(fake.seen.pages)
    with sync_client(program.url, recorder) as client:
        ask(client, model="elder", input="hi", max_output_tokens=99)
        assert len(fake.seen.pages) == before
        ask(client, model="elder", input="hi")
        assert fake.last_request()["max_tokens"] == MODELS["old"].max_tokens
        for _ in range(2):
            ask(client, model="elder", input="hi", reasoning={"effort": "low"})
            assert fake.last_request()["thinking"] == {"type": "enabled", "budget_tokens": 2048}
    assert len(fake.seen.pages) - before == -(-len(MODELS) // PAGE_SIZE)


def test_an_older_model_does_not_begin_to_think_in_the_middle(
    client: openai.OpenAI, fake: FakeAnthropic
) -> None:
    first = ask(client, model="claude/old", tools=[WEATHER], input="weather?")
    told = [output_of(first.output[-1], "21")]
    asking: Any = {"model": "claude/old", "tools": [WEATHER], "reasoning": {"effort": "low"}}
    ask(client, **asking, input=told, previous_response_id=first.id)
    assert "thinking" not in fake.last_request()


def test_an_effort_that_a_model_lacks_is_the_next_lower_one(
    client: openai.OpenAI, fake: FakeAnthropic
) -> None:
    ask(client, model="claude/middle", input="hi", reasoning={"effort": "xhigh"})
    assert fake.last_request()["output_config"] == {"effort": "high"}
    ask(client, model="claude/middle", input="hi", reasoning={"effort": "minimal"})
    assert fake.last_request()["output_config"] == {"effort": "low"}


def test_a_forced_call_is_made_without_thinking_and_with_the_effort(
    client: openai.OpenAI, fake: FakeAnthropic
) -> None:
    ask(
        client,
        model="claude/caller",
        input="?",
        tools=[WEATHER],
        tool_choice="required",
        reasoning={"effort": "low"},
    )
    body = fake.last_request()
    assert body["tool_choice"] == {"type": "any"}
    assert (body["output_config"], "thinking" in body) == ({"effort": "low"}, False)


@pytest.mark.parametrize("stream", [False, True])
def test_calls_in_parallel_and_one_at_a_time(
    client: openai.OpenAI, fake: FakeAnthropic, stream: bool
) -> None:
    asking: Any = {"model": "claude/parallel", "tools": [WEATHER, TIME]}
    first = ending(client, stream=stream, **asking, input="both?")
    assert [item.type for item in first.output] == ["message", "function_call", "function_call"]
    told = [output_of(call, f"result {at}") for at, call in enumerate(first.output[1:])]
    remark = {"role": "user", "content": "and quickly"}
    final = ask(client, **asking, previous_response_id=first.id, input=[remark, *reversed(told)])
    assert "result" in final.output_text
    assert blocks(fake.last_request())[1:] == [
        ("assistant", ["text", "tool_use", "tool_use"]),
        ("user", ["tool_result", "tool_result", "text"]),
    ]
    one = ending(client, stream=stream, **asking, input="both?", parallel_tool_calls=False)
    assert [item.type for item in one.output] == ["message", "function_call"]
    assert fake.last_request()["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}


@pytest.mark.parametrize("stream", [False, True])
def test_an_input_outside_its_grammar_is_asked_for_once_more(
    client: openai.OpenAI, fake: FakeAnthropic, stream: bool
) -> None:
    final = ending(client, stream=stream, model="claude/patcher", input="one", tools=[SUM])
    assert [(item.type, item.input) for item in final.output] == [("custom_tool_call", "1+2")]
    body = fake.last_request()
    assert blocks(body)[1:] == [("assistant", ["tool_use"]), ("user", ["tool_result"])]
    assert "does not match the grammar" in body["messages"][2]["content"][0]["content"]
    told = [output_of(final.output[0], "3")]
    ask(client, model="claude/echo", previous_response_id=final.id, input=told, tools=[SUM])
    assert fake.last_request()["messages"][1]["content"][0]["input"] == {"input": "1+2"}


def test_a_result_may_hold_a_picture(client: openai.OpenAI, fake: FakeAnthropic) -> None:
    first = ask(client, model="claude/caller", tools=[WEATHER], input="weather?")
    picture = {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}"}
    told: Any = {
        **output_of(first.output[-1], ""),
        "output": [{"type": "input_text", "text": "map"}, picture],
    }
    ask(client, model="claude/caller", tools=[WEATHER], input=[told], previous_response_id=first.id)
    [result] = fake.last_request()["messages"][-1]["content"]
    assert [block["type"] for block in result["content"]] == ["text", "image"]


# --- formats and files ----------------------------------------------------------------------------------------


def test_a_schema_binds_the_answer_there(client: openai.OpenAI, fake: FakeAnthropic) -> None:
    events = events_of(client, model="claude/json", input="?", text={"format": PLACE})
    pieces = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert json.loads("".join(pieces)) == {"city": "Paris", "degrees": 21}
    assert len(pieces) > 1
    sent = fake.last_request()["output_config"]["format"]
    assert sent == {"type": "json_schema", "schema": {**PLACE["schema"], "additionalProperties": False}}


@pytest.mark.parametrize("wanted", [LIMITED, {"type": "json_object"}])
def test_a_format_that_it_cannot_bind_is_held_and_asked_for_again(
    client: openai.OpenAI, fake: FakeAnthropic, wanted: Any
) -> None:
    before = len(fake.seen.requests)
    response = ask(client, model="claude/json-late", input="?", text={"format": wanted})
    assert json.loads(response.output_text)["city"] == "Paris"
    assert len(fake.seen.requests) == before + 2
    body = fake.last_request()
    assert "output_config" not in body
    assert "JSON" in body["system"][-1]["text"]


def test_pictures_and_files_reach_the_model(client: openai.OpenAI, fake: FakeAnthropic) -> None:
    parts: Any = [
        {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}"},
        {"type": "input_image", "image_url": "https://example.com/a.jpg"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0xLjQK"},
        {"type": "input_file", "filename": "a.md", "file_data": "data:text/markdown;base64,IyBIaQ=="},
        {"type": "input_text", "text": "what is this?"},
    ]
    ask(client, model="claude/echo", input=[{"role": "user", "content": parts}])
    image, link, pdf, text, _ = fake.last_request()["messages"][0]["content"]
    assert image["source"] == {"type": "base64", "media_type": "image/png", "data": PIXEL}
    assert link["source"] == {"type": "url", "url": "https://example.com/a.jpg"}
    assert (pdf["title"], pdf["source"]["media_type"]) == ("a.pdf", "application/pdf")
    assert text["text"] == '<document name="a.md">\n# Hi\n</document>'


def test_a_file_that_is_kept_here_goes_as_a_document(client: openai.OpenAI, fake: FakeAnthropic) -> None:
    kept = client.files.create(file=("a.pdf", b"%PDF-1.4\n"), purpose="user_data")
    parts: Any = [{"type": "input_file", "file_id": kept.id}, {"type": "input_text", "text": "what is this?"}]
    first = ask(client, model="claude/echo", input=[{"role": "user", "content": parts}])
    for more in ({}, {"previous_response_id": first.id}):
        if more:
            ask(client, model="claude/echo", input="and now?", **more)
        document = fake.last_request()["messages"][0]["content"][0]
        assert document["source"] == {
            "type": "base64",
            "media_type": "application/pdf",
            "data": "JVBERi0xLjQK",
        }
        assert document["title"] == "a.pdf"


# --- ends -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("model", "status", "reason"),
    [
        ("cut", "incomplete", "max_output_tokens"),
        ("overfull", "incomplete", "max_output_tokens"),
        ("refuser", "incomplete", "content_filter"),
        ("stopper", "completed", None),
    ],
)
def test_each_way_to_end(
    client: openai.OpenAI, fake: FakeAnthropic, model: str, status: str, reason: str | None, stream: bool
) -> None:
    response = ending(
        client, stream=stream, model=f"claude/{model}", input="hi", extra_body={"stop": ["END", "STOP"]}
    )
    assert response.status == status
    assert (response.incomplete_details and response.incomplete_details.reason) == reason
    assert fake.last_request()["stop_sequences"] == ["END", "STOP"]


def test_a_refusal_says_why(client: openai.OpenAI) -> None:
    response = ask(client, model="claude/refuser", input="hi")
    [message] = response.output
    assert message.type == "message"
    assert [part.to_dict()["type"] for part in message.content] == ["output_text", "refusal"]
    assert "This could do harm." in str(message.content[1])


@pytest.mark.parametrize(
    ("model", "status", "code", "param"),
    [
        ("fails-400", 400, "provider_rejected", "input"),
        ("fails-context", 400, "context_length_exceeded", "input"),
        ("fails-401", 502, "provider_authentication_failed", None),
        ("fails-404", 404, "model_not_found", "model"),
        ("fails-413", 400, "provider_rejected", None),
        ("fails-429", 429, "rate_limit_exceeded", None),
        ("fails-529", 503, "provider_unavailable", None),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_errors_before_the_head_are_ours(
    raw: Raw, model: str, status: int, code: str, param: str | None, stream: bool
) -> None:
    answer = raw.post("/v1/responses", {"model": f"claude/{model}", "input": "hi", "stream": stream})
    assert (answer.status, answer.error["code"], answer.error["param"]) == (status, code, param)
    assert KEY.encode() not in answer.body
    if model == "fails-429":
        assert answer.headers["retry-after"] == "41"


def test_what_the_api_refuses_carries_our_name_of_the_field(
    client: openai.OpenAI, fake: FakeAnthropic
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, model="claude/echo", input="hi", max_output_tokens=100_000)
    assert caught.value.param == "max_output_tokens"
    fake.seen.refused.clear()


@pytest.mark.parametrize("model", ["errs", "breaks"])
def test_an_error_in_the_middle_fails_the_response(client: openai.OpenAI, model: str) -> None:
    events = events_of(client, model=f"claude/{model}", input="hi")
    said = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert said == "You said: hi"
    last: Any = events[-1]
    assert last.type == "response.failed"
    assert last.response.error.code == "server_error"


def test_a_client_that_leaves_ends_the_call_upstream(front: Program, fake: FakeAnthropic) -> None:
    before = fake.seen.closed_by_client
    body = {"model": "claude/endless", "input": "hi", "stream": True}
    with open_stream(front.port, "/v1/responses", body) as connection:
        read_until(connection, b"output_text.delta")
    fake.wait_for("the closed stream", lambda seen: seen.closed_by_client > before)


# --- other routes ---------------------------------------------------------------------------------------------


def test_chat_completions_pass_through_with_the_key_as_a_bearer(
    client: openai.OpenAI, fake: FakeAnthropic
) -> None:
    chat = client.chat.completions.create(model="claude/echo", messages=[{"role": "user", "content": "hi"}])
    assert chat.choices[0].message.content == "by chat"
    bearer, body = fake.seen.chats[-1]
    assert bearer == f"Bearer {KEY}"
    assert body["model"] == "echo"


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/rerank"])
def test_what_the_api_lacks_is_refused_by_name(raw: Raw, path: str) -> None:
    body: Json = {"model": "claude/echo", "input": "hi", "query": "a", "documents": ["b"]}
    wanted = {"/v1/embeddings": ("model", "input"), "/v1/rerank": ("model", "query", "documents")}[path]
    answer = raw.post(path, {name: body[name] for name in wanted})
    assert answer.status == 400
    assert answer.error["param"] == "model"
    assert "Messages API" in answer.error["message"]


def test_every_page_of_its_models_is_listed(client: openai.OpenAI, fake: FakeAnthropic) -> None:
    listed = {model.id: model for model in client.models.list()}
    names = {f"claude/{name}" for name in MODELS if name not in RETIRED}
    assert names <= set(listed)
    assert not {f"claude/{name}" for name in RETIRED} & set(listed)
    assert listed["claude/echo"].created == 1_770_163_200
    assert len(fake.seen.pages) >= len(MODELS) // PAGE_SIZE


def test_the_command_line_tells_of_it(fake: FakeAnthropic, tmp_path: Path) -> None:
    (tmp_path / "antiphon.yaml").write_text(configuration(fake, tmp_path))
    shown = run(tmp_path, "providers")
    assert "claude (remote::anthropic)" in shown.stdout
    assert fake.url in shown.stdout
    assert "messages" in shown.stdout
    assert KEY not in shown.stdout
    models = document(run(tmp_path, "models", "--json"))
    assert "claude/echo" in json.dumps(models)


def test_a_wrong_key_is_told_as_ours(fake: FakeAnthropic, tmp_path: Path, recorder: Recorder) -> None:
    config = configuration(fake, tmp_path).replace(KEY, "sk-ant-another-key")
    with start_antiphon(tmp_path, config) as program:
        with Raw(program.port, recorder) as raw:
            answer = raw.post("/v1/responses", {"model": "claude/echo", "input": "hi"})
        assert answer.status == 502
        assert "api_key" in answer.error["message"]


def test_the_connection_is_used_again(front: Program, fake: FakeAnthropic) -> None:
    """A stream that was read to its end leaves no connection behind."""
    connection = http.client.HTTPConnection("127.0.0.1", front.port, timeout=20)
    for _ in range(3):
        body = json.dumps({"model": "claude/echo", "input": "hi", "stream": True})
        connection.request("POST", "/v1/responses", body, {"content-type": "application/json"})
        assert b"response.completed" in connection.getresponse().read()
    connection.close()
