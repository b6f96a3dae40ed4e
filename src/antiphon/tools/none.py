"""The tool runtime of a server without server-side tools: function tools run in the client."""

from collections.abc import Sequence

from antiphon.core.commands import CallTool
from antiphon.core.hosted_tools import AnyTool
from antiphon.core.signals import ToolDone
from antiphon.ports import Owner


class NoTools:
    async def check(self, owner: Owner, tools: Sequence[AnyTool]) -> None:
        return

    async def run(self, owner: Owner, call: CallTool) -> ToolDone:
        """Answers, as every runtime must; the model reads that there is no such tool."""
        return ToolDone(call.call.call_id, f'Error: no tool "{call.call.name}" runs on this server.')
