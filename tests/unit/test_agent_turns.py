"""Turns whose session changes under them, and rows of runs that nobody carries out any more."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from antiphon.agents.going import LEASE_S
from antiphon.agents.rendering import shown_call, turn_body
from antiphon.agents.shapes import ToolCall
from antiphon.app import serve, services_for
from antiphon.config.settings import Settings
from antiphon.core.errors import StoreUnavailable
from antiphon.core.wire import encode
from antiphon.models.catalog import Catalog
from antiphon.ports import Owner, StoredResponse
from antiphon.ports.agents import StoredTurn, StoredTurnEnd
from antiphon.providers.upstream import UpstreamClient
from antiphon.storage.memory import MemoryStore
from antiphon.testing import FakeClock, FakeIds, scripted_model
from antiphon.testing.simulation import Answer, exchange
from antiphon.web.auth import ANONYMOUS
from antiphon.web.edge import Edge

Json = dict[str, Any]


async def nothing() -> None:
    """What happens between the two halves of an answer, where a test says nothing else."""


@dataclass
class World:
    """A server whose model says `one`, waits while `between` happens, and says `two`."""

    between: Callable[[], Awaitable[object]] = nothing
    store: MemoryStore = field(default_factory=MemoryStore)
    clock: FakeClock = field(default_factory=FakeClock)
    app: Edge = field(init=False)
    agent_id: str = ""
    session_id: str = ""

    def __post_init__(self) -> None:
        reply = [{"text": "one"}, {"wait_ms": 1}, {"text": " two"}]
        model = scripted_model({"reply": reply}, sleep=self._sleep)
        catalog = Catalog({"scripted": model}, clock=self.clock)
        ids = FakeIds()
        client = UpstreamClient(self.clock)
        self.app = serve(services_for(Settings(), catalog, self.store, client, self.clock, ids), ids)

    async def _sleep(self, seconds: float) -> None:
        if seconds:
            await self.between()

    async def begin(self) -> "World":
        config = {"model": "demo", "instructions": ""}
        self.agent_id = (await self.post("/v1/agents", {"agent_config": config})).json["agent_id"]
        made = await self.post(f"/v1/agents/{self.agent_id}/session", {"session_name": "s"})
        self.session_id = made.json["session_id"]
        return self

    @property
    def session(self) -> str:
        return f"/v1/agents/{self.agent_id}/session/{self.session_id}"

    async def post(self, path: str, body: Json) -> Answer:
        return await exchange(self.app, "POST", path, body)

    async def ask(self, *, stream: bool = False) -> Answer:
        body = {"messages": [{"role": "user", "content": "hi"}], "stream": stream}
        return await self.post(f"{self.session}/turn", body)

    async def turns(self) -> list[Json]:
        answer = await exchange(self.app, "GET", self.session)
        return list(answer.json["turns"])

    async def went_on_elsewhere(self) -> None:
        """Another process ends a turn of the session."""
        there = await self.store.agents.last_turn(ANONYMOUS, self.session_id)
        assert there is not None
        turn = replace(there, id="elsewhere", status="completed")
        response = StoredResponse("resp_elsewhere", None, "completed", "demo", 1, b"{}", b"[]", b"[]")
        end = StoredTurnEnd(turn, moves_tip=True)
        assert await self.store.agents.end_turn(ANONYMOUS, end, response, continues=None)

    async def was_deleted(self) -> None:
        assert await self.store.agents.delete_session(ANONYMOUS, self.agent_id, self.session_id)


def last_of(answer: Answer) -> Json:
    return dict(json.loads(answer.body.decode().strip().rsplit("\n\n", 1)[1].removeprefix("data: ")))


@pytest.mark.parametrize("stream", [False, True])
async def test_a_session_that_went_on_elsewhere_is_not_overwritten(stream: bool) -> None:
    world = await World().begin()
    world.between = world.went_on_elsewhere
    answer = await world.ask(stream=stream)
    if stream:
        assert "went on elsewhere" in last_of(answer)["error"]["message"]
    else:
        assert (answer.status, answer.json["error"]["param"]) == (409, "session_id")
        assert "went on elsewhere" in answer.json["error"]["message"]
    session = await world.store.agents.get_session(ANONYMOUS, world.agent_id, world.session_id)
    assert session is not None
    assert session.tip == "resp_elsewhere"
    statuses = {turn.id: turn.status for turn in await world.store.agents.list_turns(ANONYMOUS, session.id)}
    assert sorted(statuses.values()) == ["completed", "failed"]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_session_that_was_deleted_gets_nothing_back(stream: bool) -> None:
    world = await World().begin()
    world.between = world.was_deleted
    answer = await world.ask(stream=stream)
    assert "error" in (last_of(answer) if stream else answer.json)
    assert (await exchange(world.app, "GET", world.session)).status == 404
    assert await world.store.agents.list_turns(ANONYMOUS, world.session_id) == []


async def test_a_session_that_is_deleted_before_its_turn_begins_is_not_there() -> None:
    world = await World().begin()
    put_turn = world.store.agents.put_turn

    async def late(owner: Owner, turn: StoredTurn) -> bool:
        await world.store.agents.delete_session(owner, world.agent_id, world.session_id)
        return await put_turn(owner, turn)

    world.store.agents.put_turn = late  # type: ignore[method-assign]
    answer = await world.ask()
    assert (answer.status, answer.json["error"]["param"]) == (404, "session_id")


async def test_a_turn_that_cannot_be_stored_fails() -> None:
    async def full(*_: object, **__: object) -> bool:
        raise StoreUnavailable("the disk is full")

    world = World()
    world.store.agents.end_turn = full  # type: ignore[method-assign]
    await world.begin()
    answer = await world.ask()
    assert answer.status == 500
    assert "the disk is full" in answer.json["error"]["message"]


async def test_a_turn_in_progress_shows_how_far_it_has_come() -> None:
    world = await World().begin()
    seen: list[Json] = []

    async def look() -> None:
        seen.extend(await world.turns())

    world.between = look
    answer = await world.ask(stream=True)
    (going,) = seen
    (ended,) = await world.turns()
    assert (going["status"], going["completed_at"]) == ("in_progress", None)
    assert (ended["status"], ended["output_message"]["content"]) == ("completed", "one two")
    assert last_of(answer)["event"]["payload"]["turn"] == ended


async def test_a_client_that_leaves_while_the_session_is_busy_has_no_turn() -> None:
    world = await World().begin()
    answered, go_on = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        answered.set()
        await go_on.wait()

    world.between = hold
    first = asyncio.create_task(world.ask(stream=True))
    await answered.wait()
    body = {"messages": [{"role": "user", "content": "hi"}]}
    left = await exchange(world.app, "POST", f"{world.session}/turn", body, leave_after_s=0.01)
    assert left.status == 0
    go_on.set()
    assert (await first).status == 200
    assert (await world.ask()).status == 200
    assert [turn["status"] for turn in await world.turns()] == ["completed", "completed"]


async def test_a_session_that_stays_busy_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antiphon.conversations.turns.WAIT_S", 0.01)
    world = await World().begin()
    refused: list[Answer] = []

    async def ask_again() -> None:
        world.between = nothing
        refused.append(await world.ask())

    world.between = ask_again
    assert (await world.ask()).status == 200
    (answer,) = refused
    assert answer.status == 409
    assert answer.json["error"]["param"] == "session_id"
    assert answer.json["error"]["message"].startswith(f'the session "{world.session_id}" is still busy')


async def test_a_row_of_which_nobody_says_any_more_that_it_goes_on_is_interrupted() -> None:
    world = await World().begin()
    await world.ask()
    (there,) = await world.store.agents.list_turns(ANONYMOUS, world.session_id)
    inner = json.loads(there.inner) | {"until": world.clock.at + LEASE_S}
    left = replace(there, id="left", status="in_progress", inner=encode(inner))
    body = json.loads(there.body) | {"turn_id": "left", "status": "in_progress"}
    assert await world.store.agents.put_turn(ANONYMOUS, replace(left, body=encode(body)))

    assert [turn["status"] for turn in await world.turns()] == ["completed", "in_progress"]
    world.clock.at += LEASE_S
    assert [turn["status"] for turn in await world.turns()] == ["completed", "interrupted"]
    answer = await world.post(
        f"{world.session}/turn/left/resume",
        {"tool_responses": [{"call_id": "c", "tool_name": "t", "content": "x"}]},
    )
    assert answer.status == 409
    assert "interrupted" in answer.json["error"]["message"]
    assert (await world.ask()).status == 200


# --- the two generations ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "arguments"),
    [('{"a":1}', {"a": 1}), ("{}", {}), ("[1]", "[1]"), ("not JSON", "not JSON"), ('{"a":' * 3000, None)],
)
def test_arguments_are_an_object_where_they_can_be(text: str, arguments: object) -> None:
    call = ToolCall(call_id="c", tool_name="t", arguments=text)
    assert shown_call(call, "text") is call
    shown = shown_call(call, "object")
    assert shown.arguments == (text if arguments is None else arguments)
    assert shown.arguments_json == text


def test_a_turn_without_calls_goes_as_it_is_stored() -> None:
    body = b'{"output_message":{"content":"he said \\"arguments\\": none"}}'
    assert turn_body(body, "object") is body
