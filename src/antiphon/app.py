"""The composition root: settings → adapters → services → the ASGI application.

Only here are concrete adapters known.
"""

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from antiphon import plugins
from antiphon.agency import Agency, make_agency
from antiphon.agency import Parts as AgencyParts
from antiphon.chat.keeping import ChatKeeper
from antiphon.chat.routes import ChatRoutes
from antiphon.chat.stored import StoredChats
from antiphon.chat.stored_routes import StoredChatRoutes
from antiphon.config.settings import ConfigError, ProviderSettings, Settings
from antiphon.conversations.routes import ConversationRoutes
from antiphon.conversations.service import ConversationService
from antiphon.embeddings.routes import EmbeddingRoutes
from antiphon.integrations import Integrations, make_integrations, mcp_server_routes
from antiphon.integrations import Parts as IntegrationParts
from antiphon.knowledge import Knowledge, make_knowledge
from antiphon.mcp_server.errors import error_shape as mcp_errors
from antiphon.messages.errors import error_shape
from antiphon.messages.routes import MessagesRoutes
from antiphon.models.catalog import Catalog, NamedModel
from antiphon.models.health import Guarded, UpstreamHealth
from antiphon.models.prompted import told_in_words
from antiphon.models.router import routed_models
from antiphon.models.routes import ModelRoutes
from antiphon.ports import Clock, Ids, ModelProvider, Sealer, Store
from antiphon.prompts.routes import PromptRoutes
from antiphon.prompts.service import PromptService
from antiphon.providers.presets import ProviderConfigError
from antiphon.providers.upstream import UpstreamClient
from antiphon.rerank.routes import RerankRoutes
from antiphon.responses.attachments import Attachments
from antiphon.responses.compaction import CompactRoutes
from antiphon.responses.counting import TokenCountRoutes
from antiphon.responses.routes import ResponseRoutes, StreamSettings
from antiphon.responses.service import ResponseService
from antiphon.responses.socket import ResponseSockets
from antiphon.runs.sampling import Sampler
from antiphon.sealing.aead import AeadSealer
from antiphon.sealing.keys import check, configured, kept
from antiphon.storage.sqlite import SqliteStore
from antiphon.system import SystemClock, SystemIds
from antiphon.tools.none import NoTools
from antiphon.vector_stores.file_search import FileSearch
from antiphon.web.auth import ANONYMOUS, Authenticator
from antiphon.web.docs import DocsRoutes
from antiphon.web.edge import Edge
from antiphon.web.health import HealthRoutes
from antiphon.web.inspection import InspectionRoutes
from antiphon.web.routing import Route, Router, SocketRoute
from antiphon.web.streams import OpenStreams

if TYPE_CHECKING:  # loaded by a server that records, and by no other
    from antiphon.recording.recorder import Recorder


@dataclass(frozen=True, slots=True)
class Services:
    """What the handlers need, made once per server. Two servers in one process share nothing."""

    settings: Settings
    catalog: Catalog
    store: Store
    responses: ResponseService
    upstreams: UpstreamClient
    knowledge: Knowledge
    integrations: Integrations
    agency: Agency
    recorder: "Recorder | None" = None

    async def check_store(self) -> None:
        """Raises StoreUnavailable when state cannot be read."""
        await self.store.get_response(ANONYMOUS, "resp_none")

    async def startup(self) -> None:
        """Models are discovered by the first request that needs them; nothing here waits for an upstream."""
        await self.knowledge.start()
        await self.integrations.start()
        self.agency.start()

    async def shutdown(self) -> None:
        await self.agency.stop()
        await self.integrations.stop()
        await self.knowledge.stop()
        await self.catalog.aclose()
        await asyncio.gather(*(provider.aclose() for provider in self.catalog.providers.values()))
        await self.upstreams.aclose()
        await self.store.aclose()
        if self.recorder is not None:
            self.recorder.close()


def build(settings: Settings) -> Edge:
    """The server for these settings, its state opened and migrated.

    Raises ConfigError for a provider that cannot be made, StoreUnavailable for state that cannot be opened.
    """
    clock, ids = SystemClock(), SystemIds()
    recorder, upstreams = _recording(settings, clock)
    providers = make_providers(settings, upstreams, ids)
    catalog = make_catalog(settings, providers, clock)
    store = SqliteStore.open(settings.storage.url)
    return serve(services_for(settings, catalog, store, upstreams, clock, ids, recorder), ids)


def _recording(settings: Settings, clock: Clock) -> "tuple[Recorder | None, UpstreamClient]":
    """The recorder, and the upstream client that it listens on; without recording, the plain client."""
    if not settings.recording.path:
        return None, UpstreamClient(clock)
    from antiphon.providers.taped import TapedClient
    from antiphon.recording.setup import make_recorder

    return make_recorder(settings, clock), TapedClient(clock)


def services_for(
    settings: Settings,
    catalog: Catalog,
    store: Store,
    upstreams: UpstreamClient,
    clock: Clock,
    ids: Ids,
    recorder: "Recorder | None" = None,
    sealer: Sealer | None = None,
) -> Services:
    watch = recorder.watch if recorder is not None else None
    sealers = make_sealers(settings, clock) if sealer is None else Sealers(sealer, sealer)
    knowledge = make_knowledge(settings, catalog, store, clock, ids, state_folder(settings))
    searching = FileSearch(knowledge.searcher, store.knowledge, clock, NoTools())
    parts = IntegrationParts(settings, store, knowledge, sealers.carried, sealers.at_rest, clock, ids)
    integrations = make_integrations(parts, searching)
    agency = make_agency(AgencyParts(settings, store, catalog, knowledge, integrations, clock, ids))
    attachments = Attachments(knowledge.files, knowledge.fetcher, knowledge.extractor)
    responses = ResponseService(
        catalog,
        store,
        integrations.tools,
        clock,
        ids,
        sealers.carried,
        watch=watch,
        attachments=attachments,
        approval_ttl_s=settings.mcp.approval_ttl_s,
        sampler=make_sampler(settings, catalog),
        shields=agency.shields,
        agents=agency.agents,
    )
    return Services(settings, catalog, store, responses, upstreams, knowledge, integrations, agency, recorder)


def make_sampler(settings: Settings, catalog: Catalog) -> Sampler:
    """What carries out the model calls that MCP servers ask for."""
    sampling = settings.mcp.sampling
    return Sampler(sampling.enabled, sampling.model, sampling.max_tokens, sampling.max_calls, catalog.resolve)


@dataclass(frozen=True, slots=True)
class Sealers:
    """Of the same keys. What clients carry for us expires; what is kept in the store lasts as long as its key."""

    carried: Sealer
    at_rest: Sealer


def make_sealers(settings: Settings, clock: Clock) -> Sealers:
    """Raises ConfigError for configured keys that are none, SealingUnavailable for a file of such."""
    sealing = settings.server.sealing
    try:
        fixed = configured(sealing.keys)
    except ValueError as error:
        raise ConfigError(settings.source, None, f"server.sealing.keys: {error}") from None
    folder = state_folder(settings)
    if folder is None:
        fixed = fixed or kept(None)  # the same for the life of the process
    elif not fixed:
        check(folder)

    def keys() -> list[bytes]:
        return fixed or kept(folder)

    return Sealers(
        AeadSealer(keys, clock, max_age_days=sealing.max_age_days), AeadSealer(keys, clock, max_age_days=None)
    )


def state_folder(settings: Settings) -> Path | None:
    """Where keys are kept: beside the database, as what they seal refers to it; None where nothing is kept."""
    url = settings.storage.url
    if url.startswith("sqlite:///"):
        return Path(url.removeprefix("sqlite:///")).expanduser().parent
    return Path(settings.home) if settings.home else None


def make_catalog(
    settings: Settings,
    providers: Mapping[str, ModelProvider],
    clock: Clock,
    draw: Callable[[], float] = random.random,
) -> Catalog:
    """The names of models over these providers, each behind its circuit breakers. `draw` is chance, for weights."""
    own = {one.provider_id: one.breaker for one in settings.providers.inference if one.breaker is not None}
    health = UpstreamHealth(clock, settings.server.breaker, own)
    guarded = {name: Guarded(told_in_words(provider), health) for name, provider in providers.items()}
    aliases = [one for one in settings.models if one.route is None]
    named = [NamedModel(one.model_id, one.provider_id, one.upstream_name) for one in aliases]
    routes = {one.model_id: one.route for one in settings.models if one.route is not None}
    targets = {one.model_id: (one.provider_id, one.upstream_name) for one in aliases}
    routed = routed_models(routes, guarded, targets, health, draw)
    return Catalog(guarded, named, clock=clock, routed=routed, health=health)


def make_providers(settings: Settings, upstreams: UpstreamClient, ids: Ids) -> Mapping[str, ModelProvider]:
    """The configured model servers by id. Raises ConfigError, at the line of the setting at fault."""
    return {one.provider_id: _provider(settings, one, upstreams, ids) for one in settings.providers.inference}


def _provider(
    settings: Settings, one: ProviderSettings, upstreams: UpstreamClient, ids: Ids
) -> ModelProvider:
    lenient = settings.server.parameters == "lenient"
    try:
        make = plugins.provider_class(one.provider_type).from_config
        config = settings.config_of(one)
        return make(one.provider_id, one.provider_type, config, upstreams, ids, lenient=lenient)
    except plugins.UnknownProviderType as error:
        raise settings.provider_error(one.provider_id, "", str(error)) from error
    except ProviderConfigError as error:
        raise settings.provider_error(one.provider_id, error.key, str(error)) from error


def serve(services: Services, ids: Ids) -> Edge:
    """The ASGI application over the services."""
    server = services.settings.server
    router = Router(*routes(services))
    return Edge(
        router,
        Authenticator(server.auth.keys),
        ids,
        max_body=server.limits.max_body_bytes,
        startup=services.startup,
        shutdown=services.shutdown,
        error_shape=mcp_errors(error_shape) if services.settings.mcp.serve else error_shape,
    )


def routes(services: Services) -> tuple[list[Route], list[SocketRoute]]:
    """Everything that is served, `/openapi.json` included, and where WebSockets are taken."""
    server = services.settings.server
    streams = OpenStreams(server.limits.max_open_streams)
    tap = services.recorder.tap if services.recorder is not None else None
    stream_settings = StreamSettings(server.heartbeat_s, server.responses_done_marker)
    lenient = server.parameters == "lenient"
    max_frame = server.limits.max_body_bytes
    sockets = ResponseSockets(services.responses, streams, server.websocket, max_frame, lenient).table()
    turns = services.agency.turns(services.responses)
    keeper = ChatKeeper(services.store.chats, services.responses.clock, services.responses.ids)
    table = [
        *ResponseRoutes(services.responses, stream_settings, streams, lenient).table(),
        *TokenCountRoutes(services.responses, lenient).table(),
        *CompactRoutes(services.responses, lenient).table(),
        *ConversationRoutes(ConversationService(services.responses)).table(),
        *MessagesRoutes(services.responses, stream_settings, streams, lenient).table(),
        *ChatRoutes(
            services.catalog, keeper, server.heartbeat_s, streams, tap, services.responses.attachments
        ).table(),
        *StoredChatRoutes(StoredChats(services.store.chats)).table(),
        *EmbeddingRoutes(services.catalog, tap).table(),
        *RerankRoutes(services.catalog, services.responses.ids, tap).table(),
        *PromptRoutes(
            PromptService(services.store.prompts, services.responses.clock, services.responses.ids)
        ).table(),
        *services.knowledge.routes(),
        *services.integrations.routes(),
        *services.agency.routes(turns, stream_settings, streams),
        *mcp_server_routes(services.settings, turns, services.knowledge, services.integrations, streams),
        *ModelRoutes(services.catalog).table(),
        *HealthRoutes(services.check_store, services.catalog.breakers).table(),
    ]
    types = {one.provider_id: one.provider_type for one in services.settings.providers.inference}
    table += InspectionRoutes(types, lambda: services.catalog.failures, table).table()
    return [*table, *DocsRoutes(table, sockets).table()], sockets
