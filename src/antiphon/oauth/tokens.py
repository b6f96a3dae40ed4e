"""The token endpoint: a code for a token, a refresh token for the next one."""

import re
from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace as with_fields

from antiphon.oauth.asking import Asking
from antiphon.oauth.challenges import scopes_of
from antiphon.oauth.clients import shown
from antiphon.oauth.documents import Granted, decoded, error_code
from antiphon.oauth.kept import Client, Flow, Token
from antiphon.ports.exchanges import Answer
from antiphon.ports.mcp import McpFailure

_SENDABLE = re.compile(
    r"[\x21-\x7e]{1,16384}"
)  # in a header, as it is (RFC 6750, section 2.1, and what servers send)
_VISIBLE = re.compile(r"[\x20-\x7e]{1,16384}")  # RFC 6749, appendix A.17
_MAX_LIFETIME_S = 10 * 366 * 86_400
WHAT: Final = "the token endpoint of the authorisation server"
UNKNOWN_CLIENT: Final = frozenset({"invalid_client", "unauthorized_client"})
_GONE = frozenset({404, 410})
_ERRORS = UNKNOWN_CLIENT | {
    "invalid_grant",
    "invalid_request",
    "invalid_scope",
    "invalid_target",
    "unsupported_grant_type",
}


class TokenDenied(McpFailure):
    """The endpoint refused what it was shown. `code` is its `error` (RFC 6749), "" where that is not known here."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"{WHAT} answered with status {status}" + (f": {code}" if code else ""))
        self.code = code
        self.is_final = bool(code) or status in _GONE
        """Asking again would not help: the same will be said."""


async def exchange_code(asking: Asking, flow: Flow, code: str, now: int) -> Token:
    """Raises McpFailure."""
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": flow.redirect_uri,
        "code_verifier": flow.verifier,
        "resource": flow.resource,
    }
    granted = await _asked(asking, flow.endpoint, flow.client, form)
    empty = Token(
        subject=flow.subject,
        server=flow.server,
        issuer=flow.issuer,
        endpoint=flow.endpoint,
        revocation=flow.revocation,
        resource=flow.resource,
        client=flow.client,
        client_key=flow.client_key,
        access="",
        scopes=flow.scopes,
    )
    return _renewed(empty, granted, now)


async def refresh(asking: Asking, token: Token, now: int) -> Token:
    """The next token; with it the refresh token that it came with, else the one that was used. Raises McpFailure."""
    form = {"grant_type": "refresh_token", "refresh_token": token.refresh, "resource": token.resource}
    return _renewed(token, await _asked(asking, token.endpoint, token.client, form), now)


async def revoke(asking: Asking, token: Token) -> None:
    """Take it back at its server (RFC 7009): the refresh token, with which all that came of it ends.

    Raises McpFailure.
    """
    kind = "refresh_token" if token.refresh else "access_token"
    complete, headers = shown(token.client, {"token": token.refresh or token.access, "token_type_hint": kind})
    await asking.post_form(
        token.revocation, "the revocation endpoint of the authorisation server", complete, headers
    )


async def _asked(asking: Asking, endpoint: str, client: Client, form: Mapping[str, str]) -> Granted:
    complete, headers = shown(client, form)
    answer = await asking.post_form(endpoint, WHAT, complete, headers)
    return _granted(answer)


def _granted(answer: Answer) -> Granted:
    if answer.status != 200:
        code = error_code(answer)
        raise TokenDenied(answer.status, code if code in _ERRORS else "")
    granted = decoded(answer, Granted, "the token of the authorisation server")
    if granted.token_type.lower() != "bearer":
        raise McpFailure(f"{WHAT} gave a token of another type than Bearer")
    if not _SENDABLE.fullmatch(granted.access_token):
        raise McpFailure(f"{WHAT} gave a token that cannot be sent in a header")
    if granted.refresh_token and not _VISIBLE.fullmatch(granted.refresh_token):
        raise McpFailure(f"{WHAT} gave a refresh token that cannot be used")
    return granted


def _renewed(before: Token, granted: Granted, now: int) -> Token:
    lifetime_s = lifetime(granted.expires_in)
    return with_fields(
        before,
        access=granted.access_token,
        refresh=granted.refresh_token or before.refresh,
        scopes=tuple(scopes_of(granted.scope)) if granted.scope else before.scopes,
        expires_at=None if lifetime_s is None else now + lifetime_s,
        lifetime_s=lifetime_s,
    )


def lifetime(said: float | str | None) -> int | None:
    """Seconds; None where it does not say so in a way that can be read, or 0, with which some servers mean for ever."""
    try:
        seconds = int(float(said)) if said is not None else 0
    except (ValueError, OverflowError):
        return None
    return min(seconds, _MAX_LIFETIME_S) if seconds > 0 else None
