"""A model hub on loopback: the parts of the API that `hf:` references use, and ways to misbehave."""

import hashlib
import json
import threading
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, urlsplit

COMMIT = "c0ffee" * 6 + "abcd"


@dataclass
class FakeHub:
    """Serves `files` of one repository. It begins with the `with` and ends with it.

    The hub answers a request for a file with a redirect to another path, as the real one does. `cuts` are the numbers
    of bytes after which the next answers break off, once a client has said by `took` that it has them: what a broken
    connection still held would be lost. `lie` announces checksums of something else.
    """

    files: dict[str, bytes]
    repo_id: str = "acme/Tiny-GGUF"
    token: str = ""
    lie: bool = False
    listed: bool = True
    failing: int = 0
    ranges: bool = True
    cuts: list[int] = field(default_factory=list[int])
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list[tuple[str, dict[str, str]]])

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self))
        self._server.daemon_threads = True
        self._received = 0
        self._more = threading.Condition()
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def took(self, name: str, done: int, total: int | None) -> None:
        """A meter for the client."""
        with self._more:
            self._received = done
            self._more.notify_all()

    def wait_until_taken(self, size: int) -> None:
        with self._more:
            if not self._more.wait_for(lambda: self._received >= size, timeout=10):
                raise AssertionError(f"the client took {self._received} of {size} bytes")

    def sha256(self, name: str) -> str:
        content = b"another file" if self.lie else self.files[name]
        return hashlib.sha256(content).hexdigest()

    def asked_for(self, part: str) -> list[dict[str, str]]:
        """The headers of each request whose path holds `part`."""
        return [headers for path, headers in self.requests if part in path]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, hub: FakeHub, *connection: Any) -> None:
        self.hub_of_it = hub
        super().__init__(*connection)  # which handles the connection, to its end

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the requests are kept."""

    def do_GET(self) -> None:
        hub = self.hub_of_it
        path = unquote(urlsplit(self.path).path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        hub.requests.append((path, headers))
        if hub.failing:
            hub.failing -= 1
            self._answer(503, b"busy")
        elif path.startswith("/cdn/"):
            self._file(path.removeprefix("/cdn/"), headers)
        elif hub.token and headers.get("authorization") != f"Bearer {hub.token}":
            self._answer(401, b'{"error":"gated"}')
        elif path == f"/api/models/{hub.repo_id}":
            self._listing()
        elif path.startswith(f"/{hub.repo_id}/resolve/{COMMIT}/"):
            self._redirect(path.split(f"/resolve/{COMMIT}/")[1])
        else:
            self._answer(404, b'{"error":"not found"}')

    def _listing(self) -> None:
        hub = self.hub_of_it
        siblings: list[object] = [{"rfilename": "README.md", "size": 3}]
        for name, content in hub.files.items():
            lfs = {"sha256": hub.sha256(name), "size": len(content), "pointerSize": 134}
            siblings.append({"rfilename": name, **({"size": len(content), "lfs": lfs} if hub.listed else {})})
        self._answer(200, json.dumps({"id": hub.repo_id, "sha": COMMIT, "siblings": siblings}).encode())

    def _redirect(self, name: str) -> None:
        hub = self.hub_of_it
        if name not in hub.files:
            self._answer(404, b"")
            return
        linked = {"x-linked-etag": f'"{hub.sha256(name)}"', "x-linked-size": str(len(hub.files[name]))}
        elsewhere = hub.url.replace("127.0.0.1", "localhost")
        self._answer(302, b"", {"location": f"{elsewhere}/cdn/{name}", **linked})

    def _file(self, name: str, headers: dict[str, str]) -> None:
        hub = self.hub_of_it
        content = hub.files[name]
        etag = f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
        asked = headers.get("range", "")
        start = 0
        if asked and hub.ranges and headers.get("if-range", etag) == etag:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        more = {"etag": etag, "accept-ranges": "bytes"}
        if start:
            more["content-range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self._answer(206 if start else 200, content[start:], more)

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"content-length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        cuts = self.hub_of_it.cuts
        if status in {200, 206} and "etag" in (headers or {}) and cuts:
            length = cuts.pop(0)
            self.wfile.write(body[:length])
            start = int((headers or {}).get("content-range", "bytes 0-").split()[1].partition("-")[0])
            self.hub_of_it.wait_until_taken(start + length if length else 0)
            self.close_connection = True
            return
        self.wfile.write(body)
