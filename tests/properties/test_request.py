"""Whatever bytes come in: a request that renders back to itself, or an error that says where and what."""

import copy
import json
import re
from typing import Any

from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from antiphon.core.errors import InvalidRequest
from antiphon.core.json_values import is_array, is_object
from antiphon.core.request import ResponseRequest
from antiphon.core.wire import encode

VALID: dict[str, Any] = {
    "model": "m",
    "instructions": "be kind",
    "input": [
        {
            "role": "user",
            "content": [{"type": "input_text", "text": "hi"}, {"type": "input_image", "file_id": None}],
        },
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]},
        {
            "type": "function_call",
            "call_id": "c",
            "name": "f",
            "arguments": "{}",
            "caller": {"type": "direct"},
        },
        {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "done"}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": None, "annotations": []}]},
        {"id": "msg_1"},
    ],
    "tools": [
        {
            "type": "function",
            "name": "f",
            "parameters": {"type": "object", "properties": {"a": {"$ref": "#/$defs/b"}}, "$defs": {"b": {}}},
        }
    ],
    "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
    "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}},
    "reasoning": {"effort": "low", "summary": None},
    "metadata": {"a": "b"},
    "max_output_tokens": 64.0,
    "temperature": 0.5,
    "include": ["message.output_text.logprobs"],
    "stream": True,
    "stream_options": {"include_obfuscation": False},
}

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
words = st.sampled_from(
    ["type", "role", "content", "name", "message", "function", "input_text", "auto", "$ref", "id"]
)
keys = words | st.text(st.characters(codec="utf-8", exclude_characters=".[]"), max_size=8)
values = st.recursive(
    scalars | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)


def holders(value: Any) -> list[tuple[Any, Any]]:
    """Every place in a JSON value, as (container, key or index)."""
    inside: list[Any] = []
    if is_object(value):
        inside = list(value)
    elif is_array(value):
        inside = list(range(len(value)))
    return [(value, key) for key in inside] + [place for key in inside for place in holders(value[key])]


@st.composite
def damaged(draw: st.DrawFn) -> dict[str, Any]:
    """A valid body with a few places changed, dropped or added to."""
    body = copy.deepcopy(VALID)
    for _ in range(draw(st.integers(1, 3))):
        holder, key = draw(st.sampled_from(holders(body)))
        match draw(st.sampled_from(["change", "drop", "add"])):
            case "change":
                holder[key] = draw(values)
            case "drop":
                del holder[key]
            case _ if is_object(holder):
                holder[draw(keys)] = draw(values)
            case _:
                holder.append(draw(values))
        if not holders(body):
            break
    return body


def outcome(data: bytes) -> ResponseRequest | InvalidRequest:
    try:
        return ResponseRequest.parse(data)
    except InvalidRequest as error:
        return error


def exists(path: str, body: Any) -> bool:
    """Whether `path` leads to a place in `body`, or to a missing key of an object that is there."""
    at: Any = body
    for step in re.findall(r"\[(\d+)\]|([^.\[]+)", path):
        index, key = step
        if index:
            if not is_array(at) or int(index) >= len(at):
                return False
            at = at[int(index)]
        else:
            if not is_object(at):
                return False
            at = at.get(key)
    return True


def test_the_undamaged_body_is_accepted() -> None:
    assert isinstance(ResponseRequest.parse(json.dumps(VALID).encode()), ResponseRequest)


@settings(max_examples=400, deadline=None)
@given(damaged())
def test_a_damaged_body_is_understood_or_refused_at_a_place_that_is_there(body: dict[str, Any]) -> None:
    found = outcome(json.dumps(body).encode())
    if isinstance(found, InvalidRequest):
        event("refused")
        assert found.param is not None
        if re.fullmatch(r"[\w.\[\]]+", found.param):
            assert exists(found.param, body), found.message
        assert found.message
    else:
        event("accepted")
        assert ResponseRequest.parse(encode(found)) == found


@settings(deadline=None)
@given(st.binary(max_size=200) | values.map(lambda value: json.dumps(value).encode()))
@example(b'{"model": "m", "input": "\\ud800"}')
@example(b'{"model": "m", "input": "x", "temperature": 1e999}')
@example(b'{"model": "m", "input": "x", "seed": ' + b"9" * 5000 + b"}")
@example(b'{"model": "m", "input": "x", "client_metadata": {"a": ' + b"9" * 5000 + b"}}")
@example(b'{"model": "m", "input": "x", "model": 5}')
def test_any_bytes_are_understood_or_refused(data: bytes) -> None:
    found = outcome(data)
    assert isinstance(found, ResponseRequest) or found.status == 400
