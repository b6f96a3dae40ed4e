"""Tools of a request that this server runs, and the items that their calls become.

A model is shown each as a function (`as_function`). Its call is shown to the client as an item that is open while the
tool runs (`call_item`), and the model reads what came of it (`said`). One kind is in a module of its own.
"""

from antiphon.core import file_search
from antiphon.core.hosted_items import FileSearchCall
from antiphon.core.items import FunctionCall
from antiphon.core.tools import FileSearchTool, FunctionTool

HostedTool = FileSearchTool
HostedCall = FileSearchCall


def as_function(tool: HostedTool) -> FunctionTool:
    """The function that stands for a tool."""
    match tool:
        case FileSearchTool():
            return file_search.as_function()


def call_item(tool: HostedTool, call: FunctionCall) -> HostedCall:
    """The item that a model's call becomes, still to be carried out. Raises BadArguments."""
    match tool:
        case FileSearchTool():
            return file_search.call_item(call)


def said(item: HostedCall) -> str:
    """What the model reads as the result of its call."""
    match item:
        case FileSearchCall():
            return file_search.said(item)
