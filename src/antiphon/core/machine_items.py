"""Items of tools that work a machine: computer, shell, patches, code.

Source of the shapes: `Item`, `ItemResource` and `OutputItem` of the official OpenAPI.
"""

from typing import Literal

from antiphon.core.items import CacheBreakpoint, Caller, CallId, Id, ImageDetail, ItemStatus, Text
from antiphon.core.tools import ContainerReference, LocalEnvironment
from antiphon.core.wire import UNSET, UnsetType, Wire

Keys = list[str] | UnsetType | None


class CodeLogs(Wire, tag="logs"):
    logs: str


class CodeImage(Wire, tag="image"):
    url: str


class CodeInterpreterCall(Wire, tag="code_interpreter_call"):
    """`outputs` is null unless it was asked for by `include`."""

    id: Id
    status: Literal["in_progress", "completed", "incomplete", "interpreting", "failed"]
    container_id: str
    code: str | None
    outputs: list[CodeLogs | CodeImage] | None


class Click(Wire, tag="click"):
    button: Literal["left", "right", "wheel", "back", "forward"]
    x: int
    y: int
    keys: Keys = UNSET


class DoubleClick(Wire, tag="double_click"):
    x: int
    y: int
    keys: Keys = UNSET


class Point(Wire):
    x: int
    y: int


class Drag(Wire, tag="drag"):
    path: list[Point]
    keys: Keys = UNSET


class KeyPress(Wire, tag="keypress"):
    keys: list[str]


class Move(Wire, tag="move"):
    x: int
    y: int
    keys: Keys = UNSET


class TakeScreenshot(Wire, tag="screenshot"):
    pass


class Scroll(Wire, tag="scroll"):
    x: int
    y: int
    scroll_x: int
    scroll_y: int
    keys: Keys = UNSET


class TypeText(Wire, tag="type"):
    text: str


class Wait(Wire, tag="wait"):
    pass


ComputerAction = Click | DoubleClick | Drag | KeyPress | Move | TakeScreenshot | Scroll | TypeText | Wait


class SafetyCheck(Wire):
    id: str
    code: str | UnsetType | None = UNSET
    message: str | UnsetType | None = UNSET


class ComputerCall(Wire, tag="computer_call"):
    """`action` is the older form of `actions`."""

    id: Id
    call_id: CallId
    pending_safety_checks: list[SafetyCheck]
    status: ItemStatus
    action: ComputerAction | UnsetType = UNSET
    actions: list[ComputerAction] | UnsetType = UNSET


class Screenshot(Wire, tag="computer_screenshot"):
    """Also a content part of a stored message."""

    image_url: str | UnsetType | None = UNSET
    file_id: str | UnsetType | None = UNSET
    detail: ImageDetail | UnsetType = UNSET
    prompt_cache_breakpoint: CacheBreakpoint | UnsetType = UNSET


class ComputerCallOutput(Wire, tag="computer_call_output"):
    call_id: CallId
    output: Screenshot
    id: Id | UnsetType | None = UNSET
    acknowledged_safety_checks: list[SafetyCheck] | UnsetType | None = UNSET
    status: Literal["in_progress", "completed", "incomplete", "failed"] | UnsetType | None = UNSET
    created_by: str | UnsetType = UNSET


class LocalShellAction(Wire, tag="exec"):
    command: list[str]
    env: dict[str, str]
    timeout_ms: int | UnsetType | None = UNSET
    working_directory: str | UnsetType | None = UNSET
    user: str | UnsetType | None = UNSET


class LocalShellCall(Wire, tag="local_shell_call"):
    """`status` is required, but the AI SDK sends calls back without it."""

    id: Id
    call_id: CallId
    action: LocalShellAction
    status: ItemStatus = "completed"


class LocalShellCallOutput(Wire, tag="local_shell_call_output"):
    """`call_id` is required by the specification, which forgets to describe it; `id` alone may name the call."""

    output: Text
    id: Id | UnsetType = UNSET
    call_id: CallId | UnsetType = UNSET
    status: ItemStatus | UnsetType | None = UNSET


class ShellAction(Wire):
    commands: list[str]
    timeout_ms: int | UnsetType | None = UNSET
    max_output_length: int | UnsetType | None = UNSET


class ShellCall(Wire, tag="shell_call"):
    call_id: CallId
    action: ShellAction
    id: Id | UnsetType | None = UNSET
    status: ItemStatus | UnsetType | None = UNSET
    environment: LocalEnvironment | ContainerReference | UnsetType | None = UNSET
    caller: Caller | UnsetType | None = UNSET
    created_by: str | UnsetType = UNSET


class ShellTimeout(Wire, tag="timeout"):
    pass


class ShellExit(Wire, tag="exit"):
    exit_code: int


class ShellOutput(Wire):
    """What one command wrote."""

    stdout: Text
    stderr: Text
    outcome: ShellTimeout | ShellExit
    created_by: str | UnsetType = UNSET


class ShellCallOutput(Wire, tag="shell_call_output"):
    call_id: CallId
    output: list[ShellOutput]
    id: Id | UnsetType | None = UNSET
    status: ItemStatus | UnsetType | None = UNSET
    max_output_length: int | UnsetType | None = UNSET
    caller: Caller | UnsetType | None = UNSET
    created_by: str | UnsetType = UNSET


class CreateFile(Wire, tag="create_file"):
    path: str
    diff: Text


class DeleteFile(Wire, tag="delete_file"):
    path: str


class UpdateFile(Wire, tag="update_file"):
    path: str
    diff: Text


class ApplyPatchCall(Wire, tag="apply_patch_call"):
    call_id: CallId
    status: Literal["in_progress", "completed"]
    operation: CreateFile | DeleteFile | UpdateFile
    id: Id | UnsetType | None = UNSET
    caller: Caller | UnsetType | None = UNSET
    created_by: str | UnsetType = UNSET


class ApplyPatchCallOutput(Wire, tag="apply_patch_call_output"):
    call_id: CallId
    status: Literal["completed", "failed"]
    id: Id | UnsetType | None = UNSET
    output: Text | UnsetType | None = UNSET
    caller: Caller | UnsetType | None = UNSET
    created_by: str | UnsetType = UNSET


MachineItem = (
    ComputerCall
    | ComputerCallOutput
    | LocalShellCall
    | LocalShellCallOutput
    | ShellCall
    | ShellCallOutput
    | ApplyPatchCall
    | ApplyPatchCallOutput
)
"""Calls of tools that the client runs on a machine of its own, and their outputs."""
