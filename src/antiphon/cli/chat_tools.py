"""The tools of a chat: a file of function tools, whose calls the user answers."""

import json
from pathlib import Path
from typing import Any, cast

from antiphon.client import Json

CALLS = {
    "function_call": ("arguments", "function_call_output"),
    "custom_tool_call": ("input", "custom_tool_call_output"),
}
"""Types of calls that the user answers: where what they were called with is, and the type of the answer."""


class ToolsUnusable(Exception):
    """The file cannot be used; the message says why."""


def load_tools(path: Path) -> list[Json]:
    """The tools of a JSON file: a list of them, or an object with it under `tools`, in the form of the Responses
    API or of chat completions. Raises ToolsUnusable.
    """
    try:
        value: Any = json.loads(path.expanduser().read_text(encoding="utf-8"))
    except OSError as error:
        raise ToolsUnusable(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ToolsUnusable(f"{path} is not UTF-8 text") from None
    except (ValueError, RecursionError) as error:
        raise ToolsUnusable(f"{path} is not JSON: {error}") from None
    if isinstance(value, dict):
        found = cast("Json", value)
        value = found.get("tools", [found])
    if not isinstance(value, list) or not value:
        raise ToolsUnusable(f"{path}: expected a list of function tools, or an object with one under `tools`")
    return [_tool(one, f"{path}: tool {at}") for at, one in enumerate(value, start=1)]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] JSON of any shape


def _tool(value: Any, where: str) -> Json:
    if not isinstance(value, dict):
        raise ToolsUnusable(f"{where} is no object")
    tool = cast("Json", value)
    if isinstance(tool.get("function"), dict):  # as chat completions has it
        tool = {"type": "function", **tool["function"]}
    tool = {"type": "function", **tool}
    if tool["type"] not in {"function", "custom"}:
        raise ToolsUnusable(f'{where} is of type "{tool["type"]}"; expected "function" or "custom"')
    if not isinstance(tool.get("name"), str) or not tool["name"]:
        raise ToolsUnusable(f"{where} has no `name`")
    if tool["type"] == "function":
        tool.setdefault("parameters", {"type": "object", "properties": {}})
        tool.setdefault("strict", False)
        if not isinstance(tool["parameters"], dict):
            raise ToolsUnusable(f"{where}: `parameters` is no JSON schema")
    return tool


def calls_in(response: Json) -> list[Json]:
    return [item for item in response.get("output", ()) if item.get("type") in CALLS]


def called_with(call: Json) -> str:
    return str(call.get(CALLS[call["type"]][0], ""))


def answer_to(call: Json, output: str) -> Json:
    return {"type": CALLS[call["type"]][1], "call_id": call["call_id"], "output": output}
