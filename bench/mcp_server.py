"""An MCP server that costs almost nothing: `python -m bench.mcp_server`, with two tools over streamable HTTP.

It speaks the revision of 2026-07-28, without sessions, as the official SDK's servers do, answers in JSON, and lets its
list be kept. It serves on a free loopback port and prints `listening on http://127.0.0.1:PORT`.
"""

import asyncio
from typing import Any

import msgspec
import uvloop

from bench.raw_http import RawConnection, json_reply, serve
from bench.rows import SAID

VERSION = "2026-07-28"
_TTL_MS = 600_000


def _tool(name: str, description: str, argument: str, kind: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {argument: {"type": kind}}, "required": [argument]}
    return {"name": name, "description": description, "inputSchema": schema}


def _result(**fields: Any) -> bytes:
    about = {"io.modelcontextprotocol/serverInfo": {"name": "bench", "version": "1"}}
    return msgspec.json.encode({"resultType": "complete", "_meta": about, **fields})


_CACHED = {"cacheScope": "private", "ttlMs": _TTL_MS}
_RESULTS = {
    "server/discover": _result(
        capabilities={"tools": {"listChanged": False}}, supportedVersions=[VERSION], **_CACHED
    ),
    "tools/list": _result(
        tools=[
            _tool("get_weather", "The weather of a city now.", "city", "string"),
            _tool("slow", "Answer after so many milliseconds.", "ms", "integer"),
        ],
        **_CACHED,
    ),
    "tools/call": _result(content=[{"type": "text", "text": SAID}], isError=False),
}
_NOT_THERE = json_reply(b"{}", b"405 Method Not Allowed")
_TAKEN = b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n"


class _Params(msgspec.Struct):
    name: str = ""
    arguments: dict[str, Any] = {}


class _Asked(msgspec.Struct):
    method: str = ""
    id: int | str | None = None
    params: _Params = msgspec.field(default_factory=_Params)


_decode = msgspec.json.Decoder(_Asked).decode


class McpConnection(RawConnection):
    """One connection; a call of `slow` is answered when its time has come."""

    def answer(self, head: bytes, body: bytes) -> None:
        if not head.startswith(b"post "):
            self._write(_NOT_THERE)
            return
        asked = _decode(body)
        result = _RESULTS.get(asked.method)
        if asked.id is None or result is None:
            self._write(_TAKEN)
            return
        reply = json_reply(b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (msgspec.json.encode(asked.id), result))
        if asked.params.name == "slow":
            wait_s = asked.params.arguments["ms"] / 1000
            asyncio.get_running_loop().call_later(wait_s, self._write, reply)
        else:
            self._write(reply)

    def _write(self, reply: bytes) -> None:
        if self.transport is not None:
            self.transport.write(reply)


if __name__ == "__main__":
    uvloop.run(serve(McpConnection))
