"""Tool groups put together: settings and the parts of others → the service, what agents use, and the routes."""

from collections.abc import Mapping
from dataclasses import dataclass

from antiphon.config.group_settings import KINDS, PROVIDERS, Kind
from antiphon.config.settings import Settings
from antiphon.connectors.registry import ConnectorRegistry
from antiphon.connectors.service import ConnectorService
from antiphon.core.errors import InvalidRequest
from antiphon.ports import Clock, ToolRuntime
from antiphon.ports.agents import ToolGroupRecords
from antiphon.tool_groups.groups import ToolGroups
from antiphon.tool_groups.invoking import Invoking
from antiphon.tool_groups.listing import GroupTools
from antiphon.tool_groups.rag import KnowledgeSearch, search_of
from antiphon.tool_groups.registry import GroupRegistry
from antiphon.tool_groups.resolving import GroupResolver
from antiphon.tool_groups.routes import ToolGroupRoutes
from antiphon.tool_groups.service import GroupService
from antiphon.vector_io.rag import RagTool
from antiphon.web.routing import Route


@dataclass(frozen=True, slots=True)
class ToolGroupParts:
    """`groups` is what agents need of them."""

    groups: ToolGroups
    routes: ToolGroupRoutes

    def table(self) -> list[Route]:
        return self.routes.table()


def make_tool_groups(
    settings: Settings,
    records: ToolGroupRecords,
    connectors: ConnectorRegistry,
    making: ConnectorService,
    runtime: ToolRuntime,
    rag: RagTool,
    clock: Clock,
) -> ToolGroupParts:
    """`making` makes and deletes the connectors of groups; `runtime` is the server's own, which runs every tool.

    Raises ConfigError for a group of the configuration whose search cannot be made.
    """
    check_tool_groups(settings)
    registry = GroupRegistry(records, connectors, settings.tool_groups, providers_of(settings))
    search = KnowledgeSearch(rag)
    tools = GroupTools(registry, runtime)
    routes = ToolGroupRoutes(GroupService(registry, making, clock), tools, Invoking(tools, runtime, search))
    return ToolGroupParts(GroupResolver(registry, runtime, search), routes)


def check_tool_groups(settings: Settings) -> None:
    """Raises ConfigError for a group that searches and has arguments that a search does not take."""
    kinds = providers_of(settings)
    for one in settings.tool_groups:
        if kinds[one.provider_id] != "rag":
            continue
        try:
            search_of(one.args, "args")
        except InvalidRequest as refused:
            raise settings.group_error(one.toolgroup_id, "args", refused.message) from None


def providers_of(settings: Settings) -> Mapping[str, Kind]:
    """What groups may name as their provider: those of the configuration, then those that are always there."""
    kinds: dict[str, Kind] = {
        one.provider_id: KINDS[one.provider_type] for one in settings.providers.tool_runtime
    }
    for name, kind in PROVIDERS.items():
        kinds.setdefault(name, kind)
    return kinds
