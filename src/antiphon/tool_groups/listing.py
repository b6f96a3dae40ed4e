"""The tools of groups, as clients of both generations read them; from the lists that responses use, by their limits."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from antiphon.core.commands import ListTools
from antiphon.core.errors import (
    AntiphonError,
    AuthorizationRequired,
    ConnectorFailed,
    InvalidRequest,
    NotFound,
)
from antiphon.core.file_search import KNOWLEDGE_SEARCH
from antiphon.core.hosted_items import McpListedTool, McpListTools
from antiphon.core.json_values import is_array, is_object
from antiphon.core.tools import McpTool
from antiphon.core.wire import UNSET, JsonObject
from antiphon.mcp_tools.together import PATIENCE_S, asked_together
from antiphon.ports import Owner, ToolRuntime
from antiphon.tool_groups.headers import ServerHeaders, headers_for
from antiphon.tool_groups.names import label_of, splits
from antiphon.tool_groups.rag import DESCRIPTION, SCHEMA
from antiphon.tool_groups.refusals import check_served, unknown_group
from antiphon.tool_groups.registry import Group, GroupRegistry
from antiphon.tool_groups.shapes import GroupTool, LeftOut, ToolList, ToolParameter

log = logging.getLogger("antiphon.tool_groups")
_SEARCH = McpListedTool(name=KNOWLEDGE_SEARCH, input_schema=SCHEMA, description=DESCRIPTION)
_MAX_NAMED = 10


@dataclass(frozen=True, slots=True)
class Located:
    """A tool of a group, as a caller named it. `tool` is None where its server could not be asked."""

    group: Group
    name: str
    tool: McpListedTool | None


@dataclass(frozen=True, slots=True)
class GroupTools:
    registry: GroupRegistry
    runtime: ToolRuntime
    patience_s: float = PATIENCE_S

    async def of_all(self, owner: Owner, headers: ServerHeaders) -> ToolList:
        """Of every group whose tools can be had; the others are named, with the reason."""
        tools: list[GroupTool] = []
        left_out: list[LeftOut] = []
        for group, found in await self._all(owner, headers):
            if isinstance(found, AntiphonError):
                left_out.append(LeftOut(toolgroup_id=group.id, message=found.message))
            else:
                tools += [rendered(one, group) for one in found]
        return ToolList(data=tools, left_out=left_out or UNSET)

    async def of_group(self, owner: Owner, name: str, headers: ServerHeaders, param: str) -> ToolList:
        """Of one group, or `group/tool` alone. Raises NotFound, AuthorizationRequired, ConnectorFailed."""
        group, tool = await self._named(owner, name, param)
        found = await self._listed(owner, group, headers, param)
        if tool:
            found = [one for one in found if one.name == tool]
            if not found:
                raise _no_tool(tool, group, param)
        return ToolList(data=[rendered(one, group) for one in found])

    async def at(self, owner: Owner, url: str, headers: ServerHeaders, param: str) -> ToolList:
        """Of a server that the request names itself. Raises InvalidRequest, ConnectorFailed."""
        tool = McpTool(
            server_label="endpoint",
            server_url=url,
            headers=headers_for(url, headers) or UNSET,
            require_approval="never",
        )
        try:
            await self.runtime.check(owner, [tool])
        except InvalidRequest as error:
            if error.param:
                error.message = error.message.replace(f"`{error.param}`", f"`{param}`")
            error.param = param
            raise
        found = await self._asked(owner, tool, "endpoint", param)
        return ToolList(data=[rendered(one, None) for one in found])

    async def get(self, owner: Owner, name: str, headers: ServerHeaders) -> GroupTool:
        """A tool by its name, or by `group/tool`. Raises as `located` and `of_group` do."""
        found = await self.located(owner, name, headers, must_be_listed=True)
        if found.tool is None:
            raise _no_tool(found.name, found.group, "tool_name")
        return rendered(found.tool, found.group)

    async def located(
        self, owner: Owner, name: str, headers: ServerHeaders, *, must_be_listed: bool = False
    ) -> Located:
        """Which tool of which group a name means: of its own, `group/tool`. The built-in search comes before others of
        its name.

        Raises NotFound, InvalidRequest where several groups have one of this name, and with `must_be_listed` what
        asking its server raises.
        """
        check_served(name, "tool_name")
        for group_id, tool in splits(name):
            group = await self.registry.find(owner, group_id) if tool else None
            if group is not None:
                return await self._located_in(owner, group, tool, headers, must_be_listed=must_be_listed)
        places: list[Located] = []
        unasked: list[str] = []
        for group, found in await self._all(owner, headers):
            if isinstance(found, AntiphonError):
                unasked.append(group.id)
                continue
            places += [Located(group, name, one) for one in found if one.name == name]
        if places and (len(places) == 1 or places[0].group.searches):
            return places[0]
        raise _ambiguous(name, places) if places else _unknown_tool(name, unasked)

    async def _located_in(
        self, owner: Owner, group: Group, tool: str, headers: ServerHeaders, *, must_be_listed: bool
    ) -> Located:
        try:
            listed = await self._listed(owner, group, headers, "tool_name")
        except AntiphonError:
            if must_be_listed:
                raise
            return Located(group, tool, None)
        found = next((one for one in listed if one.name == tool), None)
        if found is None:
            raise _no_tool(tool, group, "tool_name")
        return Located(group, tool, found)

    async def _named(self, owner: Owner, name: str, param: str) -> tuple[Group, str]:
        check_served(name, param)
        for group_id, tool in splits(name):
            group = await self.registry.find(owner, group_id)
            if group is not None:
                return group, tool
        raise unknown_group(name, param)

    # --- asking servers -----------------------------------------------------------------------------------
    async def _all(
        self, owner: Owner, headers: ServerHeaders
    ) -> list[tuple[Group, Sequence[McpListedTool] | AntiphonError]]:
        async def ask(group: Group) -> Sequence[McpListedTool] | AntiphonError:
            try:
                return await self._listed(owner, group, headers)
            except AntiphonError as error:
                return error

        groups = [group for group, _ in await self.registry.list_all(owner)]
        answers = await asked_together(groups, ask, self.patience_s)
        late = ConnectorFailed("", "")
        late.message = f"its server did not answer within {self.patience_s:g} s."
        found = [(group, late if answer is None else answer) for group, answer in answers]
        for group, answer in found:
            if isinstance(answer, AntiphonError):
                log.warning("tool group %s was left out of a list: %s", group.id, answer.message)
        return found

    async def _listed(
        self, owner: Owner, group: Group, headers: ServerHeaders, param: str = "toolgroup_id"
    ) -> Sequence[McpListedTool]:
        if group.searches:
            return [_SEARCH]
        tool = await server_tool(self.registry, owner, group, headers, label_of(group.id))
        return await self._asked(owner, tool, group.id, param)

    async def _asked(self, owner: Owner, tool: McpTool, name: str, param: str) -> Sequence[McpListedTool]:
        item = McpListTools(id="", server_label=tool.server_label, tools=[])
        listed = await self.runtime.list_tools(owner, ListTools(tool, item))
        if listed.asks and tool.connector_id:
            raise AuthorizationRequired(tool.connector_id)
        if listed.item.error:
            failed = ConnectorFailed(name, listed.item.error)
            failed.message, failed.param = listed.item.error, param
            raise failed
        return listed.item.tools


async def server_tool(
    registry: GroupRegistry, owner: Owner, group: Group, headers: ServerHeaders, label: str
) -> McpTool:
    """The engine's tool for a group of a server."""
    connector = await registry.connectors.known(owner, group.connector_id)
    sent = headers_for(connector.server.url, headers) if connector is not None else {}
    about = connector.description if connector is not None else ""
    return McpTool(
        server_label=label,
        connector_id=group.connector_id,
        headers=sent or UNSET,
        server_description=about or UNSET,
        require_approval="never",
    )


# --- what is shown ----------------------------------------------------------------------------------------------
def rendered(tool: McpListedTool, group: Group | None) -> GroupTool:
    return GroupTool(
        identifier=tool.name,
        name=tool.name,
        description=tool.description or "",
        parameters=parameters_of(tool.input_schema),
        input_schema=tool.input_schema,
        output_schema=None,
        provider_id=group.provider_id if group is not None else None,
        provider_resource_id=tool.name,
        toolgroup_id=group.id if group is not None else None,
        metadata={"annotations": tool.annotations} if tool.annotations else None,
    )


def parameters_of(schema: JsonObject) -> list[ToolParameter]:
    """The properties of a schema of arguments as a list: none where it has none."""
    found, required = schema.get("properties"), schema.get("required")
    needed = required if is_array(required) else []
    properties = found if is_object(found) else {}
    return [_parameter(name, one, required=name in needed) for name, one in properties.items()]


def _parameter(name: str, schema: object, *, required: bool) -> ToolParameter:
    about = schema if is_object(schema) else {}
    description, items = about.get("description"), about.get("items")
    kind = _type_of(about)
    return ToolParameter(
        name=name,
        parameter_type=kind,
        description=description if isinstance(description, str) else "",
        required=required,
        default=about.get("default"),
        items=items if kind == "array" and is_object(items) else UNSET,
    )


def _type_of(schema: Mapping[str, object]) -> str:
    """One type: the first that is not null, of alternatives too; what may be anything is a string for old clients."""
    given = schema.get("type")
    if isinstance(given, str):
        return given
    if is_array(given):
        return next((one for one in given if isinstance(one, str) and one != "null"), "string")
    for word in ("anyOf", "oneOf"):
        choices = schema.get(word)
        for choice in choices if is_array(choices) else ():
            if is_object(choice) and choice.get("type") != "null":
                return _type_of(choice)
    return "object" if "$ref" in schema or "properties" in schema else "string"


# --- what is refused --------------------------------------------------------------------------------------------
def _no_tool(tool: str, group: Group, param: str) -> NotFound:
    return NotFound(
        f'`{param}`: tool group "{group.id}" has no tool "{tool[:200]}";'
        " GET /v1/tools?toolgroup_id= lists those it has.",
        param=param,
    )


def _unknown_tool(name: str, unasked: Sequence[str]) -> NotFound:
    some = ", ".join(unasked[:_MAX_NAMED])
    more = f" Not asked, as they do not answer or have to be authorised: {some}." if unasked else ""
    return NotFound(
        f'`tool_name`: no tool group has a tool "{name[:200]}"; GET /v1/tools lists those there are.{more}',
        param="tool_name",
    )


def _ambiguous(name: str, places: Sequence[Located]) -> InvalidRequest:
    listed = ", ".join(f"{one.group.id}/{one.name}" for one in places[:_MAX_NAMED])
    return InvalidRequest(
        f'`tool_name`: several tool groups have a tool "{name[:200]}"; say which one: {listed}.',
        param="tool_name",
    )
