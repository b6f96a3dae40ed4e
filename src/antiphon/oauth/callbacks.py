"""What a user comes back with from an authorisation server (RFC 6749, section 4.1.2; RFC 9207). Anybody may call it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from antiphon.oauth.kept import Flow

MAX_LENGTH: Final = 8192
_STATE = re.compile(r"[A-Za-z0-9_-]{43}")
_CODE = re.compile(r"[\x20-\x7e]{1,8192}")
_READ = ("state", "code", "iss", "error")
_REASONS: Final = {
    "access_denied": "access was not given",
    "invalid_scope": "it does not know what was asked for, or does not give it",
    "invalid_target": "it does not give access to this server",
    "unauthorized_client": "it does not know this client, or not for this",
    "invalid_client": "it does not know this client",
    "invalid_request": "it did not understand what it was asked",
    "unsupported_response_type": "it does not give codes",
    "server_error": "it failed",
    "temporarily_unavailable": "it is busy; try again later",
    "interaction_required": "it could not ask you",
    "login_required": "you were not signed in",
    "consent_required": "you were not asked for your consent",
}


class CallbackRefused(Exception):
    """What came back is of no use; the message is for the user. `code` is the server's `error` where it is known."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code


@dataclass(frozen=True, slots=True)
class Returned:
    """`state` has the form that all of ours have. What is not there is None."""

    state: str = field(repr=False)
    code: str | None = field(default=None, repr=False)
    issuer: str | None = None
    error: str | None = None


def read_returned(query: Mapping[str, Sequence[str]]) -> Returned:
    """The parameters that mean something; others are passed over, as the standard asks. Raises CallbackRefused."""
    for name in _READ:
        values = query.get(name, ())
        if len(values) > 1 or any(len(one) > MAX_LENGTH for one in values):
            raise CallbackRefused(
                f"The address that led here cannot be used: {name} is there twice, or too long."
            )
    found = {name: query[name][0] for name in _READ if query.get(name)}
    state = found.get("state", "")
    if not _STATE.fullmatch(state):
        raise CallbackRefused(
            "The address that led here cannot be used: its state is missing, or was not made here."
        )
    return Returned(state, found.get("code"), found.get("iss"), found.get("error"))


def check_returned(returned: Returned, flow: Flow) -> str:
    """The code. Raises CallbackRefused.

    The issuer comes first: what another server than the one that was asked has to say is not even shown.
    """
    missing = returned.issuer is None and flow.says_issuer
    if missing or (returned.issuer is not None and returned.issuer != flow.issuer):
        raise CallbackRefused(
            "The answer is not from the authorisation server that was asked, so it was not used. If you did not"
            " expect that, somebody may be trying to get at your account."
        )
    if returned.error is not None:
        reason = _REASONS.get(returned.error, "it gave an error that is not known here")
        known = returned.error if returned.error in _REASONS else ""
        raise CallbackRefused(f"The authorisation server says no: {reason}.", known)
    if returned.code is None or not _CODE.fullmatch(returned.code):
        raise CallbackRefused("The authorisation server sent no code that can be used.")
    return returned.code
