"""An upstream of embeddings and rankings that the tests control; the model's name says how it answers."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from antiphon.core.vectors import to_base64

Json = dict[str, Any]
MODELS = (
    "heeds",
    "numbers",
    "packed",
    "reversed",
    "short",
    "no-route",
    "not-started",
    "fails",
    "hangs",
    "ranks",
    "scores",
)
WIDTH = 4


class VectorUpstream:
    """A server in a thread. `url` is its base URL with `/v1`; `requests` what it was sent, path and body.

    The model `hangs` never answers: it sets `asked` when it is asked, and `left` when it is left.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[str, Json]] = []
        self.asked = threading.Event()
        self.left = threading.Event()
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._send(
                    200, {"object": "list", "data": [{"id": name, "object": "model"} for name in MODELS]}
                )

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                upstream.requests.append((self.path, body))
                if body["model"] == "hangs":
                    upstream.asked.set()
                    self.rfile.read(1)  # until the other side goes away
                    upstream.left.set()
                    self.close_connection = True
                    return
                status, answer = answer_to(self.path, body)
                self._send(status, answer)

            def _send(self, status: int, answer: object) -> None:
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def answer_to(path: str, body: Json) -> tuple[int, object]:
    match body["model"]:
        case "no-route":
            return 404, {"detail": "Not Found"}
        case "not-started":
            return 501, {
                "error": {"code": 501, "message": "Start it with --reranking", "type": "not_supported"}
            }
        case "fails":
            return 400, {"error": {"message": "input is too odd", "param": "input", "code": None}}
        case _ if path.endswith("/rerank"):
            return 200, _ranking(body)
        case _:
            return 200, _embeddings(body)


def vector(text: str, width: int = WIDTH) -> list[float]:
    """Numbers that 32-bit floats hold exactly."""
    return [len(text) + at / 4 for at in range(width)]


def _embeddings(body: Json) -> Json:
    model, given = body["model"], body["input"]
    texts = [str(given)] if isinstance(given, str) or isinstance(given[0], int) else list(map(str, given))
    width = body.get("dimensions", WIDTH) if model == "heeds" else WIDTH
    packed = model == "packed" or (model == "heeds" and body.get("encoding_format") == "base64")
    data: list[Json] = [
        {
            "object": "embedding",
            "index": at,
            "embedding": to_base64(vector(text, width)) if packed else vector(text, width),
        }
        for at, text in enumerate(texts)
    ]
    usage = {"prompt_tokens": 5, "total_tokens": 5}
    answer: Json = {"object": "list", "model": f"theirs-{model}", "data": data, "usage": usage}
    if model == "numbers":  # as some small servers answer
        answer = {"data": [{"embedding": one["embedding"]} for one in data]}
    if model == "reversed":
        data.reverse()
    if model == "short":
        data.pop()
    return answer


def _ranking(body: Json) -> Json:
    """By length, in the order of the request, all of them; vLLM repeats the documents."""
    documents: list[str] = body["documents"]
    if body["model"] == "scores":
        return {"data": [{"index": at, "score": len(text)} for at, text in enumerate(documents)]}
    results = [
        {"index": at, "relevance_score": len(text) / 100, "document": {"text": text}}
        for at, text in enumerate(documents)
    ]
    return {"id": "theirs", "model": "theirs", "usage": {"total_tokens": 9}, "results": results}
