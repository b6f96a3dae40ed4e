"""`McpClient` on the official SDK, which is loaded when the first server is asked."""

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING

from antiphon.core.wire import JsonObject
from antiphon.fetching.addresses import Reach
from antiphon.fetching.guarded_http import GuardedHttp, Reuse
from antiphon.fetching.resolving import Lookup
from antiphon.fetching.urls import Egress
from antiphon.mcp.changes import Changes
from antiphon.mcp.limits import McpLimits
from antiphon.ports.mcp import CallHost, CallResult, Listing, McpServer, Question, Reply

if TYPE_CHECKING:
    from antiphon.mcp.engine import Engine

_KEEP_S = 4.0
"""Idle HTTP connections: shorter than common servers keep them (5 s), which would end one just as it is used."""


EVERYWHERE = Egress(Reach.of(["0.0.0.0/0", "::/0"]))
"""Where servers may be that the operator names: private networks, this machine, any port."""


class SdkMcpClient:
    """Made anywhere; it connects in the running loop. `egress` is where servers of requests may be."""

    def __init__(
        self,
        egress: Egress,
        limits: McpLimits | None = None,
        *,
        lookup: Lookup | None = None,
    ) -> None:
        self._limits = limits or McpLimits()
        reuse = Reuse(keep_s=_KEEP_S, connect_s=self._limits.connect_timeout_s)
        self._guarded = GuardedHttp(egress, reuse=reuse, lookup=lookup)
        self._trusted = GuardedHttp(EVERYWHERE, reuse=reuse, lookup=lookup)
        self._changes = Changes()
        self._engine: Engine | None = None

    async def list_tools(self, server: McpServer, *, timeout_s: float) -> Listing:
        engine = await self._started()
        return await engine.list_tools(server, timeout_s=timeout_s)

    async def call(
        self,
        server: McpServer,
        tool: str,
        arguments: JsonObject,
        host: CallHost,
        *,
        timeout_s: float,
        reply: Reply | None = None,
    ) -> CallResult | Question:
        engine = await self._started()
        return await engine.call(server, tool, arguments, host, timeout_s=timeout_s, reply=reply)

    async def forget(self, reply_token: bytes) -> None:
        if self._engine is not None:
            self._engine.forget(reply_token)

    def changes(self, server: McpServer) -> int:
        return self._changes.of(server)

    async def ping(self, server: McpServer, *, timeout_s: float) -> JsonObject:
        engine = await self._started()
        return await engine.ping(server, timeout_s=timeout_s)

    async def aclose(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.aclose()
        await self._guarded.aclose()
        await self._trusted.aclose()

    async def _started(self) -> "Engine":
        if self._engine is None:
            await asyncio.to_thread(import_module, "antiphon.mcp.engine")
            from antiphon.mcp.engine import Engine

            self._engine = self._engine or Engine(self._guarded, self._trusted, self._limits, self._changes)
        return self._engine
