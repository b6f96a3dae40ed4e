"""A Responses server with canned answers: what comes next is set by the test, what was asked is kept."""

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Canned:
    """An answer. With `cut` the body is announced longer than it is, and the connection closed."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict[str, str])
    cut: bool = False


def response(text: str, number: int = 1, **more: Any) -> Json:
    message: dict[str, Any] = {
        "type": "message",
        "id": f"msg_{number}",
        "status": "completed",
        "role": "assistant",
        "content": [{"type": "output_text", "text": text, "annotations": []}],
    }
    status = {"id": f"resp_{number}", "object": "response", "status": "completed", "store": True}
    return {**status, "output": [message], **more}


def stream(*events: Json, cut: bool = False) -> Canned:
    body = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
    return Canned(200, body.encode(), {"content-type": "text/event-stream"}, cut)


def says(text: str, number: int = 1, **more: Any) -> Canned:
    """A whole stream of one message."""
    delta = {"type": "response.output_text.delta", "delta": text}
    return stream(delta, {"type": "response.completed", "response": response(text, number, **more)})


def refuses(status: int, message: str, *, headers: dict[str, str] | None = None, **error: Any) -> Canned:
    whole = {"message": message, "type": "invalid_request_error", "param": None, "code": None, **error}
    return Canned(status, json.dumps({"error": whole}).encode(), headers or {})


class CannedServer:
    """Gives its answers in turn to POST /v1/responses, the last one for ever; lists the model `canned`."""

    def __init__(self, *answers: Canned) -> None:
        self.asked: list[Json] = []
        self.keys: list[str | None] = []
        self._answers: Sequence[Canned] = answers
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def list_models(self) -> None:
                data = [{"id": "canned", "object": "model", "created": 1, "owned_by": "tests"}]
                outer.write(self, Canned(200, json.dumps({"object": "list", "data": data}).encode()))

            def create(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.asked.append(json.loads(body))
                outer.keys.append(self.headers["authorization"])
                outer.write(self, outer.next())

            def log_message(self, format: str, *args: object) -> None:
                """Nothing is printed."""

        for method, handler in (("GET", Handler.list_models), ("POST", Handler.create)):
            setattr(Handler, f"do_{method}", handler)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def next(self) -> Canned:
        return self._answers[min(len(self.asked), len(self._answers)) - 1]

    @staticmethod
    def write(handler: BaseHTTPRequestHandler, answer: Canned) -> None:
        handler.send_response(answer.status)
        for name, value in {"content-type": "application/json", **answer.headers}.items():
            handler.send_header(name, value)
        handler.send_header("content-length", str(len(answer.body) + (100 if answer.cut else 0)))
        handler.end_headers()
        handler.wfile.write(answer.body)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
