"""One exchange of the chat: a request, its stream shown as it comes, and the response at its end."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from antiphon.cli.screen import Screen
from antiphon.client import Body, Client, ConnectionFailed, Json
from antiphon.providers.retry_after import retry_after_s
from antiphon.providers.sse import SSEParser

MAX_TRIES = 6
MAX_WAIT_S = 300.0
FIRST_WAIT_S = 1.0
_TEXT = frozenset({"response.output_text.delta", "response.refusal.delta"})
_REASONING = frozenset({"response.reasoning_text.delta", "response.reasoning_summary_text.delta"})
_TERMINAL = frozenset({"response.completed", "response.incomplete", "response.failed"})
_BUSY = frozenset({429, 503, 529})
_BUSY_CODES = frozenset({"rate_limit_exceeded", "rate_limit_error"})


class TurnFailed(Exception):
    """The server did not answer this; the message says why and what to do."""


class ParentUnknown(Exception):
    """The server does not have the response that was to be continued."""


class RateLimited(Exception):
    """`wait_s` is what the server asks for, None where it says nothing."""

    def __init__(self, message: str, wait_s: float | None) -> None:
        super().__init__(message)
        self.wait_s = wait_s


@dataclass(slots=True)
class Heard:
    """What came of one request. `said` is text that was shown; `response` is None until the last event."""

    said: list[str] = field(default_factory=list[str])
    response: Json | None = None
    error: Json | None = None

    @property
    def text(self) -> str:
        return "".join(self.said)


@dataclass(slots=True)
class Exchanges:
    """Sends requests to one server. `heard` is the latest, also when it was cut short."""

    client: Client
    screen: Screen
    sleep: Callable[[float], object]
    now: Callable[[], int]
    heard: Heard = field(default_factory=Heard)

    def ask(self, body: Json) -> Json:
        """The response to `body`, after its stream was shown. Waits where the server is busy, MAX_TRIES in all.

        Raises TurnFailed, ParentUnknown, ConnectionFailed, KeyboardInterrupt.
        """
        wait_s = FIRST_WAIT_S
        for attempt in range(1, MAX_TRIES + 1):
            try:
                return self._once(body)
            except RateLimited as busy:
                asked = wait_s if busy.wait_s is None else busy.wait_s
                if attempt == MAX_TRIES or asked > MAX_WAIT_S:
                    more = f" (it asks to wait {asked:g} s)" if asked > MAX_WAIT_S else ""
                    raise TurnFailed(f"{busy}{more}; try again later with /retry") from None
                self.screen.note(
                    f"{busy}; trying again in {asked:g} s ({attempt} of {MAX_TRIES - 1}), Ctrl-C stops waiting"
                )
                self.sleep(asked)
                wait_s *= 2
        raise AssertionError  # the last attempt returns or raises

    def _once(self, body: Json) -> Json:
        self.heard = Heard()
        with self.client.open("POST", "/responses", body) as answer:
            if answer.status != 200:
                raise self._refusal(answer, body)
            if answer.headers.get("content-type", "").startswith("application/json"):
                response = _object(answer.read())
                self._whole(response)
                return response
            self._stream(answer)
        return self._conclude()

    def _stream(self, answer: Body) -> None:
        parser = SSEParser()
        for chunk in answer.chunks():
            for payload in parser.feed(chunk):
                self._event(_object(payload))
            if parser.done or self.heard.response is not None:
                return
        for payload in parser.finish():
            self._event(_object(payload))

    def _event(self, event: Json) -> None:
        kind = event.get("type", "")
        if kind in _TEXT:
            self.heard.said.append(str(event.get("delta", "")))
            self.screen.text(self.heard.said[-1])
        elif kind in _REASONING:
            self.screen.thinking(str(event.get("delta", "")))
        elif kind == "error" or "error" in event:
            inner = event.get("error")
            self.heard.error = cast("Json", inner) if isinstance(inner, dict) else event
        elif kind in _TERMINAL:
            self.heard.response = event["response"]
        elif kind == "response.output_item.added":
            self._hosted(str(event.get("item", {}).get("type", "")))

    def _hosted(self, kind: str) -> None:
        """A tool that the server runs itself."""
        if kind.endswith("_call") and kind not in {"function_call", "custom_tool_call"}:
            self.screen.note(f"[{kind.removesuffix('_call').replace('_', ' ')}]")

    def _conclude(self) -> Json:
        response, error = self.heard.response, self.heard.error
        if response is None:
            if error is not None:
                raise self._failed(error)
            raise ConnectionFailed("the connection broke before the answer was whole", begun=True)
        if response.get("status") in {"failed", "cancelled"}:
            raise self._failed(response.get("error") or error or {})
        self._whole(response)
        return response

    def _failed(self, error: Json) -> Exception:
        message = str(error.get("message") or "the server gave no reason")
        if error.get("code") in _BUSY_CODES and not self.heard.said:
            return RateLimited(message.rstrip("."), None)
        return TurnFailed(message)

    def _whole(self, response: Json) -> None:
        """Show what did not come as deltas, and why an answer is not whole."""
        if not self.heard.said:
            text = said_in(response)
            self.heard.said.append(text)
            self.screen.text(text)
        if response.get("status") == "incomplete":
            details: Json = response.get("incomplete_details") or {}
            self.screen.note(f"[cut: {details.get('reason', 'the server gave no reason')}]")

    def _refusal(self, answer: Body, body: Json) -> Exception:
        error = _error(answer.read())
        message = str(error.get("message") or f"the server answered {answer.status}").rstrip(".")
        wait_s = retry_after_s(answer.headers, self.now)
        if answer.status == 429 or (answer.status in _BUSY and wait_s is not None):
            return RateLimited(message, wait_s)
        if "previous_response_id" in body and _about_parent(answer.status, error):
            return ParentUnknown(message)
        if answer.status in {401, 403}:
            return TurnFailed(f"{message}; pass a key with --key or in ANTIPHON_API_KEY")
        return TurnFailed(message)


def _about_parent(status: int, error: Json) -> bool:
    """Whether a refusal is about the response that was to be continued: gone, or nothing that this server knows of.

    llama.cpp names it in words alone: "llama.cpp does not support 'previous_response_id'".
    """
    words = f"{error.get('param')} {error.get('code')} {error.get('message')}".lower().replace(" ", "_")
    return "previous_response" in words or (status == 404 and not error)


def said_in(response: Json) -> str:
    """All text of a response's messages."""
    parts = [
        part
        for item in response.get("output", ())
        if item.get("type") == "message"
        for part in item.get("content", ())
    ]
    return "".join(str(part.get("text") or part.get("refusal") or "") for part in parts)


def _object(data: bytes) -> Json:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise TurnFailed(f"the server sent what is no JSON object: {data[:100].decode('utf-8', 'replace')}")
    return cast("Json", value)


def _error(data: bytes) -> Json:
    """The error of a refusal; servers that do not keep to the envelope are read too."""
    try:
        value: Any = json.loads(data)
        inner = value.get("error", value)
    except (ValueError, RecursionError, AttributeError):
        return {}
    if isinstance(inner, dict):
        found = cast("Json", inner)
        return {**found, "message": found.get("message") or found.get("detail")}
    return {"message": inner}
