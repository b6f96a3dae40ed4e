"""The way of the SDK's transports to the network: httpx2's transport over our guarded HTTP.

It raises nothing: a request that fails is answered with a status that no server gives, and why is kept in the
exchange. An error that went up through the SDK would end the connection for all calls that share it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final

import aiohttp
import httpx2
import msgspec
from yarl import URL

from antiphon.core.wire import UNSET, UnsetType
from antiphon.fetching.answers import Unpacking
from antiphon.fetching.guarded_http import BROKEN, REDIRECTS, GuardedHttp, in_words, not_sent
from antiphon.fetching.urls import Refused
from antiphon.mcp.exchange import Exchange, current
from antiphon.mcp.failures import about
from antiphon.mcp.limits import MAX_EVENTS, McpLimits
from antiphon.ports.mcp import HOP_HEADER, McpRefused, McpUnreachable

_SESSION: Final = "mcp-session-id"
_NO_ANSWER: Final = 599
_OURS: Final = frozenset(
    {"host", "accept-encoding", "connection", "content-length", "transfer-encoding", "user-agent"}
)
_KEPT_BACK: Final = frozenset({b"set-cookie", b"content-encoding", b"content-length", b"transfer-encoding"})
_CHALLENGED: Final = frozenset({401, 403})
_MAX_CHALLENGE: Final = 4096
_BROKE_OFF: Final = "broke off, or answered with something that is not HTTP"
_BETWEEN_STREAMS_S: Final = 1.0
_TO_END_S: Final = 2.0
_LAST_BYTES_S: Final = 0.2
_LAST_BYTES: Final = 64 * 1024


class _Head(msgspec.Struct):
    """What tells requests of JSON-RPC from notifications and answers."""

    id: int | str | UnsetType = UNSET
    method: str | UnsetType = UNSET


class GuardedTransport(httpx2.AsyncBaseTransport):
    """Of one connection. `broken` is called for requests that cannot fail by themselves: the streams of the older
    HTTP with SSE, whose messages are answered elsewhere.
    """

    def __init__(
        self,
        http: GuardedHttp,
        label: str,
        limits: McpLimits,
        broken: Callable[[Exchange], None] | None = None,
    ) -> None:
        self._http = http
        self._label = label
        self._limits = limits
        self._broken = broken
        self._targets: dict[str, URL] = {}
        self._next_stream = 0.0
        self._budget = _Budget(limits)

    def renew(self) -> None:
        """Let the server's own streams be as long again."""
        self._budget.renew()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        exchange = current()
        try:
            response = await self._sent(request, exchange)
        except Refused as refused:
            exchange.not_sent()
            exchange.fail(McpRefused(about(self._label, f"was not asked: its address {refused}")))
        except TimeoutError as late:
            self._note(exchange, unsent=isinstance(late, aiohttp.ConnectionTimeoutError))
            exchange.fail(McpUnreachable(about(self._label, "did not answer in time")))
        except BROKEN as error:
            self._note(exchange, unsent=not_sent(error))
            exchange.fail(McpUnreachable(about(self._label, in_words(error, _BROKE_OFF))))
        else:
            return await self._received(request, response, exchange)
        return self._failed(exchange)

    async def _sent(self, request: httpx2.Request, exchange: Exchange) -> aiohttp.ClientResponse:
        target = self._target(str(request.url))
        headers = {name: value for name, value in request.headers.items() if name not in _OURS}
        exchange.in_session = _SESSION in headers
        headers["accept-encoding"] = "identity"
        headers["user-agent"] = "antiphon"
        headers[HOP_HEADER] = "1"
        body = await request.aread() or None
        if request.method == "GET":
            await self._in_turn()
        async with asyncio.timeout(self._patience(request.method, body)):
            return await self._http.send(request.method, target, headers, body)

    def _note(self, exchange: Exchange, *, unsent: bool) -> None:
        if unsent:
            exchange.not_sent()
        else:
            exchange.sent = True

    def _target(self, text: str) -> URL:
        found = self._targets.get(text)
        if found is None:
            if len(self._targets) > 16:
                self._targets.clear()
            found = self._targets[text] = self._http.egress.target(text)
        return found

    async def _in_turn(self) -> None:
        """Streams that a server ends at once are not opened again at once, whatever it says."""
        now = asyncio.get_running_loop().time()
        at, self._next_stream = self._next_stream, max(now, self._next_stream) + _BETWEEN_STREAMS_S
        if at > now:
            await asyncio.sleep(at - now)

    def _patience(self, method: str, body: bytes | None) -> float | None:
        """How long the head of an answer is waited for: requests have the clock of their call, all else has not."""
        if method == "DELETE":
            return _TO_END_S
        if body is None:
            return None
        if self._broken is not None:
            return self._limits.connect_timeout_s
        try:
            head = msgspec.json.decode(body, type=_Head)
        except (msgspec.DecodeError, RecursionError):
            return self._limits.connect_timeout_s
        is_request = head.id is not UNSET and head.method is not UNSET
        return None if is_request else self._limits.connect_timeout_s

    async def _received(
        self, request: httpx2.Request, response: aiohttp.ClientResponse, exchange: Exchange
    ) -> httpx2.Response:
        if request.method != "GET" or not exchange.sent:  # a GET may take up what a POST began, which counts
            exchange.status = response.status
        exchange.sent = True
        if response.status in _CHALLENGED:
            exchange.challenge = response.headers.get("www-authenticate", "")[:_MAX_CHALLENGE]
        try:
            if response.status in REDIRECTS:
                self._check_redirect(request, response)
            budget = self._budget if request.method == "GET" else _Budget(self._limits)
            stream = _Body(response, self._label, budget, exchange)
        except Refused as refused:
            response.close()
            exchange.fail(McpRefused(about(self._label, str(refused))))
            return self._failed(exchange)
        if response.status >= 400 and self._broken is not None:
            self._broken(exchange)
        headers = [pair for pair in response.raw_headers if pair[0].lower() not in _KEPT_BACK]
        return httpx2.Response(response.status, headers=headers, stream=stream)

    def _check_redirect(self, request: httpx2.Request, response: aiohttp.ClientResponse) -> None:
        """Raises Refused unless the SDK follows: within the origin, and without losing the message."""
        here = self._target(str(request.url))
        there = self._http.egress.after(here, response.headers.get("location", ""))
        upgraded = here.host == there.host and (here.port, there.port) == (80, 443)
        if here.origin() != there.origin() and not upgraded:
            raise Refused("redirects to another host or port; name the URL that it leads to")
        if request.method != "GET" and response.status not in {307, 308}:
            raise Refused(f"redirects with status {response.status}, which drops the message")

    def _failed(self, exchange: Exchange) -> httpx2.Response:
        if self._broken is not None:
            self._broken(exchange)
        return httpx2.Response(_NO_ANSWER, content=b"")


class _Budget:
    """How long an answer may be. A stream of events may be as long as two of the largest messages, for what comes
    before the answer.
    """

    def __init__(self, limits: McpLimits) -> None:
        self.max_bytes = limits.max_message_bytes
        self._spent = 0
        self._events = 0

    def renew(self) -> None:
        self._spent = self._events = 0

    def room(self, *, streams: bool) -> int:
        return self.max_bytes * (2 if streams else 1) - self._spent

    def spend(self, piece: bytes, *, streams: bool) -> None:
        """Raises Refused for too many messages."""
        self._spent += len(piece)
        if streams:
            self._events += piece.count(b"\ndata:")
            if self._events > MAX_EVENTS:
                raise Refused(f"holds more than {MAX_EVENTS} messages, the limit here")


class _Body(httpx2.AsyncByteStream):
    """The body of an answer, as it comes, unpacked and bounded. Where it breaks off it ends, without an error."""

    def __init__(
        self, response: aiohttp.ClientResponse, label: str, budget: _Budget, exchange: Exchange
    ) -> None:
        self._response = response
        self._label = label
        self._budget = budget
        self._exchange = exchange
        self._unpack = Unpacking(response.headers.get("content-encoding", ""), budget.max_bytes)
        self._streams = response.headers.get("content-type", "").lower().startswith("text/event-stream")
        self._whole = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        budget = self._budget
        try:
            async for piece in self._response.content.iter_any():
                plain = self._unpack.feed(piece, budget.room(streams=self._streams))
                budget.spend(plain, streams=self._streams)
                yield plain
            self._whole = True
        except Refused as refused:
            self._exchange.fail(McpRefused(about(self._label, f"sent an answer that {refused}")))
        except BROKEN:
            self._exchange.fail(McpUnreachable(about(self._label, "broke off before it answered")))

    async def aclose(self) -> None:
        """The last event of a stream comes before its end: it is waited for shortly, so that the connection can be
        used again.
        """
        try:
            if self._streams and not self._whole:
                with contextlib.suppress(TimeoutError, asyncio.IncompleteReadError, *BROKEN):
                    async with asyncio.timeout(_LAST_BYTES_S):
                        await self._response.content.readexactly(_LAST_BYTES)
        finally:
            self._response.close()


def http_client(transport: GuardedTransport, headers: Mapping[str, str]) -> httpx2.AsyncClient:
    """What the SDK's transports ask with: nothing of the environment, no time limits but ours."""
    return httpx2.AsyncClient(
        transport=transport,
        headers=headers,
        timeout=None,
        trust_env=False,
        follow_redirects=False,
        max_redirects=3,
    )
