"""An MCP server with two tools, by the official SDK, as a process: `python -m bench.mcp_server`.

It serves streamable HTTP on a free loopback port and prints `listening on http://127.0.0.1:PORT`.
"""

import asyncio
import socket

import uvicorn
from mcp.server import MCPServer

from bench.rows import SAID

tools = MCPServer("bench", log_level="WARNING")


@tools.tool()
def get_weather(city: str) -> str:
    """The weather of a city now."""
    del city
    return SAID


@tools.tool()
async def slow(ms: int) -> str:
    """Answer after so many milliseconds."""
    await asyncio.sleep(ms / 1000)
    return SAID


def main() -> None:
    listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
    app = tools.streamable_http_app(json_response=True)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
    print(f"listening on http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    server.run([listening])


if __name__ == "__main__":
    main()
