"""Composition of MCP: settings → client, connectors, authorisations → tool runtime → routes. `app.py` calls it.

Nothing of the MCP SDK is loaded here: `McpClient` does that when the first server is asked.
"""

import time
from dataclasses import dataclass

from antiphon.agents.turns import TurnService
from antiphon.config.settings import ConfigError, Settings
from antiphon.connectors.asking import ConnectorQuestions, QuestionLimits
from antiphon.connectors.registry import ConnectorRegistry
from antiphon.connectors.routes import ConnectorRoutes
from antiphon.connectors.service import ConnectorService
from antiphon.fetching.exchanges import GuardedExchanges
from antiphon.fetching.urls import Refused, read
from antiphon.knowledge import Knowledge, make_egress
from antiphon.mcp.client import SdkMcpClient
from antiphon.mcp.limits import McpLimits
from antiphon.mcp_server.agent_tools import AgentTools
from antiphon.mcp_server.connector_tools import ConnectorTools
from antiphon.mcp_server.file_tools import FileTools
from antiphon.mcp_server.origins import Origins
from antiphon.mcp_server.questions import Questions as UserQuestions
from antiphon.mcp_server.response_tool import ResponseTool
from antiphon.mcp_server.routes import McpRoutes
from antiphon.mcp_server.service import McpService
from antiphon.mcp_server.tools import ToolSource
from antiphon.mcp_tools.addresses import Address, AddressRefused, ServerPolicy
from antiphon.mcp_tools.calls import Calls, Limits
from antiphon.mcp_tools.listings import Listings
from antiphon.mcp_tools.questions import Questions
from antiphon.mcp_tools.runtime import McpTools
from antiphon.mcp_tools.targets import Targets
from antiphon.oauth.clients import Front
from antiphon.oauth.routes import OAuthRoutes
from antiphon.oauth.service import UserAuthorizations
from antiphon.ports import Clock, Ids, Sealer, Store, ToolRuntime
from antiphon.ports.mcp import (
    Authorizations,
    Connectors,
    McpClient,
)
from antiphon.web.routing import Route
from antiphon.web.streams import OpenStreams

_EVERY_ADDRESS = frozenset({"0.0.0.0", "::"})
HEALTH_TIMEOUT_S = 15.0
"""For one look at a connector's server, the list of its tools included."""


@dataclass(frozen=True, slots=True)
class Integrations:
    """What this capability needs, made once per server."""

    client: McpClient
    connectors: ConnectorRoutes
    authorizations: UserAuthorizations
    tools: McpTools

    def routes(self) -> list[Route]:
        return [*OAuthRoutes(self.authorizations).table(), *self.connectors.table()]

    async def start(self) -> None:
        """Begin what runs in the background. Waits for nothing."""

    async def stop(self) -> None:
        """End all connections and processes, and let go of what is held."""
        await self.tools.aclose()
        await self.authorizations.aclose()
        await self.client.aclose()


@dataclass(frozen=True, slots=True)
class Parts:
    """What integrations are put together from. What `sealer` seals expires; what `at_rest` seals may be stored."""

    settings: Settings
    store: Store
    knowledge: Knowledge
    sealer: Sealer
    at_rest: Sealer
    clock: Clock
    ids: Ids


def make_integrations(parts: Parts, others: ToolRuntime) -> Integrations:
    """The parts over these settings. `others` runs the tools that are not of MCP servers.

    Raises ConfigError for a connector that cannot be had.
    """
    client = make_client(parts)
    registry = make_registry(parts)
    authorizations = make_authorizations(parts)
    tools = make_tools(parts, client, registry, authorizations, others)
    connectors = make_connectors(parts, client, registry, authorizations)
    return Integrations(client, connectors, authorizations, tools)


def make_tools(
    parts: Parts,
    client: McpClient,
    connectors: Connectors,
    authorizations: Authorizations,
    others: ToolRuntime,
) -> McpTools:
    """What lists and runs the tools of servers. Raises ConfigError for a network that is none."""
    asked = parts.settings.mcp
    limits = Limits(asked.server_calls, asked.tenant_calls, asked.call_timeout_s, asked.max_output_chars)
    questions = Questions(parts.sealer, parts.clock, asked.elicitation_ttl_s)
    return McpTools(
        targets=Targets(make_policy(parts.settings), connectors, authorizations),
        listings=Listings(client, time.monotonic, asked.list_cache_s, asked.list_timeout_s),
        calls=Calls(client, questions, parts.knowledge.files, limits),
        authorizations=authorizations,
        others=others,
        max_tools=asked.max_tools,
    )


def make_policy(settings: Settings) -> ServerPolicy:
    """Which servers requests may name."""
    asked, egress = settings.mcp, make_egress(settings)

    def read(text: str) -> Address:
        try:
            url = egress.target(text)
        except Refused as refused:
            raise AddressRefused(str(refused)) from None
        return Address(str(url), (url.raw_host or "").lower())

    rule = asked.servers if asked.servers != "auto" else "any" if _has_one_tenant(settings) else "listed"
    return ServerPolicy(read, rule, asked.allow_hosts, asked.tenant_hosts)


def _has_one_tenant(settings: Settings) -> bool:
    return len({key.tenant for key in settings.server.auth.keys}) <= 1


def make_client(parts: Parts) -> McpClient:
    """What speaks to servers; it connects, and loads the SDK, when it is first asked to. Raises ConfigError for a
    network that is none.
    """
    asked = parts.settings.mcp
    limits = McpLimits(
        connect_timeout_s=asked.connect_timeout_s,
        idle_s=asked.idle_s,
        max_connections=asked.max_connections,
        max_tools=asked.max_tools,
        max_message_bytes=asked.max_message_bytes,
        question_ttl_s=asked.elicitation_ttl_s,
        sampling=asked.sampling.enabled,
    )
    return SdkMcpClient(make_egress(parts.settings), limits)


def make_registry(parts: Parts) -> ConnectorRegistry:
    """The servers that have an id here. Raises ConfigError for a URL that is none."""
    settings = parts.settings
    check_connectors(settings)
    return ConnectorRegistry(
        parts.store.mcp,
        parts.at_rest,
        make_policy(settings),
        settings.connectors,
        shows_addresses=_has_one_tenant(settings),
    )


def check_connectors(settings: Settings) -> None:
    """Raises ConfigError for a connector whose URL is none."""
    for one in settings.connectors:
        urls = {"url": one.url, "oauth.issuer": one.oauth.issuer if one.oauth is not None else ""}
        for key, url in urls.items():
            try:
                if url:
                    read(url)
            except Refused as refused:
                raise settings.connector_error(one.connector_id, key, f"{refused}") from None


def make_connectors(
    parts: Parts, client: McpClient, registry: ConnectorRegistry, authorizations: UserAuthorizations
) -> ConnectorRoutes:
    asked = parts.settings.mcp
    service = ConnectorService(registry, parts.store.mcp, authorizations.forget, parts.clock)
    questions = ConnectorQuestions(
        registry,
        client,
        authorizations,
        parts.clock,
        Targets(registry.policy, registry, authorizations),
        QuestionLimits(asked.list_timeout_s, HEALTH_TIMEOUT_S, asked.max_tools),
    )
    return ConnectorRoutes(registry, service, questions)


def make_authorizations(parts: Parts) -> UserAuthorizations:
    """Tokens of users for connectors. Raises ConfigError for an address of this server that is none."""
    exchanges = GuardedExchanges(make_egress(parts.settings))
    return UserAuthorizations(
        parts.store.mcp, parts.at_rest, exchanges, parts.clock, make_front(parts.settings)
    )


def make_front(settings: Settings) -> Front:
    """Where browsers reach this server: where the operator says, else where it listens. Nowhere when it does not.

    Raises ConfigError.
    """
    server = settings.server
    url = settings.mcp.public_url.rstrip("/")
    if not url and server.port:
        host = server.host.strip("[]")
        host = "localhost" if host in _EVERY_ADDRESS else f"[{host}]" if ":" in host else host
        url = f"{'https' if server.tls_certfile else 'http'}://{host}:{server.port}"
    if not url:
        return Front("", "")
    try:
        read_url = read(url)
    except Refused as refused:
        raise ConfigError(settings.source, None, f"mcp.public_url: it {refused}") from None
    if read_url.raw_query_string or "#" in url:
        raise ConfigError(settings.source, None, "mcp.public_url: it has a query or a fragment")
    return Front(url, read_url.raw_host or "")


def mcp_server_routes(
    settings: Settings,
    turns: TurnService,
    knowledge: Knowledge,
    own: Integrations,
    streams: OpenStreams,
) -> list[Route]:
    """Our own MCP server; nothing where the operator does not want one."""
    if not settings.mcp.serve:
        return []
    responses, most = turns.responses, settings.mcp.max_output_chars
    sources: list[ToolSource] = [
        FileTools(knowledge.searcher, responses.store.knowledge, responses.clock, most),
        ResponseTool(responses),
        AgentTools(turns),
        ConnectorTools(own.connectors.registry, own.tools, most),
    ]
    questions = UserQuestions(responses.sealer, responses.clock, settings.mcp.elicitation_ttl_s)
    origins = Origins(bool(settings.server.auth.keys), settings.mcp.public_url)
    service = McpService(sources, questions, responses.ids)
    return McpRoutes(service, origins, streams, settings.server.heartbeat_s).table()
