"""Routes and breakers in the installed program: several upstreams, real sockets, a restart."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.responses import ResponseFunctionToolCall

from bench.program import Program, start_antiphon
from tests.conformance.recorder import Recorder
from tests.integration.clients import Answer, Json, Raw, sync_client
from tests.integration.upstream import Upstream

CONFIGURATION = """\
version: 2
server: {{breaker: {{enabled: false}}}}
providers:
  inference:
  - {{provider_id: first, provider_type: "remote::openai-compatible", config: {{base_url: "{first}"}}}}
  - {{provider_id: second, provider_type: "remote::openai-compatible", config: {{base_url: "{second}"}}}}
  - {{provider_id: dead, provider_type: "remote::openai-compatible", config: {{base_url: "{dead}"}}}}
  - provider_id: loose
    provider_type: remote::openai-compatible
    config: {{base_url: "{second}", capabilities: {{json_schema: false, json_object: false}}}}
  - provider_id: fragile
    provider_type: remote::openai-compatible
    config: {{base_url: "{first}", max_retries: 0}}
    breaker: {{failures: 3, open_s: 600}}
models:
- {{model_id: quick, provider_id: second, provider_model_id: echo}}
- {{model_id: limited, route: {{candidates: [{{model: first/fails-429}}, {{model: quick}}]}}}}
- {{model_id: broken, route: {{candidates: [{{model: first/fails-500}}, {{model: quick}}]}}}}
- {{model_id: unplugged, route: {{candidates: [{{model: dead/any}}, {{model: quick}}]}}}}
- {{model_id: half, route: {{candidates: [{{model: first/breaks}}, {{model: quick}}]}}}}
- {{model_id: small, route: {{candidates: [{{model: first/fails-context}}, {{model: quick}}]}}}}
- model_id: growing
  route: {{candidates: [{{model: first/fails-context}}, {{model: quick}}], fallback_on: [context_length]}}
- model_id: by-rule
  route:
    candidates:
    - {{model: first/echo, when: {{images: false, max_input_tokens: 300}}}}
    - {{model: second/echo}}
- model_id: either
  route: {{candidates: [{{model: first/echo}}, {{model: second/echo}}], strategy: weighted}}
- model_id: hopeless
  route: {{candidates: [{{model: dead/any}}, {{model: first/fails-429}}, {{model: second/fails-500}}]}}
- model_id: tools
  route: {{candidates: [{{model: first/fails-500}}, {{model: second/caller}}]}}
- model_id: formats
  route: {{candidates: [{{model: first/fails-500}}, {{model: loose/not-json}}]}}
storage: {{url: "sqlite:///{folder}/antiphon.db"}}
"""
IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}
SERVED_BY = "x-antiphon-served-by"


@pytest.fixture(scope="module")
def upstreams() -> Iterator[tuple[Upstream, Upstream]]:
    with Upstream() as first, Upstream() as second:
        yield first, second


@pytest.fixture(scope="module")
def configuration(upstreams: tuple[Upstream, Upstream], tmp_path_factory: pytest.TempPathFactory) -> str:
    with socket.socket() as unused:  # nobody listens on it afterwards
        unused.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
    first, second = upstreams
    return CONFIGURATION.format(
        first=first.url, second=second.url, dead=dead, folder=tmp_path_factory.mktemp("routes")
    )


@pytest.fixture(scope="module")
def routed(configuration: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with start_antiphon(tmp_path_factory.mktemp("routed"), configuration) as program:
        program.wait_ready()
        yield program


@pytest.fixture
def http(routed: Program, recorder: Recorder) -> Iterator[Raw]:
    with Raw(routed.port, recorder) as connection:
        yield connection


@pytest.fixture
def api(routed: Program, recorder: Recorder) -> Iterator[openai.OpenAI]:
    with sync_client(routed.url, recorder) as made:
        yield made


def respond(http: Raw, model: str, *, stream: bool = False, **more: Any) -> Answer:
    return http.post("/v1/responses", {"model": model, "input": "hello", "stream": stream, **more})


def chat(http: Raw, model: str, *, stream: bool = False) -> Answer:
    messages = [{"role": "user", "content": "hello"}]
    return http.post("/v1/chat/completions", {"model": model, "messages": messages, "stream": stream})


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["limited", "broken", "unplugged"])
def test_the_next_candidate_answers_when_one_fails_before_its_first_byte(
    http: Raw, upstreams: tuple[Upstream, Upstream], model: str, stream: bool
) -> None:
    asked = len(upstreams[0].seen.requests)
    for answer in (respond(http, model, stream=stream), chat(http, model, stream=stream)):
        assert answer.status == 200
        assert answer.headers[SERVED_BY] == "second/echo"
        assert f'"model":"{model}"'.encode() in answer.body.replace(b'": "', b'":"')
        assert b'"model":"echo"' not in answer.body.replace(b'": "', b'":"')
        assert upstreams[1].last_request()["model"] == "echo"
    assert len(upstreams[0].seen.requests) <= asked + 4  # no waiting repeats, but for a retry-after of 0


@pytest.mark.parametrize("stream", [False, True])
def test_text_completions_are_routed_too(http: Raw, stream: bool) -> None:
    answer = http.post("/v1/completions", {"model": "unplugged", "prompt": "hello", "stream": stream})
    assert (answer.status, answer.headers[SERVED_BY]) == (200, "second/echo")
    assert b"You said: hello" in answer.body


def test_an_unrouted_model_says_who_serves_it(http: Raw) -> None:
    for name in ("quick", "second/echo"):
        assert respond(http, name).headers[SERVED_BY] == "second/echo"
        assert chat(http, name, stream=True).headers[SERVED_BY] == "second/echo"


def test_an_answer_that_breaks_off_is_a_failed_response_and_nobody_else_is_asked(
    http: Raw, upstreams: tuple[Upstream, Upstream]
) -> None:
    asked = len(upstreams[1].seen.requests)
    answer = respond(http, "half", stream=True)
    assert (answer.status, answer.headers[SERVED_BY]) == (200, "first/breaks")
    assert b"event: response.failed" in answer.body
    assert len(upstreams[1].seen.requests) == asked


def test_a_context_overflow_is_the_callers_until_the_route_says_otherwise(http: Raw) -> None:
    refused = respond(http, "small")
    assert (refused.status, refused.error["code"]) == (400, "context_length_exceeded")
    assert respond(http, "growing").headers[SERVED_BY] == "second/echo"
    assert chat(http, "growing").headers[SERVED_BY] == "second/echo"


def test_images_and_length_decide_by_rule(http: Raw) -> None:
    def served_by(*parts: Json, **more: Any) -> str:
        message = {"role": "user", "content": [{"type": "input_text", "text": "look"}, *parts]}
        return respond(http, "by-rule", input=[message], **more).headers[SERVED_BY]

    assert served_by() == "first/echo"
    assert served_by(IMAGE) == "second/echo"
    assert served_by({"type": "input_text", "text": "x" * 4000}) == "second/echo"
    parent = respond(http, "by-rule", input=[{"role": "user", "content": [IMAGE]}]).json["id"]
    assert served_by(previous_response_id=parent) == "second/echo"


def test_when_all_fail_the_answer_names_each_and_why(http: Raw) -> None:
    for answer in (respond(http, "hopeless"), chat(http, "hopeless", stream=True)):
        assert (answer.status, answer.error["code"]) == (503, "provider_unavailable")
        message = answer.error["message"]
        assert 'model "hopeless": all of its candidates failed. dead/any: unavailable: ' in message
        assert "first/fails-429: rate_limited: " in message
        assert "second/fails-500: unavailable: " in message
        assert "127.0.0.1" not in message


def test_routed_models_are_listed_and_found(api: openai.OpenAI) -> None:
    listed = {model.id: model.owned_by for model in api.models.list()}
    assert (listed["either"], listed["quick"]) == ("antiphon", "second")
    assert api.models.retrieve("either").owned_by == "antiphon"


def test_a_tool_flow_goes_through_a_route(api: openai.OpenAI) -> None:
    tool: Any = {"type": "function", "name": "look_up", "parameters": {"type": "object"}, "strict": False}
    with api.responses.stream(model="tools", input="what?", tools=[tool]) as stream:
        first = stream.get_final_response()
    (call,) = [item for item in first.output if isinstance(item, ResponseFunctionToolCall)]
    output: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "42"}
    last = api.responses.create(model="tools", input=[output], previous_response_id=first.id, tools=[tool])
    assert last.status == "completed"
    assert "42" in last.output_text


def test_a_format_is_checked_when_the_candidate_that_answers_does_not_enforce_it(
    http: Raw, upstreams: tuple[Upstream, Upstream]
) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    text = {"format": {"type": "json_schema", "name": "w", "schema": schema}}
    asked = len(upstreams[1].seen.requests)
    answer = respond(http, "formats", stream=True, text=text)
    assert answer.headers[SERVED_BY] == "loose/not-json"
    assert b"It is warm" not in answer.body  # held, and asked for once more
    assert b"does not match text.format" in answer.body
    assert len(upstreams[1].seen.requests) == asked + 2


def test_a_chain_stays_with_its_candidate_also_after_a_restart(
    configuration: str, upstreams: tuple[Upstream, Upstream], tmp_path: Path, recorder: Recorder
) -> None:
    configuration = configuration.replace("antiphon.db", "sticky.db")
    chains: dict[str, str] = {}  # the last response of each chain, and who served its first
    with ExitStack() as running:
        program = running.enter_context(start_antiphon(tmp_path, configuration))
        http = running.enter_context(Raw(program.port, recorder))
        while len(set(chains.values())) < 2:
            answer = respond(http, "either")
            chains[answer.json["id"]] = answer.headers[SERVED_BY]
        chains = go_on(http, chains)
    with start_antiphon(tmp_path, configuration) as program, Raw(program.port, recorder) as http:
        for _ in range(4):
            chains = go_on(http, chains)


def go_on(http: Raw, chains: dict[str, str]) -> dict[str, str]:
    """One more turn of each chain, each of which must be served as the one before."""
    later: dict[str, str] = {}
    for parent, served_by in chains.items():
        answer = respond(http, "either", previous_response_id=parent)
        assert answer.headers[SERVED_BY] == served_by
        later[answer.json["id"]] = served_by
    return later


@pytest.mark.parametrize("ask", [respond, chat])
def test_an_upstream_that_keeps_failing_is_left_alone_and_the_answer_says_until_when(
    configuration: str, upstreams: tuple[Upstream, Upstream], tmp_path: Path, recorder: Recorder, ask: Any
) -> None:
    with start_antiphon(tmp_path, configuration) as program, Raw(program.port, recorder) as http:
        asked = len(upstreams[0].seen.requests)
        answers = [ask(http, "fragile/fails-500") for _ in range(6)]
        assert len(upstreams[0].seen.requests) == asked + 3
        assert {(one.status, one.error["code"]) for one in answers} == {(503, "provider_unavailable")}
        assert "retry-after" not in answers[2].headers
        assert all(590 < int(one.headers["retry-after"]) <= 600 for one in answers[3:])
        assert 'kept failing for "fails-500" and is left alone; try again in' in answers[-1].error["message"]
        assert ask(http, "fragile/echo").status == 200
        assert http.get("/readyz").json == {
            "status": "ready",
            "upstreams": {"closed": 1, "open": 1, "half_open": 0},
        }
        refused = [ask(http, "fragile/fails-400") for _ in range(6)]
        assert {one.error["code"] for one in refused} == {"provider_rejected"}
