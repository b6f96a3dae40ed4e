"""From what the SDK raises, and what the transport saw, to the failures of the port."""

from typing import Final

import mcp_types as types
from mcp.shared.exceptions import MCPError

from antiphon.mcp.exchange import Exchange
from antiphon.mcp.limits import MAX_SAID
from antiphon.mcp.wording import line
from antiphon.ports.mcp import McpFailure, McpHttpFailure, McpProtocolFailure, McpRefused, McpUnreachable

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


def failure_of(error: BaseException, exchange: Exchange, label: str) -> McpFailure:
    """Why a request to the server of this label has no result."""
    if isinstance(error, McpFailure):
        return error
    if exchange.failure is not None:
        return exchange.failure
    status = exchange.status
    if status in _NOT_OURS or (status >= 400 and is_made_up(error)):
        return McpHttpFailure(about(label, f"answered with status {status}"), status, exchange.challenge)
    if isinstance(error, MCPError):
        return _of_rpc(error, label)
    if isinstance(error, BaseExceptionGroup):
        return failure_of(error.exceptions[0], exchange, label)
    if isinstance(error, TimeoutError):
        return McpUnreachable(about(label, "did not answer in time"))
    if isinstance(error, RuntimeError | ValueError):
        return McpProtocolFailure(
            about(label, "answered with something that MCP does not provide for"), NO_ANSWER
        )
    return McpUnreachable(about(label, "broke off"))


def is_made_up(error: BaseException) -> bool:
    return isinstance(error, MCPError) and (error.code, error.message) in _MADE_UP


def _of_rpc(error: MCPError, label: str) -> McpFailure:
    match error.code:
        case types.CONNECTION_CLOSED if "exceeded" in error.message:
            return McpRefused(about(label, "sent a message that is larger than is allowed here"))
        case types.CONNECTION_CLOSED:
            return McpUnreachable(about(label, "broke off before it answered"))
        case types.PARSE_ERROR:
            return McpProtocolFailure(about(label, "answered with something that is not JSON-RPC"), NO_ANSWER)
        case code:
            said = line(error.message, MAX_SAID) or "no message"
            return McpProtocolFailure(about(label, f"answered with error {code}: {said}"), code)


def about(label: str, what: str) -> str:
    """The sentence that callers read."""
    return f"MCP server `{label}` {what}."
