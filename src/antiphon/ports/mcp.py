"""MCP: servers, the client that speaks to them, and what is kept of connectors, of questions to users and of tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from antiphon.core.hosted_items import ElicitationAction, McpListedTool
from antiphon.core.mcp import Sampled, Sampling
from antiphon.core.wire import JsonObject
from antiphon.ports.owners import Owner

Transport = Literal["auto", "streamable_http", "sse", "stdio"]
"""`auto` tries streamable HTTP first, then the older HTTP with SSE."""
HOP_HEADER = "antiphon-hop"
"""Sent (`1`) with every request of a client of ours. A server of ours that is asked so offers what it does itself, and
nothing that leads to further servers: calls cannot go round in circles.
"""


# --- speaking to servers -------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class McpServer:
    """A server, and as whom it is asked. Equal ones may share a connection; those of two owners are never equal.

    `headers` hold credentials, so they are in no `repr`. `trusted`: the operator named the address, so it may be a
    private one; a caller's may not. With `stdio` there is a `command` instead of a `url`: operators' servers only.
    """

    owner: Owner
    label: str
    url: str = ""
    transport: Transport = "auto"
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    trusted: bool = False
    command: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    folder: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """The tools that a server has, in its order, every page of them. `lifetime_s`: how long the server says that they
    hold; None where it says nothing.
    """

    tools: Sequence[McpListedTool]
    lifetime_s: float | None = None


@dataclass(frozen=True, slots=True)
class TextContent:
    """`uri` is there for the text of an embedded resource."""

    text: str
    uri: str = ""


@dataclass(frozen=True, slots=True)
class BinaryContent:
    """An image, a piece of audio, or an embedded resource, decoded."""

    kind: Literal["image", "audio", "resource"]
    media_type: str
    data: bytes
    uri: str = ""


@dataclass(frozen=True, slots=True)
class LinkContent:
    """A resource that was not sent along."""

    uri: str
    name: str = ""
    description: str = ""
    media_type: str = ""


Content = TextContent | BinaryContent | LinkContent


@dataclass(frozen=True, slots=True)
class CallResult:
    """What a tool returned. `is_error`: it failed, and says so in its content."""

    content: Sequence[Content]
    structured: JsonObject | None = None
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """A server asks the user (elicitation), and the call waits.

    `token` is opaque: what the client needs to go on with the call, here or in another process. `form`: answers follow
    `schema`; `url`: the user is to visit `url`, and the answer has no content.
    """

    message: str
    token: bytes = field(repr=False)
    mode: Literal["form", "url"] = "form"
    schema: JsonObject | None = None
    url: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the user said to a `Question`. `content` is there with "accept" to a form."""

    token: bytes = field(repr=False)
    action: ElicitationAction
    content: JsonObject | None = None


class McpFailure(Exception):
    """A server could not be asked, or what it said cannot be used. `message` may be shown to callers: it holds no
    credential, no resolved address and nothing of a body that was not JSON-RPC.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class McpRefused(McpFailure):
    """Our own rules forbid it: an address, a size."""


class McpUnreachable(McpFailure):
    """It could not be connected to, broke off, or did not answer in time."""


class McpHttpFailure(McpFailure):
    """It answered with an HTTP error. `status` is that; of 401 and 403 `challenge` is the `WWW-Authenticate` header."""

    def __init__(self, message: str, status: int, challenge: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.challenge = challenge


class McpProtocolFailure(McpFailure):
    """A JSON-RPC error, by its `code`; -32700 for what was no answer at all."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class CallHost(Protocol):
    """What a call may ask of the run that it belongs to, while it is going on."""

    @property
    def keeps(self) -> bool:
        """Whether anything of this run may be kept: false with `store: false`."""
        ...

    async def sample(self, asked: Sampling) -> Sampled:
        """Ask the run's model, within the run's limits. Raises SamplingRefused."""
        ...


@runtime_checkable
class TakesResults(Protocol):
    """A `CallHost` that passes results on, besides what a model would read of them."""

    def take(self, result: CallResult) -> None:
        """What the tool returned, without the secrets that its server was sent. Called once, or not at all."""
        ...


class SamplingRefused(Exception):
    """A server may not have a model called, or no more; the message says why, for the server."""


class McpClient(Protocol):
    """Speaks MCP, both generations of it. One instance per process; it pools connections by `McpServer`."""

    async def list_tools(self, server: McpServer, *, timeout_s: float) -> Listing:
        """Ask for all tools: no cache here. Raises McpFailure."""
        ...

    async def call(
        self,
        server: McpServer,
        tool: str,
        arguments: JsonObject,
        host: CallHost,
        *,
        timeout_s: float,
        reply: Reply | None = None,
    ) -> CallResult | Question:
        """Call a tool once, or with `reply` go on with the call that asked. The time in which a user is waited for does
        not count. Cancelling it cancels the call at the server. Raises McpFailure.
        """
        ...

    async def forget(self, reply_token: bytes) -> None:
        """Give up a call that waits for a reply which will not come."""
        ...

    def changes(self, server: McpServer) -> int:
        """How often the server has said that its tools have changed, as far as it was heard. Never falls."""
        ...

    async def ping(self, server: McpServer, *, timeout_s: float) -> JsonObject:
        """Connect where there is no connection, and say what the server is: `name`, `version`, `protocol_version`,
        `instructions`. Raises McpFailure.
        """
        ...

    async def aclose(self) -> None:
        """End all connections and processes, in bounded time."""
        ...


# --- connectors ----------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class StoredConnector:
    """A connector of a tenant. `body` is its public JSON object; `secret` what is secret of it, sealed, "" for none.
    Times are Unix seconds.
    """

    id: str
    created_at: int
    updated_at: int
    body: bytes
    secret: str = field(default="", repr=False)


class Connectors(Protocol):
    """Servers that have an id here, from the configuration or from `/v1/connectors`."""

    async def find(self, owner: Owner, connector_id: str) -> "Connector | None":
        """None when it is unknown or another tenant's. Raises InvalidRequest for one that cannot be used as it is: its
        secrets cannot be opened any more, or its address is no longer let through.
        """
        ...


@dataclass(frozen=True, slots=True)
class Connector:
    """`server` is complete but for the user's own token, where `oauth` says that there is one to be had."""

    id: str
    server: McpServer
    description: str = ""
    oauth: "OAuthSettings | None" = None


@dataclass(frozen=True, slots=True)
class OAuthSettings:
    """How users authorise a connector. What is empty is discovered, or registered for."""

    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    scopes: tuple[str, ...] = ()
    issuer: str = ""


@dataclass(frozen=True, slots=True)
class AuthorizationLink:
    """Where a user authorises, until `expires_at` (Unix seconds)."""

    url: str
    expires_at: int


class Authorizations(Protocol):
    """Tokens of users for connectors."""

    async def headers(self, owner: Owner, connector: Connector) -> Mapping[str, str] | None:
        """What to send with requests as this user, refreshed where it was about to expire; None while the user has
        not authorised, or has to do it again. Raises McpFailure when the authorisation server cannot be asked.
        """
        ...

    async def renew(
        self, owner: Owner, connector: Connector, refused: Mapping[str, str]
    ) -> Mapping[str, str] | None:
        """What to send instead of `headers` that a server answered 401 to, refreshed if need be. None, and the token
        forgotten, when the user has to authorise again. Raises McpFailure.
        """
        ...

    async def begin(self, owner: Owner, connector: Connector, challenge: str = "") -> AuthorizationLink:
        """Start an authorisation. `challenge` is the `WWW-Authenticate` header of the server, if there was one.
        Raises McpFailure.
        """
        ...

    async def discard(self, owner: Owner, connector: Connector) -> bool:
        """Forget the user's tokens, as after a 401 although they were sent. False when there were none."""
        ...


# --- what is kept --------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Grant:
    """A question to a user that may be answered once: no content, only digests. `id` is that of the item that asks.

    `digest` is of what is asked; `definition` of the tool as it was shown, "" where that does not matter.
    """

    id: str
    kind: Literal["approval", "elicitation"]
    digest: str
    definition: str
    created_at: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class GrantState:
    """A grant as it is found: `used` when it was answered before."""

    grant: Grant
    used: bool


@dataclass(frozen=True, slots=True)
class StoredToken:
    """A user's token for a server; `sealed` is opaque. `server` is a digest of what it is for. `expires_at` in Unix
    seconds, None where it is not known.
    """

    server: str
    sealed: str = field(repr=False)
    expires_at: int | None
    updated_at: int


@dataclass(frozen=True, slots=True)
class StoredFlow:
    """An authorisation that was begun. `state` is the SHA-256 of the `state` parameter, in hex."""

    state: str
    server: str
    sealed: str = field(repr=False)
    expires_at: int


class GrantKeeper(Protocol):
    """Where questions to users are noted."""

    async def add_grants(self, owner: Owner, grants: Sequence[Grant]) -> None:
        """Add all of them; those that expired long ago may be removed on the way. Durable when it returns."""
        ...

    async def use_grants(self, owner: Owner, ids: Sequence[str], now: int) -> str | None:
        """Mark all as used, in one transaction. None when that was done; else the id of one that is unknown, used or
        expired, and nothing changed.
        """
        ...


class McpRecords(GrantKeeper, Protocol):
    """Connectors belong to a tenant: everybody of it reads and changes them. All else belongs to an owner. A foreign id
    answers exactly as an unknown one. What is written is durable when the call returns; StoreUnavailable says that
    nothing was.
    """

    async def add_connector(self, owner: Owner, connector: StoredConnector) -> bool:
        """False, and nothing changed, when the tenant has one of this id."""
        ...

    async def replace_connector(self, owner: Owner, connector: StoredConnector, expected: int) -> bool:
        """Replace the one whose `updated_at` is still `expected`; `created_at` stays. False: nothing changed."""
        ...

    async def get_connector(self, owner: Owner, connector_id: str) -> StoredConnector | None: ...

    async def list_connectors(self, owner: Owner) -> Sequence[StoredConnector]:
        """Newest first; of the same second, the last added first."""
        ...

    async def delete_connector(self, owner: Owner, connector_id: str) -> bool:
        """False when there was none."""
        ...

    async def get_grants(self, owner: Owner, ids: Sequence[str]) -> Mapping[str, GrantState]:
        """Those that are known, by id."""
        ...

    async def put_token(self, owner: Owner, token: StoredToken) -> None:
        """Insert or replace the owner's token for a server."""
        ...

    async def get_token(self, owner: Owner, server: str) -> StoredToken | None: ...

    async def delete_token(self, owner: Owner, server: str) -> bool:
        """False when there was none."""
        ...

    async def delete_tokens(self, tenant: str, server: str) -> int:
        """Remove everybody's tokens for a server in a tenant, and the flows that were begun; how many tokens."""
        ...

    async def add_flow(self, owner: Owner, flow: StoredFlow) -> None:
        """Begin an authorisation; those that have expired may be removed on the way."""
        ...

    async def take_flow(self, state: str, now: int) -> tuple[Owner, StoredFlow] | None:
        """Take a flow out, whoever began it, so that it is answered once. None: unknown, taken or expired."""
        ...

    async def put_client(self, tenant: str, server: str, sealed: str) -> None:
        """Keep what an authorisation server registered us as, for a tenant."""
        ...

    async def get_client(self, tenant: str, server: str) -> str | None: ...

    async def delete_client(self, tenant: str, server: str) -> bool: ...
