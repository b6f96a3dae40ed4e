"""The table of refusals: each row refuses, by name and place, and the page of the docs is made from it."""

import json
from pathlib import Path
from typing import Any

import pytest

from antiphon.core import body, hosted_items, hosted_tools, support, tools
from antiphon.core.errors import UnsupportedParameter
from antiphon.core.request import ResponseRequest

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "refused.md"
ASKING: dict[str, Any] = {
    "background": True,
    "conversation": "conv_1",
    "context_management": [{"type": "compaction"}],
    "moderation": {"model": "m"},
    "multi_agent": {"enabled": True},
    "prompt_cache_retention": "24h",
    "prompt_cache_options": {"mode": "explicit"},
    "reasoning.mode": "pro",
    "reasoning.context": "current_turn",
    "guardrails": ["no-pii"],
    "personality": "friendly",
    "chat_template_kwargs": {"enable_thinking": False},
}


def asking_for(row: support.Row) -> tuple[dict[str, Any], str]:
    """A body that asks for what the row refuses, and the path at which it is refused."""
    asked: dict[str, Any] = {"model": "m", "input": "hi"}
    match row.place:
        case "parameter":
            outer, _, inner = row.name.partition(".")
            asked[outer] = {inner: ASKING[row.name]} if inner else ASKING[row.name]
            return asked, row.name
        case "tool":
            return asked | {"tools": [{"type": row.name}]}, "tools[0].type"
        case "tool_choice":
            return asked | {"tool_choice": {"type": row.name}}, "tool_choice.type"
        case "item":
            return asked | {"input": [{"role": "user", "content": "x"}, {"type": row.name}]}, "input[1]"
        case "content":
            kind, _, key = row.name.partition(".")
            if kind == "shell":
                container = {"type": "container_auto"}
                return asked | {"tools": [{"type": "shell", key: container}]}, f"tools[0].{key}"
            if kind == "computer_screenshot":
                item = {"type": "computer_call_output", "call_id": "c", "output": {"type": kind, key: "x"}}
                return asked | {"input": [item]}, f"input[0].output.{key}"
            part = {"type": kind, key: "x"}
            return asked | {"input": [{"role": "user", "content": [part]}]}, f"input[0].content[0].{key}"


@pytest.mark.parametrize("row", support.rows(), ids=lambda row: f"{row.place}-{row.name}")
def test_each_row_refuses_with_its_place_and_advice(row: support.Row) -> None:
    asked, param = asking_for(row)
    with pytest.raises(UnsupportedParameter) as caught:
        ResponseRequest.parse(json.dumps(asked).encode())
    error = caught.value
    assert (error.status, error.code, error.param) == (400, "unsupported_parameter", param)
    assert row.why in error.message
    assert row.instead in error.message


def test_inner_places_are_refused_too() -> None:
    choice = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "web_search"}]}
    with pytest.raises(UnsupportedParameter) as caught:
        ResponseRequest.parse(json.dumps({"model": "m", "input": "hi", "tool_choice": choice}).encode())
    assert caught.value.param == "tool_choice.tools[0].type"


def tags_of(union: Any) -> set[str]:
    return {one.__struct_config__.tag for one in union.__args__}


def test_every_hosted_type_of_the_specification_has_a_row() -> None:
    named = {place: {row.name for row in support.rows() if row.place == place} for place in ("tool", "item")}
    assert tags_of(hosted_tools.AnyTool) - tags_of(tools.Tool) <= named["tool"]
    assert tags_of(hosted_items.AnyInputItem) - tags_of(body.InputItem) <= named["item"]
    assert not tags_of(tools.Tool) & named["tool"]
    assert not tags_of(body.InputItem) & named["item"]
    choices = {row.name for row in support.rows() if row.place == "tool_choice"}
    served = {
        one.__struct_config__.tag for one in tools.ToolChoice.__args__ if hasattr(one, "__struct_config__")
    }
    assert tags_of(hosted_tools.HostedChoice) - served <= choices


def test_each_known_extension_is_a_field_of_the_request() -> None:
    assert {one.name for one in support.extensions()} <= set(ResponseRequest.__struct_fields__)


def test_the_page_of_the_docs_is_up_to_date() -> None:
    assert PAGE.read_text() == support.as_markdown(), f"write support.as_markdown() to {PAGE.name}"
