"""The rules of tools and of `tool_choice` that a request keeps to."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from antiphon.core import file_search, filters, mcp_rules, support
from antiphon.core.errors import InvalidRequest
from antiphon.core.hosted_items import AdditionalTools, ToolSearchOutput
from antiphon.core.hosted_tools import AnyTool
from antiphon.core.json_schemas import fault_of_schema, nesting_exceeds
from antiphon.core.machine_items import ComputerCallOutput
from antiphon.core.shown_tools import Shown, as_entry, named, shown
from antiphon.core.tools import (
    ChooseAllowed,
    ChooseMcp,
    CustomTool,
    FileSearchTool,
    FunctionTool,
    GrammarFormat,
    McpTool,
    NamespaceFunction,
    NamespaceTool,
    Tool,
    ToolChoice,
    ToolSearchTool,
)
from antiphon.core.wire import UNSET

MAX_NESTING = 64
MAX_STORES = 32
_NAME = re.compile(r"[a-zA-Z0-9_-]+\Z")


def check_tools(tools: Sequence[Tool | AnyTool], path: str, *, names_must_differ: bool) -> None:
    """Raises InvalidRequest or UnsupportedParameter. `path` is that of the list."""
    seen: dict[str, str] = {}
    if names_must_differ:
        mcp_rules.check_labels(tools, path)
    for at, tool in enumerate(tools):
        here = f"{path}[{at}]"
        support.refuse_tool(tool, here)
        _check_tool(tool, here)
        for one, place in zip(shown([tool]), _places(tool, here), strict=True):
            first = seen.setdefault(one.face.name, place)
            if first != place and names_must_differ:
                raise _same_name(one, place, first)


def brought_by(items: Iterable[object]) -> list[AnyTool]:
    """The tools that these items bring, in order."""
    bringing = [item for item in items if isinstance(item, ToolSearchOutput | AdditionalTools)]
    return [tool for item in bringing for tool in item.tools]


def check_items(items: Sequence[object], field: str = "input") -> None:
    """The tools that items bring, and the outputs of tools. `field` is where they stand in their body."""
    for at, item in enumerate(items):
        if isinstance(item, ComputerCallOutput) and not (item.output.image_url or item.output.file_id):
            raise InvalidRequest(
                f"`{field}[{at}].output.image_url`: required, and missing; send the screenshot as a data URL, or the"
                " file_id of one. Lists of items have it with include=computer_call_output.output.image_url.",
                param=f"{field}[{at}].output.image_url",
            )
        if isinstance(item, ToolSearchOutput | AdditionalTools):
            check_tools(item.tools, f"{field}[{at}].tools", names_must_differ=False)
            for number, tool in enumerate(item.tools):
                if isinstance(tool, McpTool):
                    mcp_rules.check_brought(tool, f"{field}[{at}].tools[{number}]")
        if isinstance(item, AdditionalTools) and item.role != "developer":
            raise InvalidRequest(
                f'`{field}[{at}].role`: "{item.role}" may not bring tools; send "developer".',
                param=f"{field}[{at}].role",
            )


def check_beside(tools: Sequence[Tool], items: Sequence[object]) -> None:
    """Whether what the items of `input` bring can be told from `tools`. The same tool may be in both."""
    bringing = [
        (at, item) for at, item in enumerate(items) if isinstance(item, ToolSearchOutput | AdditionalTools)
    ]
    own = {one.face.name: one for one in shown(tools)} if bringing else {}
    for at, item in bringing:
        for number, tool in enumerate(item.tools):
            here = f"input[{at}].tools[{number}]"
            for one, place in zip(shown([tool]), _places(tool, here), strict=True):
                other = own.get(one.face.name)
                if other is not None and (other.kind, other.namespace) != (one.kind, one.namespace):
                    raise _same_name(one, place, "another tool of `tools`")


def _places(tool: Tool | AnyTool, path: str) -> list[str]:
    if isinstance(tool, McpTool):
        return []  # what it brings is known when it was listed
    if isinstance(tool, NamespaceTool):
        return [f"{path}.tools[{at}].name" for at in range(len(tool.tools))]
    return [f"{path}.name" if isinstance(tool, FunctionTool | CustomTool) else path]


def _same_name(one: Shown, place: str, first: str) -> InvalidRequest:
    name = one.face.name
    if place.endswith(".name") and first.endswith(".name") and one.namespace is None:
        other = first.removesuffix(".name")
        return InvalidRequest(
            f'`{place}`: "{name}" is the name of {other} too; names must differ.', param=place
        )
    return InvalidRequest(
        f'`{place}`: the model would know it as "{name}", as it does {first}; rename or remove one.',
        param=place,
    )


def _check_tool(tool: Tool | AnyTool, path: str) -> None:
    match tool:
        case CustomTool():
            _check_custom(tool, path)
        case FunctionTool():
            _check_function(tool, path)
        case FileSearchTool():
            _check_file_search(tool, path)
        case McpTool():
            mcp_rules.check_tool(tool, path)
        case NamespaceTool():
            for at, inner in enumerate(tool.tools):
                if isinstance(inner, CustomTool):
                    _check_custom(inner, f"{path}.tools[{at}]")
                else:
                    _check_function(inner, f"{path}.tools[{at}]")
        case ToolSearchTool() if tool.parameters:
            if tool.execution != "client":
                raise InvalidRequest(
                    f"`{path}.parameters`: only for a search that the client makes; send execution:"
                    ' "client" with it, or leave it out.',
                    param=f"{path}.parameters",
                )
            check_schema(tool.parameters, f"{path}.parameters", of_arguments=True)
        case _:
            return


def _check_file_search(tool: FileSearchTool, path: str) -> None:
    if not 1 <= len(tool.vector_store_ids) <= MAX_STORES:
        raise InvalidRequest(
            f"`{path}.vector_store_ids`: give the ids of 1 to {MAX_STORES} vector stores.",
            param=f"{path}.vector_store_ids",
        )
    if tool.max_num_results is not UNSET and not 1 <= tool.max_num_results <= file_search.MAX_RESULTS:
        raise InvalidRequest(
            f"`{path}.max_num_results`: a whole number from 1 to {file_search.MAX_RESULTS},"
            f" not {tool.max_num_results}.",
            param=f"{path}.max_num_results",
        )
    if tool.filters:
        filters.checked(tool.filters, f"{path}.filters")


def _check_function(tool: FunctionTool | NamespaceFunction, path: str) -> None:
    if isinstance(tool.parameters, dict):
        check_schema(tool.parameters, f"{path}.parameters", of_arguments=True)
    if isinstance(tool.output_schema, dict):
        check_schema(tool.output_schema, f"{path}.output_schema")


def _check_custom(tool: CustomTool, path: str) -> None:
    if not _NAME.match(tool.name):
        raise InvalidRequest(
            f'`{path}.name`: "{tool.name}" must be letters, digits, "_" and "-".', param=f"{path}.name"
        )
    if isinstance(tool.format, GrammarFormat):
        check_grammar(tool.format.definition, f"{path}.format")


def check_grammar(definition: str, path: str) -> None:
    if not definition.strip():
        raise InvalidRequest(
            f"`{path}.definition`: empty; send a grammar, or a format of type text.",
            param=f"{path}.definition",
        )


def check_schema(schema: dict[str, Any], path: str, *, of_arguments: bool = False) -> None:
    if nesting_exceeds(schema, MAX_NESTING):
        raise InvalidRequest(f"`{path}`: nested deeper than {MAX_NESTING} levels; flatten it.", param=path)
    fault = fault_of_schema(schema, of_arguments=of_arguments)
    if fault is not None:
        where, what = fault
        raise InvalidRequest(f"`{path}{where}`: {what}.", param=f"{path}{where}")


def check_choice(choice: ToolChoice, tools: Sequence[Tool | AnyTool]) -> None:
    """Raises InvalidRequest for a choice of what is not among `tools`, those that items bring included."""
    among = list(shown(tools))
    match choice:
        case "required" if not among and not any(isinstance(tool, McpTool) for tool in tools):
            raise InvalidRequest(
                '`tool_choice`: "required" needs `tools`, and there are none; add a tool or leave it out.',
                param="tool_choice",
            )
        case str():
            return
        case ChooseAllowed(tools=allowed):
            if not allowed:
                raise InvalidRequest(
                    '`tool_choice.tools`: names no tool; to forbid all calls send "none".',
                    param="tool_choice.tools",
                )
            for at, entry in enumerate(allowed):
                _check_allowed(entry, among, tools, f"tool_choice.tools[{at}]")
        case ChooseMcp():
            _check_server(as_entry(choice), tools, "tool_choice")
        case _:
            _check_named(as_entry(choice), among, "tool_choice", one_only=True)


_NAMED = ("function", "custom", "namespace")
_KINDS = (
    *_NAMED,
    "computer",
    "computer_use",
    "computer_use_preview",
    "local_shell",
    "shell",
    "apply_patch",
    "tool_search",
    "file_search",
    "mcp",
)


def _check_allowed(
    entry: dict[str, Any], among: Sequence[Shown], tools: Sequence[Tool | AnyTool], path: str
) -> None:
    kind, name = entry.get("type"), entry.get("name")
    if kind not in _KINDS:
        support.refuse_choice(kind, f"{path}.type")
        raise InvalidRequest(
            f"`{path}.type`: expected one of {', '.join(_KINDS)}, the type of a tool.", param=f"{path}.type"
        )
    if kind in _NAMED and not isinstance(name, str):
        raise InvalidRequest(f"`{path}.name`: expected the name of a tool.", param=f"{path}.name")
    if kind == "mcp":
        _check_server(entry, tools, path)
    else:
        _check_named(entry, among, path)


def _check_server(entry: Mapping[str, Any], tools: Sequence[Tool | AnyTool], path: str) -> None:
    """Which tools a server has is not known yet."""
    labels = [tool.server_label for tool in tools if isinstance(tool, McpTool)]
    if "server_label" not in entry and labels:
        return
    if entry.get("server_label") not in labels:
        known = ", ".join(labels[:20]) or "none"
        raise InvalidRequest(
            f"`{path}.server_label`: no `mcp` tool of `tools` has it; there: {known}. `tools` are not inherited from an"
            " earlier response; send them again.",
            param=f"{path}.server_label",
        )
    name = entry.get("name")
    if name is not None and not isinstance(name, str):
        raise InvalidRequest(f"`{path}.name`: expected the name of a tool.", param=f"{path}.name")


def _check_named(
    entry: Mapping[str, Any], among: Sequence[Shown], path: str, *, one_only: bool = False
) -> None:
    """`one_only`: the tool is to be called, so there has to be one alone of that name."""
    found = list(dict.fromkeys(one.face.name for one in named(entry, among)))
    if len(found) > 1 and one_only:
        raise InvalidRequest(
            f'`{path}.name`: "{str(entry.get("name"))[:128]}" is the name of several tools; name one of'
            f" {', '.join(found[:20])}.",
            param=f"{path}.name",
        )
    if found:
        return
    kind, name = entry.get("type"), entry.get("name")
    if kind in _NAMED:
        path = f"{path}.name"
        known = ", ".join(_names(str(kind), among)[:20]) or "none"
        what = f'"{str(name)[:128]}" is not among `tools`; there: {known}.'
    else:
        what = f'there is no tool of type "{kind}" among `tools`.'
    raise InvalidRequest(
        f"`{path}`: {what} `tools` are not inherited from an earlier response; send them again.", param=path
    )


def _names(kind: str, among: Sequence[Shown]) -> list[str]:
    """What an entry of this type could name."""
    if kind == "namespace":
        return list(dict.fromkeys(one.namespace for one in among if one.namespace is not None))
    return [one.face.name for one in among if one.kind == kind]
