"""The tool runtime of a server without server-side tools: function tools run in the client."""

from collections.abc import Sequence

from antiphon.core.commands import CallTool, ListTools
from antiphon.core.hosted_items import McpListTools
from antiphon.core.hosted_tools import AnyTool
from antiphon.core.mcp import failed_listing
from antiphon.core.signals import ToolDone, ToolsListed
from antiphon.core.tools import McpTool
from antiphon.ports import Owner
from antiphon.ports.mcp import CallHost


class NoTools:
    async def check(self, owner: Owner, tools: Sequence[AnyTool]) -> None:
        return

    async def list_tools(self, owner: Owner, asked: ListTools) -> ToolsListed:
        """Answers that there are none."""
        label = asked.tool.server_label
        return ToolsListed(label, failed_listing(label, "this server calls no MCP servers"))

    def outdated(self, owner: Owner, tool: McpTool, known: McpListTools) -> bool:
        return False

    async def run(self, owner: Owner, call: CallTool, host: CallHost) -> ToolDone:
        """Answers, as every runtime must; the model reads that there is no such tool."""
        return ToolDone(call.call.call_id, f'Error: no tool "{call.call.name}" runs on this server.')
