"""The client itself. This module loads the SDK; `client.py` loads this one."""

import asyncio
import contextlib
import logging
import secrets
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final, TypeVar

import mcp_types as types

from antiphon.core.hosted_items import McpListedTool
from antiphon.core.wire import JsonObject, encode
from antiphon.fetching.guarded_http import GuardedHttp
from antiphon.mcp import contents
from antiphon.mcp.calling import (
    CallClock,
    SessionCall,
    Unexecuted,
    UrlsFirst,
    call_stateless,
    links_first,
    list_page,
    next_link,
    prove,
)
from antiphon.mcp.changes import Changes
from antiphon.mcp.connection import Connection, Known
from antiphon.mcp.failures import about
from antiphon.mcp.limits import MAX_NAME, MAX_PAGES, MAX_SAID, McpLimits
from antiphon.mcp.pool import Pool
from antiphon.mcp.tokens import Token, answered, as_result, unpacked
from antiphon.mcp.wording import line, plain
from antiphon.ports.mcp import (
    CallHost,
    CallResult,
    Listing,
    McpProtocolFailure,
    McpRefused,
    McpServer,
    McpUnreachable,
    Question,
    Reply,
)

T = TypeVar("T")
_TRIES: Final = 2
for _noisy in ("mcp.client", "mcp.shared", "client", "httpx2"):
    # They log session ids, URLs with their queries, and traces with pieces of what servers sent.
    logging.getLogger(_noisy).setLevel(logging.CRITICAL)


class Engine:
    """Made inside the running loop."""

    def __init__(
        self, guarded: GuardedHttp, trusted: GuardedHttp, limits: McpLimits, changes: Changes
    ) -> None:
        self._guarded = guarded
        self._trusted = trusted
        self._limits = limits
        self._changes = changes
        self._known = Known()
        self._pool = Pool(limits, self._connect, self._make_room)
        self._parked: OrderedDict[str, tuple[SessionCall, asyncio.TimerHandle]] = OrderedDict()

    async def aclose(self) -> None:
        while self._parked:
            self._give_up(next(iter(self._parked)))
        await self._pool.aclose()

    def _connect(self, server: McpServer) -> Connection:
        http = self._trusted if server.trusted else self._guarded
        return Connection(server, http, self._limits, self._known, lambda: self._changes.note(server))

    # --- calls ---------------------------------------------------------------------------------------------------
    async def call(
        self,
        server: McpServer,
        tool: str,
        arguments: JsonObject,
        host: CallHost,
        *,
        timeout_s: float,
        reply: Reply | None,
    ) -> CallResult | Question:
        token = _token_of(reply) if reply is not None else None
        if token is not None and token.links and _accepted(token):
            return next_link(token.links, server.label)
        if token is not None and _refuses_a_link(token):
            what = "was not called: the user did not visit the URL that it asks for first"
            raise McpProtocolFailure(about(server.label, what), types.URL_ELICITATION_REQUIRED)
        async with _in_time(server, timeout_s) as clock:
            parked = self._resumed(token, server, tool, arguments, host) if token is not None else None
            if parked is not None:
                return await self._turn(parked, clock)

            async def called(connection: Connection) -> CallResult | Question:
                return await self._called(connection, tool, arguments, host, clock, token)

            return await self._tried(server, called)

    async def _called(
        self,
        connection: Connection,
        tool: str,
        arguments: JsonObject,
        host: CallHost,
        clock: CallClock,
        token: Token | None,
    ) -> CallResult | Question:
        if not connection.modern:
            call = SessionCall(
                secrets.token_hex(16), connection, tool, arguments, host, token, self._session_call_done
            )
            return await self._turn(call, clock)
        try:
            return await call_stateless(connection, tool, arguments, host, clock, token)
        except UrlsFirst as urls:
            return links_first(urls.error, connection.server.label)
        finally:
            self._pool.give_back(connection)

    async def _tried(self, server: McpServer, use: Callable[[Connection], Awaitable[T]]) -> T:
        """With a connection, and once more with another where the first had ended and nothing was done."""
        for tries_left in reversed(range(_TRIES)):
            connection = await self._pool.take(server)
            first_use = connection.uses == 1
            try:
                return await use(connection)
            except Unexecuted as unexecuted:
                if connection.modern or first_use or not tries_left:
                    raise unexecuted.failure from None
                self._pool.drop_idle(server)
        raise AssertionError("the last try raised")

    # --- calls that wait for a user ------------------------------------------------------------------------------
    async def _turn(self, call: SessionCall, clock: CallClock) -> CallResult | Question:
        """The next that comes of a call. Whoever stops waiting gives it up."""
        try:
            outcome = await call.turn(clock)
        except asyncio.CancelledError:
            call.cancel()
            raise
        if call.waits:
            self._park(call)
        return outcome

    def _park(self, call: SessionCall) -> None:
        loop = asyncio.get_running_loop()
        timer = loop.call_later(self._limits.question_ttl_s, self._give_up, call.id)
        self._parked[call.id] = (call, timer)

    def _resumed(
        self, token: Token, server: McpServer, tool: str, arguments: JsonObject, host: CallHost
    ) -> SessionCall | None:
        """The call that waits here for this reply. Credentials may have been renewed since it began."""
        found = self._parked.get(token.parked)
        if found is None or not token.replies:
            return None
        call, timer = found
        if not _is_same(call, server, tool, arguments):
            return None
        timer.cancel()
        del self._parked[token.parked]
        if call.failed:  # its connection broke off while the user was asked: as after a restart
            return None
        call.go_on(token.replies[-1], host)
        return call

    def forget(self, reply_token: bytes) -> None:
        with contextlib.suppress(McpRefused):
            self._give_up(unpacked(reply_token).parked)

    def _give_up(self, id: str) -> None:
        found = self._parked.pop(id, None)
        if found is not None:
            found[1].cancel()
            found[0].cancel()

    def _make_room(self, tenant: str | None) -> bool:
        """Give up the call that has waited longest, of this tenant where one is named: its question can still be
        answered, by calling again.
        """
        for id, (call, _) in self._parked.items():
            if tenant in (None, call.connection.server.owner.tenant):
                self._give_up(id)
                return True
        return False

    def _session_call_done(self, call: SessionCall) -> None:
        if call.failed:
            self._pool.drop(call.connection, last_words=call.cancelled)
        else:
            self._pool.give_back(call.connection)

    # --- the rest ------------------------------------------------------------------------------------------------
    async def list_tools(self, server: McpServer, *, timeout_s: float) -> Listing:
        async with _in_time(server, timeout_s):
            return await self._tried(server, self._listed)

    async def _listed(self, connection: Connection) -> Listing:
        label, whole = connection.server.label, False
        tools: list[McpListedTool] = []
        names: set[str] = set()
        cursors: set[str] = set()
        cursor: str | None = None
        lifetime: float | None = None
        size = 0
        try:
            for _ in range(MAX_PAGES):
                page = await list_page(connection, cursor)
                for tool in contents.listed(page.tools, names, label):
                    tools.append(tool)
                    size += len(encode(tool))
                if len(tools) > self._limits.max_tools:
                    raise McpRefused(
                        about(label, f"has more than {self._limits.max_tools} tools, the limit here")
                    )
                if size > self._limits.max_message_bytes:
                    raise McpRefused(about(label, "has a list of tools that is larger than is allowed here"))
                if connection.modern:
                    page_s = page.ttl_ms / 1000
                    lifetime = page_s if lifetime is None else min(lifetime, page_s)
                cursor = page.next_cursor
                if not cursor:
                    whole = True
                    return Listing(tools, lifetime)
                if cursor in cursors:
                    break
                cursors.add(cursor)
            raise McpRefused(about(label, f"has a list of tools that does not end within {MAX_PAGES} pages"))
        finally:
            self._release(connection, whole)

    async def ping(self, server: McpServer, *, timeout_s: float) -> JsonObject:
        async with _in_time(server, timeout_s):
            return await self._tried(server, self._pinged)

    async def _pinged(self, connection: Connection) -> JsonObject:
        whole = False
        try:
            if connection.uses > 1:
                await prove(connection)
            whole = True
            return described(connection)
        finally:
            self._release(connection, whole)

    def _release(self, connection: Connection, whole: bool) -> None:
        if whole or connection.modern:
            self._pool.give_back(connection)
        else:
            self._pool.drop(connection, last_words=True)


def described(connection: Connection) -> JsonObject:
    session = connection.session
    info = session.server_info
    return {
        "name": line(info.name, MAX_NAME) if info else None,
        "version": line(info.version, MAX_NAME) if info else None,
        "protocol_version": session.protocol_version,
        "instructions": plain(session.instructions, 8 * MAX_SAID) if session.instructions else None,
    }


@contextlib.asynccontextmanager
async def _in_time(server: McpServer, timeout_s: float) -> AsyncGenerator[CallClock]:
    """Raises McpUnreachable when it takes longer."""
    try:
        async with asyncio.timeout(timeout_s) as limit:
            clock = CallClock(limit)
            try:
                yield clock
            finally:
                clock.end()
    except TimeoutError:
        raise McpUnreachable(about(server.label, f"did not answer within {timeout_s:g} s")) from None


def _is_same(call: SessionCall, server: McpServer, tool: str, arguments: JsonObject) -> bool:
    """Whether this is the call, and this server is asked as the same user."""
    its = call.connection.server
    same_place = (its.owner, its.url, its.command) == (server.owner, server.url, server.command)
    return same_place and call.tool == tool and call.arguments == arguments


def _token_of(reply: Reply) -> Token:
    """Raises McpRefused for what is no reply to a question of a server."""
    try:
        types.ElicitResult.model_validate(as_result(reply.action, reply.content))
    except ValueError:
        raise McpRefused(
            "The answer cannot be sent: its values have to be texts, numbers, booleans or lists of texts."
        ) from None
    return answered(reply)


def _refuses_a_link(token: Token) -> bool:
    return not token.parked and not token.key and not _accepted(token)


def _accepted(token: Token) -> bool:
    return bool(token.replies) and token.replies[-1].action == "accept"
