"""Small repairs of what upstreams answer, so that strict clients accept it; the rest passes as it came."""

from collections.abc import Iterator
from typing import Any

import msgspec

from antiphon.core.json_values import is_array, is_object
from antiphon.core.wire import JsonObject, decode_json, encode

_DONE = b"data: [DONE]\n\n"
_RAW = msgspec.json.Decoder(dict[str, msgspec.Raw])


def corrected_body(body: bytes, model: str, upstream_model: str) -> bytes:
    """A whole answer with the model named as the client named it and every required key of its choices there.

    `CreateChatCompletionResponse` requires `logprobs` and `refusal`, which many servers leave out.
    Raises ValueError for what is no JSON object, as far as it has to be looked at.
    """
    lacking = b'"logprobs"' not in body or (
        b'"message"' in body
        and (
            b'"refusal"' not in body or b'"token"' in body
        )  # log-probabilities have a `refusal` of their own
    )
    if model == upstream_model and not lacking:
        return body
    try:
        fields: dict[str, Any] = dict(_RAW.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(str(error)) from None
    fields["model"] = model
    if lacking and "choices" in fields:
        fields["choices"] = _completed(decode_json(bytes(fields["choices"])))
    return encode(fields)


def _completed(choices: Any) -> Any:
    for choice in _objects(choices):
        choice.setdefault("logprobs", None)
        message = choice.get("message")
        if is_object(message):
            message.setdefault("content", None)
            message.setdefault("refusal", None)
    return choices


def _objects(value: Any) -> Iterator[JsonObject]:
    """The objects of an array; what is none is passed by, as the upstream sent it."""
    return (one for one in value if is_object(one)) if is_array(value) else iter(())


class StreamCorrections:
    """Corrects a chat stream event by event, decoding only those that need it.

    The model is named as the client named it; a tool call's first fragment gets the `type` that clients assert;
    a stream that ends without `[DONE]` gets one, and with `done_marker` false one that has it loses it. Feed it
    network reads; each result holds whole events.
    """

    __slots__ = ("_done_marker", "_model", "_rest", "_same_model", "ended")

    def __init__(self, model: str, upstream_model: str, *, done_marker: bool = True) -> None:
        self._model = model
        self._done_marker = done_marker
        self._same_model = model == upstream_model
        self._rest = b""
        self.ended = False

    def feed(self, chunk: bytes) -> bytes:
        data = self._rest + chunk if self._rest else chunk
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n")
        end = data.rfind(b"\n\n")
        if end < 0:
            self._rest = data
            return b""
        whole, self._rest = data[: end + 2], data[end + 2 :]
        if _DONE in whole:
            self.ended = True
            if not self._done_marker:
                whole = whole.replace(_DONE, b"")
        if self._same_model and b'"tool_calls"' not in whole:
            return whole
        return b"".join(self._corrected(event) for event in _events(whole))

    def finish(self) -> bytes:
        """What is owed at the end of a stream."""
        if self.ended:
            return b""
        last = self._rest.strip(b"\n")
        rest = b"" if last in (b"", _DONE.strip()) else self._corrected(last)
        return rest + _DONE if self._done_marker else rest

    def _corrected(self, event: bytes) -> bytes:
        if not event.startswith(b"data: {"):
            return event + b"\n\n"
        try:
            chunk: Any = decode_json(event[6:])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return event + b"\n\n"
        if "model" in chunk:
            chunk["model"] = self._model
        for choice in _objects(chunk.get("choices")):
            delta = choice.get("delta")
            if is_object(delta):
                _name_tool_calls(delta)
        return b"data: %b\n\n" % encode(chunk)


def _events(data: bytes) -> Iterator[bytes]:
    return (event for event in data.split(b"\n\n") if event)


def _name_tool_calls(delta: JsonObject) -> None:
    for position, call in enumerate(_objects(delta.get("tool_calls"))):
        if call.get("index") is None:
            call["index"] = position
        if call.get("id") and not call.get("type"):
            call["type"] = "function"
