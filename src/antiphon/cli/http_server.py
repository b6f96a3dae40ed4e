"""How uvicorn is set, wherever the command line starts a server."""

from typing import Literal

import uvicorn

from antiphon.config.settings import ServerSettings
from antiphon.web.edge import Edge


def uvicorn_config(
    edge: Edge, server: ServerSettings, *, log_level: Literal["warning", "error"] = "warning", grace_s: int
) -> uvicorn.Config:
    """`grace_s`: how long running requests may take to end when the server is told to stop."""
    return uvicorn.Config(
        edge,
        http="httptools",
        loop="uvloop",
        ws="none",
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
