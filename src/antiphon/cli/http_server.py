"""How uvicorn is set, wherever the command line starts a server."""

import asyncio
from typing import Any, Literal

import uvicorn

from antiphon.cli.http_protocol import HttpProtocol
from antiphon.config.settings import ServerSettings
from antiphon.web.edge import Edge

PING_S = 20.0
PONG_S = 120.0
"""A client that answers no ping for so long is gone. Simple ones answer only while they wait for a message, so the
time has to cover a tool that they run in between.
"""
SPARE_BYTES = 1024 * 1024


def uvicorn_config(
    edge: Edge, server: ServerSettings, *, log_level: Literal["warning", "error"] = "warning", grace_s: int
) -> uvicorn.Config:
    """`grace_s`: how long running requests may take to end when the server is told to stop."""
    return uvicorn.Config(
        edge,
        http=HttpProtocol,
        loop="uvloop",
        ws=websocket_protocol(edge),
        # Above the limit of bodies, so that a frame which is too large is answered by one that says so. What is
        # larger still ends the connection with 1009.
        ws_max_size=2 * server.limits.max_body_bytes + SPARE_BYTES,
        ws_ping_interval=PING_S,
        ws_ping_timeout=PONG_S,
        ws_per_message_deflate=False,
        lifespan="on",
        interface="asgi3",
        access_log=False,
        log_level=log_level,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=grace_s,
        ssl_certfile=server.tls_certfile,
        ssl_keyfile=server.tls_keyfile,
    )


def websocket_protocol(edge: Edge) -> type[asyncio.Protocol]:
    """What uvicorn makes for each WebSocket. Its modules are loaded for the first one, and never without one."""

    class OnFirstUse(asyncio.Protocol):
        def __new__(cls, **connection: Any) -> Any:
            from antiphon.cli.websocket_protocol import WebSocketProtocol

            return WebSocketProtocol(edge.end, **connection)

    return OnFirstUse
