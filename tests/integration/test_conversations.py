"""The official client drives `/v1/conversations`: by hand, and by responses that are made in them."""

import asyncio
import json
from typing import Any

import openai
import pytest
from openai.types.conversations import Message
from openai.types.responses import ResponseFunctionToolCallItem, ResponseFunctionToolCallOutputItem

from tests.integration.clients import Connect, Raw
from tests.integration.upstream import Upstream

WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": False,
}


def shown(upstream: Upstream) -> list[tuple[str, object]]:
    """What the model was last given: role and content of each message."""
    return [(one["role"], one.get("content")) for one in upstream.seen.requests[-1]["messages"]]


def said(item: object) -> str:
    """The text of a message, or what else an item says."""
    if isinstance(item, Message):
        return " ".join(getattr(part, "text", "") for part in item.content)
    return str(getattr(item, "type", item))


def listed(client: openai.OpenAI, conversation: str, **query: Any) -> list[str]:
    return [said(item) for item in client.conversations.items.list(conversation, **query)]


def test_a_conversation_is_made_got_changed_and_deleted(client: openai.OpenAI) -> None:
    made = client.conversations.create(metadata={"topic": "holiday"})
    assert made.object == "conversation"
    assert made.id.startswith("conv_")
    assert made.metadata == {"topic": "holiday"}
    assert client.conversations.retrieve(made.id) == made
    changed = client.conversations.update(made.id, metadata={"now": "work"})
    assert (changed.id, changed.created_at, changed.metadata) == (made.id, made.created_at, {"now": "work"})
    assert client.conversations.retrieve(made.id) == changed
    assert client.conversations.update(made.id, metadata=None).metadata == {}
    deleted = client.conversations.delete(made.id)
    assert (deleted.id, deleted.object, deleted.deleted) == (made.id, "conversation.deleted", True)
    with pytest.raises(openai.NotFoundError) as caught:
        client.conversations.retrieve(made.id)
    assert caught.value.param == "conversation_id"


async def test_the_asynchronous_client_does_the_same(aclient: openai.AsyncOpenAI) -> None:
    made = await aclient.conversations.create(items=[{"role": "user", "content": "remember me"}])
    assert await aclient.conversations.retrieve(made.id) == made
    answer = await aclient.responses.create(model="echo", input="who?", conversation=made.id)
    assert answer.conversation is not None
    assert answer.conversation.id == made.id
    items = [item async for item in aclient.conversations.items.list(made.id, order="asc", limit=1)]
    assert [said(item) for item in items] == ["remember me", "who?", "You said: who?"]
    one = await aclient.conversations.items.retrieve(str(items[1].id), conversation_id=made.id)
    assert one == items[1]
    await aclient.conversations.items.delete(str(items[1].id), conversation_id=made.id)
    added = await aclient.conversations.items.create(made.id, items=[{"role": "user", "content": "more"}])
    assert [said(item) for item in added.data] == ["more"]
    assert (await aclient.conversations.update(made.id, metadata={"a": "b"})).metadata == {"a": "b"}
    assert (await aclient.conversations.delete(made.id)).deleted


def test_items_are_put_listed_got_and_removed(client: openai.OpenAI) -> None:
    made = client.conversations.create(items=[{"type": "message", "role": "developer", "content": "be kind"}])
    more: Any = [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": [{"type": "output_text", "text": "two", "annotations": []}]},
        {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "rain"},
    ]
    added = client.conversations.items.create(made.id, items=more)
    assert (added.object, added.has_more) == ("list", False)
    assert (added.first_id, added.last_id) == (added.data[0].id, added.data[-1].id)
    call, output = added.data[2:]
    assert isinstance(call, ResponseFunctionToolCallItem)
    assert isinstance(output, ResponseFunctionToolCallOutputItem)
    assert (call.status, output.status) == ("completed", "completed")
    kinds = ["be kind", "one", "two", "function_call", "function_call_output"]
    assert listed(client, made.id, order="asc") == kinds
    assert listed(client, made.id) == kinds[::-1], "newest first unless asked otherwise"
    for limit in (1, 2, 5):  # pages, one by one, as the client turns them itself
        assert listed(client, made.id, order="asc", limit=limit) == kinds
        assert listed(client, made.id, limit=limit) == kinds[::-1]
    assert client.conversations.items.retrieve(str(call.id), conversation_id=made.id) == call
    assert client.conversations.items.delete(str(added.data[1].id), conversation_id=made.id) == made
    kinds.remove("two")
    assert listed(client, made.id, order="asc") == kinds
    with pytest.raises(openai.NotFoundError) as caught:
        client.conversations.items.retrieve(str(added.data[1].id), conversation_id=made.id)
    assert caught.value.param == "item_id"


def test_an_id_that_the_client_chose_may_hold_anything(client: openai.OpenAI) -> None:
    chosen: Any = {"type": "message", "id": "notes/1 é?", "role": "user", "content": "keep"}
    made = client.conversations.create(items=[chosen])
    (item,) = client.conversations.items.list(made.id)
    assert item.id == chosen["id"]
    assert client.conversations.items.retrieve(chosen["id"], conversation_id=made.id).id == chosen["id"]
    client.conversations.items.delete(chosen["id"], conversation_id=made.id)
    assert listed(client, made.id) == []


def test_no_items_are_an_empty_page(client: openai.OpenAI) -> None:
    """The Agents SDK makes its conversations so."""
    made = client.conversations.create(items=[])
    page = client.conversations.items.list(made.id)
    assert (page.data, page.has_more) == ([], False)
    assert client.conversations.items.create(made.id, items=[]).data == []
    assert listed(client, made.id) == []


def test_a_conversation_can_be_made_without_a_body(raw: Raw) -> None:
    answer = raw.send("POST", "/v1/conversations")
    assert answer.status == 200
    assert answer.json["metadata"] == {}
    answer = raw.send("POST", "/v1/openai/v1/conversations", {"items": None, "metadata": None})
    assert raw.get(f"/v1/openai/v1/conversations/{answer.json['id']}").json == answer.json


def test_each_turn_is_given_what_came_before_it(client: openai.OpenAI, upstream: Upstream) -> None:
    made = client.conversations.create(items=[{"role": "user", "content": "My name is Ada."}])
    first = client.responses.create(model="echo", input="hi", conversation=made.id, instructions="Be brief.")
    assert first.conversation is not None
    assert (first.conversation.id, first.previous_response_id) == (made.id, None)
    second = client.responses.create(model="echo", input="And now?", conversation={"id": made.id})
    assert shown(upstream) == [
        ("user", "My name is Ada."),
        ("user", "hi"),
        ("assistant", "You said: hi"),
        ("user", "And now?"),
    ], "instructions are of one response only"
    assert client.responses.retrieve(second.id).conversation == second.conversation
    given = client.responses.input_items.list(second.id, order="asc")
    assert [json.loads(one.to_json())["content"][0]["text"] for one in given] == [
        "My name is Ada.",
        "hi",
        "You said: hi",
        "And now?",
    ]
    assert listed(client, made.id, order="asc")[-1] == "You said: And now?"


def test_a_streamed_turn_is_in_the_conversation_when_it_ends(client: openai.OpenAI) -> None:
    made = client.conversations.create()
    with client.responses.stream(model="echo", input="stream", conversation=made.id) as stream:
        for event in stream:
            if event.type == "response.created":
                assert event.response.conversation is not None
                assert event.response.conversation.id == made.id
    assert stream.get_final_response().output_text == "You said: stream"
    assert listed(client, made.id, order="asc") == ["stream", "You said: stream"]


def test_a_turn_without_input_goes_on_from_the_items(client: openai.OpenAI, upstream: Upstream) -> None:
    made = client.conversations.create(items=[{"role": "user", "content": "Answer this."}])
    assert client.responses.create(model="echo", conversation=made.id).output_text == "You said: Answer this."
    assert shown(upstream) == [("user", "Answer this.")]


def test_any_response_of_a_conversation_can_be_branched_from(
    client: openai.OpenAI, upstream: Upstream
) -> None:
    made = client.conversations.create(items=[{"role": "developer", "content": "Be kind."}])
    turns = [
        client.responses.create(model="echo", input=f"turn {at}", conversation=made.id) for at in range(3)
    ]
    client.responses.create(model="echo", input="elsewhere", previous_response_id=turns[1].id)
    assert shown(upstream) == [
        ("system", "Be kind."),
        ("user", "turn 0"),
        ("assistant", "You said: turn 0"),
        ("user", "turn 1"),
        ("assistant", "You said: turn 1"),
        ("user", "elsewhere"),
    ]
    assert listed(client, made.id)[0] == "You said: turn 2", "a branch is no part of the conversation"


def test_a_removed_item_is_left_out_from_then_on_and_only_then(
    client: openai.OpenAI, upstream: Upstream
) -> None:
    made = client.conversations.create(items=[{"role": "user", "content": "a secret"}])
    before = client.responses.create(model="echo", input="keep it", conversation=made.id)
    secret = next(one for one in client.conversations.items.list(made.id) if said(one) == "a secret")
    client.conversations.items.delete(str(secret.id), conversation_id=made.id)
    after = client.responses.create(model="echo", input="what was it?", conversation=made.id)
    assert ("user", "a secret") not in shown(upstream)
    client.responses.create(model="echo", input="x", previous_response_id=after.id)
    assert ("user", "a secret") not in shown(upstream)
    client.responses.create(model="echo", input="x", previous_response_id=before.id)
    assert ("user", "a secret") in shown(upstream)
    given = {one.id: client.responses.input_items.list(one.id).to_json() for one in (before, after)}
    assert "a secret" in given[before.id]
    assert "a secret" not in given[after.id]


def test_a_removed_item_can_be_put_back_under_its_id(client: openai.OpenAI) -> None:
    made = client.conversations.create()
    item: Any = {"type": "message", "role": "user", "content": "take two", "id": "msg_mine"}
    client.conversations.items.create(made.id, items=[item])
    with pytest.raises(openai.BadRequestError) as caught:
        client.conversations.items.create(made.id, items=[item])
    assert caught.value.param == "items[0].id"
    client.conversations.items.delete("msg_mine", conversation_id=made.id)
    client.conversations.items.create(made.id, items=[item])
    assert listed(client, made.id) == ["take two"]


def test_items_that_were_added_can_be_referred_to(client: openai.OpenAI, upstream: Upstream) -> None:
    made = client.conversations.create(items=[{"role": "user", "content": "a lighthouse"}])
    (item,) = client.conversations.items.list(made.id).data
    reference: Any = {"type": "item_reference", "id": str(item.id)}
    client.conversations.delete(made.id)
    client.responses.create(model="echo", input=[reference, {"role": "user", "content": "What is it?"}])
    assert shown(upstream) == [("user", "a lighthouse"), ("user", "What is it?")]
    other = client.conversations.create(items=[reference])
    assert listed(client, other.id) == ["a lighthouse"]


def test_a_deleted_response_stays_in_the_conversation(client: openai.OpenAI) -> None:
    made = client.conversations.create()
    for at in range(2):
        turn = client.responses.create(model="echo", input=f"turn {at}", conversation=made.id)
        client.responses.delete(turn.id)
    client.responses.create(model="echo", input="on", conversation=made.id)
    assert listed(client, made.id, order="asc")[::2] == ["turn 0", "turn 1", "on"]


def test_what_a_client_put_there_is_no_response(raw: Raw) -> None:
    made = raw.post("/v1/conversations", {"items": [{"role": "user", "content": "hi"}]}).json["id"]
    (item,) = raw.get(f"/v1/conversations/{made}/items").json["data"]
    turn = "resp_" + item["id"].removeprefix("msg_")[:32]
    assert raw.get(f"/v1/responses/{turn}").status == 404
    assert raw.get(f"/v1/responses/{turn}/input_items").status == 404
    assert raw.send("DELETE", f"/v1/responses/{turn}").status == 404
    answer = raw.post("/v1/responses", {"model": "echo", "input": "x", "previous_response_id": turn})
    assert (answer.status, answer.error["code"]) == (400, "previous_response_not_found")
    assert turn not in {one["id"] for one in raw.get("/v1/responses?limit=100").json["data"]}


@pytest.mark.parametrize("model", ["breaks", "fails-500"])
def test_a_turn_that_failed_leaves_the_conversation_as_it_was(
    client: openai.OpenAI, raw: Raw, model: str
) -> None:
    made = raw.post("/v1/conversations", {"items": [{"role": "user", "content": "first"}]}).json["id"]
    body = {"model": model, "input": "lost", "conversation": made, "stream": True}
    raw.post("/v1/responses", body)
    assert [one["content"][0]["text"] for one in raw.get(f"/v1/conversations/{made}/items").json["data"]] == [
        "first"
    ]


def test_an_incomplete_turn_is_kept(client: openai.OpenAI) -> None:
    made = client.conversations.create()
    cut = client.responses.create(model="cut", input="hello", conversation=made.id)
    assert cut.status == "incomplete"
    assert listed(client, made.id, order="asc") == ["hello", "You said: hello"]


# --- tools -----------------------------------------------------------------------------------------------------
def call_of(client: openai.OpenAI, conversation: str) -> Any:
    response = client.responses.create(
        model="caller", input="Weather?", conversation=conversation, tools=[WEATHER]
    )
    return next(item for item in response.output if item.type == "function_call")


def output_of(call: Any, text: str = "rain") -> Any:
    return {"type": "function_call_output", "call_id": call.call_id, "output": text}


@pytest.mark.parametrize("by_hand", [True, False])
def test_a_call_is_answered_by_the_next_turn_or_by_an_item(
    client: openai.OpenAI, upstream: Upstream, *, by_hand: bool
) -> None:
    made = client.conversations.create()
    call = call_of(client, made.id)
    if by_hand:
        client.conversations.items.create(made.id, items=[output_of(call)])
        answer = client.responses.create(model="echo", input="So?", conversation=made.id, tools=[WEATHER])
        assert answer.output_text == "You said: So?"
    else:
        answer = client.responses.create(model="caller", input=[output_of(call)], conversation=made.id)
        assert answer.output_text == "You said: rain"
    roles = [role for role, _ in shown(upstream)]
    assert roles[:3] == ["user", "assistant", "tool"]
    assert listed(client, made.id, order="asc")[:3] == ["Weather?", "function_call", "function_call_output"]


def test_a_call_that_nobody_answered_is_named(client: openai.OpenAI) -> None:
    made = client.conversations.create()
    call = call_of(client, made.id)
    with pytest.raises(openai.BadRequestError, match=call.call_id):
        client.responses.create(model="echo", input="Never mind.", conversation=made.id)
    assert len(listed(client, made.id)) == 2, "nothing was added"


def test_an_output_is_shown_behind_its_call_wherever_it_came(
    client: openai.OpenAI, upstream: Upstream
) -> None:
    made = client.conversations.create()
    call = call_of(client, made.id)
    client.conversations.items.create(made.id, items=[{"role": "user", "content": "Hurry!"}])
    client.responses.create(model="echo", input=[output_of(call)], conversation=made.id)
    assert [role for role, _ in shown(upstream)] == ["user", "assistant", "tool", "user"]
    kinds = ["Weather?", "function_call", "Hurry!", "function_call_output"]
    assert listed(client, made.id, order="asc")[:4] == kinds, "what is stored stays as it came"


@pytest.mark.parametrize("half", ["function_call", "function_call_output"])
def test_a_conversation_goes_on_without_half_of_a_call(
    client: openai.OpenAI, upstream: Upstream, half: str
) -> None:
    """Model servers refuse a call without its output, and the reverse: the model is shown neither."""
    made = client.conversations.create()
    call = call_of(client, made.id)
    client.responses.create(model="caller", input=[output_of(call)], conversation=made.id)
    for item in client.conversations.items.list(made.id):
        if item.type == half:
            client.conversations.items.delete(str(item.id), conversation_id=made.id)
    for text in ("go on", "and on"):
        client.responses.create(model="echo", input=text, conversation=made.id)
    assert [role for role, _ in shown(upstream)] == ["user", "assistant", "user", "assistant", "user"]
    assert [content for _, content in shown(upstream)][:2] == ["Weather?", "You said: rain"]
    other = {"function_call": "function_call_output", "function_call_output": "function_call"}[half]
    assert other in listed(client, made.id), "the other half is still an item"


def test_the_output_of_a_call_can_be_replaced(client: openai.OpenAI, upstream: Upstream) -> None:
    made = client.conversations.create()
    call = call_of(client, made.id)
    (wrong,) = client.conversations.items.create(made.id, items=[output_of(call, "a storm")]).data
    client.conversations.items.delete(str(wrong.id), conversation_id=made.id)
    client.responses.create(model="echo", input=[output_of(call, "sunshine")], conversation=made.id)
    assert [content for role, content in shown(upstream) if role == "tool"] == ["sunshine"]


def test_reasoning_is_sealed_in_a_conversation_too(raw: Raw) -> None:
    model = "mindful/muser"
    first = raw.post("/v1/responses", {"model": model, "input": "think", "store": False}).json
    thought = first["output"][0]
    assert thought["encrypted_content"]
    made = raw.post("/v1/conversations", {"items": [{"role": "user", "content": "think"}, thought]}).json
    path = f"/v1/conversations/{made['id']}/items"
    plain, sealed = raw.get(path), raw.get(path + "?include[]=reasoning.encrypted_content")
    assert "encrypted_content" not in plain.json["data"][0]
    assert sealed.json["data"][0]["encrypted_content"]
    assert plain.json["data"][0]["content"] == thought["content"]
    one = raw.get(f"{path}/{thought['id']}?include=reasoning.encrypted_content").json
    again = {"items": [{**one, "id": "rs_mine"}]}
    added = raw.post(f"{path}?include=reasoning.encrypted_content", again).json["data"][0]
    assert (added["id"], added["content"]) == ("rs_mine", thought["content"])
    assert added["encrypted_content"]
    forged = {"items": [{**one, "id": "rs_forged", "encrypted_content": "gAAA"}]}
    answer = raw.post(path, forged)
    assert (answer.status, answer.error["param"]) == (400, "items[0].encrypted_content")
    answer = raw.post("/v1/responses", {"model": model, "input": "go on", "conversation": made["id"]})
    assert answer.json["status"] == "completed"


# --- at once ---------------------------------------------------------------------------------------------------
async def test_turns_at_once_come_one_after_the_other(connect: Connect, upstream: Upstream) -> None:
    """Each of twenty turns is given all turns before it, and nothing of one that is still running."""
    async with connect.asynchronous() as client:
        made = await client.conversations.create()
        await asyncio.gather(
            *[
                client.responses.create(model="echo", input=f"turn {at} of {made.id}", conversation=made.id)
                for at in range(20)
            ]
        )
        items = [item async for item in client.conversations.items.list(made.id, order="asc", limit=100)]
    texts = [said(item) for item in items]
    assert len(texts) == 40
    assert texts[1::2] == [f"You said: {text}" for text in texts[::2]]
    assert {text.split()[1] for text in texts[::2]} == {str(at) for at in range(20)}
    ours = [one for one in upstream.seen.requests if made.id in json.dumps(one)]
    assert [len(one["messages"]) for one in ours] == list(range(1, 41, 2))
    assert [message["content"] for message in ours[-1]["messages"]] == texts[:-1]
