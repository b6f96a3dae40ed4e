"""A server that records, and the scripted provider that answers from what it wrote."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from antiphon.app import build
from antiphon.config.load import ConfigError, hash_key, load
from antiphon.core.commands import CallModel
from antiphon.core.items import Message
from antiphon.core.request import ResponseRequest
from antiphon.core.transcript import Transcript
from antiphon.core.wire import decode_json, encode
from antiphon.ports import Owner
from antiphon.providers.script import parse_script
from antiphon.providers.upstream import UpstreamClient
from antiphon.recording.format import Exchange
from antiphon.testing import Scripted
from antiphon.testing.simulated_socket import SimulatedSocket
from antiphon.testing.simulation import exchange
from tests.integration.recording import (
    CHAT_TOOL,
    SECRET,
    TOOL,
    Json,
    chat,
    final,
    leave_at,
    normal,
    recorded,
    recording_config,
    respond,
    scripted_config,
    services_of,
    serving,
    written,
)
from tests.integration.upstream import Upstream

DEMO = """\
recording: {{path: "{folder}/recordings"}}
providers: {{inference: [{{provider_id: up, provider_type: inline::scripted}}]}}
storage: {{url: "sqlite:///{folder}/recorded.db"}}
"""
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
SCHEMA = {"format": {"type": "json_schema", "name": "city", "schema": CITY}}
RESPONSES: dict[str, Json] = {
    "text": {"model": "echo", "input": "hello there"},
    "instructions": {"model": "up/echo", "input": "hello there", "instructions": "Be kind."},
    "call": {"model": "caller", "input": "weather?", "tools": [TOOL]},
    "parallel": {"model": "parallel", "input": "weather?", "tools": [TOOL]},
    "reasoning": {"model": "thinker", "input": "think"},
    "refusal": {"model": "refuser", "input": "no"},
    "cut": {"model": "cut", "input": "a long story"},
    "filtered": {"model": "filtered", "input": "a bad story"},
    "logprobs": {"model": "probable", "input": "odds", "include": ["message.output_text.logprobs"]},
    "broken": {"model": "breaks", "input": "x"},
    "repaired": {"model": "up/json-late", "input": "city?", "text": SCHEMA},
}
ERRORS = ("fails-400", "fails-401", "fails-429", "fails-500", "fails-context")


async def record(
    upstream: Upstream, folder: Path, *bodies: Json, api: Any = respond, **config: str
) -> list[Any]:
    """The answers to these requests from a server that records."""
    async with serving(folder, recording_config(upstream.url, folder, **config)) as app:
        return [await api(app, body) for body in bodies]


@pytest.mark.parametrize(
    ("name", "stream"),
    [(name, stream) for name in RESPONSES for stream in (True, False) if stream or name != "broken"],
)
async def test_a_replayed_response_is_the_recorded_one(
    name: str, stream: bool, upstream: Upstream, tmp_path: Path
) -> None:
    body = {**RESPONSES[name], "stream": stream}
    (first,) = await record(upstream, tmp_path, body)
    seen = len(upstream.seen.requests)
    async with serving(tmp_path, scripted_config(tmp_path)) as app:
        again = await respond(app, body)
    assert again.status == first.status == 200
    assert normal(again.body) == normal(first.body)
    assert len(upstream.seen.requests) == seen, "nobody was asked"


@pytest.mark.parametrize("name", ["text", "call", "parallel", "reasoning", "refusal", "cut"])
@pytest.mark.parametrize("stream", [True, False], ids=["to-stream", "to-whole"])
async def test_a_recording_answers_the_other_way_of_asking_too(
    name: str, stream: bool, upstream: Upstream, tmp_path: Path
) -> None:
    (first,) = await record(upstream, tmp_path, {**RESPONSES[name], "stream": not stream})
    async with serving(tmp_path, scripted_config(tmp_path)) as app:
        again = await respond(app, {**RESPONSES[name], "stream": stream})
    assert ("text/event-stream" in again.headers["content-type"]) == stream
    ours, theirs = final(again)["output"], final(first)["output"]
    assert [_without_id(item) for item in ours] == [_without_id(item) for item in theirs]
    assert final(again)["usage"] == final(first)["usage"]
    if stream:
        numbers = [event["sequence_number"] for event in again.events]
        assert numbers == list(range(len(numbers)))


def _without_id(item: Json) -> Json:
    return {key: value for key, value in item.items() if key not in ("id", "encrypted_content")}


@pytest.mark.parametrize("model", ERRORS)
async def test_a_recorded_refusal_is_refused_again(model: str, upstream: Upstream, tmp_path: Path) -> None:
    body = {"model": model, "input": "x"}
    (first,) = await record(upstream, tmp_path, body)
    async with serving(tmp_path, scripted_config(tmp_path)) as app:
        again = await respond(app, body)
    assert first.status >= 400
    assert (again.status, again.json) == (first.status, first.json)


async def test_a_conversation_with_tools_replays_turn_by_turn(upstream: Upstream, tmp_path: Path) -> None:
    async def converse(app: Any) -> list[Json]:
        first = await respond(app, {"model": "caller", "input": "weather?", "tools": [TOOL], "stream": True})
        call = next(item for item in final(first)["output"] if item["type"] == "function_call")
        output = {"type": "function_call_output", "call_id": call["call_id"], "output": "21 degrees"}
        body = {"model": "caller", "input": [output], "tools": [TOOL]}
        second = await respond(app, {**body, "previous_response_id": final(first)["id"]})
        return [final(first), final(second)]

    async with serving(tmp_path, recording_config(upstream.url, tmp_path)) as app:
        before = await converse(app)
    async with serving(tmp_path, scripted_config(tmp_path)) as app:
        now = await converse(app)
    for old, new in zip(before, now, strict=True):
        assert [_without_id(item) for item in new["output"]] == [_without_id(item) for item in old["output"]]
    assert "21 degrees" in str(now[1]["output"])


# --- chat and text completions -----------------------------------------------------------------------------
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("model", ["echo", "caller", "thinker", "refuser", "cut"])
async def test_a_replayed_completion_is_the_recorded_one(
    model: str, stream: bool, upstream: Upstream, tmp_path: Path
) -> None:
    body = {"model": model, "messages": [_user("weather?")], "tools": [CHAT_TOOL], "stream": stream}
    (first,) = await record(upstream, tmp_path, body, api=chat)
    async with serving(tmp_path, scripted_config(tmp_path)) as app:
        again = await chat(app, body)
    assert again.body == first.body


@pytest.mark.parametrize("stream", [True, False], ids=["to-stream", "to-whole"])
@pytest.mark.parametrize("model", ["echo", "caller", "thinker", "refuser", "cut"])
async def test_a_recorded_completion_answers_the_other_way_of_asking(
    model: str, stream: bool, upstream: Upstream, tmp_path: Path
) -> None:
    body = {"model": model, "messages": [_user("weather?")], "tools": [CHAT_TOOL]}
    first, want = await record(
        upstream, tmp_path, {**body, "stream": not stream}, {**body, "stream": stream}, api=chat
    )
    del first
    lines = written(tmp_path).splitlines(keepends=True)
    (path,) = (tmp_path / "recordings").iterdir()
    path.write_text("".join(lines[:2]))  # only the first exchange is left
    async with serving(tmp_path, scripted_config(tmp_path)) as app:
        again = await chat(app, {**body, "stream": stream})
    assert _said(again, stream=stream) == _said(want, stream=stream)


def _said(answer: Any, *, stream: bool) -> Json:
    """Text, thoughts, refusal, calls and finish of a completion."""
    parts = [event["choices"][0] for event in answer.events if event["choices"]] if stream else None
    if parts is None:
        choice = answer.json["choices"][0]
        parts = [{"delta": choice["message"], "finish_reason": choice["finish_reason"]}]
    said: Json = {"calls": [["", ""] for part in parts for _ in part["delta"].get("tool_calls") or ()][:1]}
    for part in parts:
        for key in ("content", "reasoning_content", "refusal"):
            said[key] = said.get(key, "") + (part["delta"].get(key) or "")
        for call in part["delta"].get("tool_calls") or ():
            said["calls"][0][0] += call["function"].get("name") or ""
            said["calls"][0][1] += call["function"].get("arguments") or ""
        said["finish"] = part["finish_reason"]
    return said


def _user(text: str) -> Json:
    return {"role": "user", "content": text}


async def test_a_text_completion_is_recorded_and_replayed_either_way(
    upstream: Upstream, tmp_path: Path
) -> None:
    body = {"model": "echo", "prompt": "once upon"}
    async with serving(tmp_path, recording_config(upstream.url, tmp_path)) as app:
        first = await exchange(app, "POST", "/v1/completions", body)
    async with serving(tmp_path, scripted_config(tmp_path)) as app:
        again = await exchange(app, "POST", "/v1/completions", body)
        streamed = await exchange(app, "POST", "/v1/completions", {**body, "stream": True})
    assert again.body == first.body
    text = "".join(event["choices"][0]["text"] for event in streamed.events)
    assert text == first.json["choices"][0]["text"]


async def test_a_recorded_response_answers_a_chat_completion_that_asks_the_same(
    upstream: Upstream, tmp_path: Path
) -> None:
    await record(upstream, tmp_path, {"model": "echo", "input": "hello", "instructions": "Be kind."})
    messages = [{"role": "system", "content": "Be kind."}, _user("hello")]
    async with serving(tmp_path, scripted_config(tmp_path)) as app:
        answer = await chat(app, {"model": "echo", "messages": messages})
    assert answer.json["choices"][0]["message"]["content"] == "You said: hello"


async def test_custom_tools_and_sealed_thoughts_are_replayed(upstream: Upstream, tmp_path: Path) -> None:
    draw: Json = {"type": "custom", "name": "draw"}
    body = {"model": "caller", "input": "draw!", "tools": [draw], "stream": True}
    sealed = {"model": "thinker", "input": "x", "include": ["reasoning.encrypted_content"], "store": False}
    first, _ = await record(upstream, tmp_path, body, sealed, recording=", include_unstored: true")
    async with serving(tmp_path, scripted_config(tmp_path)) as app:
        again = await respond(app, body)
        thought = final(await respond(app, sealed))["output"][0]
        follow_up = {**sealed, "input": [thought, {"role": "user", "content": "x"}]}
        answer = await respond(app, follow_up)
    assert final(first)["output"][0]["type"] == "custom_tool_call"
    assert normal(again.body) == normal(first.body)
    assert thought["encrypted_content"]
    assert answer.status == 200, answer.body


async def test_a_recorded_answer_takes_the_time_that_it_took(tmp_path: Path) -> None:
    slow = [
        {"text": "one ", "delay_ms": 5},
        {"wait_ms": 40},
        {"text": "two", "delay_ms": 5},
    ]
    script = encode({"models": [{"name": "slow", "rules": [{"reply": slow}]}]}).decode()
    config = DEMO.format(folder=tmp_path).replace("inline::scripted", f"inline::scripted, config: {script}")
    body = {"model": "slow", "input": "x", "stream": True}
    async with serving(tmp_path, config) as app:
        await respond(app, body)
    (exchange,) = recorded(tmp_path).exchanges
    waits: dict[str, list[float]] = {"none": [], "recorded": []}
    for timing, waited in waits.items():

        async def sleep(seconds: float, waited: list[float] = waited) -> None:
            waited.append(seconds)

        settings = parse_script({"recording": str(tmp_path / "recordings"), "timing": timing})
        model = Scripted("up", settings, sleep=sleep)
        call = CallModel(
            ResponseRequest.parse(encode(body)), Transcript(items=(Message(role="user", content="x"),))
        )
        assert [batch async for batch in model.stream("slow", call)]
    assert waits["none"] == []
    assert round(sum(waits["recorded"]) * 1000) == exchange.heard[-1].ms >= 50
    assert max(waits["recorded"]) >= 0.04


# --- embeddings and rankings -------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("path", "body", "change", "differs_at"),
    [
        (
            "/v1/embeddings",
            {"model": "demo", "input": ["one", "two"], "dimensions": 8},
            {"input": ["one", "three"]},
            "input[1]",
        ),
        (
            "/v1/rerank",
            {"model": "demo", "query": "red", "documents": ["a red one", "a blue one"]},
            {"documents": ["a red one", "a green one"]},
            "documents[1]",
        ),
    ],
    ids=["embeddings", "rerank"],
)
async def test_vectors_are_recorded_and_replayed(
    path: str, body: Json, change: Json, differs_at: str, tmp_path: Path
) -> None:
    async with serving(tmp_path, DEMO.format(folder=tmp_path)) as app:
        first = await exchange(app, "POST", path, body)
    async with serving(tmp_path, scripted_config(tmp_path)) as app:
        again = await exchange(app, "POST", path, body)
        refused = await exchange(app, "POST", path, body | change)
    assert again.status == first.status == 200
    assert normal(again.body) == normal(first.body)
    assert f"differs at {differs_at}: " in refused.json["error"]["message"]


async def test_recorded_vectors_come_in_the_form_that_is_asked_for(tmp_path: Path) -> None:
    body = {"model": "demo", "input": "one", "dimensions": 8}
    async with serving(tmp_path, DEMO.format(folder=tmp_path)) as app:
        packed = await exchange(app, "POST", "/v1/embeddings", {**body, "encoding_format": "base64"})
    async with serving(tmp_path, scripted_config(tmp_path)) as app:
        again = await exchange(app, "POST", "/v1/embeddings", {**body, "encoding_format": "base64"})
        plain = await exchange(app, "POST", "/v1/embeddings", body)
    assert again.json == packed.json
    assert len(plain.json["data"][0]["embedding"]) == 8


# --- what is written ---------------------------------------------------------------------------------------
async def test_an_exchange_tells_who_asked_what_of_whom(upstream: Upstream, tmp_path: Path) -> None:
    (answer,) = await record(upstream, tmp_path, {"model": "up/echo", "input": "hi", "stream": True})
    (one,) = recorded(tmp_path).exchanges
    assert (one.run, one.step) == (final(answer)["id"], 1)
    assert (one.tenant, one.subject) == ("default", "anonymous")
    assert (one.provider, one.model, one.asked_model) == ("up", "echo", "up/echo")
    assert one.sent is not None
    assert (one.sent.method, one.sent.path, one.sent.attempts) == ("POST", "/v1/chat/completions", 1)
    assert decode_json(bytes(one.sent.body)) == upstream.last_request()
    assert one.answer is not None
    assert one.answer.status == 200
    assert one.answer.body.endswith(b"data: [DONE]\n\n")
    assert all(before.ms <= after.ms for before, after in zip(one.heard, one.heard[1:], strict=False))


async def test_calls_at_the_same_time_are_kept_apart(upstream: Upstream, tmp_path: Path) -> None:
    async with serving(tmp_path, recording_config(upstream.url, tmp_path)) as app:
        bodies = [{"model": "echo", "input": f"word{at}", "stream": at % 2 == 0} for at in range(24)]
        completions = [{"model": "echo", "messages": [_user(f"talk{at}")], "stream": True} for at in range(8)]
        await asyncio.gather(*(respond(app, one) for one in bodies), *(chat(app, one) for one in completions))
    exchanges = recorded(tmp_path).exchanges
    assert len({one.run for one in exchanges}) == 32
    for one in exchanges:
        said = one.question["messages"][0]["content"]
        assert one.sent is not None
        assert decode_json(bytes(one.sent.body))["messages"][0]["content"] == said
        assert one.answer is not None
        assert said.encode() in one.answer.body


async def test_the_tenant_of_a_key_is_named(upstream: Upstream, tmp_path: Path) -> None:
    key = "sk-antiphon-for-the-tests"
    auth = f'server: {{auth: {{keys: [{{name: ci, tenant: acme, hash: "{hash_key(key)}"}}]}}}}'
    async with serving(tmp_path, recording_config(upstream.url, tmp_path, auth)) as app:
        body = {"model": "echo", "input": "hi"}
        assert (await respond(app, body)).status == 401
        service, owner = services_of(app).responses, Owner("acme", "ci")
        run = await service.prepare(owner, ResponseRequest.parse(encode(body)))
        await run.execute()
    recording = recorded(tmp_path)
    assert [(one.tenant, one.subject) for one in recording.exchanges] == [("acme", "ci")]
    assert {(one.tenant, one.subject) for one in recording.records.values()} == {("acme", "ci")}


async def test_of_a_route_the_model_that_answered_is_named(upstream: Upstream, tmp_path: Path) -> None:
    route = "models: [{model_id: smart, route: {candidates: [{model: up/fails-500}, {model: up/echo}]}}]"
    body = {"model": "smart", "input": "hi"}
    messages = [_user("hi")]
    async with serving(tmp_path, recording_config(upstream.url, tmp_path, route)) as app:
        first = await respond(app, body)
        completion = await chat(app, {"model": "smart", "messages": messages})
    assert first.status == completion.status == 200
    named = [(one.provider, one.model, one.asked_model) for one in recorded(tmp_path).exchanges]
    assert named == [("up", "echo", "smart")] * 2
    async with serving(tmp_path, scripted_config(tmp_path)) as app:
        again = await respond(app, body)
        direct = await respond(app, {**body, "model": "up/echo"})
    assert normal(again.body) == normal(first.body)
    assert direct.status == 200


async def test_retries_are_counted_and_the_last_answer_kept(upstream: Upstream, tmp_path: Path) -> None:
    await record(upstream, tmp_path, {"model": "fails-429", "input": "x"})
    (one,) = recorded(tmp_path).exchanges
    assert one.ended == "error"
    assert one.sent is not None
    assert one.sent.attempts == 3
    assert one.answer is not None
    assert one.answer.status == 429


async def test_no_credential_is_written(upstream: Upstream, tmp_path: Path) -> None:
    body = {"model": "echo", "input": f"my key is {SECRET}, or sk-ant-0123456789abcdef0123"}
    answers = await record(upstream, tmp_path, body, {**body, "stream": True})
    answers += await record(upstream, tmp_path, {"model": "echo", "messages": [_user(SECRET)]}, api=chat)
    assert SECRET.encode() in answers[0].body
    text = written(tmp_path)
    assert SECRET not in text
    assert "0123456789abcdef0123" not in text
    assert text.count("my key is ***") > 4


async def test_the_operators_patterns_are_taken_out_and_answers_still_found(
    upstream: Upstream, tmp_path: Path
) -> None:
    body = {"model": "echo", "input": "call 555-1234", "stream": True}
    await record(upstream, tmp_path, body, recording=r', redact: ["\\d{3}-\\d{4}"]')
    text = written(tmp_path)
    assert "555" not in text
    assert "call ***" in text
    async with serving(tmp_path, scripted_config(tmp_path)) as app:
        again = await respond(app, {**body, "input": "call 555-9999"})
    assert final(again)["output"][0]["content"][0]["text"] == "You said: call ***"


async def test_a_pattern_that_is_none_is_refused_at_the_start(upstream: Upstream, tmp_path: Path) -> None:
    (tmp_path / "antiphon.yaml").write_text(
        recording_config(upstream.url, tmp_path, recording=', redact: ["("]')
    )
    with pytest.raises(ConfigError, match=r"recording\.redact: .* is not a regular expression"):
        build(load(cwd=tmp_path, environ={}))


async def test_a_request_that_this_server_refuses_reached_no_model(
    upstream: Upstream, tmp_path: Path
) -> None:
    (answer,) = await record(upstream, tmp_path, {"model": "echo", "input": "x", "top_k": 3})
    assert (answer.status, answer.json["error"]["param"]) == (400, "top_k")
    assert not list((tmp_path / "recordings").glob("*"))


async def test_what_is_not_to_be_stored_is_not_recorded(upstream: Upstream, tmp_path: Path) -> None:
    await record(upstream, tmp_path, {"model": "echo", "input": "hush", "store": False})
    await record(upstream, tmp_path, {"model": "echo", "messages": [_user("hush")], "store": False}, api=chat)
    assert not list((tmp_path / "recordings").glob("*"))


@pytest.mark.parametrize("said", [False, True])
async def test_what_a_connection_remembers_is_recorded_only_when_that_is_said(
    upstream: Upstream, tmp_path: Path, said: bool
) -> None:
    """A turn that is stored shows the model the unstored one that it continues."""
    config = recording_config(upstream.url, tmp_path, recording=", include_unstored: true" if said else "")
    async with serving(tmp_path, config) as app, SimulatedSocket(app) as socket:
        parent: str | None = None
        for text, stored in (("hush", False), ("louder", True), ("and on", True)):
            frame = {"type": "response.create", "model": "echo", "input": text, "store": stored}
            await socket.send({**frame, "previous_response_id": parent})
            event = await socket.receive()
            while event["type"] != "response.completed":
                event = await socket.receive()
            parent = event["response"]["id"]
    assert ("hush" in written(tmp_path)) == said


async def test_unstored_requests_are_recorded_when_that_is_said(upstream: Upstream, tmp_path: Path) -> None:
    body = {"model": "echo", "input": "hush", "store": False}
    await record(upstream, tmp_path, body, recording=", include_unstored: true")
    recording = recorded(tmp_path)
    assert len(recording.exchanges) == len(recording.records) == 1
    async with serving(tmp_path, scripted_config(tmp_path)) as app:
        assert final(await respond(app, body))["output"][0]["content"][0]["text"] == "You said: hush"


async def test_a_stream_that_its_reader_left_is_marked_and_never_replayed(
    upstream: Upstream, tmp_path: Path
) -> None:
    body = {"model": "endless", "input": "x", "stream": True}
    async with serving(tmp_path, recording_config(upstream.url, tmp_path)) as app:
        await leave_at(app, body, b"once upon a time")
        await respond(app, {"model": "echo", "input": "x"})
    left, whole = recorded(tmp_path).exchanges
    assert (left.ended, whole.ended) == ("cancelled", "done")
    status = decode_json(bytes(recorded(tmp_path).records[left.run].response))["status"]
    assert status == "cancelled"
    async with serving(tmp_path, scripted_config(tmp_path)) as app:
        refused = await respond(app, body)
    assert refused.status == 404
    assert "endless" in refused.json["error"]["message"]


# --- off ---------------------------------------------------------------------------------------------------
async def test_a_server_that_does_not_record_has_nothing_in_its_way(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("antiphon.recording")]:
        monkeypatch.delitem(sys.modules, name)
    config = recording_config(upstream.url, tmp_path).partition("\n")[2]
    async with serving(tmp_path, config) as app:
        services = services_of(app)
        assert services.recorder is None
        assert services.responses.watch is None
        assert type(services.upstreams) is UpstreamClient
        assert (await respond(app, {"model": "echo", "input": "hi"})).status == 200
    assert not [name for name in sys.modules if name.startswith("antiphon.recording")]
    assert not (tmp_path / "recordings").exists()


async def test_listing_models_is_not_recorded(upstream: Upstream, tmp_path: Path) -> None:
    async with serving(tmp_path, recording_config(upstream.url, tmp_path)) as app:
        assert (await exchange(app, "GET", "/v1/models")).status == 200
    assert not list((tmp_path / "recordings").glob("*"))


# --- matching ----------------------------------------------------------------------------------------------
async def test_a_question_that_was_not_recorded_names_the_nearest(upstream: Upstream, tmp_path: Path) -> None:
    bodies = [{"model": "echo", "input": text, "instructions": "Be kind."} for text in ("one", "two")]
    await record(upstream, tmp_path, *bodies)
    async with serving(tmp_path, scripted_config(tmp_path)) as app:
        refused = await respond(app, {**bodies[0], "instructions": "Be kind!", "input": "one"})
        tool = await respond(app, {**bodies[1], "tools": [TOOL]})
        completion = await chat(app, {"model": "echo", "messages": [_user("three")]})
    error = refused.json["error"]
    assert (refused.status, error["param"], error["code"]) == (400, "input", "provider_rejected")
    assert (
        'messages[0].content: recorded is the string "Be kind.", now it is the string "Be kind!"'
        in error["message"]
    )
    assert "differs at tools: recorded is (nothing), now it is an array" in tool.json["error"]["message"]
    assert completion.json["error"]["param"] == "messages"


async def test_an_unknown_model_is_named(upstream: Upstream, tmp_path: Path) -> None:
    await record(upstream, tmp_path, {"model": "echo", "input": "one"})
    async with serving(tmp_path, scripted_config(tmp_path)) as app:
        models = await exchange(app, "GET", "/v1/models")
        refused = await respond(app, {"model": "other", "input": "one"})
    assert [model["id"] for model in models.json["data"]] == ["up/echo"]
    assert refused.status == 404


async def test_the_same_question_gets_its_answers_in_order_and_then_the_last(
    upstream: Upstream, tmp_path: Path
) -> None:
    body = {"model": "echo", "input": "again"}
    await record(upstream, tmp_path, body, body)
    (path,) = (tmp_path / "recordings").iterdir()
    lines = path.read_text().splitlines(keepends=True)
    lines[3] = lines[3].replace("You said: again", "You said it twice")
    path.write_text("".join(lines))
    async with serving(tmp_path, scripted_config(tmp_path)) as app:
        said = [final(await respond(app, body))["output"][0]["content"][0]["text"] for _ in range(3)]
    assert said == ["You said: again", "You said it twice", "You said it twice"]


async def test_answers_of_one_api_are_not_used_up_by_the_other(upstream: Upstream, tmp_path: Path) -> None:
    body, talk = {"model": "echo", "input": "hi"}, {"model": "echo", "messages": [_user("hi")]}
    async with serving(tmp_path, recording_config(upstream.url, tmp_path)) as app:
        first, said = await respond(app, body), await chat(app, talk)
    async with serving(tmp_path, scripted_config(tmp_path)) as app:
        repeated = [await chat(app, talk) for _ in range(2)]
        again = [await respond(app, body) for _ in range(2)]
    assert [one.body for one in repeated] == [said.body] * 2
    assert [normal(one.body) for one in again] == [normal(first.body)] * 2


async def test_by_order_a_new_question_gets_the_next_answer(upstream: Upstream, tmp_path: Path) -> None:
    await record(upstream, tmp_path, *({"model": "echo", "input": text} for text in ("one", "two")))
    async with serving(tmp_path, scripted_config(tmp_path, ", match: order")) as app:
        answers = [await respond(app, {"model": "echo", "input": text}) for text in ("two", "new", "newer")]
    said = [final(answer)["output"][0]["content"][0]["text"] for answer in answers[:2]]
    assert said == ["You said: two", "You said: one"]
    assert answers[2].status == 400


async def test_only_one_providers_answers_may_be_wanted(upstream: Upstream, tmp_path: Path) -> None:
    late = {"model": "plain/json-late", "input": "x", "text": SCHEMA}
    await record(upstream, tmp_path, {"model": "echo", "input": "one"}, late)
    async with serving(tmp_path, scripted_config(tmp_path, ", provider: plain")) as app:
        models = await exchange(app, "GET", "/v1/models")
    assert {model["id"] for model in models.json["data"]} == {"up/json-late", "up/plain/json-late"}
    with pytest.raises(ConfigError, match='no exchange with a provider "other"; recorded: plain, up'):
        async with serving(tmp_path, scripted_config(tmp_path, ", provider: other")):
            pass


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ('{recording: "missing.jsonl"}', r"missing\.jsonl: cannot be read"),
        ("{match: order}", "`match` is about a `recording`"),
        ('{recording: "x", match: loose}', "match"),
        ("{models: []}", "at least one model"),
    ],
)
async def test_a_recording_that_cannot_be_used_is_named(tmp_path: Path, config: str, expected: str) -> None:
    text = (
        f"providers: {{inference: [{{provider_id: up, provider_type: inline::scripted, config: {config}}}]}}"
    )
    with pytest.raises(ConfigError, match=expected):
        async with serving(tmp_path, text):
            pass


def test_every_part_of_an_exchange_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "recordings-format.md").read_text()
    missing = [name for name in Exchange.__struct_fields__ if f"`{name}`" not in page]
    assert not missing
