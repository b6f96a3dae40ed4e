"""One connection to a server: opened, kept and closed by a task of its own.

The SDK's scopes have to be left by the task that entered them, so a connection is an actor: calls use its session from
their own tasks, and ask it to close.
"""

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Literal, Protocol

import httpx2
import mcp_types as types
from mcp.client.session import ClientRequestContext, ClientSession, IncomingMessage
from mcp.client.streamable_http import streamable_http_client
from mcp.client.subscriptions import listen
from mcp.shared.exceptions import MCPError
from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from antiphon.fetching.guarded_http import GuardedHttp
from antiphon.fetching.urls import Refused
from antiphon.mcp.exchange import CURRENT, Exchange
from antiphon.mcp.failures import NO_ANSWER, about, failure_of, without_secrets
from antiphon.mcp.http_transport import GuardedTransport, http_client
from antiphon.mcp.limits import MAX_SAID, McpLimits
from antiphon.mcp.sse import NoEndpoint, sse_streams
from antiphon.mcp.stdio import stdio_streams
from antiphon.mcp.wording import line
from antiphon.ports.mcp import (
    McpFailure,
    McpHttpFailure,
    McpProtocolFailure,
    McpRefused,
    McpServer,
    McpUnreachable,
)
from antiphon.version import __version__

Way = Literal["streamable_http", "sse", "stdio"]
_log: Final = logging.getLogger("antiphon.mcp")
_CLIENT: Final = types.Implementation(name="antiphon", version=__version__)
_REMEMBERED: Final = 4096
_IS_NOT_STREAMABLE: Final = frozenset({400, 404, 405, 406, 410, 415, 501})
_NO_SECOND_TRY: Final = frozenset({401, 403, 407, 429, 503})
_LAST_WORDS_S: Final = 1.0


class Asked(Protocol):
    """The call that a connection is used for alone: it answers what its server asks."""

    async def elicit(self, params: types.ElicitRequestParams) -> types.ElicitResult | types.ErrorData: ...

    async def sample(
        self, params: types.CreateMessageRequestParams
    ) -> types.CreateMessageResult | types.ErrorData: ...


@dataclass(slots=True)
class Known:
    """What is known of servers by their address, so that it is not found out again: how they are spoken to."""

    _ways: OrderedDict[str, tuple[Way, bool]] = field(default_factory=OrderedDict[str, tuple[Way, bool]])

    def get(self, server: McpServer) -> tuple[Way, bool] | None:
        """The transport, and whether it speaks the revisions without sessions."""
        return self._ways.get(server.url)

    def note(self, server: McpServer, way: Way, *, modern: bool) -> None:
        if server.url:
            self._ways[server.url] = (way, modern)
            self._ways.move_to_end(server.url)
            if len(self._ways) > _REMEMBERED:
                self._ways.popitem(last=False)


class _Dispatcher(JSONRPCDispatcher):
    """Tells when it has stopped to receive: the server has gone, or the connection is closing."""

    ended: Callable[[], None]

    async def run(self, *args: Any, **options: Any) -> None:
        try:
            await super().run(*args, **options)
        finally:
            self.ended()


class Connection:
    """`modern`: many calls may use it at once; otherwise it belongs to one, which is `asked`."""

    def __init__(
        self,
        server: McpServer,
        http: GuardedHttp,
        limits: McpLimits,
        known: Known,
        tools_changed: Callable[[], None],
    ) -> None:
        self.server = server
        self.modern = False
        self.way: Way = "stdio" if server.command else "streamable_http"
        self.users = 0
        self.uses = 0
        self.idle_since = 0.0
        self.ended = False
        self.asked: Asked | None = None
        self._fault: Exchange | None = None
        self._http = http
        self._limits = limits
        self._known = known
        self._tools_changed = tools_changed
        self._url = ""
        self._session: ClientSession | None = None
        self._dispatcher: JSONRPCDispatcher | None = None
        self._attempt: asyncio.Timeout | None = None
        self._stream = Exchange()
        self._transport: GuardedTransport | None = None
        self._failure: McpFailure | None = None
        self._last_words = False
        self._closing = asyncio.Event()
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(self._run(), name=f"mcp {server.label}")

    @property
    def session(self) -> ClientSession:
        """There once `ready` is."""
        if self._session is None:
            raise RuntimeError("the connection is not ready")
        return self._session

    @property
    def usable(self) -> bool:
        return not self.ended and not self._closing.is_set()

    def close(self, *, last_words: bool = False) -> None:
        """Begin to close. `last_words`: what was sent just now, a cancellation, is waited for to be taken."""
        self._last_words = self._last_words or last_words
        self._closing.set()
        if not self.ready.done():
            self.task.cancel()

    async def _run(self) -> None:
        try:
            if not self.server.command:
                self._url = str(self._http.egress.target(self.server.url))
            for way in self._ways():
                first, self._failure = self._failure, None
                await self._live(way)
                if not self._is_worth_another():
                    break
                self._failure = first or self._failure
        except Refused as refused:
            self._failure = McpRefused(about(self.server.label, f"was not asked: its address {refused}"))
        except Exception as error:  # noqa: BLE001 the SDK's scopes end with whatever went wrong inside
            _log.debug("%s: the connection ended with %s", self.server.label, type(error).__name__)
        finally:
            self.ended = True
            self._closing.set()
            if not self.ready.done():
                late = McpUnreachable(about(self.server.label, "broke off before it was connected"))
                self.ready.set_exception(self._failure or late)
                self.ready.exception()  # whoever waits still gets it; nobody may be waiting any more

    def _ways(self) -> tuple[Way, ...]:
        if self.server.command:
            return ("stdio",)
        known = self._known.get(self.server)
        match self.server.transport:
            case "auto" if known is not None and known[0] == "sse":
                return ("sse", "streamable_http")
            case "auto":
                return ("streamable_http", "sse")
            case named:
                return (named,)

    def _is_worth_another(self) -> bool:
        """Whether a server may be one of the older HTTP with SSE, or one that was and is no more."""
        failure = self._failure
        return isinstance(failure, McpHttpFailure) and failure.status in _IS_NOT_STREAMABLE

    async def _live(self, way: Way) -> None:
        """Open, and stay until it is closed or ends; `_failure` is why it could not be opened."""
        exchange = self._stream = Exchange()
        CURRENT.set(exchange)
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(self._limits.connect_timeout_s) as self._attempt:
                    session = await self._open(way, stack)
                    self.modern = way != "sse" and await self._meet(session)
                    if way == "sse":
                        await session.initialize()
            except Exception as error:  # noqa: BLE001 whatever a server makes the SDK raise is why it has failed
                self._failure = self._why(error, exchange)
                return
            finally:
                self._attempt = None
            self.way = way
            self._session = session
            self._known.note(self.server, way, modern=self.modern)
            if not self.ready.done():
                self.ready.set_result(None)
            async with self._listening(session):
                await self._closing.wait()
            if self._last_words:
                with contextlib.suppress(Exception):
                    async with asyncio.timeout(_LAST_WORDS_S):
                        await session.send_ping()

    def _why(self, error: Exception, exchange: Exchange) -> McpFailure:
        label, status = self.server.label, exchange.status
        if isinstance(error, TimeoutError | httpx2.HTTPError | NoEndpoint) and exchange.failure is None:
            if status >= 400:
                what = f"answered with status {status}"
                return McpHttpFailure(about(label, what), status, exchange.challenge)
            if isinstance(error, TimeoutError):
                what = f"did not shake hands within {self._limits.connect_timeout_s:g} s"
                return McpUnreachable(about(label, what))
            return McpProtocolFailure(about(label, "does not answer as MCP servers do"), NO_ANSWER)
        if isinstance(error, OSError) and self.server.command:
            return McpUnreachable(about(label, "could not be started"))
        return failure_of(error, exchange, self.server)

    async def _open(self, way: Way, stack: AsyncExitStack) -> ClientSession:
        server, limits = self.server, self._limits
        headers = dict(server.headers)
        if way == "stdio":
            reads, writes = await stack.enter_async_context(stdio_streams(server, limits.max_message_bytes))
            dispatcher = _Dispatcher(reads, writes)
        elif way == "sse":
            transport = self._transport = GuardedTransport(self._http, server.label, limits, self._broken)
            client = await stack.enter_async_context(http_client(transport, headers))
            streams = sse_streams(client, self._url, server.label, limits.max_message_bytes)
            dispatcher = _Dispatcher(*await stack.enter_async_context(streams))
        else:
            transport = self._transport = GuardedTransport(self._http, server.label, limits)
            client = await stack.enter_async_context(http_client(transport, headers))
            dispatcher = _Dispatcher(
                *await stack.enter_async_context(
                    streamable_http_client(
                        self._url, http_client=client, max_sse_event_size=limits.max_message_bytes
                    )
                )
            )
        dispatcher.ended = partial(self._stopped, dispatcher)
        self._dispatcher = dispatcher
        return await stack.enter_async_context(
            ClientSession(
                dispatcher=dispatcher,
                sampling_callback=self._sample if limits.sampling else None,
                elicitation_callback=self._elicit,
                list_roots_callback=_no_roots,
                logging_callback=self._log_line,
                message_handler=self._heard,
                client_info=_CLIENT,
            )
        )

    def _stopped(self, dispatcher: JSONRPCDispatcher) -> None:
        """Nothing more comes from the server. An attempt that has failed stops, too, and means nothing."""
        if dispatcher is self._dispatcher and self.ready.done():
            self._closing.set()

    def _broken(self, exchange: Exchange) -> None:
        """A message did not get through, to which no answer comes otherwise."""
        self._fault = exchange
        if self.ready.done():
            self._closing.set()
        elif self._attempt is not None:
            self._attempt.reschedule(0)

    def seen(self, exchange: Exchange) -> Exchange:
        """What tells most of a request that failed. With the older transport answers come over another one."""
        if self.way != "sse" or exchange.failure is not None:
            return exchange
        return self._fault or (self._stream if self._stream.failure is not None else exchange)

    def renew(self) -> None:
        """Let the server's own stream be as long again: its length is bounded for each request of ours."""
        if self._transport is not None:
            self._transport.renew()

    async def _meet(self, session: ClientSession) -> bool:
        """Find out the generation, or shake hands as it is known: whether it is the one without sessions."""
        known = self._known.get(self.server)
        if known is not None and not known[1]:
            try:
                await session.initialize()
            except MCPError as error:
                if error.code != types.UNSUPPORTED_PROTOCOL_VERSION:
                    raise
            else:
                return False
        is_late = False
        exchange = Exchange()
        CURRENT.set(exchange)
        try:
            async with asyncio.timeout(self._limits.connect_timeout_s / 3):
                await session.discover()
        except (MCPError, TimeoutError, ValueError, RuntimeError) as error:
            if exchange.failure is not None or exchange.status in _NO_SECOND_TRY:
                raise failure_of(error, exchange, self.server) from None
            is_late = isinstance(error, TimeoutError)
        else:
            return True
        exchange = Exchange()
        CURRENT.set(exchange)
        try:
            await session.initialize()
        except (MCPError, ValueError, RuntimeError) as error:
            is_other = isinstance(error, MCPError) and error.code == types.UNSUPPORTED_PROTOCOL_VERSION
            if not is_late or not is_other:
                raise failure_of(error, exchange, self.server) from None
        else:
            return session.protocol_version in MODERN_PROTOCOL_VERSIONS
        return await self._discover_late(session)

    async def _discover_late(self, session: ClientSession) -> bool:
        """Of a server that has no handshake: it was only slow, as some are that were not asked for a while."""
        exchange = Exchange()
        CURRENT.set(exchange)
        try:
            await session.discover()
        except (MCPError, ValueError, RuntimeError) as error:
            raise failure_of(error, exchange, self.server) from None
        return True

    @contextlib.asynccontextmanager
    async def _listening(self, session: ClientSession) -> AsyncGenerator[None]:
        """Servers with sessions say by themselves that their tools have changed; those without are asked to."""
        tools = session.server_capabilities.tools if session.server_capabilities else None
        if not self.modern or tools is None or not tools.list_changed:
            yield
            return
        listener = asyncio.create_task(self._listen(session), name=f"mcp listens {self.server.label}")
        try:
            yield
        finally:
            listener.cancel()
            await asyncio.wait((listener,))

    async def _listen(self, session: ClientSession) -> None:
        """Until the server ends it, or the connection does. What is said after that is missed, so that it counts as a
        change.
        """
        CURRENT.set(Exchange())
        heard = False
        try:
            async with listen(session, tools_list_changed=True) as changes:
                heard = True
                async for _ in changes:
                    self._tools_changed()
        except (MCPError, RuntimeError, ValueError) as error:
            _log.debug("%s: listens no more for changes: %s", self.server.label, type(error).__name__)
        if heard:
            self._tools_changed()

    # --- what the server says by itself --------------------------------------------------------------------------
    async def _elicit(
        self, context: ClientRequestContext, params: types.ElicitRequestParams
    ) -> types.ElicitResult | types.ErrorData:
        return await self.asked.elicit(params) if self.asked is not None else _NOBODY

    async def _sample(
        self, context: ClientRequestContext, params: types.CreateMessageRequestParams
    ) -> types.CreateMessageResult | types.ErrorData:
        return await self.asked.sample(params) if self.asked is not None else _NOBODY

    async def _log_line(self, params: types.LoggingMessageNotificationParams) -> None:
        if _log.isEnabledFor(logging.DEBUG):
            said = line(without_secrets(str(params.data), self.server), MAX_SAID)
            _log.debug("%s says (%s): %s", self.server.label, params.level, said)

    async def _heard(self, message: IncomingMessage) -> None:
        if isinstance(message, types.ToolListChangedNotification):
            self._tools_changed()


_NOBODY: Final = types.ErrorData(
    code=types.INVALID_REQUEST, message="No call is going on that this could be for"
)


async def _no_roots(context: ClientRequestContext) -> types.ListRootsResult:
    del context
    return types.ListRootsResult(roots=[])
