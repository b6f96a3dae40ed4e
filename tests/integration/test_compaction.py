"""The official client counts, compacts and goes on, over sockets and in the process."""

from typing import Any

import openai
import pytest
from openai.types.responses import ResponseCompactionItem, ResponseInputParam

from tests.integration.clients import Raw

MODEL = "scripted/demo"
LONG = "remember the lighthouse " * 600
FULL: Any = [{"type": "compaction", "compact_threshold": 1000}]


def test_the_client_counts(client: openai.OpenAI) -> None:
    answer = client.responses.input_tokens.with_raw_response.count(
        model=MODEL, input="one two three", instructions="four five"
    )
    assert answer.headers["x-antiphon-token-count"] == "exact"
    counted = answer.parse()
    assert (counted.object, counted.input_tokens) == ("response.input_tokens", 5)
    made = client.responses.create(model=MODEL, input="one two three", instructions="four five")
    assert made.usage is not None
    assert made.usage.input_tokens == counted.input_tokens


def test_a_model_without_a_tokenizer_is_estimated(client: openai.OpenAI) -> None:
    answer = client.responses.input_tokens.with_raw_response.count(model="up/echo", input="x" * 4000)
    assert answer.headers["x-antiphon-token-count"] == "estimated"
    assert 1000 <= answer.parse().input_tokens < 1100


def test_the_client_compacts_and_goes_on(client: openai.OpenAI) -> None:
    dialogue: ResponseInputParam = [
        {"role": "user", "content": "The key is under the mat."},
        {"role": "assistant", "content": "Noted."},
    ]
    compacted = client.responses.compact(model=MODEL, input=dialogue, instructions="Be brief.")
    assert compacted.object == "response.compaction"
    *said, last = compacted.output
    assert [one.type for one in said] == ["message"]
    assert isinstance(last, ResponseCompactionItem)
    assert last.id.startswith("cmp_")
    assert compacted.usage.total_tokens > 0
    items: Any = [item.model_dump(exclude_none=True, warnings=False) for item in compacted.output]
    made = client.responses.create(model=MODEL, input=[*items, {"role": "user", "content": "go on"}])
    assert "go on" in made.output_text
    assert made.usage is not None
    again = client.responses.compact(model=MODEL, input=[*items, {"role": "user", "content": "more"}])
    assert [item.type for item in again.output] == ["message", "message", "compaction"]


def test_a_stored_chain_is_compacted_on_its_way(client: openai.OpenAI) -> None:
    parent = client.responses.create(model=MODEL, input=LONG)
    with client.responses.stream(
        model=MODEL, input="what was it?", previous_response_id=parent.id, context_management=FULL
    ) as stream:
        kinds = [event.type for event in stream]
        made = stream.get_final_response()
    assert kinds[2:4] == ["response.output_item.added", "response.output_item.done"]
    assert [item.type for item in made.output] == ["compaction", "message"]
    got = client.responses.retrieve(made.id)
    assert [item.type for item in got.output] == ["compaction", "message"]
    child = client.responses.create(model=MODEL, input="and now?", previous_response_id=made.id)
    assert child.usage is not None
    assert parent.usage is not None
    assert child.usage.input_tokens < parent.usage.input_tokens / 2
    items = client.responses.input_items.list(child.id, limit=100)
    assert "compaction" in {item.type for item in items.data}


def test_a_compaction_is_no_response(client: openai.OpenAI) -> None:
    compacted = client.responses.compact(model=MODEL, input="hello")
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model=MODEL, input="x", previous_response_id=compacted.id)
    assert caught.value.code == "previous_response_not_found"
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(compacted.id)


def test_a_trigger_answers_with_the_compaction_alone(client: openai.OpenAI) -> None:
    items: Any = [{"role": "user", "content": "hello"}, {"type": "compaction_trigger"}]
    events = list(client.responses.create(model=MODEL, input=items, store=False, stream=True))
    done = [event for event in events if event.type == "response.output_item.done"]
    assert [event.item.type for event in done] == ["compaction"]
    assert events[-1].type == "response.completed"


def test_a_chat_model_writes_the_summary(client: openai.OpenAI, raw: Raw) -> None:
    """Over the wire of chat completions: the instruction, the dialogue in words, and no tools."""
    compacted = client.responses.compact(
        model="up/echo",
        input=[
            {"role": "user", "content": "How is Rome?"},
            {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "warm"},
        ],
    )
    assert [item.type for item in compacted.output] == ["message", "compaction"]
    assert compacted.usage.input_tokens == 11
    items: Any = [item.model_dump(exclude_none=True, warnings=False) for item in compacted.output]
    made = client.responses.create(model="up/echo", input=[*items, {"role": "user", "content": "go on"}])
    assert made.output_text == "You said: go on"


def test_a_blob_of_another_kind_or_a_changed_one_is_refused(client: openai.OpenAI) -> None:
    compacted = client.responses.compact(model=MODEL, input="hello")
    last = compacted.output[-1]
    assert isinstance(last, ResponseCompactionItem)
    wrong: Any = {"type": "compaction", "encrypted_content": last.encrypted_content[:-3] + "AAA"}
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model=MODEL, input=[wrong])
    assert (caught.value.code, caught.value.param) == (
        "invalid_encrypted_content",
        "input[0].encrypted_content",
    )
