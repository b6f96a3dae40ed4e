"""A small blocking client for servers with an OpenAI API: ours or anybody's.

For the chat in the terminal and for the checks against other servers. One connection per request, so that closing
one is leaving it: a server sees that nobody listens any more. The standard library only: a command that talks to a
running server starts without the libraries that a server needs.
"""

import http.client
import json
import ssl
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

CONNECT_TIMEOUT_S = 10.0
MAX_BODY = 64 * 1024 * 1024

Json = dict[str, Any]


class ConnectionFailed(Exception):
    """No answer, or not a whole one. `begun` says that the head of an answer had been read."""

    def __init__(self, message: str, *, begun: bool) -> None:
        super().__init__(message)
        self.begun = begun


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def media(self) -> str:
        """The media type without its parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def json(self) -> Any:
        """The body decoded. Raises ValueError when it is not JSON."""
        return json.loads(self.body)


class UpgradeRefused(Exception):
    """A server that takes no WebSocket; the message says what it answered."""


class Frames(Protocol):
    """An open WebSocket. Both raise ConnectionFailed when it is closed."""

    def send(self, text: str) -> None: ...

    def receive(self) -> str | bytes: ...


class Sender(Protocol):
    """What the checks need of a client."""

    def connect(self, path: str) -> AbstractContextManager[Frames]:
        """A WebSocket. Raises UpgradeRefused, ConnectionFailed."""
        ...

    def send(self, method: str, path: str, body: Json | bytes | None = None) -> Answer:
        """`path` begins with a slash, below the base URL. Raises ConnectionFailed."""
        ...


class Body:
    """The body of an answer whose head is here. `chunks` and `read` raise ConnectionFailed when it breaks off."""

    def __init__(self, response: http.client.HTTPResponse, where: str) -> None:
        self._response = response
        self._where = where
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}

    def chunks(self) -> Iterator[bytes]:
        """The body as it comes."""
        while data := self._guarded(lambda: self._response.read1(65536)):
            yield data
        # `read1` takes a body that ends before its announced length for a whole one.
        if self._response.length:
            raise ConnectionFailed(f"{self._where} broke off in the middle of its answer", begun=True)

    def read(self) -> bytes:
        """The whole body, as far as MAX_BODY."""
        return self._guarded(lambda: self._response.read(MAX_BODY))

    def _guarded(self, read: Callable[[], bytes]) -> bytes:
        try:
            return read()
        except TimeoutError:
            raise ConnectionFailed(f"{self._where} fell silent", begun=True) from None
        except (OSError, http.client.HTTPException, ValueError):
            message = f"{self._where} broke off in the middle of its answer"
            raise ConnectionFailed(message, begun=True) from None


class Client:
    """A server and how to reach it. Raises ValueError for what is no http(s) URL.

    A bare host means `/v1` below it; any other path is taken as it is: `https://host/openai/v1`.
    """

    def __init__(self, url: str, key: str = "", *, timeout_s: float = 60.0, at_root: bool = False) -> None:
        """`timeout_s` is the longest silence; with `at_root` a bare host means its root."""
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f'"{url}" is no URL of a server; expected http://HOST:PORT or https://HOST/v1')
        self._secure = parts.scheme == "https"
        self._host = parts.hostname
        self._port = parts.port or (443 if self._secure else 80)
        self._base = parts.path.rstrip("/") or ("" if at_root else "/v1")
        self._timeout_s = timeout_s
        self._headers = {"accept": "*/*", "user-agent": "antiphon"}
        if key:
            self._headers["authorization"] = f"Bearer {key}"
        host = f"[{self._host}]" if ":" in self._host else self._host
        self.url = urlunsplit((parts.scheme, f"{host}:{self._port}", self._base, "", ""))

    def send(self, method: str, path: str, body: Json | bytes | None = None) -> Answer:
        """See `Sender.send`."""
        with self.open(method, path, body) as answer:
            return Answer(answer.status, answer.headers, answer.read())

    @contextmanager
    def open(self, method: str, path: str, body: Json | bytes | None = None) -> Generator[Body]:
        """The answer as soon as its head is here; leaving the block closes the connection.

        Raises ConnectionFailed.
        """
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        headers = self._headers if data is None else {**self._headers, "content-type": "application/json"}
        connection = self._connection()
        try:
            yield Body(self._head(connection, method, path, data, headers), self.url)
        finally:
            connection.close()

    @contextmanager
    def connect(self, path: str) -> Generator[Frames]:
        """See `Sender.connect`. Loads a library that nothing else of a client needs."""
        from websockets.exceptions import InvalidHandshake, WebSocketException
        from websockets.sync.client import connect

        url = self.url.replace("http", "ws", 1) + path
        try:
            connection = connect(
                url,
                additional_headers=self._headers,
                user_agent_header=None,
                open_timeout=CONNECT_TIMEOUT_S,
                compression=None,
                max_size=MAX_BODY,
                proxy=None,
            )
        except InvalidHandshake as error:
            raise UpgradeRefused(f"{url} takes no WebSocket: {error}") from None
        except (OSError, EOFError, WebSocketException) as error:
            raise ConnectionFailed(f"{url} cannot be reached: {error}", begun=False) from None
        with connection:
            yield _OpenSocket(connection, url, self._timeout_s)

    def _connection(self) -> http.client.HTTPConnection:
        timeout_s = min(CONNECT_TIMEOUT_S, self._timeout_s)
        if not self._secure:
            return http.client.HTTPConnection(self._host, self._port, timeout=timeout_s)
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(self._host, self._port, timeout=timeout_s, context=context)

    def _head(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        data: bytes | None,
        headers: Mapping[str, str],
    ) -> http.client.HTTPResponse:
        try:
            connection.connect()
        except ssl.SSLError as error:
            raise ConnectionFailed(f"{self.url}: TLS failed: {error.reason}", begun=False) from None
        except OSError as error:
            reason = error.strerror or "no answer"
            raise ConnectionFailed(f"{self.url} cannot be reached: {reason}", begun=False) from None
        connection.sock.settimeout(self._timeout_s)
        try:
            connection.request(method, self._base + path, body=data, headers=dict(headers))
            return connection.getresponse()
        except TimeoutError:
            message = f"{self.url} did not answer within {self._timeout_s:g} s"
            raise ConnectionFailed(message, begun=False) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            message = f"{self.url} closed the connection without an answer ({type(error).__name__})"
            raise ConnectionFailed(message, begun=False) from None


class _OpenSocket:
    def __init__(self, connection: "ClientConnection", where: str, timeout_s: float) -> None:
        self._connection = connection
        self._where = where
        self._timeout_s = timeout_s

    def send(self, text: str) -> None:
        with self._guarded():
            self._connection.send(text)

    def receive(self) -> str | bytes:
        with self._guarded():
            return self._connection.recv(timeout=self._timeout_s)

    @contextmanager
    def _guarded(self) -> Generator[None]:
        from websockets.exceptions import ConnectionClosed

        try:
            yield
        except ConnectionClosed as closed:
            code = closed.rcvd.code if closed.rcvd is not None else "no code"
            raise ConnectionFailed(f"{self._where} closed the connection ({code})", begun=True) from None
        except TimeoutError:
            raise ConnectionFailed(f"{self._where} fell silent", begun=True) from None


def server_version(url: str, *, timeout_s: float = 2.0) -> str | None:
    """The version of the server of ours at `url`; None when nothing there answers as one. Needs no key."""
    client = Client(url, timeout_s=timeout_s, at_root=True)
    try:
        alive, version = client.send("GET", "/livez"), client.send("GET", "/v1/version")
        return str(version.json()["version"]) if (alive.status, version.status) == (200, 200) else None
    except (ConnectionFailed, ValueError, KeyError, TypeError):
        return None
