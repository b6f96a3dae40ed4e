"""Answers of the Messages API of every shape, and the signals that they become."""

import json
from typing import Any

import pytest

from antiphon.core import errors
from antiphon.core.items import (
    CustomToolCall,
    FunctionCall,
    Message,
    OutputText,
    Reasoning,
    ReasoningText,
    Refusal,
)
from antiphon.core.signals import ArgumentsDelta, ItemDone, RefusalDelta, StepDone, TextDelta
from antiphon.core.usage import InputDetails, OutputDetails, Usage
from antiphon.core.wire import UNSET
from tests.wire.anthropic_rules import Json
from tests.wire.fake_anthropic import Answer, stream_of
from tests.wire.reading import assert_lawful
from tests.wire.reading_messages import decoder, items_of, read, said, said_of, sse

USAGE: Json = {
    "input_tokens": 5,
    "cache_read_input_tokens": 20,
    "cache_creation_input_tokens": 10,
    "output_tokens": 7,
    "output_tokens_details": {"thinking_tokens": 4},
    "service_tier": "priority",
}
COUNTED = Usage(
    input_tokens=35,
    input_tokens_details=InputDetails(cached_tokens=20, cache_write_tokens=10),
    output_tokens=7,
    output_tokens_details=OutputDetails(reasoning_tokens=4),
    total_tokens=42,
)
TEXT: Json = {"type": "text", "text": "It is warm."}
THOUGHT: Json = {"type": "thinking", "thinking": "Let me think.", "signature": "sig"}
CALL: Json = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"city": "Paris"}}


def events(*blocks: Json, stop: str = "end_turn", **more: Any) -> list[Json]:
    return list(stream_of({"model": "m"}, Answer(list(blocks), stop, **more), USAGE))


def whole(*blocks: Json, stop: str = "end_turn") -> bytes:
    return json.dumps(
        {"type": "message", "content": list(blocks), "stop_reason": stop, "usage": USAGE}
    ).encode()


def test_a_thought_becomes_an_item_that_can_be_sent_back_as_it_was() -> None:
    heard = read(events(THOUGHT, TEXT))
    assert_lawful(heard)
    thought, message = items_of(heard)
    assert isinstance(thought, Reasoning)
    assert thought.content == [ReasoningText(text="Let me think.")]
    assert isinstance(thought.encrypted_content, str)
    provider, _, blob = thought.encrypted_content.partition(":")
    assert (provider, json.loads(blob)) == ("up", THOUGHT)
    assert message == said("It is warm.")


@pytest.mark.parametrize(
    "block",
    [
        {"type": "redacted_thinking", "data": "opaque"},
        {"type": "thinking", "thinking": "", "signature": "sig"},
    ],
)
def test_a_thought_that_is_not_shown_is_kept(block: Json) -> None:
    thought = items_of(read(events(block, TEXT)))[0]
    assert isinstance(thought, Reasoning)
    assert thought.content is UNSET
    assert json.loads(str(thought.encrypted_content).removeprefix("up:")) == block


def test_a_thought_that_was_cut_short_cannot_be_sent_back() -> None:
    cut = events({**THOUGHT, "signature": ""}, stop="max_tokens")
    heard = read([one for one in cut if one["type"] != "content_block_stop"])
    thought = items_of(heard)[0]
    assert isinstance(thought, Reasoning)
    assert thought.encrypted_content is UNSET
    assert isinstance(heard[-1], StepDone)
    assert heard[-1].finish == "length"


def test_texts_in_a_row_are_one_message_and_others_are_apart() -> None:
    heard = read(events(TEXT, TEXT, THOUGHT, TEXT, CALL))
    assert_lawful(heard)
    kinds = [type(item).__name__ for item in items_of(heard)]
    assert kinds == ["Message", "Reasoning", "Message", "FunctionCall"]
    assert items_of(heard)[0] == said("It is warm.It is warm.")


def test_arguments_come_in_pieces_and_none_are_an_empty_object() -> None:
    heard = read(events(CALL, {**CALL, "id": "toolu_2", "input": {}}, stop="tool_use"))
    first, second = items_of(heard)
    assert isinstance(first, FunctionCall)
    assert json.loads(first.arguments) == {"city": "Paris"}
    assert second == FunctionCall(call_id="toolu_2", name="f", arguments="{}")
    assert len([one for one in heard if isinstance(one, ArgumentsDelta)]) > 2
    assert heard[-1] == StepDone("tool_calls", COUNTED, "priority")


def test_a_custom_tool_is_called_with_its_text() -> None:
    heard = read(events({**CALL, "input": {"input": "a\nb"}}), decoder({"f"}))
    assert items_of(heard) == [CustomToolCall(call_id="toolu_1", name="f", input="a\nb")]
    in_one_piece = decoder({"f"}).whole(whole({**CALL, "input": {"input": "x"}}))
    assert items_of(in_one_piece) == [CustomToolCall(call_id="toolu_1", name="f", input="x")]


@pytest.mark.parametrize("given", [{}, None])
def test_a_whole_answer_gives_the_same(given: Any) -> None:
    heard = decoder().whole(whole(THOUGHT, TEXT, {**CALL, "input": given}))
    assert all(isinstance(one, ItemDone | StepDone) for one in heard)
    assert items_of(heard)[:2] == items_of(read(events(THOUGHT, TEXT)))
    assert items_of(heard)[2] == FunctionCall(call_id="toolu_1", name="f", arguments="{}")
    assert heard[-1] == StepDone("tool_calls", COUNTED, "priority")


@pytest.mark.parametrize(
    ("stop", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("tool_use", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "content_filter"),
        ("something_new", "stop"),
    ],
)
def test_each_stop_reason_has_a_meaning(stop: str, finish: str) -> None:
    end = read(events(TEXT, stop=stop))[-1]
    assert isinstance(end, StepDone)
    assert end.finish == finish


def test_the_stop_sequence_that_was_met_is_told() -> None:
    end = read(events(TEXT, stop="stop_sequence", stop_sequence="END"))[-1]
    assert isinstance(end, StepDone)
    assert (end.finish, end.stop_sequence) == ("stop", "END")


@pytest.mark.parametrize("blocks", [[TEXT], []])
def test_a_refusal_gives_its_reason_beside_what_was_said(blocks: list[Json]) -> None:
    heard = read(events(*blocks, stop="refusal", explanation="No."))
    assert_lawful(heard)
    [message] = items_of(heard)
    spoken = [OutputText(text="It is warm.", annotations=[])] if blocks else []
    assert message == Message(role="assistant", content=[*spoken, Refusal(refusal="No.")])
    assert any(isinstance(one, RefusalDelta) for one in heard)


def test_an_empty_answer_is_an_empty_message() -> None:
    assert items_of(read(events())) == [said("")]


def test_speed_and_unknown_tiers() -> None:
    def tier(**usage: Any) -> str | None:
        start = {"type": "message_start", "message": {"type": "message", "usage": usage}}
        end = read([start, *events(TEXT)[1:]])[-1]
        assert isinstance(end, StepDone)
        return end.service_tier

    assert tier(service_tier="standard", speed="fast") == "fast"
    assert tier(service_tier="standard", speed="standard") == "default"
    assert tier(service_tier="new") is None


def test_what_is_not_known_is_skipped() -> None:
    odd: list[Json] = [{"type": "ping"}, {"type": "something_new", "index": 4}]
    note: Json = {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "citations_delta", "citation": {}},
    }
    first, *rest = events(TEXT)
    assert items_of(read([*odd, first, *odd, rest[0], note, *rest[1:]])) == [said("It is warm.")]


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("overloaded_error", errors.ProviderUnavailable),
        ("api_error", errors.ProviderUnavailable),
        ("timeout_error", errors.ProviderUnavailable),
        ("rate_limit_error", errors.ProviderRateLimited),
        ("invalid_request_error", errors.ProviderRejected),
        ("request_too_large", errors.ProviderRejected),
        ("permission_error", errors.ProviderAuthFailed),
        ("authentication_error", errors.ProviderAuthFailed),
    ],
)
def test_an_error_in_the_stream_comes_after_what_was_said(kind: str, error: type[Exception]) -> None:
    fault = {"type": "error", "error": {"type": kind, "message": "no, sk-secret"}}
    heard, reader = said_of(sse([*events(TEXT)[:5], fault]))
    assert any(isinstance(one, TextDelta) for one in heard)
    with pytest.raises(error) as caught:
        reader.finish()
    assert "sk-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (events(TEXT)[:-2], "without a stop reason"),
        ([{"type": "content_block_delta", "index": 0, "delta": {"text": "a"}}], "had not begun"),
        ([{"type": "content_block_start", "index": "x"}], "cannot be read"),
        (events({"type": "server_tool_use", "id": "a", "name": "web_search"}), "was not asked for"),
        (events({"type": "tool_use", "id": "", "name": "f", "input": {}}), "without a name or an id"),
    ],
)
def test_what_breaks_the_protocol_is_named(broken: list[Json], why: str) -> None:
    with pytest.raises(errors.ProviderProtocolError, match=why):
        read(broken)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"<html>", errors.ProviderProtocolError),
        (b"{}", errors.ProviderProtocolError),
        (b'{"type": "message"}', errors.ProviderProtocolError),
        (b'{"type": "message", "content": []}', errors.ProviderProtocolError),
        (
            b'{"type": "error", "error": {"type": "overloaded_error", "message": "x"}}',
            errors.ProviderUnavailable,
        ),
    ],
)
def test_a_whole_answer_that_is_none(body: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        decoder().whole(body)
