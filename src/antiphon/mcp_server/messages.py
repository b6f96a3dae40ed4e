"""JSON-RPC 2.0 as MCP uses it: what comes in, checked, and what goes out, encoded.

Source: https://modelcontextprotocol.io/specification, "Base protocol"; ids are strings and whole numbers there, never
null, and parameters are objects.
"""

from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from antiphon.core.json_values import is_array, is_object, json_name
from antiphon.core.wire import JsonObject, decode_json, encode

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
SERVER_ERROR: Final = -32000
"""Of ours, and said in `data`: the first of those that MCP leaves to implementations."""
HEADER_MISMATCH: Final = -32020
UNSUPPORTED_VERSION: Final = -32022
URL_ELICITATION_REQUIRED: Final = -32042
CANCELLED: Final = -32800
"""Answers a request that its client cancelled: over HTTP each needs an answer. The official SDKs say the same."""

HTTP_STATUS: Final = {
    PARSE_ERROR: 400,
    INVALID_REQUEST: 400,
    INVALID_PARAMS: 400,
    HEADER_MISMATCH: 400,
    UNSUPPORTED_VERSION: 400,
    METHOD_NOT_FOUND: 404,
}
"""The statuses that revision 2026-07-28 gives errors; others go with 200."""
MAX_BATCH: Final = 32
MAX_ID: Final = 256
RequestId = str | int


class RpcError(Exception):
    """Answers a message with an error. `request_id` None: it could not be read."""

    def __init__(
        self, code: int, message: str, data: Any = None, *, request_id: RequestId | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data
        self.request_id = request_id


@dataclass(frozen=True, slots=True)
class Call:
    """A request: it is owed an answer."""

    id: RequestId
    method: str
    params: JsonObject = field(default_factory=dict[str, Any])

    @property
    def meta(self) -> JsonObject:
        """`_meta` of its parameters, empty where there is none."""
        meta = self.params.get("_meta")
        return meta if is_object(meta) else {}


@dataclass(frozen=True, slots=True)
class Notice:
    """A notification: nobody waits for an answer."""

    method: str
    params: JsonObject = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Answer:
    """What the client says to a request of ours; `result` is None when it is an error."""

    id: RequestId
    result: JsonObject | None


Message = Call | Notice | Answer


def read(body: bytes) -> Message | list[Any]:
    """The message in a body, or the members of a batch, each still to be `checked`. Raises RpcError."""
    try:
        body.decode()
        value = decode_json(body)
    except RecursionError:
        raise RpcError(PARSE_ERROR, "the body is nested too deep; flatten it.") from None
    except UnicodeDecodeError as error:
        raise RpcError(PARSE_ERROR, f"the body is not valid UTF-8 (byte {error.start}).") from None
    except msgspec.DecodeError as error:
        raise RpcError(PARSE_ERROR, f"the body is not valid JSON: {error}.") from None
    if not is_array(value):
        return checked(value)
    if not value or len(value) > MAX_BATCH:
        raise RpcError(INVALID_REQUEST, f"a batch has 1 to {MAX_BATCH} messages.")
    return value


def checked(value: object) -> Message:
    """One message. Raises RpcError, with the id of the request where it has a valid one."""
    if not is_object(value):
        raise RpcError(INVALID_REQUEST, f"a message is a JSON object, not {json_name(value)}.")
    request_id = _id_of(value)
    if value.get("jsonrpc") != "2.0":
        raise RpcError(INVALID_REQUEST, '`jsonrpc`: expected "2.0".', request_id=request_id)
    if "method" not in value:
        return _answer(value, request_id)
    method = value["method"]
    if not isinstance(method, str) or not method:
        raise RpcError(INVALID_REQUEST, "`method`: expected the name of a method.", request_id=request_id)
    params = value.get("params")
    if params is not None and not is_object(params):
        raise RpcError(
            INVALID_PARAMS, f"`params`: expected an object, found {json_name(params)}.", request_id=request_id
        )
    if request_id is None:
        return Notice(method, params or {})
    return Call(request_id, method, params or {})


def _id_of(value: JsonObject) -> RequestId | None:
    """None where there is none. Raises RpcError for one that no request may have."""
    if "id" not in value:
        return None
    given = value["id"]
    if isinstance(given, bool) or not isinstance(given, str | int):
        raise RpcError(
            INVALID_REQUEST, f"`id`: expected a string or a whole number, found {json_name(given)}."
        )
    if isinstance(given, str) and len(given) > MAX_ID:
        raise RpcError(INVALID_REQUEST, f"`id`: at most {MAX_ID} characters.")
    return given


def _answer(value: JsonObject, request_id: RequestId | None) -> Answer:
    result, error = value.get("result"), value.get("error")
    if request_id is None or is_object(result) == is_object(error):
        raise RpcError(
            INVALID_REQUEST,
            "a message has a `method`, or answers one of ours by its `id` with a `result` or an `error`.",
            request_id=request_id,
        )
    return Answer(request_id, result if is_object(result) else None)


# --- what goes out -------------------------------------------------------------------------------------------
def result_of(request_id: RequestId, result: JsonObject) -> JsonObject:
    return {"jsonrpc": "2.0", "id": request_id, "result": result}


def error_of(error: RpcError, request_id: RequestId | None = None) -> JsonObject:
    """`id` is null where the message could not be read: JSON-RPC asks for that."""
    facts: JsonObject = {"code": error.code, "message": error.message}
    if error.data is not None:
        facts["data"] = error.data
    return {
        "jsonrpc": "2.0",
        "id": request_id if request_id is not None else error.request_id,
        "error": facts,
    }


def notification(method: str, params: JsonObject) -> JsonObject:
    return {"jsonrpc": "2.0", "method": method, "params": params}


def request_of(request_id: RequestId, method: str, params: JsonObject) -> JsonObject:
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}


def event(message: JsonObject) -> bytes:
    """A message as a server-sent event."""
    return b"event: message\ndata: %b\n\n" % encode(message)
