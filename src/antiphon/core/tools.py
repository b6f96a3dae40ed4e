"""Tool specifications of a request, and `tool_choice`, as far as they run today; the rest is in `hosted_tools`."""

from typing import Annotated, Literal

from msgspec import Meta

from antiphon.core.wire import UNSET, JsonObject, UnsetType, Wire

ToolName = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[a-zA-Z0-9_-]+\Z")]
AllowedCallers = list[Literal["direct", "programmatic"]] | None | UnsetType


class FunctionTool(Wire, tag="function"):
    """A function that the client runs. `parameters` is a JSON Schema; null or absent means no arguments."""

    name: ToolName
    parameters: JsonObject | None = None
    strict: bool | None = None
    description: str | None | UnsetType = UNSET
    output_schema: JsonObject | None | UnsetType = UNSET
    defer_loading: bool | UnsetType = UNSET
    allowed_callers: AllowedCallers = UNSET


class ChooseFunction(Wire, tag="function"):
    name: str


class ChooseAllowed(Wire, tag="allowed_tools"):
    """Only these tools may be called, though the model is shown all. An entry is `{type, name}` or like it."""

    mode: Literal["auto", "required"]
    tools: Annotated[list[JsonObject], Meta(max_length=512)]


Tool = FunctionTool
ToolChoiceMode = Literal["none", "auto", "required"]
ToolChoice = ToolChoiceMode | ChooseFunction | ChooseAllowed
