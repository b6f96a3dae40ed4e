"""What the service answers about stored responses."""

import json
from typing import Any

from antiphon.core.request import ResponseRequest
from antiphon.models.catalog import Catalog
from antiphon.ports import Owner
from antiphon.responses.rendering import Visible
from antiphon.responses.service import ResponseService
from antiphon.storage.memory import MemoryStore
from antiphon.testing import FakeClock, FakeIds, PlainSealer, ToolBox, scripted_model

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
