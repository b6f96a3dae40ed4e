"""What is taken of the tools that a server says it has: what a model can be shown, and somebody can call."""

import logging
from collections.abc import Iterator, Sequence

import msgspec

from antiphon.core.hosted_items import McpListedTool
from antiphon.core.json_schemas import fault_of_schema, nesting_exceeds
from antiphon.core.json_values import is_object
from antiphon.core.wire import UNSET, encode
from antiphon.mcp_tools.texts import Scrubber
from antiphon.ports.mcp import Listing, McpRefused

log = logging.getLogger("antiphon.tools")
MAX_NAME = 256
MAX_DEFINITION_BYTES = 256 * 1024
_LEVELS = 64


def usable(listing: Listing, scrub: Scrubber, label: str, max_tools: int) -> Sequence[McpListedTool]:
    """The tools that can be shown and called, cleaned, in the server's order. Raises McpRefused for too many."""
    if len(listing.tools) > max_tools:
        raise McpRefused(f"it has {len(listing.tools)} tools; at most {max_tools} are taken")
    return list(_usable(listing.tools, scrub, label))


def _usable(tools: Sequence[McpListedTool], scrub: Scrubber, label: str) -> Iterator[McpListedTool]:
    seen: set[str] = set()
    for tool in tools:
        why = _fault(tool, scrub, seen)
        if why is None:
            seen.add(tool.name)
            yield _cleaned(tool, scrub)
        else:
            log.warning('MCP server "%s": tool "%s" is left out: %s', label, scrub.line(tool.name, 80), why)


def _fault(tool: McpListedTool, scrub: Scrubber, seen: set[str]) -> str | None:
    if not tool.name or len(tool.name) > MAX_NAME or scrub.text(tool.name) != tool.name:
        return f"its name is empty, longer than {MAX_NAME} characters, or has some that cannot be shown"
    if tool.name in seen:
        return "another one before it has this name"
    annotations = tool.annotations or {}
    if nesting_exceeds([tool.input_schema, annotations], _LEVELS):
        return f"its schema is nested more than {_LEVELS} deep"
    fault = fault_of_schema(tool.input_schema, of_arguments=True)
    if fault is not None:
        return f"its input_schema{fault[0]}: {fault[1]}"
    size = len(encode([scrub.value(tool.input_schema), scrub.value(annotations)])) + len(
        tool.description or ""
    )
    if size > MAX_DEFINITION_BYTES:
        return f"its definition is larger than {MAX_DEFINITION_BYTES} bytes"
    return None


def _cleaned(tool: McpListedTool, scrub: Scrubber) -> McpListedTool:
    annotations = tool.annotations
    return msgspec.structs.replace(
        tool,
        description=scrub.text(tool.description) if tool.description else tool.description,
        input_schema=scrub.value(tool.input_schema),
        annotations=scrub.value(annotations) if is_object(annotations) else UNSET,
    )
