"""`tool_choice` of agents: a mode, or the name of any tool they have, as the engine's choices."""

from collections.abc import Awaitable, Callable, Sequence

from antiphon.core.commands import ListTools
from antiphon.core.errors import InvalidRequest
from antiphon.core.file_search import KNOWLEDGE_SEARCH
from antiphon.core.hosted_items import McpListTools
from antiphon.core.tools import (
    ChooseFileSearch,
    ChooseFunction,
    ChooseMcp,
    FileSearchTool,
    FunctionTool,
    McpFilter,
    McpTool,
    Tool,
    ToolChoice,
)
from antiphon.core.wire import UNSET
from antiphon.ports import Owner, ToolRuntime

MAX_LISTED = 50
NamesOf = Callable[[McpTool], Awaitable[Sequence[str] | None]]
"""The tools of a server by name; None where it does not say now."""


async def chosen(
    choice: str, tools: Sequence[Tool], path: str, names_of: NamesOf | None = None
) -> ToolChoice | None:
    """What the engine is told; None for "auto". `names_of` is asked about servers of which any tool may be meant; a run
    whose server did not say, fails later if it has no such tool.

    Raises InvalidRequest, with `path`, for the name of a tool that there is not.
    """
    match choice:
        case "auto":
            return None
        case "required" | "none":
            return choice
        case name:
            return await _named(name, tools, path, names_of)


async def tools_of(runtime: ToolRuntime, owner: Owner, server: McpTool) -> Sequence[str] | None:
    """A `NamesOf` by the lists that runs use too."""
    item = McpListTools(id="", server_label=server.server_label, tools=[])
    listed = await runtime.list_tools(owner, ListTools(server, item))
    return None if listed.item.error or listed.asks else [tool.name for tool in listed.item.tools]


async def _named(name: str, tools: Sequence[Tool], path: str, names_of: NamesOf | None) -> ToolChoice:
    known: list[str] = []
    silent: list[McpTool] = []
    for tool in tools:
        match tool:
            case FunctionTool():
                known.append(tool.name)
                if tool.name == name:
                    return ChooseFunction(name=name)
            case FileSearchTool():
                known.append(KNOWLEDGE_SEARCH)
                if name == KNOWLEDGE_SEARCH:
                    return ChooseFileSearch()
            case McpTool():
                names = await _names(tool, names_of)
                known += names or ()
                if names is None:
                    silent.append(tool)
                elif name in names:
                    return ChooseMcp(server_label=tool.server_label, name=name)
            case _:
                pass
    if silent:
        return ChooseMcp(server_label=silent[0].server_label if len(silent) == 1 else UNSET, name=name)
    raise InvalidRequest(
        f'`{path}`: "{name[:128]}" is none of "auto", "required" and "none", and no tool of this agent; its tools:'
        f" {', '.join(known[:MAX_LISTED]) or 'none'}.",
        param=path,
    )


async def _names(server: McpTool, names_of: NamesOf | None) -> Sequence[str] | None:
    given = server.allowed_tools
    if isinstance(given, McpFilter):
        given = given.tool_names
    if isinstance(given, list):
        return given
    return await names_of(server) if names_of is not None else None
