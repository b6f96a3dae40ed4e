"""What the tests of the MCP client share: a client that may reach loopback, and what a run gives it."""

import asyncio
import os
from collections.abc import Callable, Sequence

from antiphon.core.mcp import Sampled, Sampling
from antiphon.core.wire import JsonObject
from antiphon.fetching.addresses import Reach
from antiphon.fetching.urls import Egress
from antiphon.mcp.client import SdkMcpClient
from antiphon.mcp.limits import McpLimits
from antiphon.ports.mcp import CallResult, McpServer, Question, Reply, SamplingRefused, TextContent
from antiphon.ports.owners import Owner

LOOPBACK = Egress(Reach.of(["127.0.0.0/8"]))
LIMITS = McpLimits(sampling=True, connect_timeout_s=5.0)
ANN = Owner("acme", "ann")
BEN = Owner("acme", "ben")
LIMIT_S = 20.0


class Host:
    """A run whose model answers `short`, or refuses."""

    keeps = True

    def __init__(self, refusal: str = "") -> None:
        self.asked: list[Sampling] = []
        self.refusal = refusal

    async def sample(self, asked: Sampling) -> Sampled:
        self.asked.append(asked)
        if self.refusal:
            raise SamplingRefused(self.refusal)
        return Sampled("short", "a-model", "endTurn")


def make_client(limits: McpLimits = LIMITS, egress: Egress = LOOPBACK) -> SdkMcpClient:
    return SdkMcpClient(egress, limits)


def server(url: str, owner: Owner = ANN, headers: Sequence[tuple[str, str]] = ()) -> McpServer:
    return McpServer(owner, "tests", url, headers=tuple(headers))


async def call(
    client: SdkMcpClient,
    of: McpServer,
    tool: str,
    arguments: JsonObject | None = None,
    *,
    host: Host | None = None,
    timeout_s: float = LIMIT_S,
    reply: Reply | None = None,
) -> CallResult | Question:
    return await client.call(of, tool, arguments or {}, host or Host(), timeout_s=timeout_s, reply=reply)


async def text(client: SdkMcpClient, of: McpServer, tool: str, arguments: JsonObject | None = None) -> str:
    """What a tool says that asks nothing."""
    return said(await call(client, of, tool, arguments))


def said(outcome: CallResult | Question) -> str:
    assert isinstance(outcome, CallResult), outcome
    return "".join(part.text for part in outcome.content if isinstance(part, TextContent))


def asked(outcome: CallResult | Question) -> Question:
    assert isinstance(outcome, Question), outcome
    return outcome


def accepted(question: Question, **content: object) -> Reply:
    return Reply(question.token, "accept", dict(content) if content else None)


async def until(what: str, state: Callable[[], bool]) -> None:
    """Return as soon as `state` is true; fail with `what` when it is not within a generous limit."""
    try:
        async with asyncio.timeout(LIMIT_S):
            while not state():  # noqa: ASYNC110 what is waited for tells nobody
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"never saw: {what}") from None


def tasks() -> set[str]:
    """Names of all tasks but the test's own."""
    mine = asyncio.current_task()
    return {one.get_name() for one in asyncio.all_tasks() if one is not mine}


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 only how many
