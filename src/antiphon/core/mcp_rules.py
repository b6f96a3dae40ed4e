"""The rules of `mcp` tools and of headers for MCP servers that need nothing but the request.

What a URL may lead to and which connectors there are is looked up later (`ports.ToolRuntime.check`).
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from antiphon.core.errors import InvalidRequest, UnsupportedParameter
from antiphon.core.tools import McpTool
from antiphon.core.wire import UNSET

MAX_HEADERS = 64
MAX_VALUE = 16 * 1024
MAX_URL = 8192
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,127}\Z")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}\Z")  # RFC 9110, 5.6.2
_VALUE = re.compile(r"[\x20-\x7e\t]*\Z")  # RFC 9110, 5.5, without what is not ASCII
_TOKEN68 = re.compile(r"[\x21-\x7e]+\Z")
FORBIDDEN: Final = frozenset(
    {
        "accept",
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "forwarded",
        "host",
        "http2-settings",
        "keep-alive",
        "last-event-id",
        "origin",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
    }
)
"""What the connection and the protocol say themselves, by lower-case name."""
FORBIDDEN_PREFIXES: Final = ("mcp-", "proxy-", "x-forwarded-", ":")


def check_tool(tool: McpTool, path: str) -> None:
    """Raises InvalidRequest or UnsupportedParameter, with the field in `param`."""
    if not _LABEL.match(tool.server_label):
        raise InvalidRequest(
            f"`{path}.server_label`: expected 1 to 128 letters, digits, spaces, dots, dashes and underscores, the first"
            " one a letter or digit.",
            param=f"{path}.server_label",
        )
    _check_address(tool, path)
    if tool.authorization is not UNSET and tool.authorization is not None:
        check_token(tool.authorization, f"{path}.authorization")
    if tool.headers:
        check_headers(tool.headers, f"{path}.headers")
    if tool.authorization and any(name.lower() == "authorization" for name in tool.headers or {}):
        raise InvalidRequest(
            f"`{path}.authorization`: the headers have an Authorization too; send one of them.",
            param=f"{path}.authorization",
        )
    if isinstance(tool.allowed_callers, list) and "direct" not in tool.allowed_callers:
        raise UnsupportedParameter(
            f'`{path}.allowed_callers`: programs do not call tools here; add "direct".',
            param=f"{path}.allowed_callers",
        )


def _check_address(tool: McpTool, path: str) -> None:
    if tool.tunnel_id:
        raise UnsupportedParameter(
            f"`{path}.tunnel_id`: tunnels are OpenAI's own; send the `server_url`, or the `connector_id` of a server"
            " that is configured here.",
            param=f"{path}.tunnel_id",
        )
    if tool.server_url and tool.connector_id:
        raise InvalidRequest(
            f"`{path}.server_url`: there is a `connector_id` too; send the one that is meant.",
            param=f"{path}.server_url",
        )
    if not tool.server_url and not tool.connector_id:
        raise InvalidRequest(
            f"`{path}.server_url`: required, and missing; send the URL of the MCP server, or the `connector_id` of one"
            " that is configured. Servers that are started as a process (stdio) are the operator's to configure.",
            param=f"{path}.server_url",
        )
    if tool.server_url and len(tool.server_url) > MAX_URL:
        raise InvalidRequest(
            f"`{path}.server_url`: longer than {MAX_URL} characters.", param=f"{path}.server_url"
        )


def check_token(token: str, path: str) -> None:
    """A bearer token, without the word. Raises InvalidRequest, which does not repeat it."""
    if not _TOKEN68.match(token) or len(token) > MAX_VALUE:
        raise InvalidRequest(
            f"`{path}`: expected the token alone, printable ASCII without spaces, at most {MAX_VALUE} characters.",
            param=path,
        )


def check_headers(headers: Mapping[str, str], path: str) -> None:
    """Headers that a caller wants sent. Raises InvalidRequest, which never repeats a value."""
    if len(headers) > MAX_HEADERS:
        raise InvalidRequest(f"`{path}`: {len(headers)} headers; at most {MAX_HEADERS}.", param=path)
    seen: set[str] = set()
    for name, value in headers.items():
        lower = name.lower()
        shown = name[:64] if _TOKEN.match(name) else "?"
        if shown == "?":
            raise InvalidRequest(
                f"`{path}`: a name is no header name; use letters, digits and dashes.", param=path
            )
        if lower in FORBIDDEN or lower.startswith(FORBIDDEN_PREFIXES):
            raise InvalidRequest(
                f"`{path}.{shown}`: this header belongs to the connection or the protocol; leave it out.",
                param=f"{path}.{shown}",
            )
        if not _VALUE.match(value) or len(value) > MAX_VALUE:
            raise InvalidRequest(
                f"`{path}.{shown}`: the value has to be printable ASCII, at most {MAX_VALUE} characters.",
                param=f"{path}.{shown}",
            )
        if lower in seen:
            raise InvalidRequest(f"`{path}.{shown}`: named twice; keep one.", param=f"{path}.{shown}")
        seen.add(lower)


def check_labels(tools: Sequence[object], path: str) -> None:
    """Each server of a request has a label of its own. Raises InvalidRequest."""
    places: dict[str, str] = {}
    for at, tool in enumerate(tools):
        if isinstance(tool, McpTool):
            here = f"{path}[{at}]"
            first = places.setdefault(tool.server_label, here)
            if first != here:
                raise InvalidRequest(
                    f'`{here}.server_label`: "{tool.server_label}" is the label of {first} too; labels must differ.',
                    param=f"{here}.server_label",
                )


def check_brought(tool: McpTool, path: str) -> None:
    """A tool that an item loads: items are kept, so no credential may be in one. Raises InvalidRequest."""
    for name in ("authorization", "headers"):
        if getattr(tool, name):
            raise InvalidRequest(
                f"`{path}.{name}`: items are kept, and credentials are not; send the server in `tools`.",
                param=f"{path}.{name}",
            )
