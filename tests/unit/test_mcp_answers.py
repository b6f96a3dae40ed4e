"""Answers to approval requests: taken once, in time, from whom was asked, and never lost to a failure."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import cast

import pytest

from antiphon.core.commands import CallModel
from antiphon.core.errors import InvalidRequest, ProviderRateLimited
from antiphon.core.hosted_items import McpListedTool
from antiphon.core.items import FunctionCall, FunctionCallOutput, Message, OutputText
from antiphon.core.request import ResponseRequest
from antiphon.core.signals import ItemDone, ModelSignal, StepDone
from antiphon.core.wire import JsonObject, decode_json, encode
from antiphon.models.catalog import Catalog, NamedModel
from antiphon.ports import Constraint, ModelInfo, ModelProvider, Owner
from antiphon.responses.service import ResponseService
from antiphon.storage.memory import MemoryStore
from antiphon.testing import FakeClock, FakeIds, PlainSealer, ToolBox

OWNER, OTHER = Owner("acme", "ann"), Owner("acme", "bob")
TOOL: JsonObject = {"type": "mcp", "server_label": "desk", "server_url": "https://desk.example.com/mcp"}


@dataclass
class Model:
    """Calls `erase` once, then tells what came of it. `fails`: so many calls are refused first."""

    provider_id: str = "up"
    fails: int = 0
    told: list[str] = field(default_factory=list[str])

    async def stream(self, model: str, call: CallModel) -> AsyncGenerator[Sequence[ModelSignal], None]:
        items = call.transcript.all_items()
        outputs = [str(item.output) for item in items if isinstance(item, FunctionCallOutput)]
        if self.fails:
            self.fails -= 1
            raise ProviderRateLimited("up", "slow down")
        yield ()
        if outputs:
            self.told = outputs
            yield [
                ItemDone(0, Message(role="assistant", content=[OutputText(text="done", annotations=[])])),
                StepDone("stop"),
            ]
        else:
            yield [
                ItemDone(0, FunctionCall(call_id="c", name="erase", arguments='{"a":1}')),
                StepDone("stop"),
            ]

    def unenforced(self, request: ResponseRequest) -> frozenset[Constraint]:
        return frozenset()

    def dropped(self, request: ResponseRequest) -> Sequence[str]:
        return ()

    async def list_models(self) -> Sequence[ModelInfo]:
        return [ModelInfo("m")]


class World:
    def __init__(self) -> None:
        self.model, self.clock = Model(), FakeClock()
        self.tools = ToolBox({"erase": lambda text: f"erased {text}"})
        self.tools.servers = {"desk": [McpListedTool(name="erase", input_schema={"type": "object"})]}
        catalog = Catalog(
            {"up": cast("ModelProvider", self.model)}, [NamedModel("m", "up", "m")], clock=self.clock
        )
        self.responses = ResponseService(
            catalog, MemoryStore(), self.tools, self.clock, FakeIds(), PlainSealer(), approval_ttl_s=60
        )

    async def say(self, given: object, owner: Owner = OWNER, **more: object) -> JsonObject:
        body = {"model": "m", "input": given, "tools": [TOOL], **more}
        run = await self.responses.prepare(owner, ResponseRequest.parse(encode(body)))
        made: JsonObject = decode_json(await run.execute())
        return made

    async def asked(self, *, store: bool = True) -> tuple[JsonObject, str]:
        """A response that waits for approval, and the id of the request."""
        made = await self.say("erase it", store=store)
        return made, made["output"][-1]["id"]

    @property
    def ran(self) -> int:
        return len(self.tools.calls)


@pytest.fixture
def world() -> World:
    return World()


def answer(asked: str, *, approve: bool, **more: object) -> list[JsonObject]:
    return [{"type": "mcp_approval_response", "approval_request_id": asked, "approve": approve, **more}]


async def test_a_denial_is_not_lost_to_a_model_that_cannot_be_asked(world: World) -> None:
    first, asked = await world.asked()
    world.model.fails = 1
    no = answer(asked, approve=False, reason="too dear")
    with pytest.raises(ProviderRateLimited):
        await world.say(no, previous_response_id=first["id"])
    again = await world.say(no, previous_response_id=first["id"])
    assert again["status"] == "completed"
    assert "too dear" in world.model.told[0]
    with pytest.raises(InvalidRequest, match="answered before"):
        await world.say(answer(asked, approve=True), previous_response_id=first["id"])
    assert world.ran == 0


async def test_what_ran_is_kept_though_the_model_cannot_be_asked(world: World) -> None:
    first, asked = await world.asked()
    world.model.fails = 1
    made = await world.say(answer(asked, approve=True), previous_response_id=first["id"])
    assert made["status"] == "failed"
    assert made["output"][0]["output"] == 'erased {"a":1}'
    after = await world.say("go on", previous_response_id=made["id"])
    assert after["status"] == "completed"
    assert world.model.told == ['erased {"a":1}']
    assert world.ran == 1


async def test_a_late_approval_is_refused_and_a_late_denial_is_told(world: World) -> None:
    first, asked = await world.asked()
    world.clock.at += 61
    with pytest.raises(InvalidRequest, match="expired"):
        await world.say(answer(asked, approve=True), previous_response_id=first["id"])
    made = await world.say(answer(asked, approve=False), previous_response_id=first["id"])
    assert made["status"] == "completed"


@pytest.mark.parametrize("approve", [True, False])
async def test_anothers_request_is_as_unknown_as_none(world: World, approve: bool) -> None:
    first, asked = await world.asked(store=False)
    carried = [*first["output"], *answer(asked, approve=approve)]
    errors: list[str] = []
    for owner, items in (
        (OTHER, carried),
        (OWNER, [*first["output"], *answer("mcpr_none", approve=approve)]),
    ):
        with pytest.raises(InvalidRequest) as caught:
            await world.say(items, owner, store=False)
        errors.append(caught.value.message.replace(asked, "ID").replace("mcpr_none", "ID"))
    assert errors[0] == errors[1]
    assert world.ran == 0


@pytest.mark.parametrize(
    "change",
    [
        {"arguments": '{"a":2}'},
        {"name": "read"},
        {"arguments": "nonsense"},
    ],
)
async def test_what_the_client_carries_is_what_was_asked(world: World, change: JsonObject) -> None:
    first, asked = await world.asked(store=False)
    changed = [*first["output"][:-1], {**first["output"][-1], **change}]
    with pytest.raises(InvalidRequest, match="another server, tool or arguments"):
        await world.say([*changed, *answer(asked, approve=True)], store=False)
    assert world.ran == 0


async def test_another_server_under_the_label_is_not_what_was_approved(world: World) -> None:
    first, asked = await world.asked()
    elsewhere = {**TOOL, "server_url": "https://elsewhere.example.com/mcp"}
    with pytest.raises(InvalidRequest, match="another server"):
        await world.say(answer(asked, approve=True), previous_response_id=first["id"], tools=[elsewhere])
    assert world.ran == 0


async def test_a_denial_needs_no_tools(world: World) -> None:
    first, asked = await world.asked()
    made = await world.say(answer(asked, approve=False), previous_response_id=first["id"], tools=[])
    assert made["status"] == "completed"


async def test_a_compaction_takes_no_answers(world: World) -> None:
    first, asked = await world.asked()
    both = [*answer(asked, approve=True), {"type": "compaction_trigger"}]
    with pytest.raises(InvalidRequest, match="request of their own"):
        await world.say(both, previous_response_id=first["id"])
    made = await world.say(answer(asked, approve=True), previous_response_id=first["id"])
    assert made["status"] == "completed"


async def test_two_runs_with_one_approval_make_one_call(world: World) -> None:
    first, asked = await world.asked()
    body = {"model": "m", "input": answer(asked, approve=True), "tools": [TOOL]}
    request = ResponseRequest.parse(encode({**body, "previous_response_id": first["id"]}))
    one, two = [await world.responses.prepare(OWNER, request) for _ in range(2)]
    await one.execute()
    with pytest.raises(InvalidRequest, match="answered meanwhile"):
        await two.execute()
    assert world.ran == 1
