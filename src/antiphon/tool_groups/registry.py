"""`GroupRegistry`: which tool groups there are for whom."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from antiphon.config.group_settings import (
    BUILTIN_RAG,
    MCP_PREFIX,
    PROVIDERS,
    Kind,
    ToolGroupSettings,
    connector_id_of,
)
from antiphon.config.settings import redacted
from antiphon.connectors.registry import ConnectorRegistry, Entry, id_of
from antiphon.core.wire import JsonObject, decode_json
from antiphon.ports import Owner
from antiphon.ports.agents import StoredToolGroup, ToolGroupRecords
from antiphon.tool_groups.shapes import McpEndpoint, ToolGroupObject

Source = Literal["built-in", "config", "api", "connector"]


@dataclass(frozen=True, slots=True)
class Group:
    """Tools under one name. `connector_id` is the MCP server behind them; "" for the search of vector stores.

    `source`: of "connector" are the groups that nobody declared, one for each connector.
    """

    id: str
    provider_id: str
    connector_id: str
    args: JsonObject = field(default_factory=dict[str, object], repr=False)
    source: Source = "api"

    @property
    def searches(self) -> bool:
        return not self.connector_id

    @property
    def is_named_after(self) -> str:
        """The connector that this group is the group of: `mcp::ID` and ID mean it. Others may have other arguments."""
        return self.connector_id if connector_id_of(self.id) == self.connector_id else ""


@dataclass(frozen=True, slots=True)
class GroupRegistry:
    """Groups of the configuration come first, then those that the tenant registered, then those that connectors are
    of themselves. A group whose connector is gone, or is not for this tenant, is not there.

    `providers`: what the provider ids that groups may name are.
    """

    records: ToolGroupRecords
    connectors: ConnectorRegistry
    configured: Sequence[ToolGroupSettings] = ()
    providers: Mapping[str, Kind] = field(default_factory=lambda: PROVIDERS)

    async def find(self, owner: Owner, group_id: str) -> Group | None:
        """By its id; that of a connector also by the connector's, with and without `mcp::`."""
        configured = self.configured_for(owner)
        if group_id in configured:
            return configured[group_id]
        stored = await self.records.get_tool_group(owner, group_id)
        if stored is not None and (not stored.connector_id or await self.has(owner, stored.connector_id)):
            return _stored(stored)
        connector_id = group_id.removeprefix(MCP_PREFIX)
        if not await self.has(owner, connector_id):
            return None
        declared = [*configured.values(), *map(_stored, await self.records.list_tool_groups(owner))]
        named = (one for one in declared if one.is_named_after == connector_id)
        return next(named, None) or self._of_connector(connector_id)

    async def list_all(self, owner: Owner) -> list[tuple[Group, Entry | None]]:
        """Each with its connector, if it has one."""
        entries = {id_of(one): one for one in await self.connectors.list_all(owner)}
        found = self.configured_for(owner)
        for one in map(_stored, await self.records.list_tool_groups(owner)):
            if one.searches or one.connector_id in entries:
                found.setdefault(one.id, one)
        named = {one.is_named_after for one in found.values()}
        for connector_id in entries:
            if connector_id not in named:
                one = self._of_connector(connector_id)
                found.setdefault(one.id, one)
        return [(one, entries.get(one.connector_id)) for one in found.values()]

    async def shown(self, owner: Owner, group: Group) -> ToolGroupObject:
        """As callers are shown it. Arguments that the operator wrote under the name of a secret are not."""
        entry = await self.connectors.entry(owner, group.connector_id) if group.connector_id else None
        return self.shown_with(owner, group, entry)

    def shown_with(self, owner: Owner, group: Group, entry: Entry | None) -> ToolGroupObject:
        url = self.connectors.shown(owner, entry).url if entry is not None else ""
        return ToolGroupObject(
            identifier=group.id,
            provider_id=group.provider_id,
            provider_resource_id=group.connector_id or group.id,
            args=(redacted(group.args) if group.source == "config" else group.args) or None,
            mcp_endpoint=McpEndpoint(uri=url) if url else None,
        )

    async def has(self, owner: Owner, connector_id: str) -> bool:
        return await self.connectors.entry(owner, connector_id) is not None

    def configured_for(self, owner: Owner) -> dict[str, Group]:
        """The search of vector stores, and the groups of the configuration that this owner may use, by id."""
        theirs = self.connectors.configured_for(owner)
        found = {BUILTIN_RAG: Group(BUILTIN_RAG, self.provider_of("rag"), "", {}, "built-in")}
        found |= {one.id: one for one in self._configured() if one.searches or one.connector_id in theirs}
        return found

    def provider_of(self, kind: Kind) -> str:
        """The provider that groups of this kind are of where nobody says it: the first one, configured ones before."""
        return next(name for name, of in self.providers.items() if of == kind)

    def _configured(self) -> Iterator[Group]:
        for one in self.configured:
            is_mcp = self.providers[one.provider_id] == "mcp"
            connector_id = connector_id_of(one.toolgroup_id) if is_mcp else ""
            yield Group(one.toolgroup_id, one.provider_id, connector_id, one.args, "config")

    def _of_connector(self, connector_id: str) -> Group:
        return Group(MCP_PREFIX + connector_id, self.provider_of("mcp"), connector_id, {}, "connector")


def _stored(stored: StoredToolGroup) -> Group:
    return Group(stored.id, stored.provider_id, stored.connector_id, decode_json(stored.args))
