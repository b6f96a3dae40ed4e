"""What a case talks to: a server that is asked, and whose answers are held against the specification on the way."""

import json
from dataclasses import dataclass
from typing import Any, cast

from antiphon.client import Answer, Sender
from antiphon.conformance.shapes import order_violation, violation
from antiphon.conformance.stream import TERMINAL, Json, response_events

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
        """A response that is not streamed. With `optional` a proper refusal is NotSupported.

        Only what the cases stand on is looked at; `responses.shape` holds the whole object against its type. A key
        that a server always forgets is one failure, not fifty.
        """
        answer = self.client.send("POST", "/responses", {"model": self.model, **body})
        return self.response(answer, "POST /responses", optional=optional)

    def completed(self, *, optional: bool = False, **body: Any) -> Json:
        """The same; it must have come to its end with something in its output."""
        response = self.create(optional=optional, **body)
        expect(
            response.get("status") == "completed", f"the status is {response.get('status')}: {_why(response)}"
        )
        expect(response["output"], "a completed response has no output")
        return response

    def framed(self, **body: Any) -> list[Json]:
        """The events of a streamed response, each in its frame."""
        answer = self.client.send("POST", "/responses", {"model": self.model, "stream": True, **body})
        expect(answer.status == 200, f"POST /responses with stream answered {_said(answer)}")
        expect(answer.media == "text/event-stream", f"a stream has content-type {answer.media!r}")
        wrong: list[str] = []
        events = response_events(answer.body, wrong, lenient=True)
        expect(not wrong, "; ".join(wrong[:1]))
        return events

    def events(self, **body: Any) -> list[Json]:
        """The same, in the order in which they should be."""
        events = self.framed(**body)
        wrong = order_violation(events)
        expect(wrong is None, str(wrong))
        return events

    def final(self, events: list[Json]) -> Json:
        """The response of the last event, which must be completed."""
        last: Json = events[-1] if events else {"type": "nothing"}
        expect(last["type"] in TERMINAL, f"the stream ends with {last['type']}, not with response.completed")
        response: Json = last["response"]
        expect(last["type"] == "response.completed", f"the stream ends with {last['type']}: {_why(response)}")
        expect(
            response.get("status") == "completed", f"response.completed has status {response.get('status')}"
        )
        expect(response["output"], "a completed response has no output")
        return response

    def response(self, answer: Answer, what: str, *, optional: bool = False) -> Json:
        """The response object of a 200, as far as every case needs it."""
        body = self.json(answer, what, optional=optional)
        expect(isinstance(body.get("id"), str), f"{what}: a response has no `id`")
        items: object = body.get("output")
        expect(isinstance(items, list), f"{what}: `output` is {type(items).__name__}, not an array")
        for item in cast("list[object]", items):
            typed = isinstance(item, dict) and isinstance(cast("Json", item).get("type"), str)
            expect(typed, f"{what}: an output item has no type: {item!r}")
        return body

    def get(self, path: str, kind: Any, *, optional: bool = False) -> Json:
        return self.json(self.client.send("GET", path), f"GET {path}", kind, optional=optional)

    def json(self, answer: Answer, what: str, kind: Any = None, *, optional: bool = False) -> Json:
        """The body of a 200: a JSON object, and one of `kind` where that is given."""
        if optional and answer.status in REFUSED:
            raise NotSupported(_said(answer))
        expect(answer.status == 200, f"{what} answered {_said(answer)}")
        expect(answer.media == "application/json", f"{what} has content-type {answer.media!r}")
        body = _decoded(answer.body, what)
        wrong = None if kind is None else violation(body, kind)
        expect(wrong is None, f"{what}: {wrong}")
        return body

    def refused(self, method: str, path: str, body: Json | bytes | None, statuses: tuple[int, ...]) -> Json:
        """The `error` of a request that must be refused with one of these statuses, under its key and in words."""
        answer = self.client.send(method, path, body)
        allowed = " or ".join(map(str, statuses))
        expect(answer.status in statuses, f"{method} {path} answered {answer.status}, expected {allowed}")
        expect(answer.media == "application/json", f"an error has content-type {answer.media!r}")
        decoded = _decoded(answer.body, "an error")
        error: object = decoded.get("error")
        expect(isinstance(error, dict), f"an error is not under the key `error`: {_short(answer.body)}")
        found = cast("Json", error)
        message = found.get("message")
        expect(isinstance(message, str) and message, f"`error.message` is {message!r}")
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
