"""Stored chat completions, driven by the official client and by hand."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest
from openai.types.chat import ChatCompletionToolParam

from bench.program import Program
from tests.conformance.recorder import Recorder
from tests.integration.clients import Json, Raw, open_stream, read_until, sync_client
from tests.integration.conftest import StartServer
from tests.integration.test_keys import KEYS
from tests.integration.upstream import USAGE, Seen, Upstream

CHAT = "/v1/chat/completions"
ASKED: list[Json] = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "hello"}]
TOOL: ChatCompletionToolParam = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}},
}


@pytest.fixture
def keeper(start_server: StartServer) -> Program:
    """A server of the test's own, with nothing stored yet."""
    return start_server()


@pytest.fixture
def raw(keeper: Program, recorder: Recorder) -> Iterator[Raw]:
    with Raw(keeper.port, recorder) as made:
        yield made


@pytest.fixture
def official(keeper: Program, recorder: Recorder) -> Iterator[openai.OpenAI]:
    with sync_client(keeper.url, recorder) as made:
        yield made


def body(text: str = "hello", **more: Any) -> Json:
    return {"model": "echo", "messages": [{"role": "user", "content": text}], "store": True, **more}


def create(raw: Raw, text: str = "hello", **more: Any) -> Json:
    answer = raw.post(CHAT, body(text, **more))
    assert answer.status == 200, answer.body
    return answer.json


def ids(raw: Raw, query: str = "") -> list[str]:
    answer = raw.get(f"{CHAT}?{query}")
    assert answer.status == 200, answer.body
    return [one["id"] for one in answer.json["data"]]


def chunks(stream: bytes) -> list[Json]:
    lines = [line[6:] for line in stream.split(b"\n") if line.startswith(b"data: ")]
    return [json.loads(line) for line in lines if line != b"[DONE]"]


# --- storing ------------------------------------------------------------------------------------------------


def test_the_official_client_stores_gets_labels_lists_and_deletes(
    official: openai.OpenAI, upstream: Upstream
) -> None:
    completions = official.chat.completions
    made = completions.create(
        model="echo",
        messages=[{"role": "system", "content": "Be kind."}, {"role": "user", "content": "hello"}],
        store=True,
        metadata={"topic": "greeting"},
        temperature=0.5,
    )
    sent = upstream.last_request()
    assert sent["temperature"] == 0.5
    assert not {"store", "metadata"} & set(sent)
    got = completions.retrieve(made.id)
    assert got == made
    assert got.choices[0].message.content == "You said: hello"
    assert got.to_dict()["metadata"] == {"topic": "greeting"}

    changed = completions.update(made.id, metadata={"topic": "test", "seen": "yes"})
    assert changed.to_dict()["metadata"] == {"topic": "test", "seen": "yes"}
    assert completions.retrieve(made.id) == changed
    assert [one.id for one in completions.list(metadata={"topic": "test", "seen": "yes"})] == [made.id]
    assert [one.id for one in completions.list(metadata={"topic": "greeting"})] == []

    said = list(completions.messages.list(made.id))
    assert [(one.id, str(one.role), one.content) for one in said] == [
        (f"{made.id}-0", "system", "Be kind."),
        (f"{made.id}-1", "user", "hello"),
    ]
    gone = completions.delete(made.id)
    assert (gone.id, gone.deleted, gone.object) == (made.id, True, "chat.completion.deleted")
    with pytest.raises(openai.NotFoundError):
        completions.retrieve(made.id)
    assert list(completions.list()) == []


def test_pages_follow_one_another(official: openai.OpenAI, raw: Raw) -> None:
    made = [create(raw, str(at), model="echo" if at % 2 else "demo")["id"] for at in range(7)]
    completions = official.chat.completions
    assert [one.id for one in completions.list(limit=2)] == made
    assert [one.id for one in completions.list(limit=3, order="desc")] == made[::-1]
    assert [one.id for one in completions.list(limit=1, model="echo")] == made[1::2]
    page = raw.get(f"{CHAT}?limit=3&after={made[1]}").json
    assert [one["id"] for one in page["data"]] == made[2:5]
    assert (page["first_id"], page["last_id"], page["has_more"]) == (made[2], made[4], True)


def test_messages_have_pages_too(official: openai.OpenAI, raw: Raw) -> None:
    asked = [{"role": ("user", "assistant")[at % 2], "content": str(at)} for at in range(5)]
    made = raw.post(CHAT, {"model": "echo", "messages": asked, "store": True}).json["id"]
    listed = official.chat.completions.messages.list(made, limit=2)
    assert [one.content for one in listed] == list("01234")
    backwards = raw.get(f"{CHAT}/{made}/messages?order=desc&limit=2&after={made}-3").json
    assert [one["content"] for one in backwards["data"]] == ["2", "1"]
    assert (backwards["first_id"], backwards["last_id"]) == (f"{made}-2", f"{made}-1")
    assert backwards["has_more"] is True


def test_messages_come_back_as_they_were_sent(raw: Raw) -> None:
    parts = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
    ]
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    asked: list[Json] = [
        {"role": "user", "content": parts, "name": "ann"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "42", "tool_call_id": "c1"},
    ]
    made = raw.post(CHAT, {"model": "echo", "messages": asked, "store": True}).json["id"]
    first, second, third = raw.get(f"{CHAT}/{made}/messages").json["data"]
    assert (first["content"], first["content_parts"], first["name"]) == (None, parts, "ann")
    assert (second["content"], second["content_parts"], second["tool_calls"]) == (None, None, [call])
    assert (third["role"], third["content"], third["tool_call_id"]) == ("tool", "42", "c1")
    assert {one["refusal"] for one in (first, second, third)} == {None}


def test_the_upstreams_id_stays_while_it_is_the_only_one(raw: Raw) -> None:
    assert create(raw, "one")["id"] == "chatcmpl-up"
    second, third = create(raw, "two")["id"], create(raw, "three")["id"]
    assert len({"chatcmpl-up", second, third}) == 3
    said = [raw.get(f"{CHAT}/{one}").json["choices"][0]["message"]["content"] for one in (second, third)]
    assert said == ["You said: two", "You said: three"]
    streamed = chunks(raw.post(CHAT, body("four", stream=True)).body)
    (fourth,) = {one["id"] for one in streamed}
    assert ids(raw) == ["chatcmpl-up", second, third, fourth]


def test_what_is_not_asked_to_be_stored_is_not(raw: Raw, upstream: Upstream) -> None:
    for more in ({}, {"store": False}, {"store": None}):
        answer = raw.post(CHAT, {"model": "echo", "messages": ASKED, "metadata": {"a": "b"}, **more})
        assert answer.json["id"] == "chatcmpl-up"
        assert upstream.last_request()["metadata"] == {"a": "b"}
        assert raw.get(f"{CHAT}/chatcmpl-up").status == 404
    assert raw.get(CHAT).json == {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }


# --- streams ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["echo", "up/echo", "parallel", "refuser", "thinker", "probable"])
def test_a_stream_is_stored_as_the_whole_answer_would_be(raw: Raw, model: str) -> None:
    more: Json = {"model": model, "metadata": {"of": model}}
    more |= {"tools": [TOOL]} if model == "parallel" else {}
    more |= {"logprobs": True} if model == "probable" else {}
    whole = create(raw, "hello there", **more)
    stream = raw.post(CHAT, body("hello there", **more, stream=True, stream_options={"include_usage": True}))
    assert stream.body.endswith(b"data: [DONE]\n\n")
    (made,) = {one["id"] for one in chunks(stream.body)}
    stored = raw.get(f"{CHAT}/{made}").json
    assert stored["usage"] == USAGE
    for one in (whole, stored):
        del one["id"]
        logprobs = one["choices"][0].pop("logprobs")
        assert (logprobs is not None) == (model == "probable")
    assert stored == whole


def test_a_stream_is_stored_before_it_says_that_it_is_done(keeper: Program, raw: Raw) -> None:
    """Read by a connection of its own right after the marker."""
    with open_stream(keeper.port, CHAT, body("quick", stream=True)) as stream:
        taken = read_until(stream, b"data: [DONE]")
    assert b"You " in taken
    assert raw.get(f"{CHAT}/chatcmpl-up").json["choices"][0]["message"]["content"] == "You said: quick"


def test_the_clients_stream_helper_stores_too(official: openai.OpenAI) -> None:
    completions = official.chat.completions
    with completions.stream(
        model="parallel",
        messages=[{"role": "user", "content": "weather?"}],
        tools=[TOOL],
        store=True,
        metadata={"by": "helper"},
    ) as stream:
        final = stream.get_final_completion()
    stored = completions.retrieve(final.id)
    calls = stored.choices[0].message.tool_calls
    assert calls is not None
    said = final.choices[0].message.tool_calls
    assert said is not None
    assert [one.to_dict() for one in calls] == [
        {
            "id": one.id,
            "type": "function",
            "function": {"name": one.function.name, "arguments": one.function.arguments},
        }
        for one in said
    ]


def test_a_client_that_leaves_leaves_nothing(keeper: Program, raw: Raw, upstream: Upstream) -> None:
    closed = upstream.seen.closed_by_client
    with open_stream(keeper.port, CHAT, body(model="endless", stream=True)) as stream:
        read_until(stream, b"once upon a time")

    def left(seen: Seen) -> bool:
        return seen.closed_by_client > closed

    upstream.wait_for("the upstream connection closed", left)
    assert ids(raw) == []
    assert create(raw)["id"] == "chatcmpl-up", "the id that the stream had is free again"


def test_two_streams_of_one_upstream_id_are_stored_under_two(keeper: Program, raw: Raw) -> None:
    """The first is still open when the second begins."""
    with open_stream(keeper.port, CHAT, body(model="endless", stream=True)) as first:
        taken = read_until(first, b"once upon a time")
        assert b'"chatcmpl-up"' in taken
        second = chunks(raw.post(CHAT, body("second", stream=True)).body)
        assert "chatcmpl-up" not in {one["id"] for one in second}
        assert create(raw, "third")["id"] != "chatcmpl-up"
    assert len(ids(raw)) == 2


def test_a_stream_that_breaks_off_is_not_stored(raw: Raw) -> None:
    stream = raw.post(CHAT, body(model="breaks", stream=True)).body
    last = chunks(stream)[-1]
    assert set(last) == {"error"}
    assert b"[DONE]" not in stream
    assert ids(raw) == []


def test_an_upstream_that_refuses_is_answered_and_nothing_stored(raw: Raw) -> None:
    for stream in (True, False):
        answer = raw.post(CHAT, body(model="fails-400", stream=stream))
        assert (answer.status, answer.error["param"]) == (400, "temperature")
    assert ids(raw) == []


def test_clients_of_llama_stack_get_no_marker_and_are_stored(keeper: Program, raw: Raw) -> None:
    headers = {"x-llamastack-client-version": "0.5.0"}
    with httpx2.Client(headers=headers, trust_env=False) as plain:
        stream = plain.post(keeper.url + CHAT, json=body("hi", stream=True)).content
    assert chunks(stream)
    assert b"[DONE]" not in stream
    assert ids(raw) == ["chatcmpl-up"]


# --- what is wrong ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"store": "yes"}, "store"),
        ({"metadata": {"k": 1}}, "metadata"),
        ({"metadata": {"k" * 65: "v"}}, "metadata"),
        ({"metadata": {"k": "v" * 513}}, "metadata"),
        ({"metadata": {str(at): "v" for at in range(17)}}, "metadata"),
        ({"metadata": "k"}, "metadata"),
    ],
    ids=str,
)
def test_a_bad_request_to_store_is_refused(raw: Raw, upstream: Upstream, more: Json, param: str) -> None:
    asked = len(upstream.seen.requests)
    answer = raw.post(CHAT, body(**more))
    assert answer.status == 400, answer.body
    assert answer.error["param"].startswith(param)
    assert len(upstream.seen.requests) == asked
    assert ids(raw) == []


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=many", "limit"),
        ("order=sideways", "order"),
        ("after=chatcmpl-nobody", "after"),
        ("before=chatcmpl-up", "before"),
        ("metadata=x", "metadata"),
        ("metadata[a=x", "metadata[a"),
        ("metadata[a]=x&metadata[a]=y", "metadata[a]"),
        ("user=x", "user"),
    ],
)
def test_a_bad_query_is_refused(raw: Raw, query: str, param: str) -> None:
    create(raw)
    answer = raw.get(f"{CHAT}?{query}")
    assert (answer.status, answer.error["param"]) == (400, param), answer.body
    if query.startswith(("limit", "order", "after", "before")):
        answer = raw.get(f"{CHAT}/chatcmpl-up/messages?{query}")
        assert (answer.status, answer.error["param"]) == (400, param), answer.body


@pytest.mark.parametrize(
    ("change", "param"),
    [
        (b"{", None),
        ({}, "metadata"),
        ({"metadata": {"k": 1}}, "metadata.k"),
        ({"metadata": {"k" * 65: "v"}}, "metadata"),
        ({"metadata": {str(at): "v" for at in range(17)}}, "metadata"),
        ({"metadata": []}, "metadata"),
        ({"metadata": {}, "model": "x"}, "model"),
    ],
    ids=str,
)
def test_a_bad_change_is_refused_and_changes_nothing(raw: Raw, change: Any, param: str | None) -> None:
    made = create(raw, metadata={"a": "b"})
    answer = raw.post(f"{CHAT}/{made['id']}", change)
    assert answer.status == 400, answer.body
    assert (answer.error["param"] or "").startswith(param or "")
    assert raw.get(f"{CHAT}/{made['id']}").json == made


def test_metadata_may_be_taken_away(raw: Raw) -> None:
    made = create(raw, metadata={"a": "b"})
    nothings: list[Json | None] = [{}, None]
    for nothing in nothings:
        changed = raw.post(f"{CHAT}/{made['id']}", {"metadata": nothing})
        assert changed.json == {**made, "metadata": {}}


def test_unknown_and_foreign_ids_answer_alike(start_server: StartServer, recorder: Recorder) -> None:
    server = start_server(KEYS)

    def of(name: str) -> Raw:
        return Raw(server.port, recorder, {"authorization": f"Bearer key-of-{name}"})

    with of("ann") as ann, of("bob") as bob, of("cyd") as cyd:
        made = create(ann, "secret")
        for other in (bob, cyd):
            assert ids(other) == []
            asked: list[tuple[str, str, Json | None]] = [
                ("GET", "", None),
                ("POST", "", {"metadata": {}}),
                ("DELETE", "", None),
                ("GET", "/messages", None),
            ]
            for method, suffix, change in asked:
                foreign = other.send(method, f"{CHAT}/{made['id']}{suffix}", change)
                unknown = other.send(method, f"{CHAT}/chatcmpl-no{suffix}", change)
                assert foreign.status == unknown.status == 404
                same = str(foreign.error).replace(made["id"], "?") == str(unknown.error).replace(
                    "chatcmpl-no", "?"
                )
                assert same
            assert other.get(f"{CHAT}?after={made['id']}").status == 400
            assert create(other, "mine")["id"] == made["id"], "ids are each owner's own"
        assert ann.get(f"{CHAT}/{made['id']}").json == made
