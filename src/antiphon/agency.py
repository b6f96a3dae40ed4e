"""Composition of agents, with the tool groups and shields that they use: settings → services → routes.

`app.py` calls it twice: what runs need of it goes into the service of responses, over which turns are run then.
"""

from dataclasses import dataclass

from antiphon.agents.bridge import StoredAgents
from antiphon.agents.building import AgentRequests
from antiphon.agents.documents import TurnDocuments
from antiphon.agents.going import Going
from antiphon.agents.routes import PREFIXES, AgentRoutes
from antiphon.agents.service import AgentService
from antiphon.agents.sessions import Sessions
from antiphon.agents.turns import TurnService
from antiphon.agents.volatile import VolatileSessions
from antiphon.config.settings import Settings
from antiphon.files.sweeping import Sweeper
from antiphon.integrations import Integrations
from antiphon.knowledge import Knowledge
from antiphon.models.catalog import Catalog
from antiphon.ports import Clock, Ids, Store
from antiphon.ports.safety import Shields
from antiphon.responses.routes import StreamSettings
from antiphon.responses.service import ResponseService
from antiphon.shielding import Safety, make_safety
from antiphon.storage.memory import MemoryStore
from antiphon.tool_groups.setup import ToolGroupParts, make_tool_groups
from antiphon.web.routing import Route
from antiphon.web.streams import OpenStreams

MB = 1024 * 1024
SWEEP_EVERY_S = 60.0
"""Sessions in memory that have expired are gone for callers at once, and from memory after so long."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What agents are put together from."""

    settings: Settings
    store: Store
    catalog: Catalog
    knowledge: Knowledge
    integrations: Integrations
    clock: Clock
    ids: Ids


@dataclass(frozen=True, slots=True)
class Agency:
    """What this capability needs, made once per server."""

    parts: Parts
    safety: Safety
    tool_groups: ToolGroupParts
    requests: AgentRequests
    volatile: VolatileSessions
    documents: TurnDocuments
    sweeper: Sweeper

    @property
    def shields(self) -> Shields:
        return self.safety.guards

    @property
    def agents(self) -> StoredAgents:
        """Stored agents, as requests for responses name them."""
        return StoredAgents(self.parts.store.agents, self.requests)

    def turns(self, responses: ResponseService) -> TurnService:
        """What runs turns, by `responses`. Made once: it knows which ones go on."""
        parts = self.parts
        agents = AgentService(
            Sessions(parts.store, self.volatile),
            self.requests,
            self.documents.memory,
            Going(parts.clock),
            parts.clock,
            parts.ids,
        )
        return TurnService(agents, self.documents, responses)

    def routes(self, turns: TurnService, settings: StreamSettings, streams: OpenStreams) -> list[Route]:
        table = [
            route
            for prefix in PREFIXES
            for route in AgentRoutes(turns.agents, turns, settings, streams, prefix).table()
        ]
        return [*table, *self.tool_groups.table(), *self.safety.routes()]

    def start(self) -> None:
        """Begin what runs in the background. Waits for nothing."""
        self.sweeper.start()

    async def stop(self) -> None:
        await self.sweeper.stop()
        await self.safety.stop()


def make_agency(parts: Parts) -> Agency:
    """The parts over these settings. Raises ConfigError for a shield, or its provider, that cannot be made."""
    asked = parts.settings.agents
    safety = make_safety(parts.settings, parts.catalog, parts.store, parts.clock)
    volatile = VolatileSessions(
        MemoryStore,
        parts.clock,
        ttl_s=asked.volatile_session_ttl_s,
        max_bytes=asked.max_volatile_mb * MB,
    )
    documents = TurnDocuments(
        parts.knowledge.rag,
        parts.store.agents,
        volatile,
        inline_tokens=asked.inline_document_tokens,
        retrieved_chunks=asked.retrieved_chunks,
    )
    tool_groups = make_groups(parts)
    requests = AgentRequests(parts.catalog, tool_groups.groups, safety.guards)
    sweeper = Sweeper((volatile.sweep,), SWEEP_EVERY_S)
    return Agency(parts, safety, tool_groups, requests, volatile, documents, sweeper)


def make_groups(parts: Parts) -> ToolGroupParts:
    """What makes tools of the groups that agents name. Raises ConfigError for a group that cannot be had."""
    connectors = parts.integrations.connectors
    return make_tool_groups(
        parts.settings,
        parts.store.tool_groups,
        connectors.registry,
        connectors.service,
        parts.integrations.tools,
        parts.knowledge.rag,
        parts.clock,
    )
