"""Messages of `/mcp` for the OpenAPI document. What they hold is MCP's to say."""

from collections.abc import Mapping
from typing import Any, Final, Literal

from antiphon.core.wire import UNSET, JsonObject, UnsetType, Wire


class RpcFault(Wire):
    code: int
    message: str
    data: Any = UNSET


class McpMessage(Wire):
    """A JSON-RPC message: a request, a notification (without `id`), or an answer to a request of the other side."""

    jsonrpc: Literal["2.0"]
    id: str | int | UnsetType = UNSET
    method: str | UnsetType = UNSET
    params: JsonObject | UnsetType = UNSET
    result: JsonObject | UnsetType = UNSET
    error: RpcFault | UnsetType = UNSET


class McpRefusal(Wire):
    """`id` is null where that of the message could not be read."""

    jsonrpc: Literal["2.0"]
    id: str | int | None
    error: RpcFault


TYPES: Final[Mapping[str, Any]] = {"McpMessage": McpMessage, "McpRefusal": McpRefusal}
