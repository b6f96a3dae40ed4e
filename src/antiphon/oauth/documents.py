"""What authorisation servers, and servers that they protect, say of themselves. Keys that are not named here are passed
over, as each of these standards asks.
"""

from typing import TypeVar

import msgspec

from antiphon.ports.exchanges import Answer
from antiphon.ports.mcp import McpFailure


class ResourceMetadata(msgspec.Struct, frozen=True):
    """A protected resource (RFC 9728, section 2)."""

    resource: str
    authorization_servers: list[str] | None = None
    scopes_supported: list[str] | None = None


class ServerMetadata(msgspec.Struct, frozen=True):
    """An authorisation server (RFC 8414, section 2; OpenID Connect Discovery; RFC 9207, section 3)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    registration_endpoint: str | None = None
    revocation_endpoint: str | None = None
    scopes_supported: list[str] | None = None
    grant_types_supported: list[str] | None = None
    code_challenge_methods_supported: list[str] | None = None
    token_endpoint_auth_methods_supported: list[str] | None = None
    authorization_response_iss_parameter_supported: bool | None = None
    client_id_metadata_document_supported: bool | None = None


class Registered(msgspec.Struct, frozen=True):
    """What a registration was answered with (RFC 7591, section 3.2.1)."""

    client_id: str
    client_secret: str | None = None
    client_secret_expires_at: int | None = None
    token_endpoint_auth_method: str | None = None

    def __repr__(self) -> str:
        return "Registered(…)"


class Granted(msgspec.Struct, frozen=True):
    """A token (RFC 6749, section 5.1). Some servers give the seconds as text."""

    access_token: str
    token_type: str
    expires_in: int | float | str | None = None
    refresh_token: str | None = None
    scope: str | None = None

    def __repr__(self) -> str:
        return "Granted(…)"


class Denied(msgspec.Struct, frozen=True):
    """An error of a token endpoint or of a registration (RFC 6749, section 5.2; RFC 7591, section 3.2.2)."""

    error: str


DocumentT = TypeVar("DocumentT", bound=msgspec.Struct)


class Unreadable(McpFailure):
    """An answer that is not the JSON object that it has to be."""


def decoded(answer: Answer, kind: type[DocumentT], what: str) -> DocumentT:
    """The document that an answer holds. Raises Unreadable, which repeats nothing of it."""
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except msgspec.ValidationError as error:
        # msgspec names types and, by `$`, where they are; of the text itself it repeats nothing.
        raise Unreadable(f"{what} cannot be used: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Unreadable(f"{what} cannot be used: it is not a JSON document") from None


def error_code(answer: Answer) -> str:
    """The `error` of an answer, "" where there is none that can be read."""
    try:
        return msgspec.json.decode(answer.body, type=Denied).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
