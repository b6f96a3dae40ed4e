"""What agents cost: turns of sessions beside the same work through `/v1/responses`, in one run.

Both are stored, call the model as often, and stream the same texts. Agents and sessions are made before, uncounted.
"""

import json
from collections.abc import Sequence
from typing import Any

from bench import load
from bench.mcp_rows import McpServers, with_mcp
from bench.rows import (
    AT_ONCE,
    GROWN,
    QUESTION,
    STREAM_EVENTS,
    TURNS,
    Row,
    Sample,
    Servers,
    cpu_of,
    response,
    sample_of,
)

TURN_EVENTS = b'"turn_complete"'
TURN_ENDS = b'"end_of_turn"'


async def _made(servers: Servers, requests: Sequence[bytes], field: str) -> list[str]:
    """The ids of what these requests make, in their order."""
    ids = [""] * len(requests)

    def take(index: int, reply: load.Reply) -> None:
        ids[index] = json.loads(reply.body)[field]

    expect = f'"{field}"'.encode()
    await load.run(servers.ours.port, requests, at_once=AT_ONCE, expect=expect, on_reply=take)
    return ids


async def sessions(servers: Servers, n: int, **config: Any) -> list[str]:
    """The paths of n new sessions of one new agent. Without `sampling_params` requests go out as those of responses."""
    about = {"model": "fake", "instructions": "", "sampling_params": None, **config}
    [agent] = await _made(servers, [load.post("/v1/agents", {"agent_config": about})], "agent_id")
    path = f"/v1/agents/{agent}/session"
    return [
        f"{path}/{one}"
        for one in await _made(servers, [load.post(path, {"session_name": "bench"})] * n, "session_id")
    ]


def turn(session: str, *, stream: bool = False) -> bytes:
    message = {"role": "user", "content": QUESTION}
    return load.post(f"{session}/turn", {"messages": [message], "stream": stream})


async def streamed_turn(servers: Servers, n: int) -> Sample:
    """CPU of a session's first turn over that of the same response, both streamed and stored, 32 at once."""
    port = servers.ours.port
    turns = [turn(one, stream=True) for one in await sessions(servers, n)]
    plain = load.run(port, [response("fake", stream=True)] * n, at_once=AT_ONCE, expect=STREAM_EVENTS)
    by_response, response_s = await cpu_of(servers.ours, plain)
    work = load.run(port, turns, at_once=AT_ONCE, expect=TURN_EVENTS)
    through, turn_s = await cpu_of(servers.ours, work)
    sample = sample_of(turn_s / response_s, through, by_response)
    sample.notes = {"response_ms": response_s / n * 1e3, "turn_ms": turn_s / n * 1e3}
    return sample


async def turn_with_tool(servers: Servers, n: int) -> Sample:
    """Our own CPU of a turn with a call of an MCP tool group over that of a response with the same call."""
    assert isinstance(servers, McpServers)
    n, port = max(AT_ONCE, n // 2), servers.ours.port
    groups: list[dict[str, Any]] = [{"name": "bench/get_weather", "args": {}}]
    turns = [turn(one) for one in await sessions(servers, n, model="fake-call", toolgroups=groups)]
    begun = servers.profile.shares()
    plain = load.run(port, [with_mcp("fake-call", "get_weather")] * n, at_once=AT_ONCE, expect=b'"completed"')
    by_response, response_s = await cpu_of(servers.ours, plain)
    between = servers.profile.shares()
    work = load.run(port, turns, at_once=AT_ONCE, expect=b'"tool_execution"')
    through, turn_s = await cpu_of(servers.ours, work)
    by_responses, by_turns = between - begun, servers.profile.shares() - between
    own_s, response_own_s = turn_s - by_turns.sdk, response_s - by_responses.sdk
    sample = sample_of(own_s / response_own_s, through, by_response)
    sample.notes = {
        "own ms by turns": own_s / n * 1e3,
        "own ms by responses": response_own_s / n * 1e3,
        "the SDK's ms": by_turns.sdk / n * 1e3,
        "with the SDK, times": turn_s / response_s,
    }
    return sample


async def _turns(servers: Servers, places: Sequence[str], at_once: int) -> tuple[load.Outcome, float]:
    """One turn in each of these sessions, in their order, and the CPU seconds of it."""
    requests = [turn(one) for one in places]
    work = load.run(servers.ours.port, requests, at_once=at_once, expect=TURN_ENDS)
    return await cpu_of(servers.ours, work)


async def long_session(servers: Servers, n: int) -> Sample:
    """CPU of about turn 200 of eight sessions over that of turn 2; the turns up to there are made first."""
    again = max(1, min(n // GROWN, 40))
    asked = GROWN * again
    begun = await sessions(servers, asked)
    await _turns(servers, begun, AT_ONCE)
    _, early = await _turns(servers, begun, GROWN)
    grown = await sessions(servers, GROWN)
    await _turns(servers, grown * (TURNS - 1 - again // 2), GROWN)
    through, late = await _turns(servers, grown * again, GROWN)
    sample = sample_of(late / early, through, load.Outcome())
    sample.notes = {"turn_2_ms": early / asked * 1e3, f"turn_{TURNS}_ms": late / asked * 1e3}
    return sample


AGENT_ROWS: tuple[Row, ...] = (
    Row("agent-turn", "turn of an agent over the same response stream", "times", 1.3, streamed_turn),
    Row(
        "agent-turn-200", f"turn {TURNS} of a session over turn 2", "times", None, long_session, rounds=False
    ),
)
AGENT_MCP_ROWS: tuple[Row, ...] = (
    Row(
        "agent-tool", "turn with a call of a tool group over a response with it", "times", 1.3, turn_with_tool
    ),
)
