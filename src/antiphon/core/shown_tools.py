"""What a model is shown of each tool, and under which name.

A function or custom tool is shown as it is, one of a namespace under `NAMESPACE__NAME`, and one of another type as a
function (`client_tools`).
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from zlib import crc32

import msgspec

from antiphon.core import file_search, mcp
from antiphon.core.client_tools import FixedTool, as_function
from antiphon.core.hosted_calls import HostedTool
from antiphon.core.hosted_items import McpListedTool, McpListTools
from antiphon.core.hosted_tools import AnyTool
from antiphon.core.tools import (
    CustomTool,
    FileSearchTool,
    FunctionTool,
    McpTool,
    ModelTool,
    NamespaceFunction,
    NamespaceTool,
    Tool,
    ToolChoice,
)
from antiphon.core.wire import UNSET, JsonObject

MAX_NAME = 64
"""Characters of a function's name that every chat API takes."""
_HASH = 8
_SHORT_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}\Z")
_NO_LISTS: Mapping[str, McpListTools] = MappingProxyType({})


class Shown(msgspec.Struct, frozen=True):
    """A tool as the model is shown it. `name` is its own in the request, `sent` its definition (in its namespace, if
    it has one), `fixed` the tool itself where its calls become items of another type, `hosted` where this server runs
    it, `listed` what its MCP server says of it.
    """

    face: ModelTool
    name: str
    sent: AnyTool
    namespace: str | None = None
    fixed: FixedTool | None = None
    deferred: bool = False
    hosted: HostedTool | None = None
    listed: McpListedTool | None = None

    @property
    def server(self) -> str | None:
        """The label of its MCP server, if it is of one."""
        return self.hosted.server_label if isinstance(self.hosted, McpTool) else None

    @property
    def kind(self) -> str:
        fixed = self.fixed or self.hosted
        if fixed is not None:
            return str(fixed.__struct_config__.tag)
        return "custom" if isinstance(self.face, CustomTool) else "function"


def shown_name(namespace: str | None, name: str) -> str:
    """The name under which the model knows a function or custom tool; what is too long ends in a checksum."""
    if not namespace:
        return name
    whole = f"{_plain(namespace)}__{name}"
    return whole if len(whole) <= MAX_NAME else _with_checksum(whole, whole)


def _with_checksum(name: str, of: str) -> str:
    return f"{name[: MAX_NAME - _HASH - 1]}_{crc32(of.encode()):08x}"


def server_tool_name(server_label: str, name: str) -> str:
    """The name under which a model knows a tool of an MCP server: its own, where a model can be told that."""
    return name if _SHORT_NAME.match(name) else shown_name(server_label, _plain(name))


def distinct(tools: Iterable[Shown]) -> list[Shown]:
    """The tools under names that differ: of an MCP server, one that another tool has the name of is `LABEL__NAME`, with
    a checksum where that is taken too. What a server calls its tools never costs another tool its name.
    """
    every = list(tools)
    count = Counter(one.face.name for one in every)
    if len(count) == len(every):
        return every
    taken = {one.face.name for one in every if not _is_renamed(one, count)}
    return [_under_free_name(one, taken) if _is_renamed(one, count) else one for one in every]


def _is_renamed(one: Shown, count: Mapping[str, int]) -> bool:
    return one.server is not None and count[one.face.name] > 1


def _under_free_name(one: Shown, taken: set[str]) -> Shown:
    """The tool under a name that is not `taken`, and is then."""
    name = whole = shown_name(one.server, one.face.name)
    tries = 0
    while name in taken:
        tries += 1
        name = _with_checksum(whole, f"{one.server} {one.name} {tries}")
    taken.add(name)
    return _with_name(one, name)


def _with_name(one: Shown, name: str) -> Shown:
    return msgspec.structs.replace(one, face=msgspec.structs.replace(one.face, name=name))


def _plain(namespace: str) -> str:
    return "".join(one if one.isascii() and (one.isalnum() or one in "_-") else "_" for one in namespace)


def shown(tools: Iterable[AnyTool | Tool], lists: Mapping[str, McpListTools] = _NO_LISTS) -> Iterator[Shown]:
    """Each tool that can be called, in order; a namespace and an MCP server are one for each of their tools.

    `lists` are those of the MCP servers, by label. Of one that is not listed there is none.
    """
    for tool in tools:
        match tool:
            case FunctionTool() | CustomTool():
                yield Shown(tool, tool.name, tool, deferred=tool.defer_loading is True)
            case NamespaceTool():
                for inner in tool.tools:
                    yield _in_namespace(tool, inner)
            case FileSearchTool():
                face = file_search.as_function(tool)
                yield Shown(face, face.name, tool, hosted=tool)
            case McpTool():
                yield from _of_server(tool, lists.get(tool.server_label))
            case _ if isinstance(tool, FixedTool):
                face = as_function(tool)
                yield Shown(face, face.name, tool, fixed=tool)
            case _:
                pass  # refused before: `support`


def _in_namespace(namespace: NamespaceTool, tool: NamespaceFunction | CustomTool) -> Shown:
    name = shown_name(namespace.name, tool.name)
    about = f"{tool.description or tool.name} (one of {namespace.name}: {namespace.description})"
    face: ModelTool
    if isinstance(tool, CustomTool):
        face = msgspec.structs.replace(tool, name=name, description=about)
    else:
        face = FunctionTool(
            name=name,
            description=about,
            parameters=tool.parameters or None,
            strict=tool.strict if tool.strict is not UNSET else None,
        )
    sent = msgspec.structs.replace(namespace, tools=[tool])
    return Shown(face, tool.name, sent, namespace.name, deferred=tool.defer_loading is True)


def _of_server(tool: McpTool, listed: McpListTools | None) -> Iterator[Shown]:
    """The tools that the server has and the request allows, each under its own name where a model can be told that.

    `toolbox` renames those that clash with others.
    """
    for one in listed.tools if listed is not None else ():
        if mcp.is_allowed(one, tool.allowed_tools):
            name = server_tool_name(tool.server_label, one.name)
            face = mcp.as_function(one, name, tool)
            sent = msgspec.structs.replace(tool, allowed_tools=[one.name], authorization=UNSET, headers=UNSET)
            deferred = tool.defer_loading is True
            yield Shown(face, one.name, sent, deferred=deferred, hosted=tool, listed=one)


_COMPUTERS = ("computer", "computer_use", "computer_use_preview")


def named(entry: Mapping[str, object], among: Iterable[Shown]) -> list[Shown]:
    """The tools that an entry of `tool_choice`, `{type, name?}`, means. All computer tools are alike.

    A tool in a namespace is meant by the name that the model knows, and by its own where no other tool has that.
    """
    kind, name = entry.get("type"), entry.get("name")
    if kind == "namespace":
        return [one for one in among if one.namespace is not None and one.namespace == name]
    if kind in _COMPUTERS:
        return [one for one in among if one.kind in _COMPUTERS]
    if kind == "mcp":
        label = entry.get("server_label")
        servers = [one for one in among if one.server is not None and label in (None, one.server)]
        return [one for one in servers if name in (None, one.name)]
    alike = [one for one in among if one.kind == kind]
    if kind not in ("function", "custom"):
        return alike
    return [one for one in alike if one.face.name == name] or [one for one in alike if one.name == name]


def as_entry(choice: ToolChoice) -> JsonObject:
    """A choice of one tool in the form of an entry of `allowed_tools`."""
    found: JsonObject = msgspec.to_builtins(choice)
    return found
