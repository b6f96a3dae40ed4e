"""A server that is wrong in one way at a time: it passes requests on to a right one and spoils what comes back."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self, cast

from antiphon.client import Answer, Client
from antiphon.conformance.stream import frames

Json = dict[str, Any]
Ask = Callable[[], Answer]
Fault = Callable[["Asked", Ask], Answer]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request. `path` is below `/v1`; `body` is None where there is none, or where it is not a JSON object."""

    method: str
    path: str
    raw: bytes
    body: Json | None
    upstream: Client

    def is_post(self, path: str) -> bool:
        return self.method == "POST" and self.path == path

    def with_body(self, body: Json) -> Answer:
        """What the right server says to another body."""
        return self.upstream.send(self.method, self.path, body)


def json_answer(status: int, body: Any) -> Answer:
    return Answer(status, {"content-type": "application/json"}, json.dumps(body).encode())


def edit(answer: Answer, change: Callable[[Json], None]) -> Answer:
    """The answer with its JSON changed in place."""
    body = json.loads(answer.body)
    change(body)
    return replace(answer, body=json.dumps(body).encode())


def edit_events(answer: Answer, change: Callable[[list[Json]], list[Json]]) -> Answer:
    """The stream with other events, framed and numbered as is right."""
    events = change([json.loads(frame.data[0]) for frame in frames(answer.body)])
    blocks = [
        f"event: {event['type']}\ndata: {json.dumps({**event, 'sequence_number': number})}\n\n"
        for number, event in enumerate(events)
    ]
    return replace(answer, body="".join(blocks).encode())


class WrongServer:
    """Listens on a free port of this machine; `fault` may be set between requests."""

    def __init__(self, upstream: Client, fault: Fault | None = None) -> None:
        self.fault = fault
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                raw = self.rfile.read(int(self.headers.get("content-length", "0")))
                outer.reply(self, raw)

            def log_message(self, format: str, *args: object) -> None:
                """Nothing is printed."""

        for method in ("GET", "POST", "DELETE"):
            setattr(Handler, f"do_{method}", Handler.answer)
        self._upstream = upstream
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def reply(self, handler: BaseHTTPRequestHandler, raw: bytes) -> None:
        path = handler.path.removeprefix("/v1")
        try:
            body = json.loads(raw)
        except ValueError:
            body = None
        given = cast("Json", body) if isinstance(body, dict) else None
        asked = Asked(handler.command, path, raw, given, self._upstream)

        def ask() -> Answer:
            return self._upstream.send(asked.method, path, raw or None)

        answer = ask() if self.fault is None else self.fault(asked, ask)
        handler.send_response(answer.status)
        handler.send_header("content-type", answer.headers["content-type"])
        handler.send_header("content-length", str(len(answer.body)))
        handler.end_headers()
        handler.wfile.write(answer.body)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
