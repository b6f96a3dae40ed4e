"""What a model's call of a client-run tool becomes for the client, and which calls cannot become anything."""

import json
from typing import Any

import msgspec
import pytest

from antiphon.core.client_tools import BadArguments, FixedTool, as_function, item_of
from antiphon.core.hosted_items import ToolSearchCall
from antiphon.core.items import FunctionCall
from antiphon.core.machine_items import ApplyPatchCall, ComputerCall, LocalShellCall, ShellCall
from antiphon.core.tools import (
    ApplyPatchTool,
    ComputerTool,
    ComputerUsePreviewTool,
    ComputerUseTool,
    LocalEnvironment,
    LocalShellTool,
    ShellTool,
    SkillAt,
    ToolSearchTool,
)
from antiphon.core.wire import UNSET
from antiphon.runs import schemas

PREVIEW = ComputerUsePreviewTool(environment="browser", display_width=800, display_height=600)
CLIENT_SEARCH = ToolSearchTool(execution="client")
EVERY: list[FixedTool] = [
    ComputerTool(),
    ComputerUseTool(),
    PREVIEW,
    LocalShellTool(),
    ShellTool(),
    ApplyPatchTool(),
    CLIENT_SEARCH,
]


def made(tool: FixedTool, arguments: Any) -> Any:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return item_of(tool, FunctionCall(call_id="call_1", name="any", arguments=text))


def why_not(tool: FixedTool, arguments: Any) -> str:
    with pytest.raises(BadArguments) as caught:
        made(tool, arguments)
    return str(caught.value)


@pytest.mark.parametrize("tool", EVERY, ids=lambda tool: type(tool).__name__)
def test_what_the_model_is_shown_is_a_function_that_any_chat_api_takes(tool: FixedTool) -> None:
    face = as_function(tool)
    assert 1 <= len(face.name) <= 64
    assert face.description
    assert face.parameters is not None
    assert face.parameters["type"] == "object"
    assert schemas.fault(face.parameters) is None
    assert set(face.parameters["required"]) <= set(face.parameters["properties"])


@pytest.mark.parametrize("tool", EVERY, ids=lambda tool: type(tool).__name__)
@pytest.mark.parametrize("arguments", ["{", "[]", '"x"', "null", "1", "[" * 2000])
def test_arguments_that_are_no_json_object_are_answered_to_the_model(tool: FixedTool, arguments: str) -> None:
    assert why_not(tool, arguments).startswith("the arguments ")


# --- computer ------------------------------------------------------------------------------------------------
CLICK = {"type": "click", "button": "left", "x": 1, "y": 2}


@pytest.mark.parametrize("tool", [ComputerTool(), ComputerUseTool()])
def test_actions_of_a_computer_are_kept_in_order(tool: FixedTool) -> None:
    item = made(tool, {"actions": [CLICK, {"type": "screenshot"}]})
    assert isinstance(item, ComputerCall)
    assert msgspec.to_builtins(item) == {
        "type": "computer_call",
        "id": "",
        "call_id": "call_1",
        "pending_safety_checks": [],
        "status": "completed",
        "actions": [CLICK, {"type": "screenshot"}],
    }


def test_the_preview_tool_has_one_action_and_is_described_so() -> None:
    item = made(PREVIEW, {"actions": [CLICK]})
    assert msgspec.to_builtins(item.action) == CLICK
    assert item.actions is UNSET
    assert "one action" in why_not(PREVIEW, {"actions": [CLICK, CLICK]})
    assert "800 by 600" in str(as_function(PREVIEW).description)
    assert "one action" in str(as_function(PREVIEW).description)


EACH_ACTION: list[dict[str, Any]] = [
    CLICK,
    {"type": "double_click", "x": 1, "y": 2},
    {"type": "drag", "path": [{"x": 1, "y": 2}, {"x": 3, "y": 4}]},
    {"type": "keypress", "keys": ["CTRL", "A"]},
    {"type": "move", "x": 1, "y": 2},
    {"type": "screenshot"},
    {"type": "scroll", "x": 1, "y": 2, "scroll_x": 0, "scroll_y": 5},
    {"type": "type", "text": "hi"},
    {"type": "wait"},
]


@pytest.mark.parametrize("action", EACH_ACTION, ids=lambda action: str(action["type"]))
@pytest.mark.parametrize("fill", [None, 0])
def test_an_action_keeps_its_own_properties_whatever_the_model_gives_beside_them(
    action: dict[str, Any], fill: int | None
) -> None:
    """Models that must name every property give null for it, or nothing that means anything."""
    foreign = {"button": fill, "x": fill, "y": fill, "scroll_x": fill, "scroll_y": fill, "text": fill}
    foreign = {name: value for name, value in foreign.items() if name not in action}
    item = made(ComputerTool(), {"actions": [{**foreign, "path": None, **action}]})
    assert msgspec.to_builtins(item.actions) == [action]


def test_what_an_action_leaves_out_and_can_only_mean_one_thing_is_filled_in() -> None:
    given = [{"type": "click", "x": 1, "y": 2}, {"type": "scroll", "x": 1, "y": 2, "scroll_y": 3}]
    item = made(ComputerTool(), {"actions": given})
    assert [item.actions[0].button, item.actions[1].scroll_x] == ["left", 0]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, "at least one action"),
        ({"actions": []}, "at least one action"),
        ({"actions": "click"}, "at least one action"),
        ({"actions": [CLICK, {"type": "fly"}]}, "actions[1].type: give one of click, "),
        ({"actions": ["click"]}, "actions[0].type"),
        ({"actions": [{"type": ["click"]}]}, "actions[0].type"),
        ({"actions": [{"type": "click", "x": "left"}]}, "actions[0]: "),
        ({"actions": [{"type": "move", "x": 1.5, "y": 0}]}, "actions[0]: "),
        ({"actions": [{"type": "type"}]}, "actions[0]: Object missing required field `text`"),
    ],
)
def test_actions_that_cannot_be_done_are_told_by_their_place(arguments: Any, told: str) -> None:
    assert told in why_not(ComputerTool(), arguments)


# --- shells --------------------------------------------------------------------------------------------------
def test_a_shell_call_has_every_field_of_its_action() -> None:
    item = made(ShellTool(), {"commands": ["ls", "pwd"], "timeout_ms": None})
    assert isinstance(item, ShellCall)
    assert msgspec.to_builtins(item.action) == {
        "commands": ["ls", "pwd"],
        "timeout_ms": None,
        "max_output_length": None,
    }
    assert item.environment is None


def test_a_shell_call_tells_where_it_is_to_run_and_the_model_which_skills_there_are() -> None:
    skills = [SkillAt(name="tidy", description="Tidies up", path="/skills/tidy")]
    tool = ShellTool(environment=LocalEnvironment(skills=skills))
    assert made(tool, {"commands": ["ls"], "max_output_length": 5}).environment == LocalEnvironment()
    assert "- tidy: Tidies up (/skills/tidy)" in str(as_function(tool).description)


def test_a_local_shell_call_is_one_program_with_its_arguments() -> None:
    given = {"command": ["ls", "-l"], "env": {"A": "b"}, "working_directory": "/x", "user": None}
    item = made(LocalShellTool(), given)
    assert isinstance(item, LocalShellCall)
    assert msgspec.to_builtins(item.action) == {
        "type": "exec",
        "command": ["ls", "-l"],
        "env": {"A": "b"},
        "working_directory": "/x",
    }
    assert made(LocalShellTool(), {"command": ["ls"]}).action.env == {}


@pytest.mark.parametrize("tool", [ShellTool(), LocalShellTool()])
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"commands": [], "command": []},
        {"commands": [], "timeout_ms": 1},
        {"command": "ls", "commands": "ls"},
        {"commands": [1], "command": [1]},
        {"commands": ["ls"], "command": ["ls"], "timeout_ms": "soon"},
        {"commands": ["ls"], "command": ["ls"], "sudo": True},
    ],
)
def test_commands_that_cannot_be_run_are_answered_to_the_model(tool: FixedTool, arguments: Any) -> None:
    assert why_not(tool, arguments)


# --- patches and searches ------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["create_file", "update_file"])
def test_a_patch_writes_or_changes_one_file(kind: str) -> None:
    operation = {"type": kind, "path": "a.txt", "diff": "+a"}
    item = made(ApplyPatchTool(), operation)
    assert isinstance(item, ApplyPatchCall)
    assert msgspec.to_builtins(item.operation) == operation


@pytest.mark.parametrize("diff", ["", None, "-a"])
def test_deleting_a_file_needs_no_diff(diff: str | None) -> None:
    item = made(ApplyPatchTool(), {"type": "delete_file", "path": "a.txt", "diff": diff})
    assert msgspec.to_builtins(item.operation) == {"type": "delete_file", "path": "a.txt"}


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"type": "update_file", "path": "a.txt"},
        {"type": "update_file", "path": "", "diff": "x"},
        {"type": "create_file", "path": "a.txt", "diff": None},
        {"type": "rename_file", "path": "a.txt", "diff": "x"},
        {"type": "create_file", "path": 1, "diff": "x"},
        {"type": "create_file", "path": "a.txt", "diff": "x" * (10 * 1024 * 1024 + 1)},
    ],
)
def test_patches_that_say_too_little_or_too_much_are_answered_to_the_model(arguments: Any) -> None:
    assert why_not(ApplyPatchTool(), arguments)


def test_a_search_that_the_client_makes_has_the_arguments_that_the_client_asked_for() -> None:
    item = made(CLIENT_SEARCH, {"goal": "weather", "deep": {"x": None}, "none": None})
    assert isinstance(item, ToolSearchCall)
    assert (item.call_id, item.execution) == ("call_1", "client")
    assert item.arguments == {"goal": "weather", "deep": {"x": None}, "none": None}
    own = {"type": "object", "properties": {"goal": {"type": "string"}}}
    face = as_function(ToolSearchTool(execution="client", description="Look it up", parameters=own))
    assert (face.description, face.parameters) == ("Look it up", own)
