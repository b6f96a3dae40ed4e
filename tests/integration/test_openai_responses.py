"""The official client drives `/v1/responses`: plain, streamed, stored, chained."""

import asyncio

import openai
import pytest
from openai.types.responses import ResponseStreamEvent

from tests.integration.clients import Connect
from tests.integration.upstream import Upstream


def test_a_response_answers_with_text_and_every_required_key(client: openai.OpenAI) -> None:
    response = client.responses.create(model="echo", input="hello there", metadata={"who": "me"}, user="u1")
    assert response.output_text == "You said: hello there"
    assert response.status == "completed"
    assert response.metadata == {"who": "me"}
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens, response.usage.total_tokens) == (
        11,
        7,
        18,
    )
    assert response.usage.input_tokens_details.cached_tokens == 3
    assert response.usage.output_tokens_details.reasoning_tokens == 2
    assert response.id.startswith("resp_")


def test_settings_reach_the_upstream_and_are_echoed(client: openai.OpenAI, upstream: Upstream) -> None:
    response = client.responses.create(
        model="echo",
        input="hi",
        instructions="Be brief.",
        temperature=0.25,
        top_p=0.5,
        max_output_tokens=64,
        text={"verbosity": "low"},
        parallel_tool_calls=False,
        truncation="disabled",
        prompt_cache_key="k",
        safety_identifier="s",
    )
    sent = upstream.last_request()
    assert sent["messages"][0]["content"].startswith("Be brief.")
    assert sent["messages"][0]["role"] in {"system", "developer"}
    assert (sent["temperature"], sent["top_p"]) == (0.25, 0.5)
    assert sent.get("max_tokens", sent.get("max_completion_tokens")) == 64
    assert (response.temperature, response.top_p, response.max_output_tokens) == (0.25, 0.5, 64)
    assert response.instructions == "Be brief."
    assert response.parallel_tool_calls is False


def test_the_stream_spells_the_same_text_as_its_last_event(client: openai.OpenAI) -> None:
    text, kinds, final = "", list[str](), None
    with client.responses.create(model="echo", input="one two three", stream=True) as events:
        for event in events:
            kinds.append(event.type)
            if event.type == "response.output_text.delta":
                text += event.delta
            if event.type == "response.completed":
                final = event.response
    assert final is not None
    assert text == final.output_text == "You said: one two three"
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    assert final.usage is not None
    assert final.usage.total_tokens == 18


def test_the_stream_helper_builds_the_response_that_is_stored(client: openai.OpenAI) -> None:
    with client.responses.stream(model="echo", input="build me") as stream:
        seen: list[str] = [event.type for event in stream]
        final = stream.get_final_response()
    assert "response.output_text.done" in seen
    assert final.output_text == "You said: build me"
    stored = client.responses.retrieve(final.id)
    assert stored.model_dump(exclude={"output"}) == final.model_dump(exclude={"output"} | {"parsed"})
    assert stored.output_text == final.output_text


async def test_the_async_client_creates_streams_and_retrieves(aclient: openai.AsyncOpenAI) -> None:
    response = await aclient.responses.create(model="echo", input="async")
    assert (await aclient.responses.retrieve(response.id)).output_text == response.output_text
    text = ""
    stream = await aclient.responses.create(model="echo", input="more", stream=True)
    async for event in stream:
        text += event.delta if event.type == "response.output_text.delta" else ""
    assert text == "You said: more"
    async with aclient.responses.stream(model="echo", input="helped") as helper:
        events: list[ResponseStreamEvent | object] = [event async for event in helper]
        final = await helper.get_final_response()
    assert events
    assert final.output_text == "You said: helped"


async def test_many_clients_at_once_get_their_own_answers(aclient: openai.AsyncOpenAI) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(aclient.responses.create(model="echo", input=f"number {number}"))
            for number in range(40)
        ]
    assert [task.result().output_text for task in tasks] == [f"You said: number {n}" for n in range(40)]


def test_a_stored_response_reads_back_the_same(client: openai.OpenAI) -> None:
    made = client.responses.create(model="echo", input="keep me", metadata={"a": "b"})
    assert client.responses.retrieve(made.id).model_dump() == made.model_dump()


def test_a_deleted_response_is_gone(client: openai.OpenAI) -> None:
    made = client.responses.create(model="echo", input="forget me")
    client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.input_items.list(made.id)


def test_a_response_that_is_not_stored_cannot_be_read_or_continued(client: openai.OpenAI) -> None:
    made = client.responses.create(model="echo", input="leave no trace", store=False)
    assert made.output_text == "You said: leave no trace"
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)
    with pytest.raises(openai.APIStatusError) as caught:
        client.responses.create(model="echo", input="go on", previous_response_id=made.id)
    assert caught.value.code == "previous_response_not_found"
    assert caught.value.param == "previous_response_id"


def test_input_items_hold_the_whole_context_and_page(client: openai.OpenAI) -> None:
    first = client.responses.create(model="echo", input="one")
    second = client.responses.create(
        model="echo",
        previous_response_id=first.id,
        input=[
            {"role": "user", "content": "two"},
            {"role": "assistant", "content": "indeed"},
            {"role": "user", "content": [{"type": "input_text", "text": "three"}]},
        ],
    )
    oldest_first = [
        item.to_dict() for item in client.responses.input_items.list(second.id, order="asc", limit=100)
    ]
    assert [item["type"] for item in oldest_first] == ["message"] * 5
    assert [item["role"] for item in oldest_first] == ["user", "assistant", "user", "assistant", "user"]
    ids = [item["id"] for item in oldest_first]
    assert len(set(ids)) == 5
    newest_first = client.responses.input_items.list(second.id, limit=2)
    assert [item.to_dict()["id"] for item in newest_first.data] == ids[:2:-1]
    assert newest_first.has_more
    paged = [item.to_dict()["id"] for item in client.responses.input_items.list(second.id, limit=2)]
    assert paged == ids[::-1]


def test_a_chain_carries_its_history_and_branches(client: openai.OpenAI, upstream: Upstream) -> None:
    root = client.responses.create(model="echo", input="root", instructions="Only for the root.")
    left = client.responses.create(model="echo", input="left", previous_response_id=root.id)
    right = client.responses.create(model="echo", input="right", previous_response_id=root.id)
    assert left.previous_response_id == right.previous_response_id == root.id
    client.responses.create(model="echo", input="leaf", previous_response_id=left.id)
    said = [(message["role"], message["content"]) for message in upstream.last_request()["messages"]]
    assert said == [
        ("user", "root"),
        ("assistant", "You said: root"),
        ("user", "left"),
        ("assistant", "You said: left"),
        ("user", "leaf"),
    ]


def test_a_chain_outlives_the_deletion_of_an_ancestor(client: openai.OpenAI, upstream: Upstream) -> None:
    first = client.responses.create(model="echo", input="first")
    second = client.responses.create(model="echo", input="second", previous_response_id=first.id)
    client.responses.delete(first.id)
    client.responses.create(model="echo", input="third", previous_response_id=second.id)
    assert len(upstream.last_request()["messages"]) == 5
    with pytest.raises(openai.APIStatusError) as caught:
        client.responses.create(model="echo", input="no", previous_response_id=first.id)
    assert caught.value.code == "previous_response_not_found"


def test_output_can_be_sent_back_as_input_and_referenced(client: openai.OpenAI, upstream: Upstream) -> None:
    first = client.responses.create(model="echo", input="keep this")
    said = [item.to_dict() for item in first.output]
    client.responses.create(
        model="echo",
        input=[{"role": "user", "content": "keep this"}, *said, {"role": "user", "content": "and?"}],  # type: ignore[list-item]  # items as the wire has them
        store=False,
    )
    assert [message["role"] for message in upstream.last_request()["messages"]] == [
        "user",
        "assistant",
        "user",
    ]
    client.responses.create(
        model="echo",
        input=[
            {"type": "item_reference", "id": first.output[0].id or ""},
            {"role": "user", "content": "again"},
        ],
    )
    assert upstream.last_request()["messages"][0] == {"role": "assistant", "content": "You said: keep this"}


def test_images_reach_the_model_as_image_parts(client: openai.OpenAI, upstream: Upstream) -> None:
    picture = (
        "data:image/png;base64,"
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
    )
    response = client.responses.create(
        model="echo",
        input=[
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "what is this?"},
                    {"type": "input_image", "image_url": picture, "detail": "low"},
                ],
            }
        ],
    )
    part = upstream.last_request()["messages"][0]["content"][1]
    assert part["type"] == "image_url"
    assert part["image_url"]["url"] == picture
    assert part["image_url"]["detail"] == "low"
    hidden = client.responses.input_items.list(response.id).data[0].to_dict()
    assert picture not in str(hidden)
    shown = client.responses.input_items.list(response.id, include=["message.input_image.image_url"])
    assert picture in str(shown.data[0].to_dict())


def test_the_same_routes_answer_under_the_older_prefix(connect: Connect) -> None:
    with connect.sync("/v1/openai") as client:
        made = client.responses.create(model="echo", input="old path")
        assert client.responses.retrieve(made.id).output_text == "You said: old path"
        assert "echo" in {model.id.rsplit("/", 1)[-1] for model in client.models.list()}
