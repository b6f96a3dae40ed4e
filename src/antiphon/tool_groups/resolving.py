"""`GroupResolver`: the groups of an agent as tools of the engine, and the runtime of a run that uses them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from antiphon.core.commands import ListTools
from antiphon.core.errors import AntiphonError, InvalidRequest
from antiphon.core.file_search import KNOWLEDGE_SEARCH
from antiphon.core.hosted_items import McpListTools
from antiphon.core.tools import FileSearchTool, McpTool, Tool
from antiphon.core.wire import JsonObject
from antiphon.ports import Owner, ToolRuntime
from antiphon.tool_groups.groups import GivenGroup, ResolvedGroups
from antiphon.tool_groups.headers import ServerHeaders, server_headers
from antiphon.tool_groups.listing import server_tool
from antiphon.tool_groups.names import distinct_label, splits
from antiphon.tool_groups.rag import KnowledgeSearch, Search, search_of, with_args
from antiphon.tool_groups.refusals import check_served, no_such_group
from antiphon.tool_groups.registry import Group, GroupRegistry
from antiphon.tool_groups.runtime import FixedArguments, GroupRuntime

_NOTHING: JsonObject = {}


@dataclass(frozen=True, slots=True)
class _Named:
    """One entry: a group, or one tool of it, with arguments. `path` is where it stands."""

    group: Group
    tool: str
    args: JsonObject
    path: str


@dataclass(slots=True)
class _Server:
    """All entries of one group of a server."""

    group: Group
    entries: list[_Named] = field(default_factory=list[_Named])

    @property
    def allowed(self) -> list[str]:
        """Names of tools; none where all are meant."""
        return [one.tool for one in self.entries if one.tool]

    def fixed(self) -> FixedArguments:
        whole = next((one.args for one in self.entries if not one.tool), _NOTHING)
        every = {**self.group.args, **whole}
        return FixedArguments(every, {one.tool: one.args for one in self.entries if one.tool})


@dataclass(frozen=True, slots=True)
class GroupResolver:
    """A `ToolGroups`."""

    registry: GroupRegistry
    runtime: ToolRuntime
    search: KnowledgeSearch

    async def check(self, owner: Owner, groups: Sequence[GivenGroup], *, field: str) -> None:
        """See `ToolGroups.check`. Servers are asked only where single tools of theirs are named."""
        entries = await self._named(owner, groups, field)
        _merged_searches(entries)
        for one in _in_groups(entries):
            if isinstance(one, _Server):
                await self._server(owner, one, {}, distinct_label(one.group.id, ()))

    async def resolve(
        self,
        owner: Owner,
        groups: Sequence[GivenGroup],
        *,
        stores: Sequence[str] = (),
        headers: Mapping[bytes, bytes] | None = None,
        session_id: str = "",
        field: str = "toolgroups",
    ) -> ResolvedGroups:
        """See `ToolGroups.resolve`."""
        given = server_headers(headers)
        entries = await self._named(owner, groups, field)
        searching = await self._searching(owner, entries, stores)
        tools: list[Tool] = []
        fixed: dict[str, FixedArguments] = {}
        for one in _in_groups(entries):
            if isinstance(one, _Server):
                label = distinct_label(one.group.id, fixed)
                tools.append(await self._server(owner, one, given, label))
                fixed[label] = one.fixed()
            elif searching is not None:
                tools.append(searching)
        return ResolvedGroups(tuple(tools), GroupRuntime(self.runtime, fixed, session_id))

    # --- what is named ------------------------------------------------------------------------------------
    async def _named(self, owner: Owner, groups: Sequence[GivenGroup], path: str) -> list[_Named]:
        entries: list[_Named] = []
        for at, given in enumerate(groups):
            entry = await self._entry(owner, given, f"{path}[{at}]")
            _check_once(entry, entries)
            entries.append(entry)
        return entries

    async def _entry(self, owner: Owner, given: GivenGroup, path: str) -> _Named:
        name, args = (given, _NOTHING) if isinstance(given, str) else (given.name, given.args)
        check_served(name, path)
        for group_id, tool in splits(name):
            group = await self.registry.find(owner, group_id)
            if group is not None:
                if group.searches and tool not in ("", KNOWLEDGE_SEARCH):
                    raise _no_tool(tool, group, path)
                return _Named(group, "" if group.searches else tool, args, path)
        raise no_such_group(name, path)

    # --- servers ------------------------------------------------------------------------------------------
    async def _server(self, owner: Owner, one: _Server, headers: ServerHeaders, label: str) -> McpTool:
        tool = await server_tool(self.registry, owner, one.group, headers, label)
        if not one.allowed:
            return tool
        await self._check_tools(owner, one, tool)
        return msgspec.structs.replace(tool, allowed_tools=one.allowed)

    async def _check_tools(self, owner: Owner, one: _Server, tool: McpTool) -> None:
        """Raises InvalidRequest for a tool that the server, if it answers, does not have."""
        item = McpListTools(id="", server_label=tool.server_label, tools=[])
        listed = (await self.runtime.list_tools(owner, ListTools(tool, item))).item
        known = {found.name for found in listed.tools}
        for entry in one.entries:
            if not listed.error and entry.tool and entry.tool not in known:
                raise _no_tool(entry.tool, one.group, entry.path)

    # --- the search ---------------------------------------------------------------------------------------
    async def _searching(
        self, owner: Owner, entries: Sequence[_Named], stores: Sequence[str]
    ) -> FileSearchTool | None:
        """One tool for all groups that search; None without a store to search in."""
        searches = _merged_searches(entries)
        found: list[str] = []
        for entry, search in searches:
            path = f"{entry.path}.args.{search.field}"
            found += await self._ids(owner, search, path, entry)
        if not searches:
            return None
        found += await self.search.usable(owner, stores)
        return searches[0][1].tool(list(dict.fromkeys(found))) if found else None

    async def _ids(self, owner: Owner, search: Search, path: str, entry: _Named) -> Sequence[str]:
        is_given = search.field in entry.args
        try:
            return await self.search.ids(owner, search.stores, path)
        except AntiphonError as error:
            if not is_given:  # the group says so itself
                error.param = entry.path
            raise


def _in_groups(entries: Sequence[_Named]) -> Iterator[_Server | None]:
    """The groups in the order of their first entries; None, once, for those that search."""
    servers: dict[str, _Server] = {}
    order: dict[str, _Server | None] = {}
    for entry in entries:
        if entry.group.searches:
            order.setdefault("", None)
            continue
        server = servers.setdefault(entry.group.id, _Server(entry.group))
        server.entries.append(entry)
        order.setdefault(entry.group.id, server)
    yield from order.values()


def _merged_searches(entries: Sequence[_Named]) -> list[tuple[_Named, Search]]:
    """What the groups that search say; they are one tool, so they say the same of how. Raises InvalidRequest."""
    found: list[tuple[_Named, Search]] = []
    for entry in entries:
        if not entry.group.searches:
            continue
        search = search_of(with_args(entry.group.args, entry.args), f"{entry.path}.args")
        if found and (found[0][1].limit, found[0][1].options) != (search.limit, search.options):
            param = f"{entry.path}.args.query_config"
            raise InvalidRequest(
                f"`{param}`: is another one than that of {found[0][0].path}; the groups are searched together, so they"
                " need the same.",
                param=param,
            )
        found.append((entry, search))
    return found


def _check_once(entry: _Named, before: Sequence[_Named]) -> None:
    """Raises InvalidRequest for a group or a tool that is there already."""
    for one in before:
        if one.group.id == entry.group.id and (one.tool == entry.tool or not (one.tool and entry.tool)):
            name = f"{entry.group.id}/{entry.tool}" if entry.tool else entry.group.id
            raise InvalidRequest(
                f'`{entry.path}`: "{name[:300]}" is there already, by {one.path}; leave one of them out.',
                param=entry.path,
            )


def _no_tool(tool: str, group: Group, path: str) -> InvalidRequest:
    return InvalidRequest(
        f'`{path}`: tool group "{group.id}" has no tool "{tool[:200]}";'
        " GET /v1/tools?toolgroup_id= lists those it has.",
        param=path,
    )
