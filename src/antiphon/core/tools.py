"""Tool specifications of a request, and `tool_choice`."""

from typing import Literal

from antiphon.core.wire import UNSET, JsonObject, UnsetType, Wire


class FunctionTool(Wire, tag="function"):
    """A function that the client runs. `parameters` is a JSON Schema; null or absent means no arguments."""

    name: str
    parameters: JsonObject | None = None
    strict: bool | None = None
    description: str | None | UnsetType = UNSET
    defer_loading: bool | UnsetType = UNSET


class ChooseFunction(Wire, tag="function"):
    name: str


class ChooseAllowed(Wire, tag="allowed_tools"):
    mode: Literal["auto", "required"]
    tools: list[JsonObject]


Tool = FunctionTool
ToolChoiceMode = Literal["none", "auto", "required"]
ToolChoice = ToolChoiceMode | ChooseFunction | ChooseAllowed
