"""`McpTools`: the tool runtime that carries out the tools of MCP servers. All else goes to the runtime behind it."""

from collections.abc import Sequence
from dataclasses import dataclass

from antiphon.core.commands import CallTool, ListTools
from antiphon.core.hosted_tools import AnyTool
from antiphon.core.signals import ToolDone, ToolsListed
from antiphon.core.tools import McpTool
from antiphon.ports import Owner, ToolRuntime
from antiphon.ports.mcp import Authorizations, CallHost, Connectors, McpClient


@dataclass(frozen=True, slots=True)
class McpTools:
    """A `ToolRuntime`."""

    client: McpClient
    connectors: Connectors
    authorizations: Authorizations
    others: ToolRuntime

    async def check(self, owner: Owner, tools: Sequence[AnyTool]) -> None:
        await self.others.check(owner, tools)

    async def list_tools(self, owner: Owner, asked: ListTools) -> ToolsListed:
        return await self.others.list_tools(owner, asked)

    def outdated(self, owner: Owner, tool: McpTool) -> bool:
        return self.others.outdated(owner, tool)

    async def run(self, owner: Owner, call: CallTool, host: CallHost) -> ToolDone:
        return await self.others.run(owner, call, host)
