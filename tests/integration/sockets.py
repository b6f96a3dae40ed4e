"""A WebSocket client that shows frames as they are, and hands them to the recorder."""

import json
from types import TracebackType
from typing import Any, Self

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.conformance.recorder import Recorder
from tests.integration.clients import LIMIT_S

Json = dict[str, Any]
ENDS = frozenset({"response.completed", "response.incomplete", "response.failed"})


class RawSocket:
    """One connection to `/v1/responses`. `frames` is all that the server has sent."""

    def __init__(
        self,
        port: int,
        recorder: Recorder,
        *,
        path: str = "/v1/responses",
        headers: dict[str, str] | None = None,
        **options: Any,
    ) -> None:
        """`options` are those of `websockets`. Raises InvalidStatus when the upgrade is refused."""
        self._recorder = recorder
        self.frames: list[Json] = []
        options = {"compression": None, "max_size": None, "open_timeout": LIMIT_S, "proxy": None, **options}
        url = f"ws://127.0.0.1:{port}{path}"
        self.connection: ClientConnection = connect(url, additional_headers=headers, **options)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.close()
        self._recorder.add_socket(self.frames)

    def create(self, model: str, asked: Any = "hi", **more: Any) -> None:
        self.send({"type": "response.create", "model": model, "input": asked, **more})

    def send(self, frame: Json | str | bytes) -> None:
        self.connection.send(json.dumps(frame) if isinstance(frame, dict) else frame)

    def receive(self) -> Json:
        text = self.connection.recv(timeout=LIMIT_S)
        assert isinstance(text, str)
        self.frames.append(json.loads(text))
        return self.frames[-1]

    def turn(self, model: str, asked: Any = "hi", **more: Any) -> list[Json]:
        """The frames of one response, or the error frame that came instead."""
        self.create(model, asked, **more)
        return self.until_end()

    def until_end(self) -> list[Json]:
        frames = [self.receive()]
        while frames[-1]["type"] not in ENDS and not is_refusal(frames[-1]):
            frames.append(self.receive())
        return frames

    def until(self, kind: str) -> Json:
        """The next frame of this type."""
        frame = self.receive()
        while frame["type"] != kind:
            frame = self.receive()
        return frame

    def until_closed(self) -> tuple[list[Json], int]:
        """What comes before the server closes, and its code."""
        frames: list[Json] = []
        try:
            while True:
                frames.append(self.receive())
        except ConnectionClosed as closed:
            return frames, closed.rcvd.code if closed.rcvd is not None else 1006


def is_refusal(frame: Json) -> bool:
    """An error that came instead of a response; one inside of a response is numbered."""
    return frame["type"] == "error" and "sequence_number" not in frame


def text_of(frames: list[Json]) -> str:
    return "".join(frame["delta"] for frame in frames if frame["type"] == "response.output_text.delta")
