"""Real MCP servers, by the official SDK, on a loopback port: both generations of the protocol and both transports.

    with McpServers() as servers:
        case = servers.case()
        case.url("mcp")        # as an `mcp` tool's `server_url`
        case.count("tools/list")

Every case is a server of its own to whoever asks: another address, its own tools, its own counts. Its addresses:

| `url(…)`    | what is there |
|-------------|---|
| `mcp`       | streamable HTTP, both generations: with a handshake and a session, and the stateless revision |
| `handshake` | streamable HTTP, the generation with a handshake alone: an older server |
| `modern`    | streamable HTTP, the stateless revision of 2026-07-28 alone |
| `json`      | as `mcp`, and answers are JSON instead of an event stream |
| `stateless` | streamable HTTP without sessions, both generations: it cannot ask back in the older one |
| `sse`       | the older HTTP with SSE, of the generation with a handshake alone |
"""

import itertools
import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final, Self

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver import MCPServer
from mcp_types import UNSUPPORTED_PROTOCOL_VERSION
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from tests.support.asgi import AsgiServer
from tests.support.mcp_tools import add_tools
from tests.support.mcp_wire import TOOL_LIST, Case, asked_of

FLAVOURS: Final = ("mcp", "handshake", "modern", "json", "stateless", "sse")
ASKS_BACK: Final = ("mcp", "handshake", "modern", "sse")
"""Those that can ask a user or a model in the middle of a call."""
_VERSION = "mcp-protocol-version"
INSTRUCTIONS = "Tools of the tests."


class McpServers:
    """A context manager. `case()` may be called from any thread."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._cases: dict[str, Case] = {}
        self._apps: dict[str, Starlette] = {}
        self._server = AsgiServer(self._app)

    def case(self) -> Case:
        name = f"case{next(self._numbers)}"
        made = Case(self._server.url, name, self._server.call)
        self._cases[name] = made
        return made

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.__exit__(*error)

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(self._started(), receive, send)
            return
        path: str = scope["path"]
        name, _, rest = path[1:].partition("/")
        flavour = rest.partition("/")[0]
        case = self._cases.get(name)
        if case is None or flavour not in (*FLAVOURS, "messages"):
            await PlainTextResponse("Not Found", 404)(scope, receive, send)
            return
        body = await Request(scope, receive).body()
        headers = {key.decode().lower(): value.decode("latin-1") for key, value in scope["headers"]}
        case.asked(asked_of(scope["method"], scope["path"], headers, body))
        scope = {**scope, "root_path": f"/{name}", "mcp_case": case}
        modern = headers.get(_VERSION) in MODERN_PROTOCOL_VERSIONS
        if flavour == "modern" and not modern:
            await _unsupported(body)(scope, receive, send)
            return
        if flavour == "handshake":
            kept = [pair for pair in scope["headers"] if not (modern and pair[0] == _VERSION.encode())]
            scope["headers"] = kept
        if flavour in {"handshake", "modern"}:
            scope["path"] = f"/{name}/mcp"
        app = self._apps["sse" if flavour == "messages" else scope["path"].rsplit("/", 1)[-1]]
        await app(scope, _Replayed(_older(body) if flavour == "messages" else body, receive), send)

    @asynccontextmanager
    async def _started(self) -> AsyncGenerator[None]:
        self._apps = {
            "mcp": _made().streamable_http_app(streamable_http_path="/mcp"),
            "json": _made().streamable_http_app(streamable_http_path="/json", json_response=True),
            "stateless": _made().streamable_http_app(streamable_http_path="/stateless", stateless_http=True),
            "sse": _made().sse_app(),
        }
        async with AsyncExitStack() as running:
            for app in self._apps.values():
                await running.enter_async_context(app.router.lifespan_context(app))
            yield


class _Replayed:
    """A request's body, once more; then whatever comes."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


def _made() -> MCPServer[Any]:
    server: MCPServer[Any] = MCPServer(
        "tests",
        version="1.2.3",
        instructions=INSTRUCTIONS,
        log_level="CRITICAL",
        middleware=[_redefining],
    )
    add_tools(server)
    return server


async def _redefining(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """Lists say what the case wants them to."""
    result = await call_next(ctx)
    if ctx.method != TOOL_LIST:
        return result
    assert ctx.request is not None
    case = ctx.request.scope["mcp_case"]
    assert isinstance(case, Case)
    if isinstance(result, BaseModel):
        result = result.model_dump(by_alias=True, mode="json", exclude_none=True)
    assert result is not None
    return {**result, "tools": case.shown(result["tools"])}


def _older(body: bytes) -> bytes:
    """As a server from before the stateless revision reads it: without that revision's envelope."""
    message: Any = json.loads(body)
    if message.get("method") == "server/discover":
        message["params"] = {}
    return json.dumps(message).encode()


def _unsupported(body: bytes) -> JSONResponse:
    try:
        asked: Any = json.loads(body).get("id")
    except (ValueError, AttributeError):
        asked = None
    data = {"supported": list(MODERN_PROTOCOL_VERSIONS), "requested": ""}
    error = {"code": UNSUPPORTED_PROTOCOL_VERSION, "message": "Unsupported protocol version", "data": data}
    return JSONResponse({"jsonrpc": "2.0", "id": asked, "error": error}, 400)


async def _lifespan(running: Any, receive: Receive, send: Send) -> None:
    """The ASGI lifespan protocol around a context manager."""
    await receive()
    async with running:
        await send({"type": "lifespan.startup.complete"})
        await receive()
    await send({"type": "lifespan.shutdown.complete"})


__all__ = ["ASKS_BACK", "FLAVOURS", "INSTRUCTIONS", "Case", "McpServers"]
