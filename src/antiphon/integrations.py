"""Composition of MCP: settings → client, connectors, authorisations → tool runtime → routes. `app.py` calls it.

Nothing of the MCP SDK is loaded here: `McpClient` does that when the first server is asked.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from antiphon.config.settings import Settings
from antiphon.core.wire import JsonObject
from antiphon.fetching.urls import Refused
from antiphon.knowledge import Knowledge, make_egress
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
from antiphon.ports import Clock, Ids, Owner, Sealer, Store, ToolRuntime
from antiphon.ports.mcp import (
    AuthorizationLink,
    Authorizations,
    CallHost,
    CallResult,
    Connector,
    Connectors,
    Listing,
    McpClient,
    McpServer,
    McpUnreachable,
    Question,
    Reply,
)
from antiphon.responses.service import ResponseService
from antiphon.web.routing import Route
from antiphon.web.streams import OpenStreams


@dataclass(frozen=True, slots=True)
class Integrations:
    """What this capability needs, made once per server."""

    client: McpClient
    connectors: Connectors
    authorizations: Authorizations
    tools: McpTools

    def routes(self) -> list[Route]:
        return []

    async def start(self) -> None:
        """Begin what runs in the background. Waits for nothing."""

    async def stop(self) -> None:
        """End all connections and processes, and let go of what is held."""
        await self.tools.aclose()
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
    connectors = make_connectors(parts)
    authorizations = make_authorizations(parts)
    tools = make_tools(parts, client, connectors, authorizations, others)
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

    tenants = {key.tenant for key in settings.server.auth.keys}
    rule = asked.servers if asked.servers != "auto" else "any" if len(tenants) <= 1 else "listed"
    return ServerPolicy(read, rule, asked.allow_hosts, asked.tenant_hosts)


def make_client(parts: Parts) -> McpClient:
    """What speaks to servers; it connects, and loads the SDK, when it is first asked to."""
    del parts
    return _NoClient()


def make_connectors(parts: Parts) -> Connectors:
    """The servers that have an id here."""
    del parts
    return _NoConnectors()


def make_authorizations(parts: Parts) -> Authorizations:
    """Tokens of users for connectors."""
    del parts
    return _NoAuthorizations()


class _NoClient:
    async def list_tools(self, server: McpServer, *, timeout_s: float) -> Listing:
        raise McpUnreachable("this server calls no MCP servers")

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
        raise McpUnreachable("this server calls no MCP servers")

    async def forget(self, reply_token: bytes) -> None:
        return

    def changes(self, server: McpServer) -> int:
        return 0

    async def ping(self, server: McpServer, *, timeout_s: float) -> JsonObject:
        raise McpUnreachable("this server calls no MCP servers")

    async def aclose(self) -> None:
        return


class _NoConnectors:
    async def find(self, owner: Owner, connector_id: str) -> Connector | None:
        return None


class _NoAuthorizations:
    async def headers(self, owner: Owner, connector: Connector) -> Mapping[str, str] | None:
        return None

    async def begin(self, owner: Owner, connector: Connector, challenge: str = "") -> AuthorizationLink:
        raise McpUnreachable("this server does not authorise users")

    async def discard(self, owner: Owner, connector: Connector) -> bool:
        return False


def mcp_server_routes(
    settings: Settings,
    responses: ResponseService,
    knowledge: Knowledge,
    own: Integrations,
    streams: OpenStreams,
) -> list[Route]:
    """Our own MCP server; nothing where the operator does not want one."""
    if not settings.mcp.serve:
        return []
    del own
    sources: list[ToolSource] = [
        FileTools(
            knowledge.searcher, responses.store.knowledge, responses.clock, settings.mcp.max_output_chars
        ),
        ResponseTool(responses),
    ]
    questions = UserQuestions(responses.sealer, responses.clock, settings.mcp.elicitation_ttl_s)
    origins = Origins(bool(settings.server.auth.keys), settings.mcp.public_url)
    service = McpService(sources, questions, responses.ids)
    return McpRoutes(service, origins, streams, settings.server.heartbeat_s).table()
