"""Tools that an agent's client runs: their rules, and what they are for the engine. Both generations of `ToolDef`."""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from antiphon.agents import schemas
from antiphon.agents.parameter_types import EXPECTED, schema_of
from antiphon.agents.shapes import ToolDef, ToolParameter
from antiphon.core.errors import InvalidRequest
from antiphon.core.tools import FunctionTool
from antiphon.core.wire import UNSET, JsonObject

MAX_TOOLS_BYTES = 4 * 1024 * 1024
"""Of all client tools of an agent, as JSON."""
_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,128}")
BUILT_IN: Final[Mapping[str, str]] = MappingProxyType(
    {
        "knowledge_search": "the tool of builtin::rag",
        "insert_into_memory": "the tool of builtin::rag",
        "brave_search": "the tool of builtin::websearch",
        "web_search": "the tool of builtin::websearch",
        "wolfram_alpha": "the tool of builtin::wolfram_alpha",
        "code_interpreter": "the tool of builtin::code_interpreter",
        "photogen": "a tool of Llama models",
    }
)


def check_client_tools(tools: Sequence[ToolDef], path: str) -> None:
    """Raises InvalidRequest for the first that no model could be given, naming the place below `path`."""
    seen: dict[str, int] = {}
    for at, tool in enumerate(tools):
        here = f"{path}[{at}]"
        _check_name(tool.name, f"{here}.name")
        first = seen.setdefault(tool.name, at)
        if first != at:
            raise _wrong(
                f"{here}.name", f'"{tool.name}" is the name of {path}[{first}] too; names must differ'
            )
        _check_schemas(tool, here)
    schemas.check_size(tools, path, MAX_TOOLS_BYTES)


def function_tool(tool: ToolDef) -> FunctionTool:
    """What a checked tool is for the engine. Without parameters it takes an object that has none."""
    described = tool.description
    output = tool.output_schema
    return FunctionTool(
        name=tool.name,
        description=described if isinstance(described, str) and described else UNSET,
        parameters=_parameters(tool),
        output_schema=output if isinstance(output, dict) and output else UNSET,
    )


def _parameters(tool: ToolDef) -> JsonObject:
    if isinstance(tool.input_schema, dict) and tool.input_schema:
        nothing: JsonObject = {"type": "object", "properties": {}}
        given: JsonObject = schemas.with_items(tool.input_schema)
        return nothing | given
    parameters = tool.parameters if isinstance(tool.parameters, list) else []
    schema: JsonObject = {"type": "object", "properties": {one.name: _property(one) for one in parameters}}
    required = [one.name for one in parameters if one.required is not False]
    return {**schema, "required": required} if required else schema


def _property(parameter: ToolParameter) -> JsonObject:
    made: JsonObject = schema_of(parameter.parameter_type) or {}
    if isinstance(parameter.items, dict) and made.get("type") == "array":
        made["items"] = schemas.with_items(parameter.items)
    more = {"title": parameter.title, "description": parameter.description, "default": parameter.default}
    return made | {key: value for key, value in more.items() if value is not None and value is not UNSET}


# --- rules ------------------------------------------------------------------------------------------------------
def _check_name(name: str, path: str) -> None:
    if not _NAME.fullmatch(name):
        raise _wrong(
            path, f'"{name[:80]}" is no name that models can call: 1 to 128 letters, digits, "_" and "-"'
        )
    if name in BUILT_IN:
        raise _wrong(path, f'"{name}" is {BUILT_IN[name]}; give yours another name, such as "my_{name}"')


def _check_schemas(tool: ToolDef, path: str) -> None:
    if isinstance(tool.input_schema, dict):
        schemas.check(tool.input_schema, f"{path}.input_schema", of_arguments=True)
        if tool.input_schema and tool.parameters:
            raise _wrong(
                f"{path}.parameters", "`input_schema` says what the tool takes too; send one of them"
            )
    if isinstance(tool.output_schema, dict):
        schemas.check(tool.output_schema, f"{path}.output_schema")
    if isinstance(tool.metadata, dict):
        schemas.check_depth(tool.metadata, f"{path}.metadata")
    parameters = tool.parameters if isinstance(tool.parameters, list) else []
    names: dict[str, int] = {}
    for at, parameter in enumerate(parameters):
        here = f"{path}.parameters[{at}]"
        first = names.setdefault(parameter.name, at)
        if first != at:
            raise _wrong(
                f"{here}.name",
                f'"{parameter.name}" is the name of {path}.parameters[{first}] too; names must differ',
            )
        _check_parameter(parameter, here)


def _check_parameter(parameter: ToolParameter, path: str) -> None:
    schema = schema_of(parameter.parameter_type)
    if schema is None:
        raise _wrong(
            f"{path}.parameter_type",
            f'"{parameter.parameter_type[:80]}" is no type that is known here; expected one of {EXPECTED}, or an'
            " annotation of Python such as list[str]",
        )
    if isinstance(parameter.items, dict):
        if schema.get("type") != "array":
            raise _wrong(f"{path}.items", "only a parameter that is an array has items; leave it out")
        schemas.check(parameter.items, f"{path}.items")
    schemas.check_depth(parameter.default, f"{path}.default")


def _wrong(path: str, what: str) -> InvalidRequest:
    return InvalidRequest(f"`{path}`: {what}.", param=path)
