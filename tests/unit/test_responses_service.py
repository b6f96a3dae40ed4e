"""What the service answers about stored responses."""

import json
from typing import Any

import pytest

from antiphon.app import serve, services_for
from antiphon.config.settings import Settings
from antiphon.core.errors import SealingUnavailable
from antiphon.core.request import ResponseRequest
from antiphon.models.catalog import Catalog
from antiphon.ports import Owner, StoredResponse
from antiphon.providers.upstream import UpstreamClient
from antiphon.responses.rendering import Visible
from antiphon.responses.service import ResponseService
from antiphon.storage.memory import MemoryStore
from antiphon.testing import FakeClock, FakeIds, PlainSealer, ToolBox, scripted_model
from antiphon.testing.simulation import exchange

OWNER = Owner("t", "o")


def service() -> ResponseService:
    catalog = Catalog({"demo": scripted_model()}, clock=FakeClock())
    return ResponseService(catalog, MemoryStore(), ToolBox(), FakeClock(), FakeIds(), PlainSealer())


async def create(responses: ResponseService, **fields: object) -> dict[str, Any]:
    model = (await responses.catalog.list())[0].id
    body = json.dumps({"model": model, "input": "hi", **fields}).encode()
    run = await responses.prepare(OWNER, ResponseRequest.parse(body))
    made: dict[str, Any] = json.loads(await run.execute())
    return made


async def test_input_items_of_a_live_response_keep_what_a_deleted_parent_said() -> None:
    responses = service()
    parent = await create(responses, input="first")
    child = await create(responses, input="second", previous_response_id=parent["id"])
    await responses.delete(OWNER, str(parent["id"]))
    items = await responses.input_items(OWNER, str(child["id"]))
    assert len(items) == 3
    assert "first" in str(items[0])
    assert "second" in str(items[-1])


async def test_a_stored_response_is_the_one_that_was_answered() -> None:
    responses = service()
    made = await create(responses)
    again = json.loads(await responses.get(OWNER, str(made["id"]), Visible()))
    assert again == made


async def test_an_item_reference_finds_an_item_of_another_response() -> None:
    responses = service()
    first = await create(responses, input="remember the lighthouse")
    reference = {"type": "item_reference", "id": first["output"][0]["id"]}
    second = await create(responses, input=[reference, {"role": "user", "content": "what did you say?"}])
    items = await responses.input_items(OWNER, str(second["id"]))
    assert "lighthouse" in str(items[0])


class CountedStore(MemoryStore):
    """Counts how often a response is read."""

    reads = 0

    async def get_response(self, owner: Owner, response_id: str) -> StoredResponse | None:
        self.reads += 1
        return await super().get_response(owner, response_id)


async def test_items_of_one_response_are_read_once_however_many_are_named() -> None:
    store = CountedStore()
    catalog = Catalog({"demo": scripted_model()}, clock=FakeClock())
    responses = ResponseService(catalog, store, ToolBox(), FakeClock(), FakeIds(), PlainSealer())
    first = await create(responses, input=[{"role": "user", "content": f"word {at}"} for at in range(50)])
    named = [item.id for item in await responses.input_items(OWNER, str(first["id"]))]
    references = [{"type": "item_reference", "id": one} for one in named]
    store.reads = 0
    second = await create(responses, input=references)
    assert store.reads == 1
    again = [item.id for item in await responses.input_items(OWNER, str(second["id"]))]
    assert again == named


async def test_a_reference_finds_an_item_of_the_history_where_it_is() -> None:
    responses = service()
    first = await create(responses, input="remember the lighthouse")
    reference = {"type": "item_reference", "id": first["output"][0]["id"]}
    second = await create(responses, input=[reference] * 2, previous_response_id=first["id"])
    items = await responses.input_items(OWNER, str(second["id"]))
    assert [item.id for item in items[1:]] == [reference["id"]] * 3


class LostKeys(PlainSealer):
    """Its file of keys was broken while the server ran."""

    def seal(self, tenant: str, purpose: str, payload: bytes) -> str:
        raise SealingUnavailable("the keys cannot be used")


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    "reply", [[{"reasoning": "Hm."}, {"text": "yes"}], [{"reasoning": "Hm."}, {"fail": {"kind": "drop"}}]]
)
async def test_where_nothing_can_be_sealed_the_response_fails_and_ends(
    reply: list[dict[str, Any]], stream: bool
) -> None:
    clock, ids = FakeClock(), FakeIds()
    catalog = Catalog({"demo": scripted_model({"reply": reply})}, clock=clock)
    client = UpstreamClient(clock)
    services = services_for(Settings(), catalog, MemoryStore(), client, clock, ids, sealer=LostKeys())
    got = await exchange(
        serve(services, ids), "POST", "/v1/responses", {"model": "demo", "input": "hi", "stream": stream}
    )
    assert got.status == 200
    final = got.events[-1]["response"] if stream else got.json
    if stream:
        assert [event["type"] for event in got.events[-2:]] == ["error", "response.failed"]
    assert (final["status"], final["error"]["code"]) == ("failed", "server_error")
    assert "encrypted_content" not in json.dumps(final["output"])
