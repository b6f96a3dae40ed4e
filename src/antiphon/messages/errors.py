"""Errors as the Messages API has them, made from the one error tree (`core/errors.py`)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from antiphon.core.errors import AntiphonError
from antiphon.core.wire import JsonObject

PREFIXES: Final = ("/v1/messages", "/v1/openai/v1/messages")
VERSION: Final = b"anthropic-version"
REQUEST_ID: Final = "request-id"
NO_THREADS: Final = "thread_unsupported_request"
"""The code by which the official client's tool runner learns to send the whole conversation instead."""
_TYPES: Final[Mapping[int, str]] = MappingProxyType(
    {
        400: "invalid_request_error",
        401: "authentication_error",
        403: "permission_error",
        404: "not_found_error",
        405: "invalid_request_error",
        409: "conflict_error",
        413: "request_too_large",
        415: "invalid_request_error",
        429: "rate_limit_error",
        503: "overloaded_error",
        504: "timeout_error",
    }
)
_FAILED: Final[Mapping[str, int]] = MappingProxyType(
    {"rate_limit_exceeded": 429, "invalid_prompt": 400, "server_shutting_down": 503}
)
"""Statuses for the error codes of a response that failed after it had begun (`ResponseErrorCode`)."""


class AnswerFailed(AntiphonError):
    """The answer broke off behind its beginning. `code` is that of the response."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.status = _FAILED.get(code, 500)


def error_body(error: AntiphonError, request_id: str) -> JsonObject:
    """The envelope of this API, which is also its `error` event."""
    facts: JsonObject = {"type": _TYPES.get(error.status, "api_error"), "message": error.message}
    if error.code == NO_THREADS:
        facts["details"] = {"error_code": NO_THREADS}
    return {"type": "error", "error": facts, "request_id": request_id}


def speaks_messages(path: str, headers: Mapping[bytes, bytes]) -> bool:
    """Whether an answer to this request is of the Messages API: below its routes, and for models by the header."""
    path = path.rstrip("/")
    if any(path == prefix or path.startswith(f"{prefix}/") for prefix in PREFIXES):
        return True
    return VERSION in headers and (path == "/v1/models" or path.startswith("/v1/models/"))


def error_shape(
    error: AntiphonError, request_id: str, path: str, headers: Mapping[bytes, bytes]
) -> tuple[JsonObject, Mapping[str, str]]:
    """See `web.edge.ErrorShape`: this API's envelope for its own requests, OpenAI's for all others."""
    if not speaks_messages(path, headers):
        return error.envelope(), {}
    return error_body(error, request_id), {REQUEST_ID: request_id}
