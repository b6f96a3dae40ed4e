"""Tool groups that a tenant registers, and their connectors. Everybody of the tenant may."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from antiphon.config.group_settings import BUILTIN_RAG, MCP_PREFIX, connector_id_of
from antiphon.connectors.registry import ConnectorRegistry
from antiphon.connectors.service import ConnectorService
from antiphon.connectors.shapes import CreateConnector, read_public
from antiphon.core.errors import Conflict, InvalidRequest, NotFound, PermissionDenied
from antiphon.core.wire import encode
from antiphon.mcp_tools.addresses import AddressRefused
from antiphon.ports import Clock, Owner
from antiphon.ports.agents import StoredToolGroup
from antiphon.ports.mcp import StoredConnector
from antiphon.tool_groups.rag import search_of
from antiphon.tool_groups.refusals import check_served, unknown_group
from antiphon.tool_groups.registry import Group, GroupRegistry
from antiphon.tool_groups.shapes import MAX_ID, RegisterToolGroup, ToolGroupObject

MAX_GROUPS = 500
"""Of one tenant, besides those of the configuration."""
MAX_ARGS = 64 * 1024
"""Bytes of a group's arguments, as JSON."""
MADE_FOR = "toolgroup_id"
"""In a connector's metadata: the group that it was made for, and goes with."""
_URI = "mcp_endpoint.uri"


@dataclass(frozen=True, slots=True)
class GroupService:
    registry: GroupRegistry
    connectors: ConnectorService
    clock: Clock
    _changing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def list_all(self, owner: Owner) -> Sequence[ToolGroupObject]:
        return [self.registry.shown_with(owner, *one) for one in await self.registry.list_all(owner)]

    async def get(self, owner: Owner, group_id: str) -> ToolGroupObject:
        """Raises NotFound, and UnsupportedParameter for a built-in group that is not served."""
        return await self.registry.shown(owner, await self._found(owner, group_id))

    async def register(self, owner: Owner, body: RegisterToolGroup) -> None:
        """The same again changes nothing. Raises InvalidRequest, and Conflict for an id that is another group's."""
        check_served(body.toolgroup_id, "toolgroup_id")
        _check_id(body.toolgroup_id)
        kind = self.registry.providers.get(body.provider_id)
        if kind is None:
            known = ", ".join(self.registry.providers)
            message = f'`provider_id`: there is no tool runtime "{body.provider_id[:200]}"; there: {known}.'
            raise InvalidRequest(message, param="provider_id")
        if len(encode(body.args or {})) > MAX_ARGS:
            raise InvalidRequest(f"`args`: larger than {MAX_ARGS} bytes of JSON.", param="args")
        async with self._changing:
            if kind == "mcp":
                await self._register_server(owner, body)
            else:
                await self._register_search(owner, body)

    async def unregister(self, owner: Owner, group_id: str) -> None:
        """With the connector that was made for it. Raises NotFound, and PermissionDenied and Conflict for groups that
        nobody registered.
        """
        async with self._changing:
            group = await self._found(owner, group_id)
            if group.source in ("config", "built-in"):
                where = (
                    "is always there" if group.source == "built-in" else "is in the server's configuration"
                )
                message = f'tool group "{group.id}" {where}; an agent that does not name it does not use it.'
                raise PermissionDenied(message, param="toolgroup_id")
            if group.source == "connector":
                raise Conflict(
                    f'tool group "{group.id}" is connector "{group.connector_id}" itself;'
                    f" DELETE /v1/connectors/{group.connector_id} deletes it.",
                    param="toolgroup_id",
                )
            if await self._made_for(owner, group):
                with suppress(NotFound):  # somebody else deleted it meanwhile
                    await self.connectors.delete(owner, group.connector_id)
            await self.registry.records.delete_tool_group(owner, group.id)

    async def _found(self, owner: Owner, group_id: str) -> Group:
        check_served(group_id, "toolgroup_id")
        group = await self.registry.find(owner, group_id)
        if group is None:
            raise unknown_group(group_id, "toolgroup_id")
        return group

    async def _made_for(self, owner: Owner, group: Group) -> bool:
        """Whether its connector goes with it: while it says so, and as long as no other group is over it."""
        entry = await self._connectors.entry(owner, group.connector_id) if group.connector_id else None
        if not isinstance(entry, StoredConnector):
            return False
        if read_public(entry.body).metadata.get(MADE_FOR) != group.id:
            return False
        every = await self.registry.records.list_tool_groups(owner)
        return not any(one.connector_id == group.connector_id and one.id != group.id for one in every)

    @property
    def _connectors(self) -> ConnectorRegistry:
        return self.registry.connectors

    # --- a search of vector stores ------------------------------------------------------------------------
    async def _register_search(self, owner: Owner, body: RegisterToolGroup) -> None:
        if body.mcp_endpoint:
            message = (
                f"`mcp_endpoint`: {body.provider_id} asks no server; leave it out, or name another provider."
            )
            raise InvalidRequest(message, param="mcp_endpoint")
        search_of(body.args or {}, "args")
        there = await self.registry.find(owner, body.toolgroup_id)
        wanted = Group(body.toolgroup_id, body.provider_id, "", body.args or {})
        if there is not None and there.id == body.toolgroup_id:
            _check_same(there, wanted)
            return
        await self._check_room(owner, wanted.id)
        await self._add(owner, wanted)

    # --- a server -----------------------------------------------------------------------------------------
    async def _register_server(self, owner: Owner, body: RegisterToolGroup) -> None:
        if body.toolgroup_id == BUILTIN_RAG:
            raise _taken(body.toolgroup_id, "it searches vector stores")
        connector_id = connector_id_of(body.toolgroup_id)
        wanted = Group(body.toolgroup_id, body.provider_id, connector_id, body.args or {})
        there = await self.registry.find(owner, body.toolgroup_id)
        if there is not None and there.source != "connector" and there.id == wanted.id:
            _check_same(there, wanted)
            if body.mcp_endpoint:
                await self._check_same_server(owner, wanted, body.mcp_endpoint.uri)
            return
        await self._check_room(owner, wanted.id)
        if await self.registry.has(owner, connector_id):
            if body.mcp_endpoint:
                await self._check_same_server(owner, wanted, body.mcp_endpoint.uri)
        elif body.mcp_endpoint:
            await self._make_connector(owner, wanted, body.mcp_endpoint.uri)
        else:
            raise InvalidRequest(
                "`mcp_endpoint`: required, and missing; send the URL of the MCP server, or register a connector of"
                f' this name ("{connector_id}") first.',
                param="mcp_endpoint",
            )
        await self._add(owner, wanted)

    async def _make_connector(self, owner: Owner, group: Group, uri: str) -> None:
        try:
            await self.connectors.create(
                owner,
                CreateConnector(connector_id=group.connector_id, url=uri, metadata={MADE_FOR: group.id}),
            )
        except InvalidRequest as error:
            if error.param == "url":
                error.param, error.message = _URI, error.message.replace("`url`", f"`{_URI}`")
            raise

    async def _check_same_server(self, owner: Owner, group: Group, uri: str) -> None:
        connector = await self._connectors.known(owner, group.connector_id)
        try:
            asked = self._connectors.policy.read(uri).url
        except AddressRefused as refused:
            raise InvalidRequest(f"`{_URI}`: the URL {refused}.", param=_URI) from None
        if connector is None or asked != self._read(connector.server.url):
            raise _taken(group.id, f'connector "{group.connector_id}" leads to another server')

    def _read(self, url: str) -> str:
        try:
            return self._connectors.policy.read(url).url
        except AddressRefused:
            return url

    async def _check_room(self, owner: Owner, group_id: str) -> None:
        """Raises Conflict, before anything is made."""
        before = await self.registry.records.list_tool_groups(owner)
        if len([one for one in before if one.id != group_id]) >= MAX_GROUPS:
            raise Conflict(
                f"there are {MAX_GROUPS} tool groups, the most that there may be; unregister some."
            )

    async def _add(self, owner: Owner, group: Group) -> None:
        """In place of one of this id whose connector is gone, so that nobody can use it."""
        records = self.registry.records
        await records.delete_tool_group(owner, group.id)
        stored = StoredToolGroup(
            group.id, group.provider_id, group.connector_id, encode(group.args), self.clock.now()
        )
        if not await records.add_tool_group(owner, stored):
            raise _taken(group.id, "somebody else registered it meanwhile")


def _check_id(group_id: str) -> None:
    bare = group_id.removeprefix(MCP_PREFIX)
    if group_id != group_id.strip() or not group_id.isprintable() or not bare.strip("/"):
        raise InvalidRequest(
            f"`toolgroup_id`: expected 1 to {MAX_ID} characters that can be shown, without spaces around them.",
            param="toolgroup_id",
        )
    if group_id.startswith("builtin::") and group_id != BUILTIN_RAG:
        raise InvalidRequest(
            "`toolgroup_id`: ids that begin with builtin:: are the server's own; choose another one.",
            param="toolgroup_id",
        )


def _check_same(there: Group, wanted: Group) -> None:
    """Raises Conflict, and says nothing of what is there."""
    for field_name, one, other in (
        ("provider_id", there.provider_id, wanted.provider_id),
        ("provider_id", there.connector_id, wanted.connector_id),
        ("args", there.args, wanted.args),
    ):
        if one != other:
            raise _taken(wanted.id, f"its `{field_name}` is another one", field_name)


def _taken(group_id: str, why: str, param: str = "toolgroup_id") -> Conflict:
    return Conflict(
        f'there is a tool group "{group_id}" already, and {why}; unregister it first, or register another id.',
        param=param,
    )
