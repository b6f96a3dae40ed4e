"""What real clients send and mean well is accepted, on the fast path and on the slow one."""

import json
from typing import Any

import pytest
from msgspec import UNSET

from antiphon.core import items
from antiphon.core.request import ResponseRequest
from antiphon.core.tools import ChooseAllowed, ChooseFunction, FunctionTool
from antiphon.core.wire import encode


def parsed(**fields: Any) -> ResponseRequest:
    return ResponseRequest.parse(json.dumps({"model": "m", "input": "hi"} | fields).encode())


def only_item(value: dict[str, Any]) -> Any:
    request = parsed(input=[value])
    assert isinstance(request.input, list)
    return request.input[0]


def test_a_message_needs_no_type() -> None:
    assert only_item({"role": "user", "content": "hi"}) == items.Message(role="user", content="hi")


@pytest.mark.parametrize("role", ["user", "assistant", "system", "developer"])
def test_every_role_has_an_easy_form(role: Any) -> None:
    assert only_item({"role": role, "content": "hi"}) == items.Message(role=role, content="hi")


def test_parts_of_a_message_are_typed() -> None:
    parts = [{"type": "input_text", "text": "what is this?"}, {"type": "input_image", "image_url": "data:,x"}]
    assert only_item({"role": "user", "content": parts}).content == [
        items.InputText(text="what is this?"),
        items.InputImage(image_url="data:,x"),
    ]


def test_an_item_reference_needs_no_type() -> None:
    assert only_item({"id": "msg_1"}) == items.ItemReference(id="msg_1")
    assert only_item({"type": None, "id": "msg_1"}) == items.ItemReference(id="msg_1")


def test_null_text_of_a_replayed_answer_is_empty_text() -> None:
    """AG2 replays assistant turns so."""
    message = only_item({"role": "assistant", "content": [{"type": "output_text", "text": None}]})
    assert message.content == [items.OutputText(text="")]


def test_nulls_that_say_nothing_are_left_out() -> None:
    message = only_item(
        {
            "type": "message",
            "id": None,
            "role": "assistant",
            "status": None,
            "content": [{"type": "output_text", "text": "x", "logprobs": None, "parsed": None}],
        }
    )
    assert (message.id, message.status) == (UNSET, UNSET)
    assert message.content == [items.OutputText(text="x")]


def test_nulls_are_left_out_beside_other_repairs() -> None:
    request = parsed(
        max_output_tokens=32.0,
        input=[
            {"role": "assistant", "content": [{"type": "output_text", "text": None, "annotations": None}]}
        ],
        text={"format": None, "verbosity": "low"},
    )
    assert request.max_output_tokens == 32
    assert request.text is not None
    assert request.text.format is UNSET


OPTIONAL = [name for name in ResponseRequest.__struct_fields__ if name not in {"model", "input"}]


@pytest.mark.parametrize("name", OPTIONAL)
def test_null_at_the_top_is_the_same_as_left_out(name: str) -> None:
    assert parsed(**{name: None}) == parsed()


def test_an_integer_may_be_written_as_a_float() -> None:
    request = parsed(max_output_tokens=16.0, top_logprobs=5.0, temperature=1)
    assert (request.max_output_tokens, request.top_logprobs) == (16, 5)


def test_what_we_put_out_may_come_back_in() -> None:
    output: list[Any] = [
        items.Reasoning(id="rs_1", summary=[], content=[items.ReasoningText(text="hm")], status="completed"),
        items.Message(
            id="msg_1",
            role="assistant",
            status="completed",
            content=[
                items.OutputText(text="x", annotations=[], logprobs=[]),
                items.Refusal(refusal="no"),
            ],
        ),
        items.FunctionCall(id="fc_1", call_id="call_1", name="f", arguments="{}", status="completed"),
        items.FunctionCallOutput(id="fco_1", call_id="call_1", output="done", status="completed"),
    ]
    body = b'{"model":"m","input":' + encode(output) + b"}"
    assert ResponseRequest.parse(body).input == output


@pytest.mark.parametrize(
    "fields",
    [
        {"input": []},
        {"input": ""},
        {"input": None, "previous_response_id": "resp_1"},
        {"include": []},
        {"include": ["reasoning.encrypted_content", "web_search_call.action.sources"]},
        {"tools": [], "tool_choice": "auto"},
        {"tool_choice": "none"},
        {"stream": False, "background": False},
        {"stream": True, "stream_options": {"include_obfuscation": False}},
        {"guardrails": [], "agent": None},
        {"agent": {"agent_id": "0b4f"}},
        {"agent": "0b4f", "tool_choice": {"type": "function", "name": "of_the_agent"}},
        {"client_metadata": {"session": "x", "deep": {"a": [1]}}},
        {"reasoning": {"effort": None, "summary": "auto"}},
        {"reasoning": {"mode": "standard", "context": "auto"}},
        {"prompt_cache_retention": "in_memory"},
        {"truncation": "auto", "service_tier": "flex"},
        {"max_tool_calls": 1, "max_infer_iters": 100},
        {"seed": 1, "stop": ["x"], "top_k": -1, "min_p": 0.1, "repetition_penalty": 1.1},
        {"text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "array"}}}},
        {"metadata": {f"k{at}": "x" * 512 for at in range(16)}},
    ],
)
def test_accepted(fields: dict[str, Any]) -> None:
    request = parsed(**fields)
    for name, value in json.loads(encode(request)).items():
        assert value == ({"model": "m", "input": "hi"} | fields)[name]


@pytest.mark.parametrize(
    "parameters",
    [
        None,
        {},
        {"type": "object"},
        {"type": "object", "properties": {}},
        {"type": ["object", "null"]},
        {
            "type": "object",
            "properties": {"a": {"type": "array"}, "b": {"type": ["string", "null"]}, "c": True},
        },
        {
            "$defs": {"a b": {"type": "object"}, "x/y": {"enum": [1, None]}},
            "type": "object",
            "properties": {"a": {"$ref": "#/$defs/a%20b"}, "b": {"$ref": "#/$defs/x~1y"}, "c": {"$ref": "#"}},
            "required": ["a"],
            "additionalProperties": False,
        },
        {"type": "object", "properties": {"type": {"type": "string"}, "$ref": {"type": "string"}}},
        {"type": "object", "properties": {"t": {"items": [{"type": "string"}, {"$ref": "#/properties/t"}]}}},
    ],
)
def test_schemas_of_arguments(parameters: dict[str, Any] | None) -> None:
    request = parsed(tools=[{"type": "function", "name": "f", "parameters": parameters}])
    assert request.tools == [FunctionTool(name="f", parameters=parameters)]


@pytest.mark.parametrize("temperature", [1, None])
def test_a_tool_without_type_is_a_function_on_both_paths(temperature: int | None) -> None:
    """Only one type of tool can be run, so the type goes without saying; the float makes the path the slow one."""
    request = parsed(
        tools=[{"name": "f"}], temperature=temperature, max_output_tokens=16.0 if temperature else 16
    )
    assert request.tools == [FunctionTool(name="f")]


def test_tool_choices() -> None:
    tools = [{"type": "function", "name": name} for name in ("a", "b")]
    allowed = [{"type": "function", "name": "b"}]
    assert parsed(tools=tools, tool_choice="required").tool_choice == "required"
    assert parsed(tools=tools, tool_choice={"type": "function", "name": "a"}).tool_choice == ChooseFunction(
        name="a"
    )
    choice = {"type": "allowed_tools", "mode": "required", "tools": allowed}
    assert parsed(tools=tools, tool_choice=choice).tool_choice == ChooseAllowed(
        mode="required", tools=allowed
    )


def test_ten_thousand_items_and_no_more() -> None:
    request = parsed(input=[{"role": "user", "content": "x"}] * 10_000)
    assert isinstance(request.input, list)
    assert len(request.input) == 10_000
