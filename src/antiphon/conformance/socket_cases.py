"""The cases of responses over WebSocket: what Open Responses asks of servers that have it."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from typing import cast

from antiphon.client import Frames, UpgradeRefused
from antiphon.conformance.response_cases import HELLO
from antiphon.conformance.server import NotSupported, Server, Violation, expect
from antiphon.conformance.shapes import event_violation, order_violation
from antiphon.conformance.state_cases import UNKNOWN_ID
from antiphon.conformance.stream import TERMINAL, Json

_MAX_FRAMES = 100_000
_NOT_FOUND = "previous_response_not_found"
_ORPHAN = [{"type": "function_call_output", "call_id": "call_of_nobody", "output": "21 degrees"}]


class _Line:
    """A connection to `/responses`, and what comes over it."""

    def __init__(self, frames: Frames, model: str) -> None:
        self._frames = frames
        self._model = model

    def ask(self, **body: object) -> None:
        self.say(json.dumps({"type": "response.create", "model": self._model, **body}))

    def say(self, text: str) -> None:
        self._frames.send(text)

    def answer(self) -> list[Json]:
        """The frames up to a terminal event, or to an error that stands alone."""
        found: list[Json] = []
        for _ in range(_MAX_FRAMES):
            found.append(self._frame())
            if found[-1]["type"] in TERMINAL or (found[-1]["type"] == "error" and len(found) == 1):
                return found
        raise Violation(f"no terminal event in {_MAX_FRAMES} frames")

    def completed(self) -> Json:
        """The response of the next answer, whose events have to be right, and which has to be completed."""
        events = self.answer()
        last = events[-1]
        expect(
            last["type"] == "response.completed", f"the answer ends with {last['type']}: {last.get('error')}"
        )
        wrong = order_violation(events)
        expect(wrong is None, str(wrong))
        numbers = [event.get("sequence_number") for event in events]
        expect(numbers == list(range(len(events))), f"the sequence numbers are {numbers[:5]} …")
        return cast("Json", last["response"])

    def refused(self) -> Json:
        """The `error` of the next answer, which has to be an error frame and nothing else."""
        events = self.answer()
        kind = events[-1]["type"]
        expect(kind == "error", f"the answer ends with {kind}, expected an error frame")
        status, error = events[-1].get("status"), events[-1].get("error")
        expect(isinstance(status, int), f"`status` of an error frame is {status!r}")
        expect(isinstance(error, dict), f"`error` of an error frame is {error!r}")
        found = cast("Json", error)
        message = found.get("message")
        expect(isinstance(message, str) and message, f"`error.message` is {message!r}")
        return found

    def _frame(self) -> Json:
        frame = self._frames.receive()
        expect(isinstance(frame, str), "a frame is binary, expected text")
        try:
            value: object = json.loads(frame)
        except (ValueError, RecursionError):
            value = None
        typed = isinstance(value, dict) and isinstance(cast("Json", value).get("type"), str)
        expect(typed, f"a frame is no JSON object with a type: {str(frame)[:200]}")
        return cast("Json", value)


@contextmanager
def _line(server: Server) -> Generator[_Line]:
    """Raises NotSupported when the server answers the upgrade with a status."""
    try:
        with server.client.connect("/responses") as frames:
            yield _Line(frames, server.model)
    except UpgradeRefused as refused:
        raise NotSupported(str(refused)) from None


def _first(line: _Line) -> Json:
    line.ask(input=HELLO, store=False)
    return line.completed()


def basic(server: Server) -> None:
    with _line(server) as line:
        line.ask(input=HELLO)
        response = line.completed()
    expect(response["output"], "a completed response has no output")


def shape(server: Server) -> None:
    with _line(server) as line:
        line.ask(input=HELLO)
        wrong = event_violation(line.answer())
    expect(wrong is None, str(wrong))


def sequential(server: Server) -> None:
    with _line(server) as line:
        line.ask(input=HELLO, store=False)
        line.ask(input="And again.", store=False)
        first, second = line.completed(), line.completed()
    expect(first["id"] != second["id"], "the second response has the id of the first")


def continuation(server: Server) -> None:
    with _line(server) as line:
        first = _first(line)
        line.ask(input="And again.", store=False, previous_response_id=first["id"])
        found = line.completed().get("previous_response_id")
    expect(found == first["id"], f"previous_response_id comes back as {found!r}")


def elsewhere(server: Server) -> None:
    with _line(server) as line:
        first = _first(line)
        with _line(server) as other:
            other.ask(input="And again.", store=False, previous_response_id=first["id"])
            _expect_not_found(other)
            _first(other)


def forgets(server: Server) -> None:
    with _line(server) as line:
        first = _first(line)
        line.ask(input=_ORPHAN, store=False, previous_response_id=first["id"])
        line.refused()
        line.ask(input="And again.", store=False, previous_response_id=first["id"])
        _expect_not_found(line)


def unknown_previous(server: Server) -> None:
    with _line(server) as line:
        line.ask(input=HELLO, store=False, previous_response_id=UNKNOWN_ID)
        _expect_not_found(line)


def bad_frame(server: Server) -> None:
    with _line(server) as line:
        line.say('{"type": "response.create", ')
        line.refused()
        _first(line)


def _expect_not_found(line: _Line) -> None:
    code = line.refused().get("code")
    expect(code == _NOT_FOUND, f"`error.code` is {code!r}, expected {_NOT_FOUND!r}")
