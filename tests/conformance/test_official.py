"""The validators find what is wrong: a check that passes everything would prove nothing."""

import json
from typing import Any

import pytest

from antiphon.conformance.stream import check_stream, frames, response_events
from tests.conformance import official
from tests.conformance.recorder import Exchange, Recorder

pytestmark = pytest.mark.skipif(not official.available(), reason=official.MISSING)

MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "Hi", "annotations": [], "logprobs": []}],
}


def part_event(kind: str, **more: object) -> dict[str, Any]:
    return {
        "type": kind,
        "item_id": "msg_1",
        "output_index": 0,
        "content_index": 0,
        **more,
    }


def legal_events() -> list[dict[str, Any]]:
    """A legal stream; its response objects are cut down to what the order rules look at."""
    empty: dict[str, Any] = {**MESSAGE, "status": "in_progress", "content": []}
    part: dict[str, Any] = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    steps: list[dict[str, Any]] = [
        {"type": "response.created", "response": {"id": "resp_1", "output": []}},
        {"type": "response.output_item.added", "output_index": 0, "item": empty},
        part_event("response.content_part.added", part=part),
        part_event("response.output_text.delta", delta="H", logprobs=[]),
        part_event("response.output_text.delta", delta="i", logprobs=[]),
        part_event("response.output_text.done", text="Hi", logprobs=[]),
        part_event("response.content_part.done", part={**part, "text": "Hi"}),
        {"type": "response.output_item.done", "output_index": 0, "item": MESSAGE},
        {"type": "response.completed", "response": {"id": "resp_1", "output": [MESSAGE]}},
    ]
    return [{**event, "sequence_number": number} for number, event in enumerate(steps)]


def test_a_legal_stream_has_no_violation() -> None:
    assert check_stream(legal_events()) == []


@pytest.mark.parametrize("missing", range(9))
def test_a_stream_that_lost_an_event_is_found(missing: int) -> None:
    events = [event for at, event in enumerate(legal_events()) if at != missing]
    assert check_stream(events)


@pytest.mark.parametrize("first", [2, 3, 4, 5, 6])
def test_swapped_events_are_found_even_when_renumbered(first: int) -> None:
    events = legal_events()
    if events[first]["type"] == events[first + 1]["type"]:
        events[first]["delta"], events[first + 1]["delta"] = (
            events[first + 1]["delta"],
            events[first]["delta"],
        )
    else:
        events[first], events[first + 1] = events[first + 1], events[first]
    for number, event in enumerate(events):
        event["sequence_number"] = number
    assert check_stream(events)


def test_an_event_of_another_response_is_found() -> None:
    events = legal_events()
    events[-1]["response"]["id"] = "resp_2"
    assert check_stream(events) == ["response.completed is of response resp_2, the stream of resp_1"]


def test_a_part_that_stays_open_is_found() -> None:
    events = [event for event in legal_events() if event["type"] != "response.content_part.done"]
    for number, event in enumerate(events):
        event["sequence_number"] = number
    assert check_stream(events) == ["item at index 0 is done, its part 0 is still open"]


def test_an_event_after_the_end_is_found() -> None:
    events = legal_events()
    events.append({"type": "error", "sequence_number": 9})
    assert any("after response.completed" in violation for violation in check_stream(events))


def test_a_delta_event_without_its_logprobs_is_no_official_event() -> None:
    event = part_event("response.output_text.delta", delta="H", sequence_number=2)
    assert official.openai().event_errors(event)
    assert not official.openai().event_errors({**event, "logprobs": []})


def test_an_event_that_the_document_does_not_know_is_found() -> None:
    assert official.openai().event_errors({"type": "response.delta", "sequence_number": 0})


def test_the_documents_name_their_events() -> None:
    assert "response.completed" in official.openai().events
    assert "response.completed" in official.open_responses().events
    assert "response.mcp_call.completed" in official.openai().events


def test_parameters_are_found_through_every_level_of_the_document() -> None:
    names = set(official.openai().properties("CreateResponse"))
    assert {"model", "input", "temperature", "previous_response_id", "stream_options", "text"} <= names


def test_a_frame_that_was_cut_off_is_left_out() -> None:
    assert len(frames(b'event: a\ndata: {"type":"a"}\n\nevent: b\ndata: {"ty')) == 1


def test_heartbeat_comments_are_no_events() -> None:
    assert frames(b": still here\n\n") == []


@pytest.mark.parametrize(
    "body",
    [
        b'data: {"type":"response.created"}\n\n',
        b'event: response.created\ndata: {"type":"response.failed"}\n\n',
        b"event: done\ndata: [DONE]\n\n",
        b'id: 1\nevent: a\ndata: {"type":"a"}\n\n',
    ],
)
def test_wrong_framing_is_found(body: bytes) -> None:
    violations: list[str] = []
    response_events(body, violations)
    assert violations


def test_the_recorder_finds_a_body_that_lacks_a_required_key() -> None:
    recorder = Recorder()
    body = json.dumps({"id": "resp_1", "object": "response"}).encode()
    recorder.add(Exchange("GET", "/v1/responses/resp_1", b"", 200, "application/json", body))
    assert any("created_at" in violation for violation in recorder.take_violations())
    assert recorder.take_violations() == []


def test_the_recorder_finds_an_envelope_that_lacks_a_key() -> None:
    recorder = Recorder()
    body = json.dumps({"error": {"message": "no", "type": "t", "code": None}}).encode()
    recorder.add(Exchange("POST", "/v1/responses", b"{}", 400, "application/json", body))
    assert recorder.take_violations()
