"""For tests of ours, of plugins and of applications: fakes of the ports, a scripted model, contract suites.

`store_contract` is the suite that every `ResponseStore` has to pass; `simulation` runs a whole server under a seeded
scheduler.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from antiphon.core.commands import CallTool
from antiphon.core.hosted_tools import AnyTool
from antiphon.core.signals import ToolDone
from antiphon.ports import Owner, SealBroken
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


@dataclass(slots=True)
class FakeIds:
    """Ids of the real shape that count up: `resp_` and 32 digits."""

    last: int = 0

    def new(self, prefix: str) -> str:
        self.last += 1
        return f"{prefix}{self.last:032x}"


@dataclass(slots=True)
class ToolBox:
    """A `ToolRuntime` of plain functions from the arguments (JSON text) to the output. `calls` is what was run."""

    tools: Mapping[str, Callable[[str], str]] = field(default_factory=dict[str, Callable[[str], str]])
    calls: list[CallTool] = field(default_factory=list[CallTool])

    async def check(self, owner: Owner, tools: Sequence[AnyTool]) -> None:
        """Every tool will do."""

    async def run(self, owner: Owner, call: CallTool) -> ToolDone:
        del owner
        self.calls.append(call)
        tool = self.tools.get(call.call.name)
        if tool is None:
            return ToolDone(call.call.call_id, f'Error: there is no tool "{call.call.name}".')
        return ToolDone(call.call.call_id, tool(call.call.arguments))


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
