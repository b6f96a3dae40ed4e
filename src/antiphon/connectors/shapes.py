"""The bodies of the `/v1/connectors` routes, and what is stored of a connector.

Field names are Llama Stack's where it has one (`connector_id`, `server_label`, `server_description` …).
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from antiphon.config.mcp_settings import ConnectorId
from antiphon.core.body import Metadata
from antiphon.core.mcp_rules import MAX_HEADERS, MAX_URL
from antiphon.core.wire import UNSET, JsonObject, UnsetType, Wire

Label = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._ -]{0,127}\Z")]
Address = Annotated[str, Meta(min_length=1, max_length=MAX_URL)]
Description = Annotated[str, Meta(max_length=4096)]
Headers = Annotated[dict[str, str], Meta(max_length=MAX_HEADERS)]
Scope = Annotated[str, Meta(pattern=r"^[\x21\x23-\x5b\x5d-\x7e]{1,256}\Z")]  # RFC 6749, 3.3
ClientText = Annotated[str, Meta(pattern=r"^[\x20-\x7e]{1,2048}\Z")]  # RFC 6749, A.1
Transport = Literal["auto", "streamable_http", "sse"]


class NewOAuth(Wire):
    """How each user authorises the server; what is left out is discovered, or registered for."""

    client_id: ClientText | UnsetType | None = UNSET
    client_secret: str | UnsetType | None = UNSET
    scopes: Annotated[list[Scope], Meta(max_length=64)] | UnsetType | None = UNSET
    issuer: Address | UnsetType | None = UNSET

    def __repr__(self) -> str:
        return f"NewOAuth({self.client_id!r})"


class UpdateConnector(Wire):
    """What is left out stays, null takes a field away, objects are replaced as a whole.

    With `updated_at`, that of the connector as it was read, nothing is changed when somebody else was faster.
    """

    url: Address | UnsetType = UNSET
    connector_type: Literal["mcp"] | UnsetType = UNSET
    transport: Transport | UnsetType | None = UNSET
    server_label: Label | UnsetType | None = UNSET
    server_description: Description | UnsetType | None = UNSET
    authorization: str | UnsetType | None = UNSET
    headers: Headers | UnsetType | None = UNSET
    oauth: NewOAuth | UnsetType | None = UNSET
    metadata: Metadata | UnsetType | None = UNSET
    updated_at: int | UnsetType = UNSET

    def __repr__(self) -> str:
        return "UpdateConnector()"  # what there is may be a secret


class CreateConnector(Wire):
    """A server over HTTP. `authorization` is a bearer token, and like the values of `headers` never shown again."""

    connector_id: ConnectorId
    url: Address
    connector_type: Literal["mcp"] | UnsetType = UNSET
    transport: Transport | UnsetType | None = UNSET
    server_label: Label | UnsetType | None = UNSET
    server_description: Description | UnsetType | None = UNSET
    authorization: str | UnsetType | None = UNSET
    headers: Headers | UnsetType | None = UNSET
    oauth: NewOAuth | UnsetType | None = UNSET
    metadata: Metadata | UnsetType | None = UNSET

    def __repr__(self) -> str:
        return f"CreateConnector({self.connector_id!r})"


class AuthorizeConnector(Wire):
    """A body that may be left out: the connector's `oauth` says it all."""


# --- what is stored ------------------------------------------------------------------------------------------
class PublicOAuth(Wire):
    client_id: str | None = None
    has_client_secret: bool = False
    scopes: list[str] = []
    issuer: str | None = None


class PublicPart(Wire):
    """What is stored of a connector in clear. `url` has `***` for each value of its query."""

    url: str
    transport: Transport
    server_label: str
    server_description: str | None
    has_authorization: bool
    header_names: list[str]
    oauth: PublicOAuth | None
    metadata: dict[str, str]


class SecretPart(Wire, omit_defaults=True):
    """What is stored of it sealed. `url` is the whole one where its query is not shown."""

    url: str = ""
    authorization: str = ""
    headers: dict[str, str] = {}
    client_secret: str = ""

    def __repr__(self) -> str:
        return "SecretPart()"


read_public = msgspec.json.Decoder(PublicPart).decode
read_secret = msgspec.json.Decoder(SecretPart).decode


# --- answers -------------------------------------------------------------------------------------------------
class ConnectorObject(Wire):
    """A connector. `source` is "config" for those that the operator's file names: they are changed there.

    `server_name` and `server_version` are what the server says of itself, which only `/health` asks for. `problem` says
    why it cannot be used, and what to do.
    """

    id: str
    connector_id: str
    url: str
    transport: Literal["auto", "streamable_http", "sse", "stdio"]
    server_label: str
    server_description: str | None
    has_authorization: bool
    header_names: list[str]
    oauth: PublicOAuth | None
    metadata: dict[str, str]
    source: Literal["api", "config"]
    problem: str | None
    created_at: int | None
    updated_at: int | None
    object: Literal["connector"] = "connector"
    connector_type: Literal["mcp"] = "mcp"
    server_name: str | None = None
    server_version: str | None = None


class ConnectorPage(Wire):
    object: Literal["list"]
    data: list[ConnectorObject]
    first_id: str | None
    last_id: str | None
    has_more: bool


class DeletedConnector(Wire):
    id: str
    connector_id: str
    object: Literal["connector.deleted"] = "connector.deleted"
    deleted: bool = True


class ConnectorTool(Wire):
    """A tool as its server describes it, in the shape of Llama Stack's `ToolDef`."""

    name: str
    description: str | None
    input_schema: JsonObject
    annotations: JsonObject | None
    toolgroup_id: str


class ConnectorTools(Wire):
    data: list[ConnectorTool]
    object: Literal["list"] = "list"


class HealthError(Wire):
    message: str


class ConnectorHealth(Wire):
    """What came of asking the server. `unauthorized`: the caller has to authorise first, or credentials are wrong."""

    connector_id: str
    status: Literal["ok", "unauthorized", "error"]
    checked_at: int
    object: Literal["connector.health"] = "connector.health"
    server_name: str | None = None
    server_version: str | None = None
    protocol_version: str | None = None
    tools: int | None = None
    error: HealthError | None = None


class ConnectorAuthorization(Wire):
    """Where the caller authorises the connector, until `expires_at`."""

    connector_id: str
    url: str
    expires_at: int
    object: Literal["connector.authorization"] = "connector.authorization"


class DeletedAuthorization(Wire):
    connector_id: str
    object: Literal["connector.authorization.deleted"] = "connector.authorization.deleted"
    deleted: bool = True


TYPES: dict[str, Any] = {
    "Connector": ConnectorObject,
    "ConnectorAuthorization": ConnectorAuthorization,
    "ConnectorHealth": ConnectorHealth,
    "ConnectorList": ConnectorPage,
    "ConnectorTool": ConnectorTool,
    "ConnectorToolList": ConnectorTools,
    "CreateConnector": CreateConnector,
    "DeletedConnector": DeletedConnector,
    "DeletedConnectorAuthorization": DeletedAuthorization,
    "UpdateConnector": UpdateConnector,
}
"""The names that the routes use for the types of their bodies, for `/openapi.json`."""
