"""What a server's failure is called: as the error of a call, whose message is that of a list that could not be had.

Source: `MCPProtocolError`, `HTTPError` and `MCPToolExecutionError` of the official OpenAPI; codes below -32000 are
those that JSON-RPC leaves to implementations.
"""

import logging
import traceback
from typing import Final

from antiphon.core.hosted_items import McpHttpError, McpProtocolError
from antiphon.mcp_tools.texts import Scrubber
from antiphon.ports.mcp import McpFailure, McpHttpFailure, McpProtocolFailure, McpRefused

log = logging.getLogger("antiphon.tools")
UNREACHABLE: Final = -32000
"""Not connected to, broken off, or not in time."""
REFUSED: Final = -32050
"""This server did not ask, or did not take the answer."""
INTERNAL: Final = -32603
INVALID: Final = -32602
MAX_MESSAGE = 1000

CallError = McpProtocolError | McpHttpError


def error_of(failure: McpFailure, label: str, scrub: Scrubber) -> CallError:
    """The error of a call that could not be made, or was not answered."""
    message = explained(failure, label, scrub)
    match failure:
        case McpHttpFailure():
            return McpHttpError(code=failure.status, message=message)
        case McpProtocolFailure():
            return McpProtocolError(code=failure.code, message=message)
        case McpRefused():
            return McpProtocolError(code=REFUSED, message=message)
        case _:
            return McpProtocolError(code=UNREACHABLE, message=message)


def explained(failure: McpFailure, label: str, scrub: Scrubber) -> str:
    """A sentence for callers and models; it names the server by its label."""
    if isinstance(failure, McpHttpFailure) and failure.status in (401, 403):
        return (
            f"MCP server `{label}` refused the credentials of this request (status {failure.status}); send others in"
            " `authorization` or `headers`, or authorise its connector anew."
        )
    why = scrub.line(failure.message, MAX_MESSAGE)
    return why if f"`{label}`" in why else f"MCP server `{label}`: {why}"


def refused(message: str) -> McpProtocolError:
    """Nothing was asked."""
    return McpProtocolError(code=REFUSED, message=message)


def invalid(message: str) -> McpProtocolError:
    return McpProtocolError(code=INVALID, message=message)


def broken_off(label: str) -> McpProtocolError:
    return McpProtocolError(code=UNREACHABLE, message=f"MCP server `{label}` broke off before it answered.")


def internal(error: Exception, label: str) -> McpProtocolError:
    """A bug. Where it was is logged, and not what it says: that may hold what was sent to a server."""
    places = [
        f"{one.filename}:{one.lineno} in {one.name}" for one in traceback.extract_tb(error.__traceback__)
    ]
    log.error(
        "an MCP server could not be asked: %s, at %s", type(error).__name__, " < ".join(reversed(places))
    )
    return McpProtocolError(
        code=INTERNAL, message=f"MCP server `{label}` could not be asked: an internal error of this server."
    )


def note(error: CallError) -> None:
    """For the operator."""
    log.warning("%s", error.message)
