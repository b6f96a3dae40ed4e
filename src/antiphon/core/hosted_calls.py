"""Tools of a request that this server runs, and the items that their calls become.

A model is shown each as a function. Its call is shown to the client as an item that is open while the tool runs
(`call_item`), and the model reads what came of it (`said`). One kind is in a module of its own. An MCP server brings
many tools, which are known when they were listed (`mcp.as_function`).
"""

from typing import assert_never

from antiphon.core import file_search, mcp
from antiphon.core.hosted_items import FileSearchCall, McpCall
from antiphon.core.items import FunctionCall
from antiphon.core.tools import FileSearchTool, McpTool

HostedTool = FileSearchTool | McpTool
HostedCall = FileSearchCall | McpCall


def call_item(tool: HostedTool, name: str, call: FunctionCall) -> HostedCall:
    """The item that a model's call becomes, still to be carried out. `name` is the tool's own. Raises BadArguments."""
    match tool:
        case FileSearchTool():
            return file_search.call_item(call)
        case McpTool():
            return mcp.call_item(tool, name, call)
        case _:
            assert_never(tool)


def said(item: HostedCall) -> str:
    """What the model reads as the result of its call."""
    match item:
        case FileSearchCall():
            return file_search.said(item)
        case McpCall():
            return mcp.said(item)
        case _:
            assert_never(item)
