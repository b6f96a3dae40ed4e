"""What one model call may use: which tools are loaded, how the choice is told, how calls are named for the client."""

from typing import Any

import msgspec
import pytest

from antiphon.core import tool_search
from antiphon.core.client_tools import BadArguments
from antiphon.core.hosted_tools import AnyTool
from antiphon.core.items import CustomToolCall, FunctionCall
from antiphon.core.permission import Permission
from antiphon.core.request import ResponseRequest
from antiphon.core.shown_tools import shown
from antiphon.core.toolbox import MAX_LISTED, Toolbox
from antiphon.core.tools import CustomTool
from antiphon.core.wire import encode
from tests.unit.test_shown_tools import function, namespace, tools_of

SEARCH: dict[str, Any] = {"type": "tool_search"}
WEATHER = function("get_weather", defer_loading=True, description="The weather of a city")
CRM = namespace("crm", function("find", defer_loading=True), function("add"))


def box(*tools: dict[str, Any], choice: Any = None, brought: list[AnyTool] | None = None) -> Toolbox:
    body = {"model": "m", "input": "hi", "tools": list(tools) or None, "tool_choice": choice}
    return Toolbox(ResponseRequest.parse(encode(body)), brought or ())


def choice_of(toolbox: Toolbox) -> Any:
    return msgspec.to_builtins(toolbox.choice())


# --- what is loaded --------------------------------------------------------------------------------------------
def test_a_request_of_functions_goes_through_untouched() -> None:
    request = ResponseRequest.parse(encode({"model": "m", "input": "hi", "tools": [function("f")]}))
    assert Toolbox(request).request() is request
    plain = ResponseRequest.parse(encode({"model": "m", "input": "hi"}))
    assert Toolbox(plain).request() is plain


def test_deferred_tools_are_hidden_while_a_search_can_find_them() -> None:
    toolbox = box(SEARCH, WEATHER, CRM, function("f"))
    assert list(toolbox.names) == ["tool_search", "crm__add", "f"]
    about = toolbox.names["tool_search"].face.description
    assert str(about).endswith("There are: get_weather, crm__find.")


def test_without_a_search_deferred_tools_are_shown_at_once() -> None:
    assert list(box(WEATHER, CRM).names) == ["get_weather", "crm__find", "crm__add"]


def test_a_search_of_the_clients_is_described_by_the_client() -> None:
    toolbox = box({**SEARCH, "execution": "client", "description": "Look it up"}, WEATHER)
    assert toolbox.names["tool_search"].face.description == "Look it up"
    assert not toolbox.is_search("tool_search")
    assert toolbox.is_whole("tool_search")


def test_what_a_search_lists_is_bounded() -> None:
    many = [function(f"f{at}", defer_loading=True) for at in range(MAX_LISTED + 1)]
    about = str(box(SEARCH, *many).names["tool_search"].face.description)
    assert about.endswith(f", f{MAX_LISTED - 1} and more.")


def test_what_was_found_is_loaded_and_can_be_found_again() -> None:
    toolbox = box(SEARCH, WEATHER, CRM)
    found = tool_search.find({"query": "weather"}, toolbox.findable)
    loaded = toolbox.with_loaded(tool_search.definitions(found))
    assert "get_weather" in loaded.names
    assert "crm__find" not in loaded.names
    assert "get_weather" not in str(loaded.names["tool_search"].face.description)
    assert tool_search.find({"query": "weather"}, loaded.findable) == found
    assert "There are" not in str(loaded.with_loaded(tools_of(CRM)).names["tool_search"].face.description)


def test_tools_that_items_brought_are_shown_behind_the_requests_own() -> None:
    brought = tools_of(WEATHER, function("f", description="old"), namespace("new", function("g")))
    toolbox = box(function("f", description="own"), brought=brought)
    assert list(toolbox.names) == ["f", "get_weather", "new__g"]
    assert toolbox.names["f"].face.description == "own"
    sent = toolbox.request()
    assert [tool.name for tool in sent.model_tools] == ["f", "get_weather", "new__g"]
    assert [tool.name for tool in box(brought=brought).request().model_tools] == [
        "get_weather",
        "f",
        "new__g",
    ]


def test_an_item_may_bring_the_search_itself() -> None:
    toolbox = box(WEATHER, brought=tools_of(SEARCH))
    assert list(toolbox.names) == ["tool_search"]
    assert toolbox.is_search("tool_search")


# --- the choice ------------------------------------------------------------------------------------------------
MACHINE: list[dict[str, Any]] = [
    {"type": "computer"},
    {"type": "shell"},
    {"type": "apply_patch"},
    {"type": "local_shell"},
]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (None, None),
        ("auto", "auto"),
        ("none", "none"),
        ("required", "required"),
        ({"type": "shell"}, {"type": "function", "name": "shell"}),
        ({"type": "apply_patch"}, {"type": "function", "name": "apply_patch"}),
        ({"type": "computer"}, {"type": "function", "name": "computer"}),
        ({"type": "computer_use"}, {"type": "function", "name": "computer"}),
        ({"type": "computer_use_preview"}, {"type": "function", "name": "computer"}),
        ({"type": "function", "name": "add"}, {"type": "function", "name": "crm__add"}),
        ({"type": "custom", "name": "note"}, {"type": "custom", "name": "n__note"}),
        (
            {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [
                    {"type": "local_shell"},
                    {"type": "namespace", "name": "crm"},
                    {"type": "function", "name": "crm__add"},
                    {"type": "custom", "name": "note"},
                ],
            },
            {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [
                    {"type": "function", "name": "local_shell"},
                    {"type": "function", "name": "crm__find"},
                    {"type": "function", "name": "crm__add"},
                    {"type": "custom", "name": "n__note"},
                ],
            },
        ),
    ],
)
def test_the_model_is_told_the_choice_by_the_names_that_it_knows(given: Any, told: Any) -> None:
    note = namespace("n", {"type": "custom", "name": "note"})
    assert choice_of(box(*MACHINE, CRM, note, choice=given)) == told


@pytest.mark.parametrize(
    "given",
    [
        {"type": "function", "name": "get_weather"},
        {
            "type": "allowed_tools",
            "mode": "required",
            "tools": [{"type": "function", "name": "get_weather"}],
        },
    ],
)
def test_a_deferred_tool_that_the_choice_names_is_shown_at_once(given: Any) -> None:
    toolbox = box(SEARCH, WEATHER, CRM, choice=given)
    assert list(toolbox.names) == ["tool_search", "get_weather", "crm__add"]
    named = choice_of(toolbox)
    assert named == given


def test_allowed_tools_forbid_what_they_do_not_name() -> None:
    allowed = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "apply_patch"}]}
    toolbox = box(*MACHINE, choice=allowed)
    permission = Permission.of(toolbox.request(), toolbox)
    assert permission.refusal("apply_patch", 0, 1) is None
    assert "may not be called" in str(permission.refusal("shell", 0, 1))


def test_a_call_of_a_tool_that_is_not_loaded_is_told_how_to_load_it() -> None:
    toolbox = box(SEARCH, WEATHER, CRM)
    permission = Permission.of(toolbox.request(), toolbox)
    assert "load it with tool_search" in str(permission.refusal("get_weather", 0, 1))
    loaded = toolbox.with_loaded(tools_of(WEATHER))
    assert Permission.of(loaded.request(), loaded).refusal("get_weather", 0, 2) is None


# --- calls -------------------------------------------------------------------------------------------------------
def test_calls_go_out_by_the_names_that_the_client_gave() -> None:
    toolbox = box(CRM, namespace("n", {"type": "custom", "name": "note"}), function("f"))
    found = toolbox.outward(FunctionCall(call_id="c", name="crm__find", arguments="{}"))
    assert (found.name, found.namespace) == ("find", "crm")
    noted = toolbox.outward(CustomToolCall(call_id="c", name="n__note", input=""))
    assert (noted.name, noted.namespace) == ("note", "n")
    plain = FunctionCall(call_id="c", name="f", arguments="{}")
    assert toolbox.outward(plain) is plain
    strange = FunctionCall(call_id="c", name="x__y", arguments="{}")
    assert toolbox.outward(strange) is strange


def test_only_calls_of_other_types_are_shown_as_a_whole() -> None:
    toolbox = box(*MACHINE, CRM, SEARCH)
    whole = [name for name in toolbox.names if toolbox.is_whole(name)]
    assert whole == ["computer", "shell", "apply_patch", "local_shell", "tool_search"]
    assert not toolbox.is_whole("unheard_of")


@pytest.mark.parametrize(
    "call",
    [
        CustomToolCall(call_id="c", name="shell", input="{}"),
        FunctionCall(call_id="c", name="crm__add", arguments="{}"),
    ],
)
def test_a_call_of_the_wrong_kind_becomes_no_item(call: Any) -> None:
    with pytest.raises(BadArguments):
        box(*MACHINE, CRM).item_of(call)


def test_a_custom_tool_stays_one_in_its_namespace() -> None:
    note = {"type": "custom", "name": "note", "format": {"type": "text"}}
    [tool] = box(namespace("n", note)).request().model_tools
    assert isinstance(tool, CustomTool)
    assert tool.name == "n__note"


# --- the search ----------------------------------------------------------------------------------------------------
CITY = {"type": "object", "properties": {"city": {"type": "string"}}}
AMONG = list(
    shown(
        tools_of(
            function("get_weather_forecast_weather", description="Weather"),
            function("get_weather", parameters=CITY),
            function("sendInvoice", description="Bills a customer"),
            namespace("crm", function("find"), function("add", description="Adds an invoice")),
            {"type": "custom", "name": "run_sql"},
        )
    )
)


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ({"query": "get_weather"}, ["get_weather", "get_weather_forecast_weather"]),
        ({"query": "weather"}, ["get_weather_forecast_weather", "get_weather"]),
        ({"query": "invoices"}, ["sendInvoice", "crm__add"]),
        ({"query": "INVOICE"}, ["sendInvoice", "crm__add"]),
        ({"query": "city"}, ["get_weather"]),
        ({"query": "crm"}, ["crm__find", "crm__add"]),
        ({"query": "crm__add"}, ["crm__add", "crm__find"]),
        ({"query": "customer"}, ["sendInvoice", "crm__find", "crm__add"]),
        ({"query": "sql"}, ["run_sql"]),
        ({"query": "weather", "limit": 1}, ["get_weather_forecast_weather"]),
        ({"query": "weather", "limit": -3}, ["get_weather_forecast_weather"]),
        ({"query": "weather", "limit": "many"}, ["get_weather_forecast_weather", "get_weather"]),
        ({"query": "?!"}, []),
        ({"query": "dragons"}, []),
    ],
)
def test_the_tools_that_fit_best_come_first(arguments: dict[str, Any], found: list[str]) -> None:
    assert [one.face.name for one in tool_search.find(arguments, AMONG)] == found


def test_few_are_found_unless_more_are_asked_for() -> None:
    many = list(shown(tools_of(*(function(f"tool_{at}") for at in range(80)))))
    assert len(tool_search.find({"query": "tool"}, many)) == 5
    assert len(tool_search.find({"query": "tool", "limit": 7}, many)) == 7
    assert len(tool_search.find({"query": "tool", "limit": 10**9}, many)) == 50


def test_what_is_found_of_one_namespace_is_given_together() -> None:
    found = tool_search.definitions([AMONG[4], AMONG[1], AMONG[3]])
    assert [msgspec.to_builtins(one)["name"] for one in found] == ["crm", "get_weather"]
    first = msgspec.to_builtins(found[0])
    assert [tool["name"] for tool in first["tools"]] == ["add", "find"]
    assert next(iter(shown(found))).face == AMONG[4].face


@pytest.mark.parametrize(
    "arguments", ["", "{}", "[]", "{", '{"query": ""}', '{"query": " "}', '{"query": 1}', "[" * 2000]
)
def test_a_search_for_nothing_is_answered_to_the_model(arguments: str) -> None:
    with pytest.raises(BadArguments, match="query"):
        tool_search.arguments_of(FunctionCall(call_id="c", name="tool_search", arguments=arguments))


def test_the_model_is_told_what_it_may_call_now() -> None:
    assert tool_search.said(["a", "b"]) == "Loaded, and can be called now: a, b."
    assert "No tool was found" in tool_search.said([])
