"""What is measured: one row per line of the budget table, each with its request and its budget."""

import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from antiphon.core.items import Reasoning, ReasoningText
from antiphon.core.wire import encode
from antiphon.runs.thoughts import Thoughts
from antiphon.sealing.aead import AeadSealer
from antiphon.system import SystemClock
from bench import fake_upstream, load, sockets
from bench.program import Program

AT_ONCE = 32
QUESTION = "What is the weather in Paris today, and what should I wear for a long walk along the river?"
SAID = "21 degrees, sunny"
WEATHER: dict[str, Any] = {
    "name": "get_weather",
    "description": "The weather of a city now.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string", "description": "Name of the city"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}


@dataclass(slots=True)
class Sample:
    """One round of one row. `value` is in the row's unit; latencies are of whole replies or first tokens."""

    value: float
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    per_second: float = 0.0
    direct_p50_ms: float = 0.0
    notes: dict[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True)
class Servers:
    """`ours` stands in front of `upstream`, so that a row can be asked of both in one run."""

    ours: Program
    upstream: Program


Measure = Callable[[Servers, int], Awaitable[Sample]]


@dataclass(frozen=True, slots=True)
class Row:
    """`measure(servers, n)` sends about n requests through us, and as many past us, and gives one sample."""

    key: str
    title: str
    unit: str
    budget: float | None
    measure: Measure
    rounds: bool = True


def chat(model: str, *, stream: bool = False) -> bytes:
    body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": QUESTION}]}
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return load.post("/v1/chat/completions", body)


def response(model: str, **more: Any) -> bytes:
    return load.post("/v1/responses", {"model": model, "input": QUESTION, **more})


async def cpu_of(server: Program, work: Awaitable[load.Outcome]) -> tuple[load.Outcome, float]:
    """The outcome of `work` and the CPU seconds that the server spent on it, its late work included."""
    before = server.cpu_s()
    outcome = await work
    await asyncio.sleep(0.05)  # what is done after the last reply belongs to it; idling costs no CPU time
    return outcome, server.cpu_s() - before


def per_request(ours: bytes, direct: bytes, expect: bytes, expect_direct: bytes) -> Measure:
    """CPU ms of the server per request, 32 at once."""

    async def measure(servers: Servers, n: int) -> Sample:
        past = await load.run(servers.upstream.port, [direct] * n, at_once=AT_ONCE, expect=expect_direct)
        work = load.run(servers.ours.port, [ours] * n, at_once=AT_ONCE, expect=expect)
        through, cpu = await cpu_of(servers.ours, work)
        return sample_of(cpu / n * 1e3, through, past)

    return measure


def sample_of(value: float, through: load.Outcome, past: load.Outcome) -> Sample:
    return Sample(
        value=value,
        p50_ms=through.percentile(0.5),
        p99_ms=through.percentile(0.99),
        per_second=len(through.replies) / through.seconds,
        direct_p50_ms=past.percentile(0.5),
    )


async def after_function_call(servers: Servers, n: int) -> Sample:
    """The second request of a tool round trip: the output of the call, by `previous_response_id`."""
    tools = [{"type": "function", **WEATHER}]
    followups: list[bytes] = [b""] * n

    def follow(index: int, reply: load.Reply) -> None:
        body = json.loads(reply.body)
        call = next(item for item in body["output"] if item["type"] == "function_call")
        output = {"type": "function_call_output", "call_id": call["call_id"], "output": SAID}
        followups[index] = load.post(
            "/v1/responses",
            {"model": "fake-tools", "previous_response_id": body["id"], "input": [output], "tools": tools},
        )

    first = response("fake-tools", tools=tools)
    await load.run(
        servers.ours.port, [first] * n, at_once=AT_ONCE, expect=b'"function_call"', on_reply=follow
    )
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": None, "tool_calls": [_past_call()]},
        {"role": "tool", "tool_call_id": "call_0001", "content": SAID},
    ]
    direct = load.post(
        "/v1/chat/completions",
        {"model": "fake-tools", "messages": messages, "tools": [{"type": "function", "function": WEATHER}]},
    )
    past = await load.run(servers.upstream.port, [direct] * n, at_once=AT_ONCE, expect=b'"stop"')
    work = load.run(servers.ours.port, followups, at_once=AT_ONCE, expect=b'"output_text"')
    through, cpu = await cpu_of(servers.ours, work)
    return sample_of(cpu / n * 1e3, through, past)


def _past_call() -> dict[str, Any]:
    function = {"name": "get_weather", "arguments": fake_upstream.CALL_ARGUMENTS}
    return {"id": "call_0001", "type": "function", "function": function}


async def paced_tokens(servers: Servers, n: int) -> Sample:
    """CPU µs of the server for each token of streams whose tokens come 10 ms apart, 32 streams at once."""
    del n
    tokens = fake_upstream.PACED[b"fake-paced"][0]
    direct = [chat("fake-paced", stream=True)] * AT_ONCE
    past = await load.run(servers.upstream.port, direct, at_once=AT_ONCE, expect=b"[DONE]")
    ours = [response("fake-paced", stream=True)] * AT_ONCE
    work = load.run(servers.ours.port, ours, at_once=AT_ONCE, expect=b"response.completed")
    through, cpu = await cpu_of(servers.ours, work)
    return _first_tokens(cpu / (tokens * AT_ONCE) * 1e6, through, past)


def _first_tokens(value: float, through: load.Outcome, past: load.Outcome) -> Sample:
    return Sample(
        value=value,
        p50_ms=through.first_token_ms(0.5),
        p99_ms=through.first_token_ms(0.99),
        per_second=len(through.replies) / through.seconds,
        direct_p50_ms=past.first_token_ms(0.5),
        notes={"direct_p99_ms": past.first_token_ms(0.99)},
    )


OPEN_STREAMS = 512
PROBES = 64
_GAP_S = 1 / 128


async def open_streams(servers: Servers, n: int) -> Sample:
    """Added delay (ms, median) of the first token while 512 streams are open, each with 5 tokens a second."""
    del n
    count = OPEN_STREAMS + PROBES

    async def probe(port: int, request: bytes, expect: bytes) -> load.Outcome:
        done: dict[int, load.Reply] = {}
        outcome = await load.run(
            port, [request] * count, at_once=count, expect=expect, gap_s=_GAP_S, on_reply=done.__setitem__
        )
        outcome.replies = [reply for index, reply in done.items() if index >= OPEN_STREAMS]
        return outcome

    past = await probe(servers.upstream.port, chat("fake-slow", stream=True), b"[DONE]")
    work = probe(servers.ours.port, response("fake-slow", stream=True), b"response.completed")
    through, cpu = await cpu_of(servers.ours, work)
    sample = _first_tokens(through.first_token_ms(0.5) - past.first_token_ms(0.5), through, past)
    tokens = fake_upstream.PACED[b"fake-slow"][0] * count
    sample.notes |= {
        "added_p99_ms": through.first_token_ms(0.99) - past.first_token_ms(0.99),
        "cpu_us_per_token": cpu / tokens * 1e6,
        "rss_mb_after": servers.ours.rss_mb(),
    }
    return sample


async def over_sockets(servers: Servers, n: int) -> Sample:
    """CPU of a streamed turn over WebSocket over that of the same one over SSE, both stored, 32 at once."""
    port, frame = servers.ours.port, sockets.create({"model": "fake", "input": QUESTION})
    sse = load.run(port, [response("fake", stream=True)] * n, at_once=AT_ONCE, expect=STREAM_EVENTS)
    by_sse, sse_cpu = await cpu_of(servers.ours, sse)
    async with sockets.upgraded(port, AT_ONCE) as clients:
        through, cpu = await cpu_of(servers.ours, sockets.run(clients, frame, n))
    sample = sample_of(cpu / sse_cpu, through, by_sse)
    sample.notes = {"sse_ms": sse_cpu / n * 1e3, "socket_ms": cpu / n * 1e3}
    return sample


async def _make(servers: Servers, requests: Sequence[bytes], expect: bytes) -> list[str]:
    """The ids of what these requests make, in their order."""
    ids = [""] * len(requests)

    def take(index: int, reply: load.Reply) -> None:
        ids[index] = json.loads(reply.body)["id"]

    await load.run(servers.ours.port, requests, at_once=AT_ONCE, expect=expect, on_reply=take)
    return ids


async def _turns(
    servers: Servers, conversations: Sequence[str], at_once: int = AT_ONCE
) -> tuple[load.Outcome, float]:
    """One turn in each of these, in their order, and the CPU seconds of it."""
    requests = [response("fake", conversation=one) for one in conversations]
    work = load.run(servers.ours.port, requests, at_once=at_once, expect=b'"completed"')
    return await cpu_of(servers.ours, work)


async def _begun(servers: Servers, n: int) -> list[str]:
    """Conversations with one turn each."""
    made = await _make(servers, [load.post("/v1/conversations", {})] * n, b'"conversation"')
    await _turns(servers, made)
    return made


async def in_conversation(servers: Servers, n: int) -> Sample:
    """CPU of the second turn of a conversation over that of the second response of a chain, both stored."""
    begun = await _begun(servers, n)
    parents = await _make(servers, [response("fake")] * n, b'"completed"')
    chained = [response("fake", previous_response_id=one) for one in parents]
    work = load.run(servers.ours.port, chained, at_once=AT_ONCE, expect=b'"completed"')
    by_chain, chain_cpu = await cpu_of(servers.ours, work)
    through, cpu = await _turns(servers, begun)
    sample = sample_of(cpu / chain_cpu, through, by_chain)
    sample.notes = {"chain_ms": chain_cpu / n * 1e3, "conversation_ms": cpu / n * 1e3}
    return sample


async def long_conversation(servers: Servers, n: int) -> Sample:
    """CPU of about turn 200 of eight conversations over that of turn 2; the turns up to there are made first."""
    again = max(1, min(n // GROWN, 40))
    asked = GROWN * again
    _, early = await _turns(servers, await _begun(servers, asked), GROWN)
    grown = await _begun(servers, GROWN)
    await _turns(servers, grown * (TURNS - 2 - again // 2), GROWN)
    through, late = await _turns(servers, grown * again, GROWN)
    sample = sample_of(late / early, through, load.Outcome())
    sample.notes = {"turn_2_ms": early / asked * 1e3, f"turn_{TURNS}_ms": late / asked * 1e3}
    return sample


TURNS = 200
GROWN = 8


async def long_chain(servers: Servers, n: int) -> Sample:
    """CPU of turn 200 of a chain over CPU of turn 2, each asked n times by branching off its parent."""
    port, ids = servers.ours.port, list[str]()

    def take(_: int, reply: load.Reply) -> None:
        ids.append(json.loads(reply.body)["id"])

    for _ in range(TURNS - 1):
        more = {"previous_response_id": ids[-1]} if ids else {}
        await load.run(port, [response("fake", **more)], at_once=1, expect=b'"completed"', on_reply=take)
    costs: list[float] = []
    through = load.Outcome()
    for parent in (ids[0], ids[-1]):
        request = response("fake", previous_response_id=parent)
        await load.run(port, [request] * 8, at_once=8)
        through, cpu = await cpu_of(servers.ours, load.run(port, [request] * n, at_once=8))
        costs.append(cpu / n * 1e3)
    sample = sample_of(costs[1] / costs[0], through, load.Outcome())
    sample.notes = {"turn_2_ms": costs[0], f"turn_{TURNS}_ms": costs[1]}
    return sample


THOUGHT = "The user asks for the weather, so I should call the tool with the city they named. " * 16


async def sealing(servers: Servers, n: int) -> Sample:
    """CPU µs of what `encrypted_content` adds to one reasoning item of 1.3 KB: sealing it, and writing it twice."""
    del servers
    sealer = AeadSealer(lambda: [bytes(32)], SystemClock(), max_age_days=1)
    thoughts = Thoughts(sealer, "default")
    item = Reasoning(id="rs_1", content=[ReasoningText(text=THOUGHT)])
    thoughts.sealed(item)
    begun = time.process_time()
    for _ in range(n):
        encode(thoughts.sealed(item))
        encode(item)
    return Sample(value=(time.process_time() - begun) / n * 1e6)


async def idle(servers: Servers, n: int) -> Sample:
    """Resident memory of a server that has answered its first probe and nothing else."""
    del n
    return Sample(value=servers.ours.rss_mb())


STREAM_EVENTS = b"event: response.completed"
ROWS: tuple[Row, ...] = (
    Row(
        "chat",
        "chat completion, passed through",
        "ms",
        0.20,
        per_request(chat("fake"), chat("fake"), b'"stop"', b'"stop"'),
    ),
    Row(
        "chat-stream",
        "chat stream, 100 chunks in a burst",
        "ms",
        0.45,
        per_request(chat("fake", stream=True), chat("fake", stream=True), b"[DONE]", b"[DONE]"),
    ),
    Row(
        "response",
        "response, not stored",
        "ms",
        0.25,
        per_request(response("fake", store=False), chat("fake"), b'"completed"', b'"stop"'),
    ),
    Row(
        "response-stored",
        "response, stored (durable before the reply)",
        "ms",
        0.35,
        per_request(response("fake"), chat("fake"), b'"completed"', b'"stop"'),
    ),
    Row(
        "response-stream",
        "response stream, 100 deltas in a burst, stored",
        "ms",
        0.70,
        per_request(response("fake", stream=True), chat("fake", stream=True), STREAM_EVENTS, b"[DONE]"),
    ),
    Row("socket", "response stream over WebSocket over the same by SSE", "times", 1.0, over_sockets),
    Row("function-call", "response after a function call (2nd request)", "ms", 0.40, after_function_call),
    Row("conversation", "turn in a conversation over the same in a chain", "times", 1.3, in_conversation),
    Row("paced", "one token of a paced response stream (32 streams)", "µs", 60.0, paced_tokens),
    Row("sealing", "encrypted content of a reasoning item", "µs", 30.0, sealing),
    Row("chain", f"turn {TURNS} of a chain over turn 2", "times", None, long_chain, rounds=False),
    Row(
        "long-conversation",
        f"turn {TURNS} of a conversation over turn 2",
        "times",
        None,
        long_conversation,
        rounds=False,
    ),
    Row(
        "open-streams",
        f"first-token delay added, {OPEN_STREAMS} streams open",
        "ms",
        None,
        open_streams,
        rounds=False,
    ),
)


def median(samples: Sequence[Sample]) -> Sample:
    """The sample of medians, field by field."""
    return Sample(
        value=statistics.median(sample.value for sample in samples),
        p50_ms=statistics.median(sample.p50_ms for sample in samples),
        p99_ms=statistics.median(sample.p99_ms for sample in samples),
        per_second=statistics.median(sample.per_second for sample in samples),
        direct_p50_ms=statistics.median(sample.direct_p50_ms for sample in samples),
        notes={
            name: statistics.median(sample.notes[name] for sample in samples) for name in samples[0].notes
        },
    )
