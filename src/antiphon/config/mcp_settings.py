"""What the operator says about MCP: section `mcp`, and the list `connectors`."""

from typing import Annotated, Literal

from msgspec import Meta

from antiphon.models.breaker import Closed

CONNECTOR_ID = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z"
ConnectorId = Annotated[str, Meta(pattern=CONNECTOR_ID)]
_Seconds = Annotated[float, Meta(gt=0, le=3600)]
_Host = Annotated[str, Meta(pattern=r"^(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$")]


class SamplingSettings(Closed):
    """Whether MCP servers may have our models called, which costs money and reads what they send."""

    enabled: Annotated[bool, Meta(description="Whether a server may ask for a model call at all.")] = False
    model: Annotated[
        str, Meta(description="The model that answers; the one of the response where left out.")
    ] = ""
    max_tokens: Annotated[int, Meta(ge=1, description="What one such call may generate, at most.")] = 4096
    max_calls: Annotated[int, Meta(ge=1, le=1000, description="Such calls in one response, at most.")] = 16


class McpSettings(Closed):
    """How MCP servers are called."""

    servers: Annotated[
        Literal["auto", "any", "listed", "none"],
        Meta(
            description="Which servers a request may name by `server_url`: `any` that `server.egress` lets through,"
            " those of `allow_hosts` (`listed`), or `none`, so that only connectors are left. `auto` is `any` while all"
            " API keys are of one tenant, and `listed` otherwise."
        ),
    ] = "auto"
    allow_hosts: Annotated[
        tuple[_Host, ...], Meta(description="Hosts of `listed`: `mcp.example.com`, `*.example.com`.")
    ] = ()
    tenant_hosts: Annotated[
        dict[str, tuple[_Host, ...]],
        Meta(description="Hosts by tenant, besides those of `allow_hosts`; what is here is `listed`."),
    ] = {}
    connect_timeout_s: Annotated[_Seconds, Meta(description="To connect to a server and shake hands.")] = 10.0
    list_timeout_s: Annotated[_Seconds, Meta(description="To list a server's tools, all pages of them.")] = (
        20.0
    )
    call_timeout_s: Annotated[
        _Seconds, Meta(description="For one call of a tool; the time in which a user is asked is not in it.")
    ] = 60.0
    list_cache_s: Annotated[
        float,
        Meta(
            ge=0,
            le=86_400,
            description="How long a list of tools holds for new conversations, where the server does not say.",
        ),
    ] = 300.0
    idle_s: Annotated[_Seconds, Meta(description="A connection that is not used for so long is closed.")] = (
        60.0
    )
    max_connections: Annotated[
        int,
        Meta(
            ge=1,
            le=65_536,
            description="Open connections, of all servers; one tenant has 3/4 of them at most.",
        ),
    ] = 256
    server_calls: Annotated[
        int, Meta(ge=1, le=4096, description="Calls of one server that run at once; more wait.")
    ] = 32
    tenant_calls: Annotated[
        int, Meta(ge=1, le=4096, description="Calls of one tenant that run at once; more wait.")
    ] = 64
    max_tools: Annotated[
        int, Meta(ge=1, le=4096, description="Tools of one server; a list of more is refused.")
    ] = 512
    max_message_bytes: Annotated[
        int, Meta(ge=1024, description="One message of a server; a larger one ends the call.")
    ] = 16 * 1024 * 1024
    max_output_chars: Annotated[
        int,
        Meta(
            ge=256,
            description="Text of a result that the model reads; what is longer is cut, with a note, and kept as a"
            " file.",
        ),
    ] = 100_000
    approval_ttl_s: Annotated[
        int, Meta(ge=60, le=31_536_000, description="How long a user may take to approve a call.")
    ] = 86_400
    elicitation_ttl_s: Annotated[
        int, Meta(ge=10, le=86_400, description="How long a user may take to answer a server's question.")
    ] = 600
    serve: Annotated[bool, Meta(description="Whether this server is an MCP server itself, at `/mcp`.")] = True
    public_url: Annotated[
        str,
        Meta(
            description="Where browsers reach this server (`https://agents.example.com`): authorisation servers send"
            " users back there. Where left out, the address that it listens on."
        ),
    ] = ""
    sampling: SamplingSettings = SamplingSettings()


class ConnectorOAuth(Closed):
    """How each user authorises this server; what is left out is discovered, or registered for."""

    client_id: Annotated[str, Meta(description="What the authorisation server knows us as.")] = ""
    client_secret: Annotated[str, Meta(description="The secret that goes with it, if any.")] = ""
    scopes: Annotated[tuple[str, ...], Meta(description="What is asked for.")] = ()
    issuer: Annotated[str, Meta(description="URL of the authorisation server.")] = ""

    def __repr__(self) -> str:
        return f"ConnectorOAuth({self.client_id!r})"


class ConnectorSettings(Closed):
    """An MCP server that the operator names: its address may be a private one, or a command."""

    connector_id: Annotated[ConnectorId, Meta(description="Its id: `connector_id` of an `mcp` tool.")]
    url: Annotated[str, Meta(description="Where it is, over HTTP.")] = ""
    connector_type: Annotated[Literal["mcp"], Meta(description="The only kind that there is.")] = "mcp"
    transport: Annotated[
        Literal["auto", "streamable_http", "sse", "stdio"],
        Meta(description="`auto` tries streamable HTTP, then SSE. `stdio` starts `command`."),
    ] = "auto"
    server_label: Annotated[str, Meta(description="How it is called; `connector_id` where left out.")] = ""
    description: Annotated[str, Meta(description="What models are told of the server.")] = ""
    authorization: Annotated[
        str, Meta(description="A bearer token that is sent for every user, if there is one.")
    ] = ""
    headers: Annotated[dict[str, str], Meta(description="Sent with every request to it.")] = {}
    oauth: Annotated[
        ConnectorOAuth | None, Meta(description="Each user authorises for themselves, by OAuth.")
    ] = None
    tenants: Annotated[
        tuple[str, ...], Meta(description="The tenants that may use it; all where left out.")
    ] = ()
    command: Annotated[tuple[str, ...], Meta(description="Program and arguments of a `stdio` server.")] = ()
    env: Annotated[dict[str, str], Meta(description="Its environment, besides PATH and HOME.")] = {}
    cwd: Annotated[str, Meta(description="The folder that it runs in.")] = ""

    def __repr__(self) -> str:
        return f"ConnectorSettings({self.connector_id!r})"  # what else there is may be a secret
