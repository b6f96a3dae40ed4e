"""The rules of a request that need nothing but the request: no model list, no stored state."""

import re
from collections.abc import Sequence
from typing import Any

from antiphon.core import support
from antiphon.core.body import FormatJsonSchema, Runnable
from antiphon.core.errors import InvalidRequest
from antiphon.core.json_schemas import fault_of_schema, nesting_exceeds
from antiphon.core.tools import ChooseAllowed, ChooseCustom, ChooseFunction, CustomTool, GrammarFormat, Tool

MAX_NESTING = 64
_NAME = re.compile(r"[a-zA-Z0-9_-]+\Z")


def check(request: Runnable) -> None:
    """Raises InvalidRequest or UnsupportedParameter for the first rule that does not hold."""
    check_identity(request)
    _check_needs(request)
    check_contents(request)


def check_contents(request: Runnable) -> None:
    """The rules of what is there, for every route that takes a part of a request. Raises as `check` does."""
    support.refuse_request(request)
    if request.include:
        _check_include(request.include)
    if request.tools:
        _check_tools(request.tools)
    if request.tool_choice is not None and request.tool_choice != "auto":
        _check_tool_choice(request)
    if request.text is not None and isinstance(request.text.format, FormatJsonSchema):
        _check_schema(request.text.format.schema, "text.format.schema")
    for name in ("client_metadata", "chat_template_kwargs"):
        value = getattr(request, name)
        if value is not None and nesting_exceeds(value, MAX_NESTING):
            raise InvalidRequest(f"`{name}`: nested deeper than {MAX_NESTING} levels.", param=name)


def check_identity(request: Runnable) -> None:
    """Who is asked, and what it goes on from. Raises InvalidRequest."""
    if not request.model and request.prompt is None:
        raise InvalidRequest(
            "`model`: required, and missing or empty; name one of GET /v1/models.", param="model"
        )
    if request.previous_response_id is not None and request.conversation is not None:
        raise InvalidRequest(
            "`previous_response_id` and `conversation` both say what came before; send one of them.",
            param="previous_response_id",
        )


def _check_needs(request: Runnable) -> None:
    continues = request.previous_response_id or request.conversation or request.prompt
    if request.input is None and not continues:
        raise InvalidRequest(
            "`input`: required, and missing; send a string or an array of items.", param="input"
        )
    if request.stream_options is not None and not request.stream:
        raise InvalidRequest(
            "`stream_options`: only allowed with `stream: true`; leave it out or stream.",
            param="stream_options",
        )
    if request.background and request.store is False:
        raise InvalidRequest(
            "`background`: needs the response to be stored; leave `store` out or set it to true.",
            param="background",
        )


def _check_include(values: list[str]) -> None:
    for at, value in enumerate(values):
        if value not in support.INCLUDES:
            known = ", ".join(f'"{one}"' for one in support.INCLUDES)
            raise InvalidRequest(
                f'`include[{at}]`: "{value[:80]}" is not known; allowed: {known}.', param=f"include[{at}]"
            )


def _check_tools(tools: list[Tool]) -> None:
    seen: dict[str, int] = {}
    for at, tool in enumerate(tools):
        first = seen.setdefault(tool.name, at)
        if first != at:
            raise InvalidRequest(
                f'`tools[{at}].name`: "{tool.name}" is the name of tools[{first}] too; names must differ.',
                param=f"tools[{at}].name",
            )
        if isinstance(tool, CustomTool):
            _check_custom(tool, f"tools[{at}]")
            continue
        if tool.parameters is not None:
            _check_schema(tool.parameters, f"tools[{at}].parameters", of_arguments=True)
        if isinstance(tool.output_schema, dict):
            _check_schema(tool.output_schema, f"tools[{at}].output_schema")


def _check_custom(tool: CustomTool, path: str) -> None:
    if not _NAME.match(tool.name):
        raise InvalidRequest(
            f'`{path}.name`: "{tool.name}" must be letters, digits, "_" and "-".', param=f"{path}.name"
        )
    if isinstance(tool.format, GrammarFormat) and not tool.format.definition.strip():
        raise InvalidRequest(
            f"`{path}.format.definition`: empty; send a grammar, or a format of type text.",
            param=f"{path}.format.definition",
        )


def _check_schema(schema: dict[str, Any], path: str, *, of_arguments: bool = False) -> None:
    if nesting_exceeds(schema, MAX_NESTING):
        raise InvalidRequest(f"`{path}`: nested deeper than {MAX_NESTING} levels; flatten it.", param=path)
    fault = fault_of_schema(schema, of_arguments=of_arguments)
    if fault is not None:
        where, what = fault
        raise InvalidRequest(f"`{path}{where}`: {what}.", param=f"{path}{where}")


def _check_tool_choice(request: Runnable) -> None:
    tools = request.tools or ()
    names = [tool.name for tool in tools]
    match request.tool_choice:
        case "required" if not names:
            raise InvalidRequest(
                '`tool_choice`: "required" needs `tools`, and there are none; add a tool or leave it out.',
                param="tool_choice",
            )
        case ChooseFunction(name=name):
            _check_named(name, _names(tools, "function"), "tool_choice.name")
        case ChooseCustom(name=name):
            _check_named(name, _names(tools, "custom"), "tool_choice.name")
        case ChooseAllowed(tools=allowed):
            if not allowed:
                raise InvalidRequest(
                    '`tool_choice.tools`: names no tool; to forbid all calls send "none".',
                    param="tool_choice.tools",
                )
            for at, entry in enumerate(allowed):
                _check_allowed(entry, tools, f"tool_choice.tools[{at}]")
        case _:
            return


def _names(tools: Sequence[Tool], kind: str) -> list[str]:
    return [tool.name for tool in tools if tool.__struct_config__.tag == kind]


def _check_allowed(entry: dict[str, Any], tools: Sequence[Tool], path: str) -> None:
    kind, name = entry.get("type"), entry.get("name")
    if kind not in ("function", "custom"):
        support.refuse_choice(kind, f"{path}.type")
        raise InvalidRequest(f'`{path}.type`: expected "function" or "custom".', param=f"{path}.type")
    if not isinstance(name, str):
        raise InvalidRequest(f"`{path}.name`: expected the name of a tool.", param=f"{path}.name")
    _check_named(name, _names(tools, str(kind)), f"{path}.name")


def _check_named(name: str, names: list[str], path: str) -> None:
    if name not in names:
        known = ", ".join(names[:20]) or "none"
        raise InvalidRequest(
            f'`{path}`: "{name[:128]}" is not among `tools`; there: {known}. `tools` are not inherited'
            " from an earlier response; send them again.",
            param=path,
        )
