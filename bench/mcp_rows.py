"""What MCP costs: responses whose tools are on a local MCP server, beside the same run with function tools.

With function tools the client runs them: it asks, gets the calls, and asks again with their outputs, by
`previous_response_id`. With MCP tools it asks once. Both runs are stored, have as many calls of the model, and end with
the same text, so what is compared is what the server spends until the client has its answer.

The MCP server is a process of its own. Of this server's CPU time the part that the MCP SDK takes is left out of the
comparison, as `bench.profiled` attributes it, and stands beside it.
"""

import json
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import load
from bench.profiled import Profile
from bench.program import Program, environment, start_antiphon
from bench.rows import AT_ONCE, SAID, WEATHER, Measure, Row, Sample, Servers, cpu_of, response, sample_of

PARALLEL = 8
WAITED_MS = 100
WAITS = 10


@dataclass(frozen=True, slots=True)
class McpServers(Servers):
    """`ours` is profiled."""

    profile: Profile


def _mcp_tool(name: str) -> dict[str, Any]:
    asked = {"server_label": "bench", "connector_id": "bench", "allowed_tools": [name]}
    return {"type": "mcp", **asked, "require_approval": "never"}


def with_mcp(model: str, tool: str) -> bytes:
    return response(model, tools=[_mcp_tool(tool)])


class _Answered:
    """Sees to it that every call of a response came back with what the tool says."""

    def __init__(self, calls: int) -> None:
        self._calls = calls

    def __call__(self, index: int, reply: load.Reply) -> None:
        del index
        items = json.loads(reply.body)["output"]
        outputs = [item.get("output") for item in items if item["type"] == "mcp_call"]
        if outputs != [SAID] * self._calls:
            raise load.BadReply(f"{self._calls} calls were to say {SAID!r}: {reply.body[:2000]!r}")


async def _by_functions(servers: McpServers, n: int, model: str, at_once: int) -> tuple[load.Outcome, float]:
    """n round trips with a function tool: the second requests, and the CPU seconds of both."""
    tools = [{"type": "function", **WEATHER}]
    followups: list[bytes] = [b""] * n

    def follow(index: int, reply: load.Reply) -> None:
        body = json.loads(reply.body)
        calls = [item["call_id"] for item in body["output"] if item["type"] == "function_call"]
        outputs = [{"type": "function_call_output", "call_id": call, "output": SAID} for call in calls]
        request = {"model": model, "previous_response_id": body["id"], "input": outputs, "tools": tools}
        followups[index] = load.post("/v1/responses", request)

    port, first = servers.ours.port, [response(model, tools=tools)] * n
    asking = load.run(port, first, at_once=at_once, expect=b'"function_call"', on_reply=follow)
    _, before = await cpu_of(servers.ours, asking)
    answering = load.run(port, followups, at_once=at_once, expect=b'"output_text"')
    outcome, after = await cpu_of(servers.ours, answering)
    return outcome, before + after


def over_functions(model: str, calls: int) -> Measure:
    """Our own CPU of a response with so many MCP calls over that of the same run with function tools."""
    at_once = AT_ONCE // calls

    async def measure(servers: Servers, n: int) -> Sample:
        assert isinstance(servers, McpServers)
        n = max(at_once, n // (2 * calls))
        begun = servers.profile.shares()
        by_functions, functions_s = await _by_functions(servers, n, model, at_once)
        before = servers.profile.shares()
        requests = [with_mcp(model, "get_weather")] * n
        work = load.run(servers.ours.port, requests, at_once=at_once, on_reply=_Answered(calls))
        through, cpu_s = await cpu_of(servers.ours, work)
        functions, mcp = before - begun, servers.profile.shares() - before
        own_s, functions_own_s = cpu_s - mcp.sdk, functions_s - functions.sdk
        sample = sample_of(own_s / functions_own_s, through, by_functions)
        sample.notes = {
            "own ms by MCP": own_s / n * 1e3,
            "of that aiohttp": mcp.http / n * 1e3,
            "own ms by functions": functions_own_s / n * 1e3,
            "of those aiohttp": functions.http / n * 1e3,
            "the SDK's ms": mcp.sdk / n * 1e3,
            "without aiohttp, times": (own_s - mcp.http) / (functions_own_s - functions.http),
            "with the SDK, times": cpu_s / functions_s,
        }
        return sample

    return measure


async def waits(servers: Servers, n: int) -> Sample:
    """Wall time in ms of a response whose eight calls take 100 ms each, one response at a time."""
    del n
    requests = [with_mcp("fake-waits", "slow")] * WAITS
    answered = _Answered(PARALLEL)
    through = await load.run(servers.ours.port, requests, at_once=1, on_reply=answered)
    return sample_of(through.percentile(0.5), through, load.Outcome())


MCP_ROWS: tuple[Row, ...] = (
    Row(
        "response-mcp",
        "response with an MCP call over the same with a function tool",
        "times",
        1.5,
        over_functions("fake-call", 1),
    ),
    Row(
        "response-mcp-8",
        f"response with {PARALLEL} MCP calls at once over the same with a function tool",
        "times",
        1.5,
        over_functions("fake-calls", PARALLEL),
    ),
    Row("mcp-waits", f"{PARALLEL} MCP calls at once of {WAITED_MS} ms each", "ms", 150.0, waits),
)


@contextmanager
def started(upstream: Program, folder: Path, config: str) -> Generator[McpServers]:
    """A local MCP server, and before it a profiled server of this configuration, to which a connector is added."""
    root = Path(__file__).resolve().parent.parent
    command = [sys.executable, "-m", "bench.mcp_server"]
    home = environment(Path(tempfile.gettempdir()))
    with Program(command, cwd=root, env=home) as tools:
        connector = f'connectors: [{{connector_id: bench, url: "{tools.url}/mcp"}}]\n'
        profile = Profile(folder / "cpu-seconds")
        profiled = [sys.executable, "-m", "bench.profiled", str(profile.file)]
        path = {"PYTHONPATH": str(root)}
        with start_antiphon(folder, config + connector, program=profiled, env=path) as ours:
            ours.wait_ready()
            yield McpServers(ours, upstream, profile)
