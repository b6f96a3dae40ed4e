"""The error tree. Each class states its HTTP status, its `type` and its `code`; its arguments are the facts.

    AntiphonError                       500 server_error
    ├── InvalidRequest                  400 invalid_request_error
    │   ├── UnsupportedParameter        400 unsupported_parameter
    │   ├── ContextLengthExceeded       400 context_length_exceeded
    │   ├── PreviousResponseNotFound    400 previous_response_not_found
    │   ├── InvalidEncryptedContent     400 invalid_encrypted_content
    │   ├── SocketTooOld                400 websocket_connection_limit_reached
    │   ├── EmbeddingMismatch           400 embedding_mismatch
    │   └── FetchRefused                400 url_not_fetched
    ├── Unauthenticated                 401 authentication_error
    ├── PermissionDenied                403 permission_error
    │   └── AuthorizationRequired       403 authorization_required: of a connector, by this user
    ├── NotFound                        404 not_found_error
    │   └── ModelNotFound               404 model_not_found
    ├── MethodNotAllowed                405 method_not_allowed
    ├── RequestTimeout                  408 request_timeout
    ├── ConversationChanged             409 conversation_changed
    ├── ConversationLocked              409 conversation_locked, with Retry-After
    ├── PromptChanged                   409 prompt_changed
    ├── Conflict                        409 conflict: a file in use, an upload that has ended …
    ├── PayloadTooLarge                 413 payload_too_large
    ├── UnsupportedMediaType            415 unsupported_media_type
    ├── RangeNotSatisfiable             416 range_not_satisfiable, with Content-Range
    ├── ProviderError                   502 (the upstream's side)
    │   ├── ProviderRejected            400 the upstream refused the request itself
    │   │   ├── ProviderContextLength   400 context_length_exceeded
    │   │   └── ProviderModelUnknown    404 model_not_found
    │   ├── ProviderRateLimited         429 rate_limit_exceeded, keeps Retry-After
    │   ├── ProviderAuthFailed          502 provider_authentication_failed
    │   ├── ProviderUnavailable         503 provider_unavailable
    │   ├── ProviderTimeout             504 provider_timeout
    │   └── ProviderProtocolError       502 provider_protocol_error
    ├── TooManyWaiting                  429 too_many_waiting
    ├── CompactionFailed                502 compaction_failed
    ├── ConnectorFailed                 502 connector_failed
    ├── TooManyStreams                  503 too_many_streams, with Retry-After
    ├── ShuttingDown                    503 server_shutting_down
    ├── StoreUnavailable                503 store_unavailable
    ├── BlobsUnavailable                503 file_storage_unavailable
    ├── IndexUnavailable                503 vector_index_unavailable
    └── SealingUnavailable              503 sealing_unavailable

A `ValueError` that reaches the edge is a bug of ours and answers 500.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from antiphon.core.usage import Usage


class AntiphonError(Exception):
    """Something we have a name for. `param` is the wire field at fault, or None."""

    status: int = 500
    type: str = "server_error"
    code: str | None = None

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param

    @property
    def headers(self) -> dict[str, str]:
        """Response headers that this error adds."""
        return {}

    def envelope(self) -> dict[str, dict[str, str | None]]:
        return {
            "error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code},
        }


class InvalidRequest(AntiphonError):
    status = 400
    type = "invalid_request_error"
    code = "invalid_value"


class UnsupportedParameter(InvalidRequest):
    code = "unsupported_parameter"


class ContextLengthExceeded(InvalidRequest):
    code = "context_length_exceeded"


class PreviousResponseNotFound(InvalidRequest):
    code = "previous_response_not_found"

    def __init__(self, response_id: str) -> None:
        super().__init__(
            f'no stored response "{response_id}" to continue from. It may have been created with store: false,'
            " or deleted; send its items as `input` instead.",
            param="previous_response_id",
        )


class InvalidEncryptedContent(InvalidRequest):
    code = "invalid_encrypted_content"

    def __init__(self, why: str, param: str) -> None:
        super().__init__(
            f"`{param}`: the encrypted content {why}. Send the item as this server returned it, or leave it out.",
            param=param,
        )


class SocketTooOld(InvalidRequest):
    """A WebSocket has been open for as long as one may be. The code is OpenAI's."""

    code = "websocket_connection_limit_reached"

    def __init__(self, limit_s: float) -> None:
        super().__init__(
            f"this WebSocket has been open for {limit_s / 60:.4g} minutes, the limit of this server; open another"
            " one to go on. What was not stored has to be sent again there."
        )


class EmbeddingMismatch(InvalidRequest):
    """Vectors of one model or size were to be put, or looked for, among those of another."""

    code = "embedding_mismatch"


class FetchRefused(InvalidRequest):
    """A URL that a caller named was not fetched. The message never holds an address that a name resolved to."""

    code = "url_not_fetched"


class Unauthenticated(AntiphonError):
    status = 401
    type = "authentication_error"
    code = "invalid_api_key"

    @property
    def headers(self) -> dict[str, str]:
        return {"www-authenticate": "Bearer"}


class PermissionDenied(AntiphonError):
    status = 403
    type = "permission_error"
    code = "permission_denied"


class AuthorizationRequired(PermissionDenied):
    """The user has to authorise a connector before its server can be asked as them."""

    code = "authorization_required"

    def __init__(self, connector_id: str) -> None:
        super().__init__(
            f'connector "{connector_id}" asks its server as each user, and you have not authorised it, or have to do so'
            f" again: POST /v1/connectors/{connector_id}/authorize says where.",
            param="connector_id",
        )


class NotFound(AntiphonError):
    status = 404
    type = "not_found_error"
    code = "not_found"


class ModelNotFound(NotFound):
    type = "invalid_request_error"
    code = "model_not_found"

    def __init__(self, model: str, served: list[str]) -> None:
        names = ", ".join(served[:20]) or "none yet"
        more = f" and {len(served) - 20} more" if len(served) > 20 else ""
        super().__init__(
            f'model "{model[:256]}" is not served here; served: {names}{more}. List them with GET /v1/models.',
            param="model",
        )


class MethodNotAllowed(AntiphonError):
    status = 405
    type = "invalid_request_error"
    code = "method_not_allowed"

    def __init__(self, method: str, path: str, allowed: list[str]) -> None:
        super().__init__(f"{method} is not served at {path}; served: {', '.join(allowed)}.")
        self.allowed = allowed

    @property
    def headers(self) -> dict[str, str]:
        return {"allow": ", ".join(self.allowed)}


class RequestTimeout(AntiphonError):
    """A body stopped coming in its middle."""

    status = 408
    type = "invalid_request_error"
    code = "request_timeout"

    def __init__(self, waited_s: float) -> None:
        super().__init__(f"nothing more of the body came for {waited_s:g} s; send the request again.")


class ConversationChanged(AntiphonError):
    """Another server process added to the conversation, or deleted it, while this one worked on it."""

    status = 409
    type = "conflict_error"
    code = "conversation_changed"

    def __init__(self, conversation_id: str) -> None:
        super().__init__(
            f'the conversation "{conversation_id}" was changed by somebody else meanwhile, so nothing was added to it;'
            " send the request again.",
            param="conversation",
        )


class ConversationLocked(AntiphonError):
    """A turn of the conversation goes on for longer than anybody waits for it: its model or its reader is slow."""

    status = 409
    type = "conflict_error"
    code = "conversation_locked"

    def __init__(self, conversation_id: str, waited_s: float) -> None:
        super().__init__(
            f'the conversation "{conversation_id}" is still busy with an earlier turn after {waited_s:g} s; cancel that'
            " turn by closing its request, or try again later.",
            param="conversation",
        )

    @property
    def headers(self) -> dict[str, str]:
        return {"retry-after": "10"}


class PromptChanged(AntiphonError):
    """Somebody else added a version to the prompt meanwhile. Sending the same again cannot help."""

    status = 409
    type = "conflict_error"
    code = "prompt_changed"

    def __init__(self, prompt_id: str, *, sent: int, latest: int) -> None:
        super().__init__(
            f'the latest version of prompt "{prompt_id}" is {latest}, not {sent}; nothing was changed. Get it, see what'
            " changed, and send the update for it.",
            param="version",
        )

    @property
    def headers(self) -> dict[str, str]:
        """The clients that OpenAI and Llama Stack generate repeat a 409 unless they are told not to."""
        return {"x-should-retry": "false"}


class Conflict(AntiphonError):
    """The state of a thing forbids what was asked. Sending the same again cannot help."""

    status = 409
    type = "conflict_error"
    code = "conflict"

    @property
    def headers(self) -> dict[str, str]:
        """As of `PromptChanged`."""
        return {"x-should-retry": "false"}


class PayloadTooLarge(AntiphonError):
    status = 413
    type = "invalid_request_error"
    code = "payload_too_large"


class UnsupportedMediaType(AntiphonError):
    status = 415
    type = "invalid_request_error"
    code = "unsupported_media_type"


class RangeNotSatisfiable(AntiphonError):
    """A byte range that begins behind the end (RFC 9110, 15.5.17). `size` is that of the whole."""

    status = 416
    type = "invalid_request_error"
    code = "range_not_satisfiable"

    def __init__(self, size: int) -> None:
        super().__init__(f"the range begins behind the end; there are {size} bytes.", param="range")
        self.size = size

    @property
    def headers(self) -> dict[str, str]:
        return {"content-range": f"bytes */{self.size}"}


class ProviderError(AntiphonError):
    """The upstream failed. `provider` is its configured id; messages hold no URL, host or secret."""

    status = 502
    code = "provider_error"
    upstream_status: int | None = None
    """The HTTP status that the upstream refused with, if it came to that."""

    def __init__(
        self, provider: str, message: str, *, param: str | None = None, retry_after: str | None = None
    ) -> None:
        super().__init__(message, param=param)
        self.provider = provider
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        return {"retry-after": self.retry_after} if self.retry_after else {}


class ProviderRejected(ProviderError):
    status = 400
    type = "invalid_request_error"
    code = "provider_rejected"


class ProviderContextLength(ProviderRejected):
    code = "context_length_exceeded"


class ProviderModelUnknown(ProviderRejected):
    status = 404
    code = "model_not_found"


class ProviderRateLimited(ProviderError):
    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"


class ProviderAuthFailed(ProviderError):
    code = "provider_authentication_failed"


class ProviderUnavailable(ProviderError):
    status = 503
    code = "provider_unavailable"


class ProviderTimeout(ProviderError):
    status = 504
    code = "provider_timeout"


class ProviderProtocolError(ProviderError):
    code = "provider_protocol_error"


class TooManyWaiting(AntiphonError):
    """A WebSocket sends faster than its responses end."""

    status = 429
    type = "rate_limit_error"
    code = "too_many_waiting"

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"{limit} frames of this connection wait for their turn, or as many bytes as may; read the responses"
            " before you ask for more."
        )


class CompactionFailed(AntiphonError):
    """The model that was to sum a context up did not. `usage` is what the attempt cost, if that was told."""

    status = 502
    code = "compaction_failed"

    def __init__(self, model: str, problem: str, usage: "Usage | None" = None) -> None:
        super().__init__(
            f'the context could not be compacted: model "{model}" was asked for a summary, and {problem}. Try'
            " again, or compact with another model.",
        )
        self.usage = usage


class ConnectorFailed(AntiphonError):
    """The MCP server behind a connector did not answer as it should."""

    status = 502
    code = "connector_failed"

    def __init__(self, connector_id: str, why: str) -> None:
        super().__init__(f'connector "{connector_id}": {why}', param="connector_id")


class TooManyStreams(AntiphonError):
    status = 503
    code = "too_many_streams"

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} streams are open, the limit of this server; try again in a moment.")

    @property
    def headers(self) -> dict[str, str]:
        return {"retry-after": "1"}


class ShuttingDown(AntiphonError):
    status = 503
    code = "server_shutting_down"

    def __init__(self) -> None:
        super().__init__("the server is shutting down and could not wait for this request; send it again.")

    @property
    def headers(self) -> dict[str, str]:
        return {"retry-after": "1"}


class StoreUnavailable(AntiphonError):
    status = 503
    code = "store_unavailable"


class BlobsUnavailable(AntiphonError):
    """What files hold cannot be read or written now."""

    status = 503
    code = "file_storage_unavailable"


class IndexUnavailable(AntiphonError):
    """A vector index cannot be asked now."""

    status = 503
    code = "vector_index_unavailable"


class SealingUnavailable(AntiphonError):
    status = 503
    code = "sealing_unavailable"


_FAILURES = {
    "invalid_prompt": (400, "invalid_request_error"),
    "rate_limit_exceeded": (429, "rate_limit_error"),
}


def failure_status(code: str | None) -> tuple[int, str]:
    """The status and the type of the error that ended a response which had begun, by its `error.code`."""
    return _FAILURES.get(code or "", (500, "server_error"))
