"""What clients of Llama Stack send for MCP servers beside a request: `X-LlamaStack-Provider-Data`, a JSON object with
`mcp_headers`: {URI: {NAME: VALUE}}, and `mcp_authorization`: {URI: TOKEN}.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import msgspec

from antiphon.core.errors import InvalidRequest
from antiphon.core.json_values import is_array, is_object
from antiphon.core.mcp_rules import check_headers
from antiphon.core.wire import JsonObject, decode_json

HEADER: Final = "X-LlamaStack-Provider-Data"
_NAME: Final = HEADER.lower().encode()
_PORTS: Final = {"http": 80, "https": 443}

ServerHeaders = Mapping[tuple[str, str, int | None, str], Mapping[str, str]]
"""By the address of a server; see `address`."""


def server_headers(headers: Mapping[bytes, bytes] | None) -> ServerHeaders:
    """What is to be sent to which server. `headers` are a request's, by lower-case name.

    Raises InvalidRequest, which repeats no value.
    """
    text = (headers or {}).get(_NAME, b"")
    if not text.strip():
        return {}
    try:
        data = decode_json(text)
    except (msgspec.DecodeError, RecursionError):
        raise _wrong(HEADER, "expected a JSON object") from None
    if not is_object(data):
        raise _wrong(HEADER, "expected a JSON object")
    found: dict[tuple[str, str, int | None, str], dict[str, str]] = {}
    for uri, given in _servers(data, "mcp_headers"):
        found.setdefault(address(uri), {}).update(_read(given, f"{HEADER}.mcp_headers"))
    for uri, token in _servers(data, "mcp_authorization"):
        if not isinstance(token, str):
            raise _wrong(f"{HEADER}.mcp_authorization", "expected a token for each URI")
        value = token if token[:7].lower() == "bearer " else f"Bearer {token}"
        found.setdefault(address(uri), {})["Authorization"] = value
    for one in found.values():
        check_headers(one, f"{HEADER}.mcp_headers")
    return found


def headers_for(url: str, given: ServerHeaders) -> dict[str, str]:
    """Those for the server at this URL."""
    return dict(given.get(address(url), {})) if given and url else {}


def address(uri: str) -> tuple[str, str, int | None, str]:
    """Scheme, host, port and path: what of a URL says which server it is. Queries hold credentials."""
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        return "", "", None, uri
    scheme = parts.scheme.lower()
    return scheme, (parts.hostname or "").lower(), port or _PORTS.get(scheme), parts.path.rstrip("/")


def _servers(data: JsonObject, name: str) -> list[tuple[str, object]]:
    given = data.get(name)
    if given is None:
        return []
    if not is_object(given):
        raise _wrong(f"{HEADER}.{name}", "expected an object by URIs of MCP servers")
    return list(given.items())


def _read(given: object, path: str) -> dict[str, str]:
    """Headers as an object, or as older clients write them: a list of `NAME: VALUE`."""
    if is_object(given):
        if all(isinstance(value, str) for value in given.values()):
            return dict(given)
    elif is_array(given) and all(isinstance(line, str) and ":" in line for line in given):
        lines: list[str] = given
        return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    raise _wrong(path, "expected an object of texts for each URI: {URI: {NAME: VALUE}}")


def _wrong(path: str, what: str) -> InvalidRequest:
    return InvalidRequest(f"`{path}`: {what}.", param=path)
