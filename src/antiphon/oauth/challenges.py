"""Reading `WWW-Authenticate` (RFC 9110, section 11.6.1; RFC 6750, section 3; RFC 9728, section 5.1). A server wrote
it, so it may hold anything.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MAX_LENGTH = 8192
MAX_SCOPES = 64
MAX_SCOPE_LENGTH = 256
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_EQUALS = re.compile(r"[ \t]*=[ \t]*")
_PLAIN_VALUE = re.compile(r'[^\s,"=]+')
_QUOTED_VALUE = re.compile(r'"((?:[^"\\]|\\.)*)"')
_REST = re.compile(r"[^,]*,?")
_GAP = re.compile(r"[\s,]*")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a server asks for. `resource_metadata` is a URL as it stands there, "" for none."""

    resource_metadata: str = ""
    scopes: tuple[str, ...] = ()
    error: str = ""


def read_challenge(header: str) -> Challenge:
    """What the `Bearer` challenges of a header, or of several joined by commas, say. What cannot be read is left out;
    of a parameter that is there twice the first counts.
    """
    found: dict[str, str] = {}
    for scheme, name, value in _parameters(header[:MAX_LENGTH]):
        if scheme.lower() == "bearer":
            found.setdefault(name.lower(), value)
    return Challenge(
        found.get("resource_metadata", ""), tuple(scopes_of(found.get("scope", ""))), found.get("error", "")
    )


def scopes_of(text: str) -> Sequence[str]:
    """The scopes of a list that spaces separate (RFC 6749, section 3.3), each once. None of one that breaks its rules,
    or is longer than any that is in use.
    """
    return usable_scopes(text.split(" "))


def usable_scopes(said: Sequence[str]) -> Sequence[str]:
    """The same for a list that is one already."""
    scopes = list(dict.fromkeys(one for one in said if one))
    fit = all(len(one) <= MAX_SCOPE_LENGTH and _SCOPE.fullmatch(one) for one in scopes)
    return scopes if fit and len(scopes) <= MAX_SCOPES else []


def _parameters(text: str) -> Iterator[tuple[str, str, str]]:
    """Scheme, name and value of each parameter. Goes over the text once, and ends where a quote is not closed."""
    scheme, at = "", 0
    while True:
        at = _end(_GAP.match(text, at), at)
        token = _TOKEN.match(text, at)
        if token is None:
            if at >= len(text):
                return
            at = max(_end(_REST.match(text, at), at), at + 1)
            continue
        equals = _EQUALS.match(text, token.end())
        if equals is None:
            scheme, at = token[0], token.end()
            continue
        quoted = text.startswith('"', equals.end())
        value = (_QUOTED_VALUE if quoted else _PLAIN_VALUE).match(text, equals.end())
        if value is not None:
            said = re.sub(r"\\(.)", r"\1", value[1]) if quoted else value[0]
            yield scheme, token[0], said
            at = value.end()
        elif quoted:
            return
        else:
            at = equals.end()  # padding of a token68, such as `Negotiate YQ==`


def _end(match: re.Match[str] | None, at: int) -> int:
    return match.end() if match is not None else at
