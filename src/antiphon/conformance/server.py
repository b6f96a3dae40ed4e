"""What a case talks to: a server that is asked, and whose answers are held against the specification on the way."""

import json
from dataclasses import dataclass
from typing import Any, cast

from antiphon.client import Answer, Sender
from antiphon.conformance.shapes import stream_violation, violation
from antiphon.conformance.stream import TERMINAL, Json
from antiphon.core.response_object import ErrorBody, Response

NOT_BUILT = frozenset({404, 405, 501})
"""How a server says that it has no such route."""
REFUSED = NOT_BUILT | {400, 403, 422}
"""How a server says that it cannot do what was asked."""


class Violation(Exception):
    """The server is wrong; the message says how."""


class NotSupported(Exception):
    """The server says, in a proper way, that it does not do this."""


def expect(condition: object, words: str) -> None:
    if not condition:
        raise Violation(words)


@dataclass(frozen=True, slots=True)
class Server:
    """The server under test and the model to ask."""

    client: Sender
    model: str

    def create(self, *, optional: bool = False, **body: Any) -> Json:
        """A response that is not streamed, valid in shape. With `optional` a proper refusal is NotSupported."""
        answer = self.client.send("POST", "/responses", {"model": self.model, **body})
        response = self.json(answer, "POST /responses", Response, optional=optional)
        expect(response["object"] == "response", f'`object` is "{response["object"]}", not "response"')
        return response

    def completed(self, *, optional: bool = False, **body: Any) -> Json:
        """The same; it must have come to its end with something in its output."""
        response = self.create(optional=optional, **body)
        error = response.get("error")
        expect(response.get("status") == "completed", f"the status is {response.get('status')}: {error}")
        expect(response["output"], "a completed response has no output")
        return response

    def events(self, **body: Any) -> list[Json]:
        """The events of a streamed response: framed, shaped and ordered as they should be."""
        answer = self.client.send("POST", "/responses", {"model": self.model, "stream": True, **body})
        expect(answer.status == 200, f"POST /responses with stream answered {_said(answer)}")
        expect(answer.media == "text/event-stream", f"a stream has content-type {answer.media!r}")
        events: list[Json] = []
        wrong = stream_violation(answer.body, events)
        expect(wrong is None, str(wrong))
        return events

    def final(self, events: list[Json]) -> Json:
        """The response of the last event, which must be completed."""
        last = next(event for event in reversed(events) if event["type"] in TERMINAL)
        response: Json = last["response"]
        expect(last["type"] == "response.completed", f"the stream ends with {last['type']}: {_why(response)}")
        expect(
            response.get("status") == "completed", f"response.completed has status {response.get('status')}"
        )
        expect(response["output"], "a completed response has no output")
        return response

    def get(self, path: str, kind: Any, *, optional: bool = False) -> Json:
        return self.json(self.client.send("GET", path), f"GET {path}", kind, optional=optional)

    def json(self, answer: Answer, what: str, kind: Any, *, optional: bool = False) -> Json:
        """The body of a 200 that is a `kind`."""
        if optional and answer.status in REFUSED:
            raise NotSupported(_said(answer))
        expect(answer.status == 200, f"{what} answered {_said(answer)}")
        expect(answer.media == "application/json", f"{what} has content-type {answer.media!r}")
        body = _decoded(answer.body, what)
        wrong = violation(body, kind)
        expect(wrong is None, f"{what}: {wrong}")
        return body

    def refused(self, method: str, path: str, body: Json | bytes | None, statuses: tuple[int, ...]) -> Json:
        """The `error` of a request that must be refused, with one of these statuses and the whole envelope."""
        answer = self.client.send(method, path, body)
        allowed = " or ".join(map(str, statuses))
        expect(answer.status in statuses, f"{method} {path} answered {answer.status}, expected {allowed}")
        expect(answer.media == "application/json", f"an error has content-type {answer.media!r}")
        decoded = _decoded(answer.body, "an error")
        error: object = decoded.get("error")
        expect(isinstance(error, dict), f"an error is not under the key `error`: {_short(answer.body)}")
        wrong = violation(error, ErrorBody)
        expect(wrong is None, f"`error`: {wrong}; expected message, type, param and code")
        found = cast("Json", error)
        expect(found["message"], "`error.message` is empty")
        return found


def child(body: Json, key: str) -> Json:
    """The object under a key; empty where the key is null or left out."""
    value = body.get(key)
    return cast("Json", value) if isinstance(value, dict) else {}


def calls_of(response: Json) -> list[Json]:
    return [item for item in response["output"] if item["type"] == "function_call"]


def text_of(response: Json) -> str:
    """All text that the assistant said."""
    messages = [item for item in response["output"] if item["type"] == "message"]
    return "".join(part.get("text", "") for item in messages for part in item["content"])


def _decoded(body: bytes, what: str) -> Json:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise Violation(f"{what} is not JSON: {_short(body)}") from None
    expect(isinstance(value, dict), f"{what} is no JSON object: {_short(body)}")
    return cast("Json", value)


def _said(answer: Answer) -> str:
    """The status and what the server said about it."""
    try:
        body = json.loads(answer.body)
        error: Any = body.get("error", body)
        message: object = error if isinstance(error, str) else error["message"]
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        message = _short(answer.body)
    return f"{answer.status}: {str(message)[:300]}"


def _why(response: Json) -> str:
    return str(response.get("error") or response.get("incomplete_details"))


def _short(body: bytes) -> str:
    return body[:200].decode("utf-8", "replace")
