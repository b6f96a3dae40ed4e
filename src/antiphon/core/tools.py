"""Tool specifications of a request, and `tool_choice`, as far as they run today; the rest: `hosted_tools`."""

from typing import Annotated, Literal

from msgspec import Meta

from antiphon.core.wire import UNSET, JsonObject, UnsetType, Wire

ToolName = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[a-zA-Z0-9_-]+\Z")]
MAX_GRAMMAR = 1024 * 1024
AllowedCallers = list[Literal["direct", "programmatic"]] | UnsetType | None


class FunctionTool(Wire, tag="function"):
    """A function that the client runs. `parameters` is a JSON Schema; null or absent means no arguments."""

    name: ToolName
    parameters: JsonObject | None = None
    strict: bool | None = None
    description: str | UnsetType | None = UNSET
    output_schema: JsonObject | UnsetType | None = UNSET
    defer_loading: bool | UnsetType = UNSET
    allowed_callers: AllowedCallers = UNSET


class TextFormat(Wire, tag="text"):
    pass


class GrammarFormat(Wire, tag="grammar"):
    """`lark` in the dialect of LLGuidance, `regex` in that of Rust; the whole input must match."""

    syntax: Literal["lark", "regex"]
    definition: Annotated[str, Meta(max_length=MAX_GRAMMAR)]


class CustomTool(Wire, tag="custom"):
    """A tool that takes free text, which a grammar may bind; the client runs it."""

    name: Annotated[str, Meta(min_length=1, max_length=128)]
    description: str | UnsetType = UNSET
    format: TextFormat | GrammarFormat | UnsetType = UNSET
    defer_loading: bool | UnsetType = UNSET
    allowed_callers: AllowedCallers = UNSET


class ChooseFunction(Wire, tag="function"):
    name: str


class ChooseCustom(Wire, tag="custom"):
    name: str


class ChooseAllowed(Wire, tag="allowed_tools"):
    """Only these tools may be called; the model is shown all. An entry is `{type, name}` or like it."""

    mode: Literal["auto", "required"]
    tools: Annotated[list[JsonObject], Meta(max_length=512)]


Tool = FunctionTool | CustomTool
ToolChoiceMode = Literal["none", "auto", "required"]
ToolChoice = ToolChoiceMode | ChooseFunction | ChooseCustom | ChooseAllowed
