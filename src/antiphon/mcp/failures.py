"""From what the SDK raises, and what the transport saw, to the failures of the port."""

from typing import Final

import mcp_types as types
from mcp.shared.exceptions import MCPError

from antiphon.mcp.exchange import Exchange
from antiphon.mcp.limits import MAX_SAID
from antiphon.mcp.wording import line
from antiphon.ports.mcp import (
    McpFailure,
    McpHttpFailure,
    McpProtocolFailure,
    McpRefused,
    McpServer,
    McpUnreachable,
)

_NOT_OURS: Final = frozenset({401, 403})
"""Statuses that say more than any JSON-RPC error beside them."""
_MADE_UP: Final = frozenset(
    {
        (types.INTERNAL_ERROR, "Server returned an error response"),
        (types.METHOD_NOT_FOUND, "Not Found"),
        (types.INVALID_REQUEST, "Session terminated"),
    }
)
"""The SDK's stand-ins for an HTTP error without a JSON-RPC error in its body."""
NO_ANSWER: Final = types.PARSE_ERROR
_SHORTEST_SECRET: Final = 6
_TOO_LARGE: Final = "SSE stream failed: Server-sent event exceeded"
_BROKE_OFF: Final = ("Connection closed", "SSE stream ended", "SSE stream failed")
_NOT_RPC: Final = (
    "Failed to parse JSON response",
    "Failed to parse SSE message",
    "Unexpected content type",
    "server answered a request with 202 Accepted",
)
_REDIRECTED: Final = "Redirect to "
"""How the SDK's own errors begin: servers use the same codes."""


def failure_of(error: BaseException, exchange: Exchange, server: McpServer) -> McpFailure:
    """Why a request to this server has no result."""
    label = server.label
    if isinstance(error, McpFailure):
        return error
    if exchange.failure is not None:
        return exchange.failure
    status = exchange.status
    if status in _NOT_OURS or (status >= 400 and is_made_up(error)):
        return McpHttpFailure(about(label, f"answered with status {status}"), status, exchange.challenge)
    if isinstance(error, MCPError):
        return _of_rpc(error, server)
    if isinstance(error, TimeoutError):
        return McpUnreachable(about(label, "did not answer in time"))
    if isinstance(error, RuntimeError | ValueError):
        return McpProtocolFailure(
            about(label, "answered with something that MCP does not provide for"), NO_ANSWER
        )
    return McpUnreachable(about(label, "broke off"))


def is_made_up(error: BaseException) -> bool:
    return isinstance(error, MCPError) and (error.code, error.message) in _MADE_UP


def _of_rpc(error: MCPError, server: McpServer) -> McpFailure:
    code, message, label = error.code, error.message, server.label
    if code == types.CONNECTION_CLOSED and message.startswith(_BROKE_OFF):
        if message.startswith(_TOO_LARGE):
            return McpRefused(about(label, "sent a message that is larger than is allowed here"))
        return McpUnreachable(about(label, "broke off before it answered"))
    if code in {types.PARSE_ERROR, types.INVALID_REQUEST}:
        if message.startswith(_NOT_RPC):
            return McpProtocolFailure(about(label, "answered with something that is not JSON-RPC"), NO_ANSWER)
        if message.startswith(_REDIRECTED):
            return McpRefused(about(label, "redirects again and again"))
    said = line(without_secrets(message, server), MAX_SAID) or "no message"
    return McpProtocolFailure(about(label, f"answered with error {code}: {said}"), code)


def without_secrets(text: str, server: McpServer) -> str:
    """Some servers say what they were sent."""
    for _, value in (*server.headers, *server.environment):
        for secret in (value, value.partition(" ")[2]):
            if len(secret) >= _SHORTEST_SECRET:
                text = text.replace(secret, "[withheld]")
    return text


def about(label: str, what: str) -> str:
    """The sentence that callers read."""
    return f"MCP server `{label}` {what}."
