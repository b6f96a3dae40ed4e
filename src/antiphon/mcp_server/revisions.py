"""The revisions of MCP, of both generations, and by which one a request is answered.

Up to 2025-11-25 a client shakes hands first (`initialize`); from 2026-07-28 on each request says all by itself, in
`_meta` and again in headers, so that what stands between can route it. Sources: the pages "Transports" and "Base
protocol" of the revisions at https://modelcontextprotocol.io/specification.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from antiphon.core.json_values import is_object
from antiphon.core.wire import JsonObject
from antiphon.mcp_server.messages import (
    HEADER_MISMATCH,
    INVALID_PARAMS,
    INVALID_REQUEST,
    UNSUPPORTED_VERSION,
    Call,
    RpcError,
)

HANDSHAKE: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
STATELESS: Final = ("2026-07-28",)
LATEST_HANDSHAKE: Final = HANDSHAKE[-1]
UNSAID: Final = "2025-03-26"
"""What a request without the header is taken for: the header came after that revision."""
URL_MODE: Final = "2025-11-25"
"""The one handshake revision with elicitation by URL."""
ELICITING: Final = ("2025-06-18", "2025-11-25")
BATCHES: Final = ("2024-11-05", "2025-03-26")

VERSION_HEADER: Final = b"mcp-protocol-version"
METHOD_HEADER: Final = b"mcp-method"
NAME_HEADER: Final = b"mcp-name"
SESSION_HEADER: Final = b"mcp-session-id"
_ROUTING: Final = (VERSION_HEADER, METHOD_HEADER, NAME_HEADER)
_NAMED_BY: Final = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
_ENCODED: Final = ("=?base64?", "?=")

VERSION_KEY: Final = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES_KEY: Final = "io.modelcontextprotocol/clientCapabilities"
SERVER_KEY: Final = "io.modelcontextprotocol/serverInfo"


@dataclass(frozen=True, slots=True)
class Asks:
    """How a client can ask its user something: by a form, or by a page that it opens."""

    form: bool = False
    url: bool = False


def asks_of(capabilities: object, revision: str) -> Asks:
    """From `capabilities` of a client. An empty `elicitation` means forms, as it did before there was more."""
    given = capabilities.get("elicitation") if is_object(capabilities) else None
    if not is_object(given) or revision not in (*ELICITING, *STATELESS):
        return Asks()
    url = is_object(given.get("url")) and revision in (URL_MODE, *STATELESS)
    return Asks(form=is_object(given.get("form")) or "url" not in given, url=url)


def is_stateless(header: bytes | None) -> bool:
    """Whether a request belongs to the stateless generation. Raises RpcError for a revision that is not served."""
    if header is None:
        return False
    revision = header.decode("latin-1").strip()
    if revision in HANDSHAKE:
        return False
    if revision not in STATELESS:
        raise unsupported(revision)
    return True


def unsupported(revision: str) -> RpcError:
    """Names what is served without a handshake, as clients that negotiate expect it."""
    return RpcError(
        UNSUPPORTED_VERSION,
        f"this server does not speak MCP {revision[:64]}; it speaks {', '.join((*STATELESS, *HANDSHAKE))}, those of"
        " 2025 and before after `initialize`.",
        {"supported": list(STATELESS), "requested": revision[:64]},
    )


def refuse_half_stateless(call: Call) -> None:
    """A request that says in its `_meta` that it is stateless, and not in its headers. Raises RpcError."""
    if VERSION_KEY in call.meta and call.method != "initialize":
        raise RpcError(
            HEADER_MISMATCH, "the header `MCP-Protocol-Version` is missing; `_meta` names a revision."
        )


def check_stateless(
    call: Call, lines: Iterable[tuple[bytes, bytes]], headers: Mapping[bytes, bytes]
) -> JsonObject:
    """Hold the headers of a stateless request against its body; the client's capabilities. Raises RpcError."""
    meta = call.params.get("_meta")
    missing = [key for key in (VERSION_KEY, CAPABILITIES_KEY) if not is_object(meta) or key not in meta]
    if not is_object(meta) or missing:
        raise RpcError(INVALID_PARAMS, f"`params._meta`: {' and '.join(missing)} required, and missing.")
    _refuse_doubles(lines)
    if headers.get(VERSION_HEADER, b"").decode("latin-1") != meta[VERSION_KEY]:
        raise RpcError(
            HEADER_MISMATCH, f"the header `MCP-Protocol-Version` is not what `_meta` has ({VERSION_KEY})."
        )
    if headers.get(METHOD_HEADER, b"").decode("latin-1") != call.method:
        raise RpcError(
            HEADER_MISMATCH, "the header `Mcp-Method` is missing, or not the `method` of the body."
        )
    name_key = _NAMED_BY.get(call.method)
    name = call.params.get(name_key) if name_key else None
    if name is not None and _decoded(headers.get(NAME_HEADER)) != name:
        raise RpcError(
            HEADER_MISMATCH, f"the header `Mcp-Name` is missing, or not `params.{name_key}` of the body."
        )
    capabilities = meta[CAPABILITIES_KEY]
    if not is_object(capabilities):
        raise RpcError(INVALID_PARAMS, f"`params._meta`: expected an object for {CAPABILITIES_KEY}.")
    return capabilities


def _refuse_doubles(lines: Iterable[tuple[bytes, bytes]]) -> None:
    """Who reads the first and who reads the last would not agree."""
    names = [name for name, _ in lines]
    for name in _ROUTING:
        if names.count(name) > 1:
            raise RpcError(HEADER_MISMATCH, f"the header `{name.decode()}` is there more than once.")


def _decoded(header: bytes | None) -> str | None:
    """A header that may be wrapped in base64, as names are that no header can hold."""
    if header is None:
        return None
    text = header.decode("latin-1")
    before, after = _ENCODED
    if not text.startswith(before) or not text.endswith(after):
        return text
    try:
        return base64.b64decode(text[len(before) : -len(after)], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None


# --- the handshake -------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Session:
    """What is remembered of a handshake: all of it is in the id, nothing of it here. `id` is "" for none."""

    id: str = ""
    revision: str = UNSAID
    asks: Asks = Asks()


def agreed(params: JsonObject) -> tuple[str, Asks]:
    """The revision for an `initialize`, ours where theirs is not known, and how the client asks. Raises RpcError."""
    wanted = params.get("protocolVersion")
    if not isinstance(wanted, str):
        raise RpcError(INVALID_PARAMS, "`params.protocolVersion`: required, a text.")
    for name in ("capabilities", "clientInfo"):
        if not is_object(params.get(name)):
            raise RpcError(INVALID_PARAMS, f"`params.{name}`: required, an object.")
    revision = wanted if wanted in HANDSHAKE else LATEST_HANDSHAKE
    return revision, asks_of(params["capabilities"], revision)


def session_id(revision: str, asks: Asks, random: str) -> str:
    """Says what was agreed upon, so that any process of ours can go on, also after a restart."""
    return f"{revision}.{'f' * asks.form}{'u' * asks.url}.{random}"


def session_of(headers: Mapping[bytes, bytes]) -> Session:
    """The session of a request, by its id; one that we cannot read says nothing, and is refused by nobody.

    Raises RpcError for a header that can be no session id.
    """
    header = headers.get(VERSION_HEADER)
    given = headers.get(SESSION_HEADER)
    said = header.decode("latin-1").strip() if header else ""
    if given is None:
        return Session(revision=said or UNSAID)
    text = given.decode("latin-1")
    if not 1 <= len(text) <= 256 or not all("!" <= sign <= "~" for sign in text):
        raise RpcError(INVALID_REQUEST, "the header `Mcp-Session-Id` has 1 to 256 visible ASCII characters.")
    revision, _, rest = text.partition(".")
    flags, _, _ = rest.partition(".")
    if revision not in HANDSHAKE:
        return Session(text, said or UNSAID)
    return Session(text, said or revision, Asks(form="f" in flags, url="u" in flags))
