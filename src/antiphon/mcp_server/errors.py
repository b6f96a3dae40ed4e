"""Errors of `/mcp` that come before a message is answered: their statuses as everywhere, their bodies as JSON-RPC."""

from collections.abc import Mapping
from typing import Final

from antiphon.core.errors import AntiphonError
from antiphon.core.wire import JsonObject
from antiphon.mcp_server.messages import INTERNAL_ERROR, INVALID_REQUEST, SERVER_ERROR, RpcError, error_of
from antiphon.web.edge import ErrorShape

PATH: Final = "/mcp"


def rpc_error(error: AntiphonError) -> RpcError:
    """An error of ours for an MCP client; `data` is what the OpenAI envelope says besides the message."""
    code = INTERNAL_ERROR if error.status == 500 else INVALID_REQUEST if error.status < 500 else SERVER_ERROR
    return RpcError(code, error.message, {"type": error.type, "code": error.code, "param": error.param})


def error_shape(others: ErrorShape) -> ErrorShape:
    """The bodies of errors at `/mcp`; those of all other paths are up to `others`."""

    def shape(
        error: AntiphonError, request_id: str, path: str, headers: Mapping[bytes, bytes]
    ) -> tuple[JsonObject, Mapping[str, str]]:
        if path.rstrip("/") != PATH:
            return others(error, request_id, path, headers)
        return error_of(rpc_error(error)), {}

    return shape
