"""Whole requests against the whole server, in memory, under a seeded scheduler.

A failing seed is in the name of the assertion; run it again with `play(seed)`.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.types import ASGIApp

from antiphon.app import serve, services_for
from antiphon.config.settings import Settings
from antiphon.models.catalog import Catalog
from antiphon.providers.upstream import UpstreamClient
from antiphon.storage.memory import MemoryStore
from antiphon.testing import FakeClock, FakeIds, PlainSealer, Scripted, scripted_model
from antiphon.testing.simulation import Answer, Deadlock, EarlyAckStore, SlowStore, exchange, simulate

SEEDS = range(300)
CLIENTS = 4
REQUESTS = 4
WHOLE = "include[]=reasoning.encrypted_content&include[]=message.output_text.logprobs"
TERMINAL = {"response.completed", "response.incomplete", "response.failed"}
TOOL: dict[str, Any] = {
    "type": "function",
    "name": "look_up",
    "parameters": {"type": "object", "properties": {}},
}

StoreFactory = Callable[[random.Random], MemoryStore]


def any_model(drawn: random.Random) -> Scripted:
    """Replies of every kind, some of which fail before the head, in the middle or with a cut call."""
    wait = {"wait_ms": drawn.choice([1, 20, 200])}
    said = {
        "text": "one two three four",
        "by": drawn.choice(["word", "char", "all"]),
        "delay_ms": drawn.choice([0, 5]),
    }
    call = {"calls": [{"name": "look_up"}, {"name": "look_up"}], "interleave": drawn.random() < 0.5}
    replies: dict[str, list[dict[str, Any]]] = {
        "plain": [said],
        "slow": [said, wait, said, wait],
        "tools": [{"reasoning": "hm so"}, said, wait, call],
        "stranger": [{"calls": [{"name": "nobody_knows"}]}],
        "refusal": [{"refusal": "I will not"}],
        "rejected": [{"fail": {"status": 400}}],
        "limited": [wait, {"fail": {"status": 429, "retry_after": "1"}}],
        "dropped": [said, wait, {"fail": {"kind": "drop"}}],
    }
    rules = [
        {"when": {"tool_outputs": True}, "reply": [{"text": "the tools said {{tool_outputs}}"}]},
        *({"when": {"text": name}, "reply": reply} for name, reply in replies.items()),
    ]
    return scripted_model(*rules)


WORDS = ("plain", "slow", "tools", "stranger", "refusal", "rejected", "limited", "dropped")


@dataclass(slots=True)
class World:
    """A server and what its clients saw."""

    seed: int
    drawn: random.Random
    store: MemoryStore
    reach: Counter[str] = field(default_factory=Counter[str])
    app: ASGIApp = field(init=False)

    def __post_init__(self) -> None:
        clock, ids = FakeClock(), FakeIds()
        catalog = Catalog({"scripted": any_model(self.drawn)}, clock=clock)
        services = services_for(
            Settings(), catalog, self.store, UpstreamClient(clock), clock, ids, sealer=PlainSealer()
        )
        self.app = serve(services, ids)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as clients:
            for _ in range(CLIENTS):
                clients.create_task(self.client())

    async def client(self) -> None:
        """A few turns of one conversation; the parent is the last response that can be continued."""
        parent: dict[str, Any] | None = None
        for _ in range(REQUESTS):
            await asyncio.sleep(self.drawn.random() * 0.1)
            body = self.any_request(parent)
            leave = self.drawn.choice([None, None, None, self.drawn.random() * 0.3])
            answer = await exchange(self.app, "POST", "/v1/responses", body, leave_after_s=leave)
            final = self.check_answer(answer, body, left=leave is not None and not answer.ended)
            if final is not None and body["store"]:
                await self.check_stored(final)
                parent = final if await self.perhaps_delete(final) else parent

    def any_request(self, parent: dict[str, Any] | None) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": "demo",
            "input": self.drawn.choice(WORDS),
            "tools": [TOOL],
            "stream": self.drawn.random() < 0.7,
            "store": self.drawn.random() < 0.8,
        }
        if self.drawn.random() < 0.2:
            body["max_output_tokens"] = 16
        if parent is not None and parent["status"] == "completed":
            body["previous_response_id"] = parent["id"]
            calls = [item for item in parent["output"] if item["type"] == "function_call"]
            if calls:
                body["input"] = [
                    {"type": "function_call_output", "call_id": call["call_id"], "output": "42"}
                    for call in calls
                ]
        return body

    def check_answer(self, answer: Answer, body: dict[str, Any], *, left: bool) -> dict[str, Any] | None:
        """The final response object, None when there is none. What was broken is named with the seed."""
        if left:
            self.reach["left"] += 1
            return None
        if answer.status != 200:
            assert answer.status in (400, 429), (self.seed, answer.status, answer.body)
            assert set(answer.json["error"]) == {"message", "type", "param", "code"}, self.seed
            self.reach["refused before it began"] += 1
            return None
        if not body["stream"]:
            self.reach[answer.json["status"]] += 1
            return dict(answer.json)
        events = answer.events
        assert [event["sequence_number"] for event in events] == list(range(len(events))), self.seed
        ends = [at for at, event in enumerate(events) if event["type"] in TERMINAL]
        assert ends == [len(events) - 1], (self.seed, [event["type"] for event in events])
        self.reach["stream " + events[-1]["type"]] += 1
        return dict(events[-1]["response"])

    async def check_stored(self, final: dict[str, Any]) -> None:
        """Once the end was seen, anybody who asks finds the very same object."""
        got = await exchange(self.app, "GET", f"/v1/responses/{final['id']}?{WHOLE}")
        assert got.status == 200, (self.seed, final["id"], got.body)
        assert got.json == final, self.seed

    async def perhaps_delete(self, final: dict[str, Any]) -> bool:
        """Whether the response is still there to be continued."""
        if self.drawn.random() > 0.15:
            return True
        deleted = await exchange(self.app, "DELETE", f"/v1/responses/{final['id']}")
        again = await exchange(self.app, "GET", f"/v1/responses/{final['id']}")
        assert (deleted.status, again.status) == (200, 404), self.seed
        self.reach["deleted"] += 1
        return False

    def check_kept(self) -> None:
        """After the last request: nothing was kept that was not to be, and nothing is left unfinished."""
        for stored in self.store.stored.values():
            assert b'"store":true' in stored.head, (self.seed, stored.id)
            assert stored.status in ("completed", "incomplete", "failed", "cancelled"), (
                self.seed,
                stored.status,
            )
            self.reach["kept " + stored.status] += 1


def play(seed: int, make_store: StoreFactory = SlowStore) -> Counter[str]:
    """One whole simulation; returns what it reached."""

    async def main(drawn: random.Random) -> Counter[str]:
        world = World(seed, drawn, make_store(drawn))
        await world.run()
        await asyncio.sleep(1)  # virtual: writes of cancelled runs
        world.check_kept()
        return world.reach

    return simulate(seed, main)


def play_all(make_store: StoreFactory) -> Counter[str]:
    reached: Counter[str] = Counter()
    for seed in SEEDS:
        reached += play(seed, make_store)
    return reached


def test_every_stream_ends_once_and_what_it_ended_with_is_what_is_stored() -> None:
    reached = play_all(SlowStore)
    for state in (
        "stream response.completed",
        "stream response.failed",
        "completed",
        "failed",
        "left",
        "deleted",
        "refused before it began",
        "kept cancelled",
    ):
        assert reached[state] >= 20, (state, reached)


def test_a_store_that_acknowledges_too_early_is_caught() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        play_all(EarlyAckStore)
    assert caught.group_contains(AssertionError, match="404")


def test_a_seed_is_the_same_run_each_time() -> None:
    assert play(7) == play(7)


def test_the_order_of_ready_tasks_is_drawn_from_the_seed() -> None:
    async def race(_: random.Random) -> str:
        order: list[str] = []

        async def runner(name: str) -> None:
            for _ in range(3):
                await asyncio.sleep(0)
                order.append(name)

        await asyncio.gather(*[runner(name) for name in "abc"])
        return "".join(order)

    orders = [simulate(seed, race) for seed in range(20)]
    assert len(set(orders)) > 5
    assert orders == [simulate(seed, race) for seed in range(20)]


def test_waiting_for_what_never_comes_is_found_out() -> None:
    async def stuck(_: random.Random) -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Deadlock):
        simulate(1, stuck)
