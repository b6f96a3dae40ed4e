"""Our MCP server in this process over tools that tests control, and both kinds of clients for it."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import httpx2
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client

from antiphon.config.settings import ApiKey
from antiphon.core.errors import InvalidRequest
from antiphon.core.wire import JsonObject
from antiphon.in_process.host import Host
from antiphon.in_process.transports import AsyncTransport
from antiphon.mcp_server.errors import error_shape
from antiphon.mcp_server.exchanges import UnderWay
from antiphon.mcp_server.origins import Origins
from antiphon.mcp_server.questions import Questions
from antiphon.mcp_server.routes import McpRoutes
from antiphon.mcp_server.service import McpService
from antiphon.mcp_server.tools import (
    AuthorizationNeeded,
    Exchange,
    Outcome,
    Tool,
    ToolResult,
    ToolSource,
    UserAnswer,
    UserAsked,
)
from antiphon.ports import Owner
from antiphon.testing import FakeClock, FakeIds, PlainSealer
from antiphon.web.auth import Authenticator
from antiphon.web.edge import Edge, openai_shape
from antiphon.web.routing import Router
from antiphon.web.streams import OpenStreams

URL = "http://127.0.0.1:8321/mcp"
PAGE = "https://accounts.example/grant"
FORM: JsonObject = {"type": "object", "properties": {"colour": {"type": "string"}}, "required": ["colour"]}
JSON = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
STATELESS = "2026-07-28"
_NAMES = ("hold", "ask", "ask_url", "ask_forever", "locked", "boom", "steps", "refuse", "who")


@dataclass
class Tools:
    """A `ToolSource`. `hold` waits for `gate`; `holding` is how many calls of it are in, `cancelled` how many ended so.
    `locked` needs an authorisation until `unlocked`. Who may list is up to `only_for`.
    """

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    holding: int = 0
    cancelled: int = 0
    unlocked: bool = False
    answers: list[UserAnswer] = field(default_factory=list[UserAnswer])
    only_for: str = ""
    many: int = 0

    async def tools(self, owner: Owner, *, from_server: bool) -> Sequence[Tool]:
        if from_server or (self.only_for and owner.tenant != self.only_for):
            return ()
        names = [*_NAMES, *(f"tool_{number}" for number in range(self.many))]
        return [Tool(name, f"Does {name}.", {"type": "object"}) for name in names]

    async def call(
        self,
        owner: Owner,
        name: str,
        arguments: JsonObject,
        exchange: Exchange,
        answer: UserAnswer | None = None,
    ) -> Outcome | None:
        if exchange.from_server or (self.only_for and owner.tenant != self.only_for):
            return None
        if answer is not None:
            self.answers.append(answer)
        match name:
            case "hold":
                return await self._hold()
            case "ask" | "ask_url" if answer is not None:
                return ToolResult.of(f"{answer.action} {answer.content} {answer.state.decode()}")
            case "ask" | "ask_forever":
                return UserAsked("Which colour?", b"state-of-ask", "form", FORM)
            case "ask_url":
                return UserAsked("Look here.", b"state-of-url", "url", url=PAGE)
            case "locked":
                return ToolResult.of("open") if self.unlocked else AuthorizationNeeded("It is locked.", PAGE)
            case "boom":
                raise RuntimeError("a bug")
            case "steps":
                for step in range(3):
                    await exchange.progress(step + 1, f"step {step + 1}")
                return ToolResult.of(f"asked for it: {exchange.wants_progress}")
            case "refuse":
                raise InvalidRequest("`colour`: expected a text.", param="colour")
            case "who":
                return ToolResult.of(f"{owner.tenant}/{owner.subject} {arguments}")
            case _:
                return None

    async def _hold(self) -> ToolResult:
        await self._note(1)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            await self._note(-1)
        return ToolResult.of("released")

    async def _note(self, more: int) -> None:
        async with self.changed:
            self.holding += more
            self.changed.notify_all()

    async def until_holding(self, count: int) -> None:
        async with asyncio.timeout(20), self.changed:
            await self.changed.wait_for(lambda: self.holding == count)


def key(text: str, tenant: str, subject: str = "") -> ApiKey:
    digest = hashlib.sha256(text.encode()).hexdigest()
    return ApiKey(name=text, hash=f"sha256:{digest}", tenant=tenant, owner=subject or tenant)


@dataclass
class World:
    """`http` reaches the server without a port; `clock` is the one that questions expire by."""

    http: httpx2.AsyncClient
    transport: httpx2.AsyncBaseTransport
    clock: FakeClock
    under_way: UnderWay
    edge: Edge

    @asynccontextmanager
    async def client(self, mode: str, api_key: str = "", **more: Any) -> AsyncGenerator[Client]:
        """The official SDK's client: "legacy" shakes hands, "auto" finds out that it need not."""
        headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
        async with (
            httpx2.AsyncClient(transport=self.transport, headers=headers, timeout=30) as http,
            Client(streamable_http_client(URL, http_client=http), mode=mode, cache=None, **more) as made,
        ):
            yield made

    async def post(
        self, body: object, headers: Mapping[str, str] | None = None, url: str = URL
    ) -> httpx2.Response:
        """A request as no client of ours would send it; bytes go as they are."""
        sent = {**JSON, **(headers or {})}
        if isinstance(body, bytes):
            return await self.http.post(url, content=body, headers=sent)
        return await self.http.post(url, json=body, headers=sent)


@asynccontextmanager
async def serving(
    *sources: ToolSource,
    keys: Sequence[ApiKey] = (),
    public_url: str = "",
    max_streams: int = 100,
    ttl_s: int = 600,
    heartbeat_s: float = 15.0,
    max_body: int = 1024 * 1024,
) -> AsyncGenerator[World]:
    clock, ids = FakeClock(), FakeIds()
    service = McpService(sources, Questions(PlainSealer(), clock, ttl_s), ids)
    routes = McpRoutes(service, Origins(bool(keys), public_url), OpenStreams(max_streams), heartbeat_s)

    async def nothing() -> None:
        """There is nothing to start or stop."""

    edge = Edge(
        Router(routes.table()),
        Authenticator(keys),
        ids,
        max_body=max_body,
        startup=nothing,
        shutdown=nothing,
        error_shape=error_shape(openai_shape),
    )
    host = Host(edge, 1.0)
    await host.start()
    transport = cast("httpx2.AsyncBaseTransport", AsyncTransport(httpx2, lambda: host))
    async with httpx2.AsyncClient(transport=transport, timeout=30) as http:
        yield World(http, transport, clock, routes.under_way, edge)
    await host.aclose()


def call(method: str, request_id: object = 1, **params: Any) -> JsonObject:
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}


def stateless(method: str, capabilities: JsonObject | None = None, **params: Any) -> JsonObject:
    """A request of 2026-07-28."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": STATELESS,
        "io.modelcontextprotocol/clientCapabilities": capabilities or {},
    }
    return call(method, **params, _meta=meta)


def routing(method: str, name: str = "") -> dict[str, str]:
    """The headers that go with it."""
    found = {"mcp-protocol-version": STATELESS, "mcp-method": method}
    return {**found, "mcp-name": name} if name else found
