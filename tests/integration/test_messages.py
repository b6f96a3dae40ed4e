"""`/v1/messages` of the installed program, by Anthropic's own client, over every wire and through a second server."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import anthropic
import pytest
from anthropic import beta_tool

from bench.program import Program, start_antiphon
from tests.conformance.recorder import Recorder
from tests.integration.clients import Raw, open_stream, read_until
from tests.integration.messages import PIXEL, ask, configuration, get, official, said, second, user
from tests.integration.test_keys import KEYS
from tests.integration.upstream import Upstream
from tests.wire.fake_anthropic import THOUGHT, FakeAnthropic
from tests.wire.fake_responses import FakeResponses

Json = dict[str, Any]
WEATHER: Json = {
    "name": "weather",
    "description": "The weather of a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
TIME: Json = {**WEATHER, "name": "time"}
ADAPTIVE: Json = {"type": "adaptive"}
STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
WIRES = pytest.mark.parametrize(
    "wire", ["scripted", "chat", "responses", "claude", "again/scripted", "again/claude"]
)


@dataclass(frozen=True)
class Stand:
    """A server over all wires, one in front of it, and the model servers behind it."""

    first: Program
    front: Program
    chat: Upstream
    responses: FakeResponses
    claude: FakeAnthropic
    start: Callable[[str], Program]


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with ExitStack() as running:
        chat = running.enter_context(Upstream())
        responses = running.enter_context(FakeResponses())
        claude = running.enter_context(FakeAnthropic())

        def start(more: str) -> Program:
            folder = tmp_path_factory.mktemp("messages")
            config = configuration(folder, chat, responses, claude, more)
            program = running.enter_context(start_antiphon(folder, config))
            program.wait_ready()
            return program

        first = start("")
        folder = tmp_path_factory.mktemp("front")
        front = running.enter_context(start_antiphon(folder, second(folder, first)))
        front.wait_ready()
        yield Stand(first, front, chat, responses, claude, start)


@pytest.fixture(autouse=True)
def lawful(stand: Stand) -> Iterator[None]:
    """What reached the fakes kept to the rules of their APIs."""
    yield
    assert stand.claude.seen.refused == []
    assert stand.responses.seen.violations == []


@pytest.fixture
def client(stand: Stand) -> Iterator[anthropic.Anthropic]:
    with official(stand.first) as made:
        yield made


@pytest.fixture
def of_wire(stand: Stand) -> Iterator[Callable[[str], anthropic.Anthropic]]:
    """The client of the server that has a wire."""
    with official(stand.first) as first, official(stand.front) as front:
        yield lambda wire: front if wire.startswith("again/") else first


@pytest.fixture
def raw(stand: Stand, recorder: Recorder) -> Iterator[Raw]:
    with Raw(stand.first.port, recorder) as made:
        yield made


Clients = Callable[[str], anthropic.Anthropic]


@WIRES
@STREAM
def test_a_message_is_answered_over_every_wire(of_wire: Clients, wire: str, stream: bool) -> None:
    message = ask(
        of_wire(wire), stream=stream, model=f"{wire}/echo", messages=[user("hi there")], system="Be nice."
    )
    assert said(message) == "You said: hi there"
    assert (message.type, message.role, message.model) == ("message", "assistant", f"{wire}/echo")
    assert (message.stop_reason, message.stop_sequence) == ("end_turn", None)
    assert message.id.startswith("msg_")
    usage = message.usage
    assert usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens > 0
    assert usage.output_tokens > 0


@WIRES
@STREAM
def test_parallel_calls_and_their_results_go_round(of_wire: Clients, wire: str, stream: bool) -> None:
    asking: Json = {"model": f"{wire}/parallel", "tools": [WEATHER, TIME]}
    question = user("weather and time?")
    first = ask(of_wire(wire), stream=stream, **asking, messages=[question])
    calls = [block for block in first.content if block.type == "tool_use"]
    assert [call.input for call in calls] == [{"city": "Paris"}, {"city": "Rome"}]
    assert {call.name for call in calls} <= {"weather", "time"}
    assert (first.stop_reason, len({call.id for call in calls})) == ("tool_use", 2)
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    shown: list[Json] = [{"type": "text", "text": "21"}]
    if wire != "chat":  # there a picture comes behind the results, which the fake takes for a question
        shown.append(picture)
    results = [
        {"type": "tool_result", "tool_use_id": calls[0].id, "content": shown},
        {"type": "tool_result", "tool_use_id": calls[1].id, "content": "noon", "is_error": True},
    ]
    last = ask(of_wire(wire), stream=stream, **asking, messages=[question, first.to_param(), user(*results)])
    assert said(last).startswith("You said: ")
    assert last.stop_reason == "end_turn"


@pytest.mark.parametrize(
    "model",
    [
        *("scripted/thinker", "chat/thinker", "responses/thinker", "claude/thinker", "claude/caller"),
        *("claude/redacted", "again/scripted/thinker", "again/claude/thinker", "again/claude/redacted"),
    ],
)
@STREAM
def test_thinking_comes_signed_and_goes_back(
    of_wire: Clients, model: str, stream: bool, stand: Stand
) -> None:
    """The fakes take a thought back only as they gave it out."""
    asking: Json = {
        "model": model,
        "tools": [WEATHER],
        "thinking": ADAPTIVE,
        "output_config": {"effort": "low"},
    }
    question = user("weather?")
    first = ask(of_wire(model), stream=stream, **asking, messages=[question])
    thought = first.content[0]
    if model.endswith("/redacted"):
        assert thought.type == "redacted_thinking"
        assert thought.data
    else:
        assert thought.type == "thinking"
        assert (bool(thought.thinking), bool(thought.signature)) == (True, True)
    if model == "claude/thinker":
        assert thought.thinking == THOUGHT
    calls = [block for block in first.content if block.type == "tool_use"]
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": "21"} for call in calls]
    turns = [question, first.to_param(), user(*results, "Thanks.")]
    last = ask(of_wire(model), stream=stream, **asking, messages=turns)
    assert "warning" not in str(last)
    assert last.stop_reason in ("end_turn", "tool_use")
    if model == "chat/thinker":
        sent = stand.chat.last_request()["messages"]
        assert sent[-2]["reasoning_content"] == "Let me think."
    if model == "responses/thinker":
        assert any(item["type"] == "reasoning" for item in stand.responses.last_request()["input"])


@pytest.mark.parametrize("thinking", [None, {"type": "disabled"}, {"type": "adaptive", "display": "omitted"}])
@STREAM
def test_thoughts_that_were_not_asked_for_are_not_shown(
    client: anthropic.Anthropic, stream: bool, thinking: Json | None
) -> None:
    more = {} if thinking is None else {"thinking": thinking}
    message = ask(client, stream=stream, model="scripted/thinker", messages=[user("hi")], **more)
    *thoughts, text = message.content
    assert text.text == "You said: hi"
    if thinking is not None and "display" in thinking:
        assert [(one.thinking, bool(one.signature)) for one in thoughts] == [("", True)]
    else:
        assert thoughts == []
    assert message.usage.output_tokens_details.thinking_tokens == 3


@STREAM
def test_a_thought_of_another_server_keeps_its_text_and_a_warning_says_so(
    stand: Stand, raw: Raw, stream: bool
) -> None:
    thought = {"type": "thinking", "thinking": "Made elsewhere.", "signature": "EqQBCgIYAhIM"}
    turns = [
        user("hi"),
        {"role": "assistant", "content": [thought, {"type": "text", "text": "yes"}]},
        user("so?"),
    ]
    answer = raw.post(
        "/v1/messages", {"model": "chat/echo", "max_tokens": 9, "messages": turns, "stream": stream}
    )
    assert answer.status == 200
    assert "messages.1.content.0.signature" in answer.headers["warning"]
    assert stand.chat.last_request()["messages"][1]["reasoning_content"] == "Made elsewhere."


@STREAM
def test_the_stop_sequence_that_was_met_is_told(client: anthropic.Anthropic, stream: bool) -> None:
    asking: Json = {"messages": [user("count")], "stop_sequences": ["three", "END"]}
    counted = ask(client, stream=stream, model="scripted/counter", **asking)
    assert (said(counted), counted.stop_reason, counted.stop_sequence) == ("one two ", "stop_sequence", "END")
    told = ask(client, stream=stream, model="claude/stopper", **asking)
    assert (told.stop_reason, told.stop_sequence) == ("stop_sequence", "three")
    untold = ask(client, stream=stream, model="chat/echo", **asking)
    assert (untold.stop_reason, untold.stop_sequence) == ("end_turn", None)


@pytest.mark.parametrize(
    ("model", "stop"),
    [
        *((f"{wire}/cut", "max_tokens") for wire in ("chat", "responses", "claude")),
        *((f"{wire}/filtered", "refusal") for wire in ("chat", "responses")),
        *((f"{wire}/refuser", "refusal") for wire in ("chat", "responses", "claude")),
    ],
)
@STREAM
def test_why_an_answer_stopped(client: anthropic.Anthropic, model: str, stop: str, stream: bool) -> None:
    message = ask(client, stream=stream, model=model, messages=[user("hi")])
    assert message.stop_reason == stop
    if model.endswith("/refuser"):
        assert message.stop_details.explanation
        assert "will not" not in said(message)


def test_one_token_is_enough_to_ask_for(client: anthropic.Anthropic) -> None:
    message = ask(
        client, stream=False, model="demo", max_tokens=1, messages=[{"role": "user", "content": "quota"}]
    )
    assert (message.stop_reason, message.usage.output_tokens) == ("max_tokens", 1)


@STREAM
def test_a_schema_binds_the_answer(client: anthropic.Anthropic, stream: bool) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "degrees": {"type": "integer"}},
        "required": ["city", "degrees"],
        "additionalProperties": False,
    }
    bound = {"format": {"type": "json_schema", "schema": schema}}
    for model in ("chat/json", "claude/json", "demo"):
        message = ask(client, stream=stream, model=model, messages=[user("weather?")], output_config=bound)
        assert set(json.loads(said(message))) == {"city", "degrees"}


def test_what_is_sent_reaches_the_model(client: anthropic.Anthropic, stand: Stand) -> None:
    picture = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjQ="}
    marked = {"type": "text", "text": "What is this?", "cache_control": {"type": "ephemeral"}}
    ask(
        client,
        stream=False,
        model="claude/echo",
        system=[{"type": "text", "text": "Be nice."}, {"type": "text", "text": "Be short."}],
        messages=[user(picture, {"type": "document", "source": pdf, "title": "a.pdf"}, marked)],
        metadata={"user_id": "user-1"},
        extra_body={"temperature": 0.5, "top_k": 3},
        tools=[{"type": "bash_20250124", "name": "bash"}],
        tool_choice={"type": "none"},
    )
    seen = stand.claude.last_request()
    content = seen["messages"][0]["content"]
    assert [block["type"] for block in content] == ["image", "document", "text"]
    assert content[1]["source"]["data"] == "JVBERi0xLjQ="
    assert content[2]["cache_control"] == {"type": "ephemeral"}
    assert "".join(block["text"] for block in seen["system"]) == "Be nice.\n\nBe short."
    assert (seen["metadata"], seen["temperature"], seen["top_k"]) == ({"user_id": "user-1"}, 0.5, 3)
    assert (seen["tools"][0]["name"], seen["tool_choice"]) == ("bash", {"type": "none"})


def test_a_model_that_cannot_be_told_how_much_to_think_is_asked_without(raw: Raw, stand: Stand) -> None:
    body: Json = {
        "model": "dull/echo",
        "max_tokens": 99,
        "messages": [user("hi")],
        "output_config": {"effort": "high"},
    }
    for more in ({}, {"stream": True}, {"thinking": {"type": "disabled"}}):
        answer = raw.post("/v1/messages", {**body, **more})
        assert answer.status == 200
        name = "thinking" if "thinking" in more else "output_config.effort"
        assert answer.headers["warning"].endswith(f'cannot honour it: {name}"')
        assert "reasoning_effort" not in stand.chat.last_request()
    told = raw.post("/v1/messages", {**body, "model": "chat/echo"})
    assert "warning" not in told.headers
    assert stand.chat.last_request()["reasoning_effort"] == "high"
    refused = raw.post("/v1/messages", {**body, "model": "dull/echo", "top_k": 5})
    assert (refused.status, refused.error["type"]) == (400, "invalid_request_error")
    assert "`top_k`" in refused.error["message"]


def test_the_tool_runner_of_the_client_runs_tools(client: anthropic.Anthropic) -> None:
    asked: list[str] = []

    @beta_tool
    def weather(city: str) -> str:
        """The weather of a city."""
        asked.append(city)
        return f"sunny in {city}"

    @beta_tool
    def time(city: str) -> str:
        """The time in a city."""
        asked.append(city)
        return f"noon in {city}"

    runner = client.beta.messages.tool_runner(
        model="scripted/parallel", max_tokens=99, tools=[weather, time], messages=[user("weather?")]
    )
    assert said(runner.until_done()) == "You said: sunny in Paris, noon in Rome"
    assert asked == ["Paris", "Rome"]


# --- counting -----------------------------------------------------------------------------------------------
def test_tokens_are_counted_and_the_answer_says_how(client: anthropic.Anthropic, stand: Stand) -> None:
    count: Any = client.messages.with_raw_response.count_tokens
    few = count(model="demo", messages=[user("hi")])
    many = count(model="demo", messages=[user("hi " * 500)], tools=[WEATHER], system="Be nice.")
    assert 0 < few.parse().input_tokens < many.parse().input_tokens
    assert few.headers["x-antiphon-token-count"] in ("exact", "estimated")
    assert count(model="chat/echo", messages=[user("hi")]).headers["x-antiphon-token-count"] == "estimated"
    dull = count(
        model="dull/echo", messages=[user("hi")], thinking={"type": "enabled", "budget_tokens": 2000}
    )
    assert dull.parse().input_tokens > 0
    wrongs: list[Json] = [{"messages": []}, {"max_tokens": 5}]
    for wrong in wrongs:
        with pytest.raises(anthropic.BadRequestError):
            client.post(
                "/v1/messages/count_tokens",
                body={"model": "demo", "messages": [user("hi")], **wrong},
                cast_to=object,
            )
    with pytest.raises(anthropic.NotFoundError):
        count(model="nobody", messages=[user("hi")])


# --- models -------------------------------------------------------------------------------------------------
def test_models_are_listed_in_pages_in_this_apis_shape(client: anthropic.Anthropic, raw: Raw) -> None:
    pages = client.models.list(limit=7)
    assert pages.has_more
    listed = [model.id for model in pages]
    assert len(listed) == len(set(listed)) > 20
    assert {"scripted/demo", "claude/echo"} <= set(listed)
    before = client.models.list(before_id=listed[5], limit=2)
    assert ([model.id for model in before.data], before.has_more) == (listed[3:5], True)
    one = client.models.retrieve("claude/echo")
    assert (one.id, one.type, one.display_name) == ("claude/echo", "model", "claude/echo")
    with pytest.raises(anthropic.NotFoundError):
        client.models.retrieve("nobody")
    for query in ({"limit": 0}, {"after_id": "nobody"}, {"colour": "red"}):
        with pytest.raises(anthropic.BadRequestError):
            client.get("/v1/models", options={"params": query}, cast_to=object)
    assert raw.get("/v1/models").json["object"] == "list"


# --- errors -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("model", "error", "kind"),
    [
        ("nobody", anthropic.NotFoundError, "not_found_error"),
        ("chat/fails-400", anthropic.BadRequestError, "invalid_request_error"),
        ("chat/fails-context", anthropic.BadRequestError, "invalid_request_error"),
        ("chat/fails-429", anthropic.RateLimitError, "rate_limit_error"),
        ("chat/fails-401", anthropic.InternalServerError, "api_error"),
        ("claude/fails-529", anthropic.InternalServerError, "overloaded_error"),
        ("claude/fails-413", anthropic.APIStatusError, None),
    ],
)
@STREAM
def test_failures_before_the_first_event_are_those_of_the_api(
    client: anthropic.Anthropic,
    model: str,
    error: type[anthropic.APIStatusError],
    kind: str | None,
    stream: bool,
) -> None:
    with pytest.raises(error) as failed:
        ask(client, stream=stream, model=model, messages=[user("hi")])
    body: Any = failed.value.body
    assert body["type"] == "error"
    assert kind is None or body["error"]["type"] == kind
    assert body["request_id"] == failed.value.request_id == failed.value.response.headers["x-request-id"]
    assert "secret" not in body["error"]["message"]


@pytest.mark.parametrize("model", ["scripted/breaks", "chat/breaks", "claude/errs", "claude/breaks"])
def test_a_stream_that_breaks_off_says_so(client: anthropic.Anthropic, model: str) -> None:
    pieces: list[str] = []
    opened: Any = client.messages.stream
    with (
        pytest.raises(anthropic.APIStatusError) as failed,
        opened(model=model, max_tokens=99, messages=[user("hi")]) as stream,
    ):
        pieces += stream.text_stream
    assert pieces
    body: Any = failed.value.body
    assert body["error"]["type"] in ("api_error", "overloaded_error")
    with pytest.raises(anthropic.InternalServerError):
        ask(client, stream=False, model="scripted/breaks", messages=[user("hi")])


def test_every_answer_below_the_route_has_its_envelope_and_id(raw: Raw) -> None:
    for method, path, body, status, kind in (
        ("GET", "/v1/messages", None, 405, "invalid_request_error"),
        ("POST", "/v1/messages/batches", b"{}", 404, "not_found_error"),
        ("POST", "/v1/messages", b"{", 400, "invalid_request_error"),
        ("POST", "/v1/messages?colour=red", b"{}", 400, "invalid_request_error"),
        ("POST", "/v1/openai/v1/messages", b"{}", 400, "invalid_request_error"),
    ):
        answer = raw.send(method, path, body)
        assert (answer.status, answer.json["type"], answer.error["type"]) == (status, "error", kind), path
        assert answer.json["request_id"] == answer.headers["request-id"] == answer.headers["x-request-id"]
    form = raw.send("POST", "/v1/messages", b"a=b", {"content-type": "application/x-www-form-urlencoded"})
    assert (form.status, form.error["type"]) == (415, "invalid_request_error")
    assert "error" in raw.get("/v1/responses/resp_1").json
    assert "type" not in raw.get("/v1/responses/resp_1").json
    good = raw.post("/v1/messages/", {"model": "demo", "max_tokens": 9, "messages": [user("hi")]})
    assert (good.status, good.headers["request-id"]) == (200, good.headers["x-request-id"])
    assert good.headers["x-antiphon-served-by"] == "scripted/demo"


def test_a_key_is_taken_in_either_header(stand: Stand, recorder: Recorder) -> None:
    server = stand.start(KEYS)
    asking: Json = {"model": "demo", "max_tokens": 9, "messages": [user("hi")]}
    with official(server, "key-of-ann") as ann:
        assert said(ask(ann, stream=False, **asking))
    with official(server, "wrong") as nobody, pytest.raises(anthropic.AuthenticationError) as refused:
        ask(nobody, stream=False, **asking)
    body: Any = refused.value.body
    assert body["error"]["type"] == "authentication_error"
    with Raw(server.port, recorder) as raw:
        for headers, status in (
            ({"x-api-key": "key-of-ann"}, 200),
            ({"authorization": "Bearer key-of-ann"}, 200),
            ({"x-api-key": "wrong"}, 401),
            ({}, 401),
        ):
            assert raw.send("POST", "/v1/messages", json.dumps(asking).encode(), headers).status == status
            assert get(server, "/v1/models", {**headers, "anthropic-version": "2023-06-01"}) == status


def test_a_lenient_server_names_what_it_left_out(stand: Stand, recorder: Recorder) -> None:
    server = stand.start("server: {parameters: lenient, limits: {max_body_bytes: 5000}}")
    with Raw(server.port, recorder) as raw:
        body: Json = {"model": "dull/echo", "max_tokens": 9, "messages": [user("hi")]}
        answer = raw.post("/v1/messages", {**body, "unheard_of": 1, "top_k": 5})
        assert answer.status == 200
        assert answer.headers["warning"].count("299 antiphon") == 2
        assert "unheard_of" in answer.headers["warning"]
        assert "top_k" in answer.headers["warning"]
        refused = raw.post("/v1/messages", {**body, "container": "c1"})
        assert (refused.status, "`container`" in refused.error["message"]) == (400, True)
        large = raw.post("/v1/messages", {**body, "system": "x" * 6000})
        assert (large.status, large.error["type"]) == (413, "request_too_large")


def test_a_silent_stream_is_kept_alive_by_pings(stand: Stand) -> None:
    server = stand.start("server: {heartbeat_s: 0.05}")
    body: Json = {"model": "scripted/late", "max_tokens": 9, "stream": True, "messages": [user("hi")]}
    connection = open_stream(server.port, "/v1/messages", body)
    seen = read_until(connection, b"text_delta")
    for _ in range(2):
        seen += read_until(connection, b"event: ping")
    connection.close()
    assert seen.count(b"event: ping") >= 3
    assert b": keep-alive" not in seen


def test_a_client_that_leaves_stops_the_model(stand: Stand) -> None:
    before = stand.claude.seen.closed_by_client
    body: Json = {"model": "claude/endless", "max_tokens": 9, "stream": True, "messages": [user("hi")]}
    connection = open_stream(stand.first.port, "/v1/messages", body)
    read_until(connection, b"text_delta")
    connection.close()
    stand.claude.wait_for("the call was closed", lambda seen: seen.closed_by_client > before)


def test_nothing_is_stored(client: anthropic.Anthropic, raw: Raw) -> None:
    message = ask(client, stream=False, model="demo", messages=[user("hi")])
    answer = raw.get(f"/v1/responses/resp_{message.id.removeprefix('msg_')}")
    assert answer.status == 404
