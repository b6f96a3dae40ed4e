"""Streams as bytes: framing, order, ends, and what the upstream sees of a client that leaves or is slow."""

import json
from typing import Any

import pytest

from antiphon.conformance.stream import frames
from bench.program import Program
from tests.conformance.recorder import Recorder
from tests.integration.clients import Raw, open_stream, read_until
from tests.integration.upstream import FLOOD_CHUNK, FLOOD_CHUNKS, Seen, Upstream

TOOL: dict[str, Any] = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {}},
}
QUESTION = {"input": "hi", "stream": True}


@pytest.mark.parametrize(
    "model", ["echo", "caller", "parallel", "thinker", "refuser", "cut", "filtered", "up/json", "plain/json"]
)
def test_every_event_is_framed_numbered_and_closed(raw: Raw, model: str) -> None:
    """The recorder checks each event against the document and their order; here are the frame's own rules."""
    answer = raw.post(
        "/v1/responses", {**QUESTION, "model": model, "tools": [TOOL, {**TOOL, "name": "get_time"}]}
    )
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(frame.data[0]) for frame in frames(answer.body)]
    assert [frame.names for frame in frames(answer.body)] == [[event["type"]] for event in events]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    ends = {"response.completed", "response.incomplete", "response.failed"}
    assert [event["type"] in ends for event in events] == [False] * (len(events) - 1) + [True]
    assert b"[DONE]" not in answer.body
    assert "x-request-id" in answer.headers


def test_a_stream_leaves_the_connection_usable(raw: Raw) -> None:
    for _ in range(3):
        assert raw.post("/v1/responses", {**QUESTION, "model": "echo"}).status == 200
        assert raw.get("/v1/models").status == 200


def test_obfuscation_is_left_out_when_declined(raw: Raw) -> None:
    body = {**QUESTION, "model": "echo", "stream_options": {"include_obfuscation": False}}
    events = [json.loads(frame.data[0]) for frame in frames(raw.post("/v1/responses", body).body)]
    assert not any("obfuscation" in event for event in events)


def test_a_chat_stream_ends_with_done(raw: Raw) -> None:
    body = {"model": "echo", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    data = [frame.data[0] for frame in frames(raw.post("/v1/chat/completions", body).body)]
    assert data[-1] == "[DONE]"
    assert data.count("[DONE]") == 1
    assert json.loads(data[-2])["choices"][0]["finish_reason"] == "stop"


def test_an_upstream_that_breaks_off_fails_the_response_and_keeps_what_was_said(raw: Raw) -> None:
    answer = raw.post("/v1/responses", {**QUESTION, "model": "breaks", "input": "two words"})
    events = [json.loads(frame.data[0]) for frame in frames(answer.body)]
    assert [event["type"] for event in events[-2:]] == ["error", "response.failed"]
    assert "error" not in events[-1]
    failed = events[-1]["response"]
    assert failed["status"] == "failed"
    assert failed["error"]["code"] == "server_error"
    assert raw.get(f"/v1/responses/{failed['id']}").json == failed


def test_a_chat_stream_that_breaks_off_says_so_and_ends(raw: Raw) -> None:
    body = {"model": "breaks", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    data = [frame.data[0] for frame in frames(raw.post("/v1/chat/completions", body).body)]
    shown = [json.loads(line) for line in data if line != "[DONE]"]
    assert set(shown[-1]["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/chat/completions"])
def test_a_client_that_leaves_cancels_the_upstream_call(
    server: Program, recorder: Recorder, upstream: Upstream, path: str
) -> None:
    del recorder
    closed = upstream.seen.closed_by_client
    messages = [{"role": "user", "content": "tell me"}]
    body = {"model": "endless", "stream": True}
    body |= {"input": "tell me"} if path == "/v1/responses" else {"messages": messages}
    connection = open_stream(server.port, path, body)
    read_until(connection, b"once upon a time")
    connection.close()

    def left(seen: Seen) -> bool:
        return seen.closed_by_client > closed

    upstream.wait_for("the upstream connection closed", left)


def test_a_slow_reader_holds_the_upstream_back(server: Program, upstream: Upstream) -> None:
    """The upstream has 100 MB to say; the reader stops after one event and then no more is taken in."""
    before = server.rss_mb()
    upstream.seen.flood_sent = 0
    closed = upstream.seen.closed_by_client
    connection = open_stream(
        server.port, "/v1/responses", {"model": "flood", "input": "go", "stream": True}, receive_buffer=65536
    )
    try:
        read_until(connection, b"response.output_text.delta")
        sent = settled(upstream)
        assert sent < len(FLOOD_CHUNK) * FLOOD_CHUNKS / 2
        assert server.rss_mb() - before < 48
    finally:
        connection.close()
    upstream.wait_for("the upstream connection closed", lambda seen: seen.closed_by_client > closed)


def settled(upstream: Upstream) -> int:
    """Bytes that the flood has sent once a second goes by without one more. Nothing announces "no more"."""
    import threading

    last = -1
    while upstream.seen.flood_sent != last:
        last = upstream.seen.flood_sent
        threading.Event().wait(1.0)
    return last
