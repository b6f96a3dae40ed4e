"""Many clients at once in a few conversations, in memory, under a seeded scheduler.

They stream or not, add items, take some out, leave early, and meet models that fail and a server that is full.
A failing seed is in the name of the assertion; run it again with `play(seed)`.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from antiphon.app import Services, serve, services_for
from antiphon.config.settings import LimitSettings, ServerSettings, Settings
from antiphon.conversations.turns import Turns
from antiphon.core.items import Message
from antiphon.models.catalog import Catalog
from antiphon.ports import Owner
from antiphon.providers.upstream import UpstreamClient
from antiphon.runs.runner import Run
from antiphon.testing import FakeClock, FakeIds, PlainSealer, scripted_model
from antiphon.testing.simulation import SlowStore, exchange, simulate
from antiphon.web.auth import ANONYMOUS

SEEDS = range(150)
CLIENTS = 6
REQUESTS = 4
RULES: list[dict[str, Any]] = [
    {
        "when": {"text": "slow"},
        "reply": [{"text": "one two", "by": "word"}, {"wait_ms": 60}, {"text": "end"}],
    },
    {"when": {"text": "rejected"}, "reply": [{"fail": {"status": 400}}]},
    {"when": {"text": "dropped"}, "reply": [{"text": "so"}, {"wait_ms": 5}, {"fail": {"kind": "drop"}}]},
]
WORDS = ("plain", "slow", "slow", "rejected", "dropped")


def text_of(message: object) -> str:
    assert isinstance(message, Message)
    return "".join(getattr(part, "text", "") for part in message.content)


@dataclass(slots=True)
class World:
    """A server, and what its models were given."""

    seed: int
    drawn: random.Random
    turns: Turns
    reach: Counter[str] = field(default_factory=Counter[str])
    given: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """Response → the texts that its model saw."""
    completed: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """Conversation → the responses that a client saw complete."""
    services: Services = field(init=False)

    def __post_init__(self) -> None:
        clock, ids = FakeClock(), FakeIds()
        catalog = Catalog({"scripted": scripted_model(*RULES)}, clock=clock)
        settings = Settings(server=ServerSettings(limits=LimitSettings(max_open_streams=1)))
        store = SlowStore(self.drawn)
        made = services_for(settings, catalog, store, UpstreamClient(clock), clock, ids, sealer=PlainSealer())
        responses = replace(made.responses, turns=self.turns, watch=self.note)
        self.services = replace(made, responses=responses)

    def note(self, run: Run) -> None:
        self.given[run.response.id] = [text_of(item) for item in run.loop.transcript.all_items()]

    async def run(self) -> None:
        app = serve(self.services, FakeIds())
        conversations = [
            (await exchange(app, "POST", "/v1/conversations", {"items": []})).json["id"] for _ in range(2)
        ]
        async with asyncio.TaskGroup() as clients:
            for number in range(CLIENTS):
                clients.create_task(self.client(app, number, self.drawn.choice(conversations)))
        await asyncio.sleep(1)  # virtual: what cancelled runs still write
        for conversation in conversations:
            await self.check(conversation)
        assert len(self.turns) == 0, (self.seed, "somebody still holds a conversation")

    async def client(self, app: Any, number: int, conversation: str) -> None:
        for at in range(REQUESTS):
            await asyncio.sleep(self.drawn.random() * 0.1)
            leave = self.drawn.choice([None, None, self.drawn.random() * 0.2])
            if self.drawn.random() < 0.2:
                item = {"role": "user", "content": f"added {number}.{at}"}
                path = f"/v1/conversations/{conversation}/items"
                answer = await exchange(app, "POST", path, {"items": [item]}, leave_after_s=leave)
                assert not answer.ended or answer.status == 200, (self.seed, answer.body)
                self.reach["added"] += answer.ended
                await self.perhaps_remove(app, path)
                continue
            await self.turn(app, f"{self.drawn.choice(WORDS)} {number}.{at}", conversation, leave)

    async def turn(self, app: Any, text: str, conversation: str, leave: float | None) -> None:
        body = {
            "model": "demo",
            "input": text,
            "conversation": conversation,
            "stream": self.drawn.random() < 0.6,
        }
        answer = await exchange(app, "POST", "/v1/responses", body, leave_after_s=leave)
        if not answer.ended:
            self.reach["left"] += 1
        elif answer.status != 200:
            assert answer.status in (400, 503), (self.seed, answer.status, answer.body)
            self.reach[f"refused {answer.status}"] += 1
        else:
            final = answer.events[-1]["response"] if body["stream"] else answer.json
            self.reach[final["status"]] += 1
            if final["status"] == "completed":
                self.completed.setdefault(conversation, []).append(final["id"])
            else:
                assert "changed" not in final["error"]["message"], (self.seed, "two turns interleaved")

    async def perhaps_remove(self, app: Any, path: str) -> None:
        items = (await exchange(app, "GET", path)).json["data"]
        if items and self.drawn.random() < 0.5:
            gone = self.drawn.choice(items)["id"]
            answer = await exchange(app, "DELETE", f"{path}/{gone}")
            assert answer.status in (200, 404), (self.seed, answer.body)
            self.reach["removed"] += answer.status == 200

    async def check(self, conversation: str) -> None:
        """Every response that was seen to complete is there once, and was given exactly what came before it."""
        store = self.services.store.conversations
        found = await store.get(ANONYMOUS, conversation)
        assert found is not None
        kept = [turn.id for turn in await store.get_turns(ANONYMOUS, found.tip)]
        for response_id in self.completed.get(conversation, []):
            assert kept.count(response_id) == 1, (self.seed, response_id, "is not in its conversation")
            stored = await self.services.responses.input_items(ANONYMOUS, response_id)
            assert [text_of(item) for item in stored] == self.given[response_id], self.seed


class Interleaved(Turns):
    """A seeded fault: nobody waits for anybody."""

    @asynccontextmanager
    async def one(self, owner: Owner, conversation_id: str) -> AsyncGenerator[None]:
        yield


def play(seed: int, turns: type[Turns] = Turns) -> Counter[str]:
    """One whole simulation; returns what it reached."""

    async def main(drawn: random.Random) -> Counter[str]:
        world = World(seed, drawn, turns())
        await world.run()
        return world.reach

    return simulate(seed, main)


def play_all(turns: type[Turns]) -> Counter[str]:
    reached: Counter[str] = Counter()
    for seed in SEEDS:
        reached += play(seed, turns)
    return reached


def test_turns_of_a_conversation_never_interleave_and_none_is_lost() -> None:
    reached = play_all(Turns)
    for state in ("completed", "failed", "left", "refused 400", "refused 503", "added", "removed"):
        assert reached[state] >= 20, (state, reached)


def test_turns_that_do_not_wait_are_caught() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        play_all(Interleaved)
    assert caught.group_contains(AssertionError, match=r"interleaved|conversation_changed")
