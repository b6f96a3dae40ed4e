"""Tools that the client runs, as functions: what a model is shown of each, and what its call becomes.

Chat models know functions only. A tool of another type is shown to them as a function of a fixed name, and their call
is given back as the item that the API has for it. The way back, from items to calls, is `seen`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, get_args

import msgspec

from antiphon.core.hosted_items import ToolSearchCall
from antiphon.core.items import FunctionCall
from antiphon.core.json_values import is_array, is_object
from antiphon.core.machine_items import (
    ApplyPatchCall,
    ComputerAction,
    ComputerCall,
    CreateFile,
    DeleteFile,
    LocalShellAction,
    LocalShellCall,
    ShellAction,
    ShellCall,
    UpdateFile,
)
from antiphon.core.tools import (
    ApplyPatchTool,
    ComputerTool,
    ComputerUsePreviewTool,
    ComputerUseTool,
    FunctionTool,
    LocalEnvironment,
    LocalShellTool,
    ShellTool,
    ToolSearchTool,
)
from antiphon.core.wire import UNSET, JsonObject, decode_json

ClientCall = ComputerCall | LocalShellCall | ShellCall | ApplyPatchCall | ToolSearchCall
FixedTool = (
    ComputerTool
    | ComputerUseTool
    | ComputerUsePreviewTool
    | LocalShellTool
    | ShellTool
    | ApplyPatchTool
    | ToolSearchTool
)

COMPUTER: Final = "computer"
LOCAL_SHELL: Final = "local_shell"
SHELL: Final = "shell"
APPLY_PATCH: Final = "apply_patch"
TOOL_SEARCH: Final = "tool_search"
FOUND_AT_ONCE: Final = 5


_ACTIONS: Final[Mapping[str, type[ComputerAction]]] = MappingProxyType(
    {str(one.__struct_config__.tag): one for one in get_args(ComputerAction)}
)
_LEFT_OUT: Final[Mapping[str, JsonObject]] = MappingProxyType(
    {"click": {"button": "left"}, "scroll": {"scroll_x": 0, "scroll_y": 0}}
)
"""What is meant by an action without it."""


class BadArguments(Exception):
    """A model's call that cannot be given back; the message tells the model why."""


# --- what the model is shown ---------------------------------------------------------------------------------
def as_function(tool: FixedTool) -> FunctionTool:
    """The function that stands for a tool."""
    match tool:
        case ComputerTool() | ComputerUseTool() | ComputerUsePreviewTool():
            return FunctionTool(name=COMPUTER, description=_screen(tool), parameters=_COMPUTER)
        case LocalShellTool():
            text = "Run one command on the user's machine. The first word is the program; there is no shell around it."
            return FunctionTool(name=LOCAL_SHELL, description=text, parameters=_LOCAL_SHELL)
        case ShellTool():
            return FunctionTool(name=SHELL, description=_shell(tool), parameters=_SHELL)
        case ApplyPatchTool():
            return FunctionTool(name=APPLY_PATCH, description=_PATCHING, parameters=_APPLY_PATCH)
        case ToolSearchTool():
            return FunctionTool(
                name=TOOL_SEARCH,
                description=tool.description or "Find tools that are not listed yet, and load them for use.",
                parameters=tool.parameters or _TOOL_SEARCH,
            )


def _screen(tool: ComputerTool | ComputerUseTool | ComputerUsePreviewTool) -> str:
    text = "Work the user's computer by mouse and keyboard. The result is a screenshot of what came of it."
    if isinstance(tool, ComputerTool):
        return text
    if isinstance(tool, ComputerUsePreviewTool):
        text += " Give one action in a call."
    if isinstance(tool.display_width, int) and isinstance(tool.display_height, int):
        text += f" The screen is {tool.display_width} by {tool.display_height} pixels."
    if isinstance(tool.environment, str):
        text += f" It is a {tool.environment} environment."
    return text


def _shell(tool: ShellTool) -> str:
    text = "Run shell commands on the user's machine, in order; the result has the output of each."
    place = tool.environment
    skills = place.skills if isinstance(place, LocalEnvironment) else UNSET
    if skills is UNSET or not skills:
        return text
    lines = [f"- {skill.name}: {skill.description} ({skill.path})" for skill in skills]
    return "\n".join([text, "Skills, each a folder with instructions in its SKILL.md:", *lines])


# --- what a call becomes -------------------------------------------------------------------------------------
def item_of(tool: FixedTool, call: FunctionCall) -> ClientCall:
    """The item that a model's call of this tool is for the client. Raises BadArguments."""
    given = arguments_of(call)
    arguments = _without_nulls(given)
    try:
        match tool:
            case ComputerTool() | ComputerUseTool() | ComputerUsePreviewTool():
                return _computer_call(tool, call, arguments)
            case LocalShellTool():
                return _local_shell_call(call, arguments)
            case ShellTool():
                return _shell_call(tool, call, arguments)
            case ApplyPatchTool():
                return _patch_call(call, arguments)
            case ToolSearchTool():
                return ToolSearchCall(
                    call_id=call.call_id, execution="client", arguments=given, status="completed"
                )
    except msgspec.ValidationError as error:
        raise BadArguments(f"the arguments do not fit: {error}") from None


def arguments_of(call: FunctionCall) -> JsonObject:
    """What a model gave as arguments. Raises BadArguments."""
    try:
        value = decode_json(call.arguments or "{}")
    except (msgspec.DecodeError, RecursionError):
        raise BadArguments("the arguments are not valid JSON") from None
    if not is_object(value):
        raise BadArguments("the arguments must be a JSON object")
    return value


def _without_nulls(value: JsonObject) -> JsonObject:
    """Models that must name every property give null for those they do not use."""
    kept = {name: one for name, one in value.items() if one is not None}
    for name, one in kept.items():
        if is_array(one):
            kept[name] = [_without_nulls(entry) if is_object(entry) else entry for entry in one]
    return kept


def _computer_call(
    tool: ComputerTool | ComputerUseTool | ComputerUsePreviewTool, call: FunctionCall, arguments: JsonObject
) -> ComputerCall:
    """The preview tool knows one action per call."""
    given = arguments.get("actions")
    if not is_array(given) or not given:
        raise BadArguments("actions: give a list with at least one action")
    one = isinstance(tool, ComputerUsePreviewTool)
    if one and len(given) > 1:
        raise BadArguments("actions: give one action; the next one when you have seen its screenshot")
    actions = [_action(action, f"actions[{at}]") for at, action in enumerate(given)]
    return ComputerCall(
        id="",
        call_id=call.call_id,
        pending_safety_checks=[],
        status="completed",
        action=actions[0] if one else UNSET,
        actions=UNSET if one else actions,
    )


def _action(given: object, path: str) -> ComputerAction:
    """A model may give every property that the parameters have; an action keeps its own."""
    kind = given.get("type") if is_object(given) else None
    known = _ACTIONS.get(kind) if isinstance(kind, str) else None
    if known is None or not is_object(given):
        raise BadArguments(f"{path}.type: give one of {', '.join(_ACTIONS)}")
    kept = {name: given[name] for name in ("type", *known.__struct_fields__) if name in given}
    try:
        return msgspec.convert({**_LEFT_OUT.get(str(kind), {}), **kept}, known)
    except msgspec.ValidationError as error:
        raise BadArguments(f"{path}: {error}") from None


def _local_shell_call(call: FunctionCall, arguments: JsonObject) -> LocalShellCall:
    action = msgspec.convert({"type": "exec", "env": {}, **arguments}, LocalShellAction)
    if not action.command:
        raise BadArguments("command: give the program and its arguments")
    return LocalShellCall(id="", call_id=call.call_id, action=action, status="completed")


def _shell_call(tool: ShellTool, call: FunctionCall, arguments: JsonObject) -> ShellCall:
    action = msgspec.convert(arguments, ShellAction)
    if not action.commands:
        raise BadArguments("commands: give at least one command")
    whole = msgspec.structs.replace(
        action,
        timeout_ms=action.timeout_ms if action.timeout_ms is not UNSET else None,
        max_output_length=action.max_output_length if action.max_output_length is not UNSET else None,
    )
    place = LocalEnvironment() if isinstance(tool.environment, LocalEnvironment) else None
    return ShellCall(call_id=call.call_id, action=whole, status="completed", environment=place)


def _patch_call(call: FunctionCall, arguments: JsonObject) -> ApplyPatchCall:
    """A `delete_file` that brings a diff along means what it says."""
    kind = arguments.get("type")
    if kind == "delete_file":
        arguments = {name: value for name, value in arguments.items() if name != "diff"}
    operation = msgspec.convert(arguments, CreateFile | DeleteFile | UpdateFile)
    if not operation.path:
        raise BadArguments("path: give the file")
    return ApplyPatchCall(call_id=call.call_id, status="completed", operation=operation)


# --- parameters ----------------------------------------------------------------------------------------------
def _object(required: list[str], **properties: JsonObject) -> JsonObject:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _text(description: str, **more: Any) -> JsonObject:
    return {"type": "string", "description": description, **more}


def _number(description: str) -> JsonObject:
    return {"type": "integer", "description": description}


def _list_of(items: JsonObject, description: str) -> JsonObject:
    return {"type": "array", "items": items, "description": description}


_TIMEOUT = _number("Milliseconds after which to stop it.")
_LOCAL_SHELL = _object(
    ["command"],
    command=_list_of({"type": "string"}, "The program and its arguments."),
    working_directory=_text("Where to run it."),
    env={
        "type": "object",
        "additionalProperties": {"type": "string"},
        "description": "Environment variables.",
    },
    timeout_ms=_TIMEOUT,
    user=_text("The user to run it as."),
)
_SHELL = _object(
    ["commands"],
    commands=_list_of({"type": "string"}, "The commands, each as one would type it."),
    timeout_ms=_TIMEOUT,
    max_output_length=_number("Characters of output to keep of each command."),
)
_PATCHING = (
    "Create, change or delete one file of the user's. `diff` has no file header. To create a file: its lines, each"
    " behind a plus. To update one: hunks, each a line `@@` (a function or class may follow it) and then lines behind"
    " a space (unchanged, for context), a minus (removed) or a plus (added)."
)
_APPLY_PATCH = _object(
    ["type", "path"],
    type=_text("What to do.", enum=["create_file", "update_file", "delete_file"]),
    path=_text("The file, relative to the working directory."),
    diff=_text("What to write or to change; none to delete."),
)
_TOOL_SEARCH = _object(
    ["query"],
    query=_text("What the tool should do, in a few words, or its name."),
    limit={
        "type": "integer",
        "minimum": 1,
        "maximum": 50,
        "description": f"How many tools to load at most; {FOUND_AT_ONCE} when left out.",
    },
)
_KEYS = _list_of({"type": "string"}, "keypress: the keys, pressed together; else keys held during it.")
_POINT = _object(["x", "y"], x=_number("Pixels from the left."), y=_number("Pixels from the top."))
_ACTION = _object(
    ["type"],
    type=_text(
        "What to do.",
        enum=[
            "click",
            "double_click",
            "drag",
            "keypress",
            "move",
            "screenshot",
            "scroll",
            "type",
            "wait",
        ],
    ),
    button=_text("click: which one.", enum=["left", "right", "wheel", "back", "forward"]),
    x=_number("click, double_click, move, scroll: pixels from the left."),
    y=_number("click, double_click, move, scroll: pixels from the top."),
    scroll_x=_number("scroll: pixels to the right."),
    scroll_y=_number("scroll: pixels down."),
    path=_list_of(_POINT, "drag: the points on the way."),
    keys=_KEYS,
    text=_text("type: what to type."),
)
_COMPUTER = _object(["actions"], actions=_list_of(_ACTION, "What to do, in order."))
