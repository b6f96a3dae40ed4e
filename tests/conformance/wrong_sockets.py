"""A client whose WebSockets are those of a right server, spoiled in one way at a time."""

import json
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from antiphon.client import Client, ConnectionFailed, Frames

Json = dict[str, Any]
Spoil = Callable[[Frames], Frames]
NOT_FOUND = "previous_response_not_found"


class WrongSockets(Client):
    def __init__(self, url: str, spoil: Spoil) -> None:
        super().__init__(url)
        self._spoil = spoil

    @contextmanager
    def connect(self, path: str) -> Generator[Frames]:
        with super().connect(path) as frames:
            yield self._spoil(frames)


class _Received:
    """Changes what comes; `change` gives None for a frame that is lost."""

    def __init__(self, frames: Frames, change: Callable[[Json], Json | str | bytes | None]) -> None:
        self._frames = frames
        self._change = change

    def send(self, text: str) -> None:
        self._frames.send(text)

    def receive(self) -> str | bytes:
        while True:
            changed = self._change(json.loads(self._frames.receive()))
            if changed is not None:
                return json.dumps(changed) if isinstance(changed, dict) else changed


class _Sent:
    """Asks something else than it was told to."""

    def __init__(self, frames: Frames, change: Callable[[Json], None]) -> None:
        self._frames = frames
        self._change = change

    def send(self, text: str) -> None:
        try:
            body = json.loads(text)
        except ValueError:
            self._frames.send(text)
            return
        self._change(body)
        self._frames.send(json.dumps(body))

    def receive(self) -> str | bytes:
        return self._frames.receive()


class _ClosesOnBadFrames:
    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        self._closed = False

    def send(self, text: str) -> None:
        self._closed = self._closed or not text.endswith("}")
        self._frames.send(text)

    def receive(self) -> str | bytes:
        if self._closed:
            raise ConnectionFailed("closed the connection (1007)", begun=True)
        return self._frames.receive()


def received(change: Callable[[Json], Json | str | bytes | None]) -> Spoil:
    return lambda frames: _Received(frames, change)


def sent(change: Callable[[Json], None]) -> Spoil:
    return lambda frames: _Sent(frames, change)


def lost(kind: str) -> Spoil:
    return received(lambda frame: None if frame["type"] == kind else frame)


def flat(frame: Json) -> Json:
    """Errors as SSE has them."""
    return {**frame["error"], "type": "error"} if frame["type"] == "error" else frame


def without_status(frame: Json) -> Json:
    frame.pop("status", None)
    return frame


def other_code(frame: Json) -> Json:
    if frame["type"] == "error":
        frame["error"]["code"] = "not_found"
    return frame


def wordless(frame: Json) -> Json:
    if frame["type"] == "error":
        frame["error"]["message"] = ""
    return frame


def without_output(frame: Json) -> Json | None:
    if "item" in frame or "output_index" in frame:
        return None
    if "response" in frame:
        frame["response"]["output"] = []
    return frame


def one_id(frame: Json) -> Json:
    if "response" in frame:
        frame["response"]["id"] = "resp_same"
    return frame


def no_parent(frame: Json) -> Json:
    if "response" in frame:
        frame["response"]["previous_response_id"] = None
    return frame


def bare(frame: Json) -> Json:
    frame.get("response", {}).pop("created_at", None)
    return frame


def starts_anew(body: Json) -> None:
    """As a server that does not look at `previous_response_id`."""
    body.pop("previous_response_id", None)
    if not isinstance(body["input"], str):
        body["input"] = [item for item in body["input"] if item["type"] != "function_call_output"]


def renumbered(frame: Json) -> Json:
    return {**frame, "sequence_number": frame.get("sequence_number", 0) + 1}


SOCKET_FAULTS: tuple[tuple[str, str, Spoil], ...] = (
    ("socket.basic", "begins with response.in_progress", lost("response.created")),
    ("socket.basic", "the sequence numbers are [1, 2", received(renumbered)),
    ("socket.basic", "is binary", received(lambda frame: json.dumps(frame).encode())),
    ("socket.basic", "no JSON object with a type", received(lambda frame: f"data: {json.dumps(frame)}")),
    ("socket.basic", "the sequence numbers", received(without_output)),
    ("socket.shape", "required field `created_at`", received(bare)),
    ("socket.sequential", "has the id of the first", received(one_id)),
    ("socket.continuation", "comes back as None", received(no_parent)),
    ("socket.elsewhere", "ends with response.completed", sent(starts_anew)),
    ("socket.forgets", "ends with response.completed, expected an error", sent(starts_anew)),
    ("socket.unknown_previous", "`error.code` is 'not_found'", received(other_code)),
    ("socket.unknown_previous", "`status` of an error frame is None", received(without_status)),
    ("socket.unknown_previous", "`status` of an error frame is None", received(flat)),
    ("socket.bad_frame", "`error.message` is ''", received(wordless)),
    ("socket.bad_frame", "closed the connection", _ClosesOnBadFrames),
)
