"""Which questions are the same question, and where two differ."""

from typing import Any

import pytest

from antiphon.core.commands import CallModel
from antiphon.core.request import ResponseRequest
from antiphon.core.transcript import Transcript
from antiphon.core.wire import decode_json, encode
from antiphon.recording.difference import first_difference
from antiphon.recording.findings import compare
from antiphon.recording.matching import key_of, question_of_call, question_of_chat

FLAT = {"type": "function", "name": "look", "parameters": {"type": "object"}}
NESTED = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}


def asked(items: list[Any], instructions: str | None = None, **fields: Any) -> dict[str, Any]:
    """The question of a response whose input is this."""
    request = ResponseRequest.parse(encode({"model": "m", "input": items, **fields}))
    given: Any = request.input
    call = CallModel(request, Transcript(instructions, (), tuple(given)), request.tool_choice or "auto")
    return question_of_call(call)


def test_both_apis_ask_the_same_question() -> None:
    response = asked(
        [
            {"role": "user", "content": [{"type": "input_text", "text": "Weather in "}, _text("Rome?")]},
            {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": '{"city": "Rome"}'},
            {"type": "function_call_output", "call_id": "call_1", "output": "sunny"},
        ],
        "Be brief.",
        tools=[FLAT],
    )
    chat = question_of_chat(
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Weather in Rome?"},
                {"role": "assistant", "content": None, "tool_calls": [_called("abc", '{"city":"Rome"}')]},
                {"role": "tool", "tool_call_id": "abc", "content": "sunny"},
            ],
            "tools": [NESTED],
            "tool_choice": "auto",
            "temperature": 0.3,
        }
    )
    assert response == chat
    assert key_of(response) == key_of(chat)


def _text(text: str) -> dict[str, str]:
    return {"type": "input_text", "text": text}


def _called(call_id: str, arguments: str) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": "look", "arguments": arguments}}


def test_ids_statuses_and_thoughts_are_no_part_of_a_question() -> None:
    plain = asked([{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}])
    full = asked(
        [
            {
                "type": "message",
                "id": "msg_1",
                "status": "completed",
                "role": "user",
                "content": [_text("hi")],
            },
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {
                "type": "message",
                "id": "msg_2",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": "yes", "annotations": [], "logprobs": []}],
            },
        ],
        temperature=1,
    )
    assert plain == full


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"instructions": "Be long."}, "messages[0].content"),
        ({"tools": [{**FLAT, "description": "new"}]}, "tools[0].description"),
        ({"tool_choice": "required"}, "choice"),
        ({"text": {"format": {"type": "json_object"}}}, "format"),
        ({"items": [{"role": "user", "content": "ho"}]}, "messages[1].content"),
    ],
)
def test_what_changes_the_question_changes_its_key(change: dict[str, Any], path: str) -> None:
    base: dict[str, Any] = {"items": [{"role": "user", "content": "hi"}], "instructions": "Be brief."}
    base["tools"] = [FLAT]
    before, now = asked(**base), asked(**(base | change))
    assert key_of(before) != key_of(now)
    found = first_difference(before, now)
    assert found is not None
    assert found.path == path


def test_custom_tools_ask_the_same_in_either_api() -> None:
    tool = {"type": "custom", "name": "draw", "description": "lines"}
    response = asked([{"role": "user", "content": "hi"}], tools=[tool])
    nested = {"type": "custom", "custom": {"name": "draw", "description": "lines"}}
    chat = question_of_chat({"messages": [{"role": "user", "content": "hi"}], "tools": [nested]})
    assert response == chat
    assert response != asked([{"role": "user", "content": "hi"}], tools=[{**tool, "type": "function"}])


def test_images_are_told_apart_in_either_api() -> None:
    url = "data:image/png;base64,AAAA"
    image = {"type": "input_image", "image_url": url, "detail": "auto"}
    response = asked([{"role": "user", "content": [_text("what?"), image]}])
    part = {"type": "image_url", "image_url": {"url": url}}
    content = [{"type": "text", "text": "what?"}, part]
    assert response == question_of_chat({"messages": [{"role": "user", "content": content}]})


def test_a_text_completion_asks_its_prompt() -> None:
    assert question_of_chat({"prompt": "once"}) == {"messages": [{"role": "user", "content": "once"}]}


# --- differences -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("recorded", "now", "path"),
    [
        ({"a": 1}, {"a": 1}, None),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, None),
        ({"a": [1, {"b": "x"}]}, {"a": [1, {"b": "y"}]}, "a[1].b"),
        ({"a": [1]}, {"a": [1, 2]}, "a[1]"),
        ({"a": [1, 2]}, {"a": [1]}, "a[1]"),
        ({"a": 1}, {}, "a"),
        ({}, {"a": None}, "a"),
        (True, 1, ""),
        ({"arguments": '{"a": 1}'}, {"arguments": '{"a":1}'}, None),
        ({"arguments": '{"a": 1}'}, {"arguments": '{"a":2}'}, "arguments.a"),
        ({"arguments": "not json"}, {"arguments": "{}"}, "arguments"),
    ],
)
def test_the_first_difference_is_found(recorded: Any, now: Any, path: str | None) -> None:
    found = first_difference(recorded, now)
    assert (found.path if found else None) == path


def test_a_difference_says_which_side_has_nothing() -> None:
    found = first_difference({"a": 1}, {})
    assert found is not None
    assert found.sides == ("the integer 1", "(nothing)")
    assert list(found.lines()) == ["  recorded: 1", "  now:      (nothing)"]


def test_longer_texts_are_shown_as_a_unified_diff() -> None:
    found = first_difference({"t": "one\ntwo\nthree"}, {"t": "one\n2\nthree"})
    assert found is not None
    assert list(found.lines())[3:] == [" one", "-two", "+2", " three"]


def test_times_and_sealed_texts_are_no_difference() -> None:
    before = {"created_at": 1, "output": [{"encrypted_content": "a", "text": "x"}]}
    now = {"created_at": 2, "output": [{"encrypted_content": "b", "text": "x"}]}
    assert compare("response", before, now) is None
    assert compare("response", before, decode_json(encode(now).replace(b'"x"', b'"y"'))) is not None
