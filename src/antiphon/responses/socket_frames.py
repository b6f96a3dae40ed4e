"""The frames of a Responses WebSocket: what clients send, parsed, and how errors are written.

`ResponsesClientEvent` and `ResponsesWebSocketStreamEvent` of the official OpenAPI; `WebSocketErrorEvent` of Open
Responses.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from antiphon.core import parse, request_rules, support
from antiphon.core.errors import AntiphonError, InvalidRequest, UnsupportedParameter, failure_status
from antiphon.core.json_values import is_object
from antiphon.core.request import ResponseRequest
from antiphon.core.wire import Wire, decode_json, encode
from antiphon.core.writer import Event

CREATE = "response.create"
LANE = re.compile(r"[A-Za-z0-9_.-]{1,256}")


class CreateFrame(ResponseRequest):
    """The body of `POST /v1/responses`, and what only a WebSocket has.

    `type` is always there. `generate` false prepares a response without output, which can be continued.
    """

    type: Literal["response.create"] | None = None
    stream_id: Annotated[str, Meta(pattern=rf"^{LANE.pattern}\Z")] | None = None
    generate: bool | None = None


class ErrorFacts(Wire):
    message: str
    type: str
    param: str | None
    code: str | None
    headers: dict[str, str] | msgspec.UnsetType = msgspec.UNSET


class ErrorFrame(Wire, tag_field="type", tag="error"):
    """`status` is the one that HTTP would have had; `headers` those that it would have added."""

    status: int
    error: ErrorFacts
    sequence_number: int | msgspec.UnsetType = msgspec.UNSET
    stream_id: str | msgspec.UnsetType = msgspec.UNSET


@dataclass(frozen=True, slots=True)
class Asked:
    """A frame that was understood. `request` is as `POST /v1/responses` with `stream: true` would have brought it."""

    request: ResponseRequest
    stream_id: str | None
    generate: bool
    unknown: Sequence[str]
    size_bytes: int

    @property
    def continues(self) -> str | None:
        return self.request.previous_response_id


@dataclass(frozen=True, slots=True)
class Refused:
    """A frame that was not. It has its turn as others have, so that errors come in the order of the frames."""

    error: AntiphonError
    stream_id: str | None = None
    continues: str | None = None
    size_bytes: int = 0


def read(message: str | bytes, limit_bytes: int, *, lenient: bool) -> Asked | Refused:
    """What a client sent. `limit_bytes` is that of a body."""
    if isinstance(message, bytes):
        return Refused(
            InvalidRequest("binary frames are not read here; send the JSON object as a text frame.")
        )
    if len(message) > limit_bytes or len(body := message.encode()) > limit_bytes:
        return Refused(_FrameTooLarge(limit_bytes))
    try:
        return _create(body, lenient=lenient)
    except AntiphonError as error:
        address = _address(body)
        return Refused(error, address.stream_id, address.previous_response_id, len(body))


class _FrameTooLarge(InvalidRequest):
    status = 413
    code = "payload_too_large"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"the frame is larger than {limit_bytes} bytes, the limit of this server.")


def _create(body: bytes, *, lenient: bool) -> Asked:
    frame, unknown = parse.read(
        body, _FRAMES, CreateFrame, refuse=_refuse, spare=support.spare, lenient=lenient
    )
    if frame.type is None or frame.stream is False or frame.background:
        _refuse({"type": frame.type, "stream": frame.stream, "background": frame.background})
    generate = frame.generate is not False
    stream_id = frame.stream_id
    request = msgspec.structs.replace(frame, type=None, stream_id=None, generate=None, stream=True)
    request_rules.check(request)
    return Asked(request, stream_id, generate, unknown, len(body))


def _refuse(body: dict[str, Any]) -> None:
    """What a WebSocket does not take, said before the shape of the rest is judged."""
    kind = body.get("type")
    if kind != CREATE:
        given = "left out" if kind is None else f'"{kind[:80]}"' if isinstance(kind, str) else "no string"
        raise InvalidRequest(
            f'`type`: expected "{CREATE}", the only frame that is taken here; it is {given}.', param="type"
        )
    if body.get("stream") is False:
        raise InvalidRequest(
            "`stream`: a WebSocket always streams; leave it out, or use POST /v1/responses.", param="stream"
        )
    if body.get("background"):
        raise UnsupportedParameter(
            "`background`: not possible on a WebSocket, whose responses end with it; use POST /v1/responses.",
            param="background",
        )
    support.refuse_json(body)


@dataclass(frozen=True, slots=True)
class _Address:
    stream_id: str | None = None
    previous_response_id: str | None = None


def _address(body: bytes) -> _Address:
    """Which lane a bad frame belongs to, and what it would have continued, as far as that can be read."""
    try:
        value = decode_json(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Address()
    if not is_object(value):
        return _Address()
    lane, parent = value.get("stream_id"), value.get("previous_response_id")
    return _Address(
        lane if isinstance(lane, str) and LANE.fullmatch(lane) else None,
        parent if isinstance(parent, str) else None,
    )


def error_frame(error: AntiphonError, stream_id: str | None) -> bytes:
    """`{"type": "error", "status", "error": {…}}`: the envelope and the status of HTTP in one."""
    facts = ErrorFacts(
        message=error.message,
        type=error.type,
        param=error.param,
        code=error.code,
        headers=error.headers or msgspec.UNSET,
    )
    return encode(ErrorFrame(status=error.status, error=facts, stream_id=stream_id or msgspec.UNSET))


def nested_error(event: Event) -> bytes:
    """The flat `error` event of SSE as WebSockets have it."""
    flat = decode_json(event.data)
    status, kind = failure_status(flat["code"])
    facts = ErrorFacts(message=flat["message"], type=kind, param=flat["param"], code=flat["code"])
    return encode(ErrorFrame(status=status, error=facts, sequence_number=event.number))


def with_more(data: bytes, more: Mapping[str, Any]) -> bytes:
    """A JSON object with more keys at its end."""
    return b"%b,%b" % (data[:-1], encode(more)[1:]) if more else data


_FRAMES: msgspec.json.Decoder[CreateFrame] = msgspec.json.Decoder(CreateFrame)
