"""In which forms a request gives its `mcp` tools and its `tool_choice`; and which items are none of the document's."""

from collections.abc import Iterator
from typing import Any

from antiphon.core.json_values import is_array, is_object

Json = dict[str, Any]
OWN = "antiphon:"
"""The types of items that are ours alone begin so: Open Responses lets servers have some, and clients ignore them."""

MCP_FORMS = (
    *("allowed_tools: names", "allowed_tools: tool_names", "allowed_tools: read_only"),
    *("require_approval: always", "require_approval: never"),
    *("require_approval: always.tool_names", "require_approval: always.read_only"),
    *("require_approval: never.tool_names", "require_approval: never.read_only"),
)
"""Of fields of `mcp` tools that have several: the document describes them inside of the field."""
CHOICES = (
    *("none", "auto", "required", "function", "custom", "file_search", "mcp: any of a server", "mcp: name"),
    *("computer", "computer_use", "computer_use_preview", "shell", "apply_patch"),
    *(f"allowed_tools: {kind}" for kind in ("function", "custom", "file_search", "mcp")),
)


def without_own(body: Json) -> Json:
    """A response or a list of items without what is ours alone: items, grammars of answers, and ids of connectors, of
    which the document has those of OpenAI.
    """
    text: Any = body.get("text")
    if is_object(text) and is_object(text.get("format")) and text["format"].get("type") == "grammar":
        body = {**body, "text": {**text, "format": {"type": "text"}}}
    tools: Any = body.get("tools")
    if is_array(tools):
        body = {**body, "tools": [_with_known_connector(one) for one in tools]}
    for key in ("output", "data"):
        shown: Any = body.get(key)
        if is_array(shown):
            body = {**body, key: [one for one in shown if not _is_own(one)]}
    return body


def _with_known_connector(tool: Json) -> Json:
    return {**tool, "connector_id": "connector_gmail"} if tool.get("connector_id") else tool


def _is_own(item: Any) -> bool:
    return is_object(item) and str(item.get("type", "")).startswith(OWN)


def forms_of_tool(tool: Json) -> Iterator[str]:
    """The fields of an `mcp` tool, and the form of those that may have several."""
    for name, value in tool.items():
        if value is None:
            continue
        yield name
        if name == "allowed_tools":
            yield from (f"{name}: {form}" for form in (value if is_object(value) else ["names"]))
        if name == "require_approval":
            yield from (f"{name}: {form}" for form in _rules(value))


def _rules(given: Any) -> Iterator[str]:
    if not is_object(given):
        yield str(given)
        return
    for rule, tools in given.items():
        yield from (f"{rule}.{key}" for key in (tools if is_object(tools) else ()))


def forms_of_choice(choice: Any) -> Iterator[str]:
    """The form of a `tool_choice`, and of each thing that `allowed_tools` names."""
    if not is_object(choice):
        yield str(choice)
        return
    kind = str(choice["type"])
    yield kind
    if kind == "mcp":
        yield "mcp: name" if choice.get("name") else "mcp: any of a server"
    entries: Any = choice.get("tools", [])
    yield from (f"{kind}: {entry['type']}" for entry in entries)
