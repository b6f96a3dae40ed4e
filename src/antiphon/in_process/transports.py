"""Transports for httpx and httpx2 that hand requests to a server in this process.

The two libraries have the same interface and different classes, so the module to use is an argument: newer
`openai` packages stand on httpx2, older ones on httpx.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from types import ModuleType, TracebackType
from typing import Any, Self

from starlette.types import Scope

from antiphon.in_process.exchange import BrokenOff, Exchange
from antiphon.in_process.host import Host, ServerClosed

FindHost = Callable[[], Host]


def scope_of(request: Any) -> Scope:
    """The request of either library as ASGI has it (specification: HTTP connection scope)."""
    raw_path, _, query = request.url.raw_path.partition(b"?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": request.url.scheme,
        "path": request.url.path,
        "raw_path": raw_path,
        "query_string": query,
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "client": None,
        "server": None,
        "extensions": {},
    }


def _read_timeout(request: Any) -> float | None:
    given: float | None = request.extensions.get("timeout", {}).get("read")
    return given


class _Errors:
    """What goes wrong, in the words of the library that asked; entered around each wait."""

    def __init__(self, http: ModuleType, request: Any) -> None:
        self._http = http
        self._request = request

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        match error:
            case TimeoutError():
                message = "the embedded server said nothing for so long"
                raise self._http.ReadTimeout(message, request=self._request) from error
            case BrokenOff():
                message = "the embedded server broke off in the middle of its answer; its log has the reason"
                raise self._http.RemoteProtocolError(message, request=self._request) from None
            case ServerClosed():
                raise self._http.ConnectError(str(error), request=self._request) from None
            case _:
                return


class Transport:
    """A synchronous transport of either library."""

    def __init__(self, http: ModuleType, find_host: FindHost) -> None:
        self._http = http
        self._find_host = find_host
        self._stream_type = type("Stream", (_Stream, http.SyncByteStream), {})

    def handle_request(self, request: Any) -> Any:
        body = request.read()
        errors, timeout_s = _Errors(self._http, request), _read_timeout(request)
        with errors:
            host = self._find_host()
            exchange = host.exchange(scope_of(request), body)
            try:
                head = host.call(lambda: host.begin(exchange), timeout_s)
            except BaseException:
                host.disconnect(exchange)
                raise
        stream = self._stream_type(host, exchange, errors, timeout_s)
        return self._http.Response(head.status, headers=head.headers, stream=stream, request=request)

    def close(self) -> None:
        """Nothing is held: each exchange ends with its stream."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncTransport:
    """An asynchronous transport of either library, for any event loop."""

    def __init__(self, http: ModuleType, find_host: FindHost) -> None:
        self._http = http
        self._find_host = find_host
        self._stream_type = type("AsyncStream", (_AsyncStream, http.AsyncByteStream), {})

    async def handle_async_request(self, request: Any) -> Any:
        body = await request.aread()
        errors, timeout_s = _Errors(self._http, request), _read_timeout(request)
        with errors:
            host = self._find_host()
            exchange = host.exchange(scope_of(request), body)
            try:
                head = await host.acall(lambda: host.begin(exchange), timeout_s)
            except BaseException:
                host.disconnect(exchange)
                raise
        stream = self._stream_type(host, exchange, errors, timeout_s)
        return self._http.Response(head.status, headers=head.headers, stream=stream, request=request)

    async def aclose(self) -> None:
        """Nothing is held: each exchange ends with its stream."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class _Answer:
    """The body of an answer, read where its client is."""

    def __init__(self, host: Host, exchange: Exchange, errors: _Errors, timeout_s: float | None) -> None:
        self._host = host
        self._exchange = exchange
        self._errors = errors
        self._timeout_s = timeout_s

    def _leave(self) -> None:
        self._host.disconnect(self._exchange)


class _Stream(_Answer):
    def __iter__(self) -> Iterator[bytes]:
        more = True
        while more:
            with self._errors:
                data, more = self._host.call(self._exchange.take, self._timeout_s)
            if data:
                yield data

    def close(self) -> None:
        self._leave()


class _AsyncStream(_Answer):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        more = True
        while more:
            with self._errors:
                data, more = await self._host.acall(self._exchange.take, self._timeout_s)
            if data:
                yield data

    async def aclose(self) -> None:
        self._leave()
