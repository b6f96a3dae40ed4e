"""Under which names models know tools, and which tools a choice means."""

import re
from typing import Any

import msgspec
import pytest

from antiphon.core import tool_rules
from antiphon.core.errors import InvalidRequest
from antiphon.core.hosted_tools import AnyTool
from antiphon.core.request import ResponseRequest
from antiphon.core.shown_tools import MAX_NAME, named, shown, shown_name
from antiphon.core.tools import CustomTool, FunctionTool, GrammarFormat
from antiphon.core.wire import encode

_TOOLS = msgspec.json.Decoder(list[AnyTool])


def tools_of(*given: dict[str, Any]) -> list[AnyTool]:
    return _TOOLS.decode(encode(given))


def function(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "function", "name": name, **more}


def namespace(name: str, *tools: dict[str, Any]) -> dict[str, Any]:
    return {"type": "namespace", "name": name, "description": "Customers", "tools": list(tools)}


def refusal(**body: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        ResponseRequest.parse(encode({"model": "m", "input": "hi", **body}))
    return caught.value


# --- names ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("space", "name", "known_as"),
    [
        (None, "find", "find"),
        ("crm", "find", "crm__find"),
        ("my crm/é", "find", "my_crm____find"),
        ("crm", "f" * 59, "crm__" + "f" * 59),
    ],
)
def test_a_tool_in_a_namespace_is_known_by_both_names(space: str | None, name: str, known_as: str) -> None:
    assert shown_name(space, name) == known_as


def test_a_name_that_is_too_long_ends_in_a_checksum_of_the_whole() -> None:
    first, second = shown_name("crm", "f" * 60), shown_name("crm", "f" * 61)
    assert first != second
    for name in (first, second):
        assert len(name) == MAX_NAME
        assert re.fullmatch(r"crm__f+_[0-9a-f]{8}", name)
    assert shown_name("crm", "f" * 60) == first


def test_tools_of_a_namespace_are_shown_with_what_the_namespace_is_about() -> None:
    grammar = {"type": "grammar", "syntax": "regex", "definition": "a+"}
    given = namespace(
        "crm",
        function("find", description="Finds", parameters={}, strict=True),
        {"type": "custom", "name": "ask", "format": grammar},
    )
    found, asked = shown(tools_of(given))
    assert isinstance(found.face, FunctionTool)
    assert (found.face.name, found.name, found.namespace) == ("crm__find", "find", "crm")
    assert found.face.description == "Finds (one of crm: Customers)"
    assert found.face.strict is True
    assert isinstance(asked.face, CustomTool)
    assert isinstance(asked.face.format, GrammarFormat)
    assert asked.face.name == "crm__ask"
    assert msgspec.to_builtins(asked.sent)["tools"] == [given["tools"][1]]


@pytest.mark.parametrize(
    ("tools", "param", "told"),
    [
        ([{"type": "shell"}, function("shell")], "tools[1].name", 'as "shell", as it does tools[0]'),
        ([function("shell"), {"type": "shell"}], "tools[1]", 'as "shell", as it does tools[0].name'),
        (
            [
                {"type": "computer"},
                {
                    "type": "computer_use_preview",
                    "environment": "mac",
                    "display_width": 1,
                    "display_height": 1,
                },
            ],
            "tools[1]",
            '"computer"',
        ),
        (
            [namespace("a b", function("f")), namespace("a_b", function("f"))],
            "tools[1].tools[0].name",
            "a_b__f",
        ),
        ([namespace("a", function("f"), function("f"))], "tools[0].tools[1].name", "a__f"),
        (
            [function("a__f"), namespace("a", function("g"), function("f"))],
            "tools[1].tools[1].name",
            "tools[0].name",
        ),
        ([{"type": "tool_search"}, {"type": "tool_search"}], "tools[1]", "tool_search"),
    ],
)
def test_two_tools_that_the_model_would_know_by_one_name_are_refused(
    tools: list[dict[str, Any]], param: str, told: str
) -> None:
    error = refusal(tools=tools)
    assert error.param == param
    assert told in error.message


@pytest.mark.parametrize(
    ("own", "brought", "param"),
    [
        ({"type": "shell"}, function("shell"), "input[1].tools[0].name"),
        (function("shell"), {"type": "shell"}, "input[1].tools[0]"),
        (function("a__f"), namespace("a", function("g"), function("f")), "input[1].tools[0].tools[1].name"),
        (function("f"), {"type": "custom", "name": "f"}, "input[1].tools[0].name"),
    ],
)
def test_what_an_item_brings_is_no_other_tool_of_the_same_name(
    own: dict[str, Any], brought: dict[str, Any], param: str
) -> None:
    brings: dict[str, Any] = {"type": "additional_tools", "role": "developer", "tools": [brought]}
    user = {"role": "user", "content": "x"}
    error = refusal(tools=[own], input=[user, brings])
    assert error.param == param
    assert "as it does another tool of `tools`" in error.message
    again = {**brings, "tools": [own]}
    made = ResponseRequest.parse(encode({"model": "m", "tools": [own], "input": [user, again]}))
    assert made.tools is not None


# --- what a choice means ---------------------------------------------------------------------------------------
EVERY = tools_of(
    function("find"),
    namespace("crm", function("find"), function("add"), {"type": "custom", "name": "note"}),
    {"type": "computer"},
    {"type": "local_shell"},
    {"type": "shell"},
    {"type": "apply_patch"},
    {"type": "tool_search"},
)


@pytest.mark.parametrize(
    ("entry", "meant"),
    [
        ({"type": "function", "name": "find"}, ["find"]),
        ({"type": "function", "name": "crm__find"}, ["crm__find"]),
        ({"type": "function", "name": "add"}, ["crm__add"]),
        ({"type": "custom", "name": "note"}, ["crm__note"]),
        ({"type": "custom", "name": "find"}, []),
        ({"type": "function", "name": "shell"}, []),
        ({"type": "namespace", "name": "crm"}, ["crm__find", "crm__add", "crm__note"]),
        ({"type": "namespace"}, []),
        ({"type": "computer"}, ["computer"]),
        ({"type": "computer_use"}, ["computer"]),
        ({"type": "computer_use_preview"}, ["computer"]),
        ({"type": "local_shell"}, ["local_shell"]),
        ({"type": "shell"}, ["shell"]),
        ({"type": "apply_patch"}, ["apply_patch"]),
        ({"type": "tool_search"}, ["tool_search"]),
        ({"type": "web_search"}, []),
    ],
)
def test_an_entry_means_tools_by_type_and_name(entry: dict[str, Any], meant: list[str]) -> None:
    assert [one.face.name for one in named(entry, list(shown(EVERY)))] == meant


def test_the_order_of_tools_decides_nothing_about_what_an_entry_means() -> None:
    turned = list(shown([EVERY[1], EVERY[0]]))
    assert [one.face.name for one in named({"type": "function", "name": "find"}, turned)] == ["find"]


SPACES = [namespace("a", function("f")), namespace("b", function("f"))]


@pytest.mark.parametrize(
    ("tools", "choice", "param", "told"),
    [
        ([function("f")], {"type": "shell"}, "tool_choice", 'no tool of type "shell"'),
        ([{"type": "shell"}], {"type": "apply_patch"}, "tool_choice", 'no tool of type "apply_patch"'),
        ([{"type": "shell"}], {"type": "function", "name": "shell"}, "tool_choice.name", "there: none"),
        (SPACES, {"type": "function", "name": "f"}, "tool_choice.name", "one of a__f, b__f"),
        (
            SPACES,
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "namespace", "name": "c"}]},
            "tool_choice.tools[0].name",
            "there: a, b",
        ),
        (
            SPACES,
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "shell"}]},
            "tool_choice.tools[0]",
            'no tool of type "shell"',
        ),
        (
            SPACES,
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "spaceship"}]},
            "tool_choice.tools[0].type",
            "expected one of",
        ),
        (None, "required", "tool_choice", "needs `tools`"),
    ],
)
def test_a_choice_of_what_is_not_there_is_refused(
    tools: list[dict[str, Any]] | None, choice: Any, param: str, told: str
) -> None:
    error = refusal(tools=tools, tool_choice=choice)
    assert error.param == param
    assert told in error.message


@pytest.mark.parametrize(
    "choice", [{"type": "function", "name": "f"}, "required", {"type": "function", "name": "a__g"}]
)
def test_a_tool_that_an_item_brings_can_be_chosen(choice: Any) -> None:
    tools = [function("f"), namespace("a", function("g"))]
    brings = {"type": "additional_tools", "role": "developer", "tools": tools}
    items = [{"role": "user", "content": "x"}, brings]
    made = ResponseRequest.parse(encode({"model": "m", "input": items, "tool_choice": choice}))
    assert made.tool_choice is not None


def test_a_choice_in_a_continued_conversation_is_judged_when_that_was_read() -> None:
    body = {
        "model": "m",
        "previous_response_id": "resp_1",
        "tool_choice": {"type": "function", "name": "f"},
    }
    made = ResponseRequest.parse(encode(body))
    assert made.tool_choice is not None
    with pytest.raises(InvalidRequest, match='"f" is not among `tools`'):
        tool_rules.check_choice(made.tool_choice, [])
    tool_rules.check_choice(made.tool_choice, tools_of(function("f")))


# --- what else is refused --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"tools": [{"type": "shell", "environment": {"type": "container_auto"}}]}, "tools[0].environment"),
        (
            {
                "tools": [
                    {"type": "shell", "environment": {"type": "container_reference", "container_id": "c"}}
                ]
            },
            "tools[0].environment",
        ),
        ({"tools": [{"type": "tool_search", "parameters": {"type": "object"}}]}, "tools[0].parameters"),
        (
            {"tools": [{"type": "tool_search", "execution": "client", "parameters": {"type": "array"}}]},
            "tools[0].parameters.type",
        ),
        (
            {"tools": [namespace("a", function("f", parameters={"type": "x"}))]},
            "tools[0].tools[0].parameters.type",
        ),
        (
            {"tools": [namespace("a", function("f", output_schema={"type": "x"}))]},
            "tools[0].tools[0].output_schema.type",
        ),
        ({"tools": [namespace("a", {"type": "custom", "name": "a b"})]}, "tools[0].tools[0].name"),
        (
            {"input": [{"type": "additional_tools", "role": "user", "tools": [function("f")]}]},
            "input[0].role",
        ),
        (
            {
                "input": [
                    {
                        "type": "additional_tools",
                        "role": "developer",
                        "tools": [namespace("a", function("f", parameters={"type": "x"}))],
                    }
                ]
            },
            "input[0].tools[0].tools[0].parameters.type",
        ),
        (
            {"input": [{"type": "tool_search_output", "call_id": "c", "tools": [{"type": "web_search"}]}]},
            "input[0].tools[0].type",
        ),
        (
            {
                "input": [
                    {
                        "type": "computer_call_output",
                        "call_id": "c",
                        "output": {"type": "computer_screenshot"},
                    }
                ]
            },
            "input[0].output.image_url",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_by_its_place(body: dict[str, Any], param: str) -> None:
    assert refusal(**body).param == param
