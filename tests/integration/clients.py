"""Clients of the integration suite. Each hands every exchange to the recorder."""

import http.client
import json
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, Self

import httpx2
import openai

from antiphon.in_process.server import EmbeddedServer
from bench.program import Program
from tests.conformance.recorder import Exchange, Recorder

Json = dict[str, Any]
LIMIT_S = 30.0


class _Tee:
    """What one answer said, for the recorder."""

    def __init__(
        self, recorder: Recorder, request: httpx2.Request, response: httpx2.Response, sent: bytes
    ) -> None:
        self._recorder = recorder
        self._request = request
        self._sent = sent
        self._status = response.status_code
        self._type = response.headers.get("content-type", "")
        self._parts: list[bytes] = []
        self._whole = False
        self._recorded = False

    def took(self, part: bytes) -> None:
        self._parts.append(part)

    def ended(self) -> None:
        self._whole = True

    def record(self) -> None:
        if self._recorded:
            return
        self._recorded = True
        path = self._request.url.raw_path.decode()
        body = b"".join(self._parts)
        if not self._whole and "event-stream" not in self._type:
            return
        self._recorder.add(
            Exchange(self._request.method, path, self._sent, self._status, self._type, body, self._whole)
        )


class _Stream(httpx2.SyncByteStream):
    def __init__(self, inner: httpx2.SyncByteStream, tee: _Tee) -> None:
        self._inner, self._tee = inner, tee

    def __iter__(self) -> Iterator[bytes]:
        for part in self._inner:
            self._tee.took(part)
            yield part
        self._tee.ended()

    def close(self) -> None:
        self._inner.close()
        self._tee.record()


class _AsyncStream(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream, tee: _Tee) -> None:
        self._inner, self._tee = inner, tee

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._inner:
            self._tee.took(part)
            yield part
        self._tee.ended()

    async def aclose(self) -> None:
        await self._inner.aclose()
        self._tee.record()


class RecordingTransport(httpx2.BaseTransport):
    def __init__(self, recorder: Recorder, inner: httpx2.BaseTransport | None = None) -> None:
        """`inner` carries the requests; HTTP over sockets where left out."""
        self._inner = inner or httpx2.HTTPTransport(trust_env=False)
        self._recorder = recorder

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        sent = request.read()
        response = self._inner.handle_request(request)
        assert isinstance(response.stream, httpx2.SyncByteStream)
        response.stream = _Stream(response.stream, _Tee(self._recorder, request, response, sent))
        return response

    def close(self) -> None:
        self._inner.close()


class AsyncRecordingTransport(httpx2.AsyncBaseTransport):
    def __init__(self, recorder: Recorder, inner: httpx2.AsyncBaseTransport | None = None) -> None:
        self._inner = inner or httpx2.AsyncHTTPTransport(trust_env=False)
        self._recorder = recorder

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        sent = await request.aread()
        response = await self._inner.handle_async_request(request)
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _AsyncStream(response.stream, _Tee(self._recorder, request, response, sent))
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


def sync_client(
    url: str, recorder: Recorder, *, api_key: str = "none", inner: httpx2.BaseTransport | None = None
) -> openai.OpenAI:
    http_client = openai.DefaultHttpxClient(transport=RecordingTransport(recorder, inner), trust_env=False)
    return openai.OpenAI(
        base_url=f"{url}/v1", api_key=api_key, max_retries=0, timeout=LIMIT_S, http_client=http_client
    )


def async_client(
    url: str, recorder: Recorder, *, api_key: str = "none", inner: httpx2.AsyncBaseTransport | None = None
) -> openai.AsyncOpenAI:
    transport = AsyncRecordingTransport(recorder, inner)
    http_client = openai.DefaultAsyncHttpxClient(transport=transport, trust_env=False)
    return openai.AsyncOpenAI(
        base_url=f"{url}/v1", api_key=api_key, max_retries=0, timeout=LIMIT_S, http_client=http_client
    )


class Connect(Protocol):
    """A way to a server: over HTTP to a process, or to an embedded one. `prefix` stands before `/v1`."""

    def sync(self, prefix: str = "") -> openai.OpenAI: ...

    def asynchronous(self, prefix: str = "") -> openai.AsyncOpenAI: ...


@dataclass(frozen=True, slots=True)
class OverHttp:
    program: Program
    recorder: Recorder

    def sync(self, prefix: str = "") -> openai.OpenAI:
        return sync_client(self.program.url + prefix, self.recorder)

    def asynchronous(self, prefix: str = "") -> openai.AsyncOpenAI:
        return async_client(self.program.url + prefix, self.recorder)


@dataclass(frozen=True, slots=True)
class InProcess:
    server: EmbeddedServer
    recorder: Recorder

    def sync(self, prefix: str = "") -> openai.OpenAI:
        return sync_client(self._url(prefix), self.recorder, inner=self.server.transport())

    def asynchronous(self, prefix: str = "") -> openai.AsyncOpenAI:
        return async_client(self._url(prefix), self.recorder, inner=self.server.async_transport())

    def _url(self, prefix: str) -> str:
        return self.server.base_url.removesuffix("/v1") + prefix


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Json:
        parsed: Json = json.loads(self.body)
        return parsed

    @property
    def error(self) -> Json:
        error: Json = self.json["error"]
        return error


class Raw:
    """Plain HTTP over one kept connection; a request fails when the server has closed it."""

    def __init__(self, port: int, recorder: Recorder, headers: dict[str, str] | None = None) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)
        self._recorder = recorder
        self._headers = {"content-type": "application/json", **(headers or {})}

    def __enter__(self) -> Self:
        self._connection.connect()
        self._connection.auto_open = (
            0  # a connection that the server closed shows as an error, not as a new one
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def send(
        self, method: str, path: str, body: Json | bytes | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        self._connection.request(method, path, body=data, headers={**self._headers, **(headers or {})})
        response = self._connection.getresponse()
        answer = Answer(
            response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
        )
        kind = answer.headers.get("content-type", "")
        self._recorder.add(Exchange(method, path, data or b"", answer.status, kind, answer.body))
        return answer

    def post(self, path: str, body: Json | bytes) -> Answer:
        return self.send("POST", path, body)

    def get(self, path: str) -> Answer:
        return self.send("GET", path)


def open_stream(
    port: int, path: str, body: Json, *, receive_buffer: int = 0, headers: dict[str, str] | None = None
) -> socket.socket:
    """A socket on which a POST was sent and nothing was read yet. `receive_buffer` is in bytes."""
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if receive_buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.settimeout(LIMIT_S)
    connection.connect(("127.0.0.1", port))
    data = json.dumps(body).encode()
    fields = f"host: x\r\ncontent-type: application/json\r\ncontent-length: {len(data)}"
    fields += "".join(f"\r\n{name}: {value}" for name, value in (headers or {}).items())
    head = f"POST {path} HTTP/1.1\r\n{fields}\r\n\r\n"
    connection.sendall(head.encode() + data)
    return connection


def read_until(connection: socket.socket, mark: bytes) -> bytes:
    """What came up to and with `mark`."""
    taken = b""
    while mark not in taken:
        part = connection.recv(65536)
        assert part, f"the connection ended before {mark!r}: {taken[-500:]!r}"
        taken += part
    return taken
