"""Connections by server: how they are shared, kept for the next call, and let go of.

Those of the revision without sessions are shared by all calls of a server. With sessions a server's question belongs
to no call that could be told, so each call has a connection of its own, and the idle ones wait for the next.
"""

import asyncio
import contextlib
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Final

from antiphon.mcp.connection import Connection
from antiphon.mcp.failures import about
from antiphon.mcp.limits import McpLimits
from antiphon.ports.mcp import McpServer, McpUnreachable

_WAITS_FOR_ALL: Final = 1.0


class Pool:
    """Made inside the running loop. `connect` starts a connection; `make_room` ends a call that waits for a user, of
    this tenant where one is named, and says whether there was one.
    """

    def __init__(
        self,
        limits: McpLimits,
        connect: Callable[[McpServer], Connection],
        make_room: Callable[[str | None], bool],
    ) -> None:
        self._limits = limits
        self._connect = connect
        self._make_room = make_room
        self._loop = asyncio.get_running_loop()
        self._open: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._shared: dict[McpServer, Connection] = {}
        self._first: dict[McpServer, Connection] = {}
        self._idle: OrderedDict[Connection, None] = OrderedDict()
        self._idle_of: dict[McpServer, list[Connection]] = {}
        self._waiting: dict[asyncio.Future[None], str] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def size(self) -> int:
        """Connections that are open or about to be."""
        return len(self._open)

    async def take(self, server: McpServer) -> Connection:
        """A connection that is ready, the caller's own unless it is `modern`; it is to be given back. Raises
        McpFailure.
        """
        while not self._closed:
            connection = self._kept(server)
            if connection is None:
                connection = await self._new(server)
            if connection is not None and connection.usable:
                connection.users += 1
                connection.uses += 1
                return connection
        raise McpUnreachable(about(server.label, "is not asked any more: this server is stopping"))

    def give_back(self, connection: Connection) -> None:
        """Keep a connection for the next call."""
        connection.users -= 1
        connection.asked = None
        if not connection.usable:
            self.drop(connection)
        elif connection.users == 0:
            self._keep(connection)
        self._wake()

    def drop(self, connection: Connection, *, last_words: bool = False) -> None:
        """Close a connection; whoever else uses it loses it too."""
        self._forget(connection)
        connection.close(last_words=last_words)
        self._wake()

    def drop_idle(self, server: McpServer) -> None:
        """Close those of a server that nobody uses: they are likely to have ended as another one has."""
        for connection in list(self._idle_of.get(server, ())):
            self.drop(connection)

    async def aclose(self) -> None:
        """End all of them, in bounded time."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for connection in list(self._open):
            self.drop(connection)
        tasks = set(self._tasks)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self._limits.close_timeout_s)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=_WAITS_FOR_ALL)

    # --- finding one ---------------------------------------------------------------------------------------------
    def _kept(self, server: McpServer) -> Connection | None:
        shared = self._shared.get(server)
        if shared is not None:
            if shared.usable:
                self._unidle(shared)
                return shared
            self.drop(shared)
        while stack := self._idle_of.get(server):
            connection = stack[-1]
            self._unidle(connection)
            if connection.usable:
                return connection
            self.drop(connection)
        return None

    async def _new(self, server: McpServer) -> Connection | None:
        """A new connection. None for who had to wait and may look again: for the first one of a server, which may be
        shared, or for room.
        """
        first = self._first.get(server)
        if first is not None:
            await asyncio.shield(first.ready)
            await asyncio.sleep(0)  # a future that is done is not waited for: `_found_out` needs its turn
            return None
        if not self._has_room(server):
            await self._a_change(server)
            return None
        connection = self._connect(server)
        self._open.add(connection)
        self._tasks.add(connection.task)
        connection.task.add_done_callback(lambda task: self._ended(connection, task))
        if not self._knows_sessions(server):
            self._first[server] = connection
        connection.ready.add_done_callback(lambda _: self._found_out(connection))
        try:
            await asyncio.shield(connection.ready)
        except asyncio.CancelledError:
            connection.ready.add_done_callback(lambda _: self._keep_unused(connection))
            raise
        return connection

    def _found_out(self, connection: Connection) -> None:
        """What kind it is, or that there is none: known here before anybody who waits for it looks again."""
        if self._first.get(connection.server) is connection:
            del self._first[connection.server]
        if connection.modern and connection.usable:
            self._shared.setdefault(connection.server, connection)

    def _keep_unused(self, connection: Connection) -> None:
        """Whoever had it made is gone; others may have taken it meanwhile."""
        if connection.usable and not connection.users and connection not in self._idle:
            self._keep(connection)

    def _knows_sessions(self, server: McpServer) -> bool:
        return any(one.server == server and not one.modern and one.ready.done() for one in self._open)

    async def _a_change(self, server: McpServer) -> None:
        """Until a connection was given back or has ended."""
        waiting = self._loop.create_future()
        self._waiting[waiting] = server.owner.tenant
        try:
            await waiting
        finally:
            del self._waiting[waiting]

    def _has_room(self, server: McpServer) -> bool:
        if server.command:
            mine = sum(one.server == server for one in self._open)
            if mine >= self._limits.max_processes:
                return False
        tenant = server.owner.tenant
        if sum(one.server.owner.tenant == tenant for one in self._open) >= self._limits.max_of_tenant:
            return self._drop_idle_of(tenant) or self._make_room(tenant)
        if len(self._open) < self._limits.max_connections:
            return True
        return self._drop_idle_of(None) or self._make_room(None)

    def _drop_idle_of(self, tenant: str | None) -> bool:
        """Close the one that has been idle for longest, of this tenant where one is named. False: there is none."""
        for connection in self._idle:
            if tenant in (None, connection.server.owner.tenant):
                self.drop(connection)
                return True
        return False

    def _wake(self) -> None:
        """Have all who wait look again, in turn: first those of the tenant that has the fewest."""
        has = Counter(one.server.owner.tenant for one in self._open) if self._waiting else Counter[str]()
        for waiting in sorted(self._waiting, key=lambda one: has[self._waiting[one]]):
            if not waiting.done():
                waiting.set_result(None)

    # --- keeping them --------------------------------------------------------------------------------------------
    def _keep(self, connection: Connection) -> None:
        connection.idle_since = self._loop.time()
        self._idle[connection] = None
        if not connection.modern:
            self._idle_of.setdefault(connection.server, []).append(connection)
        self._set_timer()

    def _unidle(self, connection: Connection) -> None:
        if connection not in self._idle:
            return
        del self._idle[connection]
        if not connection.modern:
            stack = self._idle_of[connection.server]
            stack.remove(connection)
            if not stack:
                del self._idle_of[connection.server]

    def _forget(self, connection: Connection) -> None:
        self._unidle(connection)
        self._open.discard(connection)
        if self._shared.get(connection.server) is connection:
            del self._shared[connection.server]

    def _ended(self, connection: Connection, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            with contextlib.suppress(Exception):
                task.result()
        self._forget(connection)
        self._wake()

    def _set_timer(self) -> None:
        if self._timer is None and self._idle:
            oldest = next(iter(self._idle))
            self._timer = self._loop.call_at(oldest.idle_since + self._limits.idle_s, self._close_idle)

    def _close_idle(self) -> None:
        self._timer = None
        until = self._loop.time() - self._limits.idle_s + 0.001
        while self._idle and (oldest := next(iter(self._idle))).idle_since <= until:
            self.drop(oldest)
        self._set_timer()
