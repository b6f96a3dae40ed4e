"""Frames of a Responses WebSocket: what becomes of them, how errors are written, how they are described."""

import json
from typing import Any

import pytest

from antiphon.core.errors import AntiphonError, TooManyStreams
from antiphon.core.request import ResponseRequest
from antiphon.core.wire import encode
from antiphon.core.writer import EventWriter
from antiphon.responses.socket_frames import Asked, Refused, error_frame, nested_error, read, with_more
from antiphon.testing.simulation import exchange
from tests.properties.sockets import app_of, settings

LIMIT = 10_000


def test_a_frame_becomes_the_request_that_http_would_have_brought() -> None:
    body: dict[str, Any] = {
        "model": "m",
        "input": "hi",
        "temperature": 1,
        "metadata": {"a": "b"},
        "store": False,
    }
    asked = read(
        json.dumps({"type": "response.create", "stream_id": "x", "generate": False, **body}),
        LIMIT,
        lenient=False,
    )
    assert isinstance(asked, Asked)
    assert (asked.stream_id, asked.generate) == ("x", False)
    over_http = ResponseRequest.parse(encode({**body, "stream": True}))
    assert encode(asked.request) == encode(over_http)


def test_a_frame_that_is_refused_still_has_its_lane_and_its_parent() -> None:
    frame = {"type": "response.create", "stream_id": "x", "previous_response_id": "resp_1", "input": 5}
    refused = read(json.dumps(frame), LIMIT, lenient=False)
    assert isinstance(refused, Refused)
    assert (refused.stream_id, refused.continues) == ("x", "resp_1")
    for wrong in ({"stream_id": "a b"}, {"stream_id": 5}, {"previous_response_id": 7}):
        refused = read(json.dumps({**frame, **wrong}), LIMIT, lenient=False)
        assert isinstance(refused, Refused)
        assert None in (refused.stream_id, refused.continues)


def test_an_error_frame_is_the_envelope_with_its_status_and_headers() -> None:
    error = TooManyStreams(5)
    frame = json.loads(error_frame(error, "lane"))
    facts = {**error.envelope()["error"], "headers": {"retry-after": "1"}}
    assert frame == {"type": "error", "status": 503, "error": facts, "stream_id": "lane"}
    assert "stream_id" not in json.loads(error_frame(AntiphonError("x"), None))


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("server_error", 500, "server_error"),
        ("rate_limit_exceeded", 429, "rate_limit_error"),
        ("invalid_prompt", 400, "invalid_request_error"),
    ],
)
def test_the_error_event_of_a_run_is_nested(code: str, status: int, kind: str) -> None:
    writer = EventWriter()
    writer.begin(b"{}")
    writer.error(code, "it broke")
    event = writer.take()[-1]
    frame = json.loads(nested_error(event))
    facts = {"message": "it broke", "type": kind, "param": None, "code": code}
    assert frame == {"type": "error", "status": status, "error": facts, "sequence_number": 2}


def test_keys_are_added_at_the_end() -> None:
    assert with_more(b'{"a":1}', {"b": 2}) == b'{"a":1,"b":2}'
    assert with_more(b'{"a":1}', {}) == b'{"a":1}'


async def test_the_document_describes_the_frames() -> None:
    document = (await exchange(app_of(settings()), "GET", "/openapi.json")).json
    socket = document["x-websockets"]["/v1/responses"]
    assert socket["client"]["required"] == ["type"]
    schemas = document["components"]["schemas"]
    fields = set(schemas["CreateFrame"]["properties"]) - set(schemas["ResponseRequest"]["properties"])
    assert fields == {"type", "stream_id", "generate"}
    assert {"$ref": "#/components/schemas/ErrorFrame"} in socket["server"]["oneOf"]
    page = (await exchange(app_of(settings()), "GET", "/docs")).body
    assert b"SOCKET" in page
