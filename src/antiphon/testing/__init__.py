"""For tests of ours, of plugins and of applications: fakes of the ports, a scripted model, contract suites.

`store_contract` is the suite that every `ResponseStore` has to pass; `simulation` runs a whole server under a seeded
scheduler.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from antiphon.core.commands import CallTool, ListTools
from antiphon.core.hosted_items import McpCall, McpListedTool, McpListTools
from antiphon.core.hosted_tools import AnyTool
from antiphon.core.mcp import failed_listing
from antiphon.core.signals import ToolDone, ToolsListed
from antiphon.core.tools import McpTool
from antiphon.ports import Owner, SealBroken
from antiphon.ports.mcp import CallHost
from antiphon.providers.script import parse_script
from antiphon.providers.scripted import Scripted
from antiphon.storage.memory import MemoryStore

__all__ = ["FakeClock", "FakeIds", "MemoryStore", "PlainSealer", "Scripted", "ToolBox", "scripted_model"]


@dataclass(slots=True)
class FakeClock:
    """Stands still until told otherwise. Unix seconds."""

    at: int = 1_767_225_600

    def now(self) -> int:
        return self.at

    def now_us(self) -> int:
        return self.at * 1_000_000


@dataclass(slots=True)
class FakeIds:
    """Ids of the real shape that count up: `resp_` and 32 digits."""

    last: int = 0

    def new(self, prefix: str) -> str:
        self.last += 1
        return f"{prefix}{self.last:032x}"


@dataclass(slots=True)
class ToolBox:
    """A `ToolRuntime` of plain functions from the arguments (JSON text) to the output. `calls` is what was run.

    `servers` are the MCP servers that it stands for, by label; their tools are run by the functions of the same names.
    """

    tools: Mapping[str, Callable[[str], str]] = field(default_factory=dict[str, Callable[[str], str]])
    calls: list[CallTool] = field(default_factory=list[CallTool])
    servers: Mapping[str, Sequence[McpListedTool]] = field(
        default_factory=dict[str, "Sequence[McpListedTool]"]
    )
    listings: list[ListTools] = field(default_factory=list[ListTools])

    async def check(self, owner: Owner, tools: Sequence[AnyTool]) -> None:
        """Every tool will do."""

    async def list_tools(self, owner: Owner, asked: ListTools) -> ToolsListed:
        self.listings.append(asked)
        label = asked.tool.server_label
        if label not in self.servers:
            return ToolsListed(label, failed_listing(label, f'there is no server "{label}"'))
        return ToolsListed(label, msgspec.structs.replace(asked.item, tools=list(self.servers[label])))

    def outdated(self, owner: Owner, tool: McpTool, known: McpListTools) -> bool:
        return False

    async def run(self, owner: Owner, call: CallTool, host: CallHost) -> ToolDone:
        self.calls.append(call)
        name = call.item.name if isinstance(call.item, McpCall) else call.call.name
        tool = self.tools.get(name)
        text = f'Error: there is no tool "{name}".' if tool is None else tool(call.call.arguments)
        if not isinstance(call.item, McpCall):
            return ToolDone(call.call.call_id, text)
        done = msgspec.structs.replace(call.item, status="completed", output=text)
        return ToolDone(call.call.call_id, "", done)


def scripted_model(
    *rules: Mapping[str, object],
    name: str = "demo",
    provider_id: str = "scripted",
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> Scripted:
    """A provider of one model that follows `rules`, written as in a configuration file."""
    config = parse_script({"models": [{"name": name, "rules": list(rules)}]})
    return Scripted(provider_id, config, sleep=sleep)


class PlainSealer:
    """Seals nothing: the blob is tenant, purpose and payload in hex, so that a test can look inside."""

    def seal(self, tenant: str, purpose: str, payload: bytes) -> str:
        return f"{tenant}/{purpose}/{payload.hex()}"

    def open(self, tenant: str, purpose: str, blob: str) -> bytes:
        before, slash, payload = blob.rpartition("/")
        if not slash or before != f"{tenant}/{purpose}":
            raise SealBroken("was not made for this tenant")
        return bytes.fromhex(payload)
