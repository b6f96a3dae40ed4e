"""What this version refuses by name, and which extensions it knows: one table, for the code and for the docs.

Each row refuses with `UnsupportedParameter` (400, code `unsupported_parameter`) and the path in `param`. A
value that asks for nothing (null, false, an empty list or object) is never refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal

from antiphon.core.body import Runnable
from antiphon.core.errors import UnsupportedParameter
from antiphon.core.json_values import is_array, is_object
from antiphon.core.tools import ContainerReference, ShellContainer, ShellTool
from antiphon.core.wire import Wire

Place = Literal["parameter", "tool", "item", "content", "tool_choice"]


@dataclass(frozen=True, slots=True)
class Row:
    """`name` is a parameter's path, or the `type` of a tool, item, part or choice. `allowed` values pass."""

    place: Place
    name: str
    why: str
    instead: str
    allowed: tuple[Any, ...] = ()

    def refuse(self, param: str) -> UnsupportedParameter:
        thing = {
            "parameter": f"`{self.name}`",
            "tool": f'tools of type "{self.name}"',
            "item": f'input items of type "{self.name}"',
            "content": f"`{self.name}`",
            "tool_choice": f'a tool_choice of type "{self.name}"',
        }[self.place]
        verb = "is" if self.place in {"parameter", "content", "tool_choice"} else "are"
        return UnsupportedParameter(
            f"`{param}`: {thing} {verb} not supported yet: {self.why}. {self.instead}.", param=param
        )


@dataclass(frozen=True, slots=True)
class Extension:
    """A field that the official API does not have and that is accepted; `effect` says what comes of it."""

    name: str
    source: str
    effect: str


INCLUDES: Final = (
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
)

_HOSTED = "this version does not run it"
_AS_FUNCTION = "Offer it as a function tool and run it in your client"
_AS_MESSAGE = "Leave the item out, or give its content as a message"


def _parameters() -> tuple[Row, ...]:
    def row(name: str, why: str, instead: str, *allowed: Any) -> Row:
        return Row("parameter", name, why, instead, allowed)

    return (
        row(
            "background", "runs end with the request that started them", "Send background: false, and stream"
        ),
        row("moderation", "there is no moderation service", "Check the text in your client"),
        row("multi_agent", "one response is run by one agent", "Start the other agents from your client"),
        row("guardrails", "shields are those of stored agents", "Name an `agent` that has shields"),
        row("personality", "no model here has style presets", "Describe the style in instructions"),
    )


def _tools() -> tuple[Row, ...]:
    hosted = (
        "web_search",
        "web_search_2025_08_26",
        "web_search_preview",
        "web_search_preview_2025_03_11",
        "code_interpreter",
        "image_generation",
        "programmatic_tool_calling",
    )
    return tuple(Row("tool", name, _HOSTED, _AS_FUNCTION) for name in hosted)


def _items() -> tuple[Row, ...]:
    hosted = (
        "web_search_call",
        "image_generation_call",
        "code_interpreter_call",
        "program",
        "program_output",
    )
    return (
        *(Row("item", name, _HOSTED, _AS_MESSAGE) for name in hosted),
        Row("item", "multi_agent_call", "one response is run by one agent", _AS_MESSAGE),
        Row("item", "multi_agent_call_output", "one response is run by one agent", _AS_MESSAGE),
        Row("item", "agent_message", "one response is run by one agent", _AS_MESSAGE),
    )


_PARTS: Final = MappingProxyType(
    {
        "shell.environment": Row(
            "content",
            "shell.environment",
            "there are no containers",
            'Send an environment of type "local" and run the commands in your client',
        ),
    }
)


def _choices() -> tuple[Row, ...]:
    names = [row.name for row in _tools()]
    why = "tools of that type are refused, so there is none to choose"
    return tuple(Row("tool_choice", name, why, 'Send "auto" or {"type": "function", …}') for name in names)


def _by_name(rows: tuple[Row, ...]) -> Mapping[str, Row]:
    return MappingProxyType({row.name: row for row in rows})


_PARAMETERS: Final = _parameters()
_TOOLS: Final = _by_name(_tools())
_ITEMS: Final = _by_name(_items())
_CHOICES: Final = _by_name(_choices())


def extensions() -> tuple[Extension, ...]:
    return (
        Extension("presence_penalty", "Open Responses", "passed to the model"),
        Extension("frequency_penalty", "Open Responses", "passed to the model"),
        Extension("max_infer_iters", "OGX", "honoured: at most so many model calls, 1 to 100"),
        Extension("guardrails", "OGX", "accepted when null or empty, else refused"),
        Extension(
            "agent",
            "ours",
            "honoured: the id of a stored agent, or an object with it as `agent_id` or `id`; its model, instructions,"
            " tools, sampling, format and shields count where the request leaves them out",
        ),
        Extension(
            "client_metadata",
            "Codex",
            "accepted: neither stored nor passed on; where it is Codex's, its `web_search` tool is left out, and a"
            " `warning` header says so",
        ),
        Extension("chat_template_kwargs", "vLLM", "passed to model servers that apply chat templates"),
        Extension("seed", "vLLM", "passed to the model"),
        Extension("stop", "vLLM", "passed to the model"),
        Extension("top_k", "vLLM", "passed to the model"),
        Extension("min_p", "vLLM", "passed to the model"),
        Extension("repetition_penalty", "vLLM", "passed to the model"),
    )


def rows() -> tuple[Row, ...]:
    """Every refusal, in the order of the docs."""
    return (*_PARAMETERS, *_TOOLS.values(), *_CHOICES.values(), *_ITEMS.values(), *_PARTS.values())


def refuse_request(request: Runnable) -> None:
    """Raises UnsupportedParameter. Tool and item types need no look: a `Runnable` holds no refused ones."""
    for row in _PARAMETERS:
        _refuse_value(row, getattr(request, row.name, None))


def refuse_parameter(name: str, value: Any) -> None:
    """The same for one parameter, by its name in the table."""
    for row in _PARAMETERS:
        if row.name == name:
            _refuse_value(row, value)


def refuse_json(body: dict[str, Any]) -> None:
    """The same for a body that is still plain JSON, of any shape."""
    for row in _PARAMETERS:
        _refuse_value(row, body.get(row.name))
    for at, tool in enumerate(_objects(body.get("tools"))):
        _refuse_type(_TOOLS, tool.get("type"), f"tools[{at}]", "type")
    refuse_json_items(body, "input")
    for choice in _objects([body.get("tool_choice")]):
        _refuse_type(_CHOICES, choice.get("type"), "tool_choice", "type")


def refuse_json_items(body: dict[str, Any], field: str) -> None:
    """The same for the items alone that are in this field."""
    for at, item in enumerate(_objects(body.get(field))):
        _refuse_type(_ITEMS, item.get("type"), f"{field}[{at}]")


_CODEX = "x-codex-installation-id"
_CODEX_OFFERS: Final = ("web_search",)


def spare(body: dict[str, Any]) -> list[str]:
    """Take out the hosted tools that a known client puts into each of its requests, and name them.

    Codex cannot know whether its model provider searches the web, and offers it by default; it works without. That
    it is Codex is told by its `client_metadata`.
    """
    told = body.get("client_metadata")
    tools = body.get("tools")
    if not (is_object(told) and _CODEX in told and is_array(tools)):
        return []
    kept = [one for one in tools if not (is_object(one) and one.get("type") in _CODEX_OFFERS)]
    if len(kept) == len(tools):
        return []
    body["tools"] = kept
    return [f"tools.{name}" for name in _CODEX_OFFERS]


def refuse_tool(tool: object, path: str) -> None:
    """Refuse a tool of a type, or in an environment, that is not served here."""
    kind = tool.__struct_config__.tag if isinstance(tool, Wire) else None
    _refuse_type(_TOOLS, kind, path, "type")
    if isinstance(tool, ShellTool) and isinstance(tool.environment, ShellContainer | ContainerReference):
        raise _PARTS["shell.environment"].refuse(f"{path}.environment")


def refuse_choice(kind: object, param: str) -> None:
    """Refuse an `allowed_tools` entry of a type that is refused as a tool."""
    _refuse_type(_CHOICES, kind, param)


def _objects(value: Any) -> list[dict[str, Any]]:
    """`value` as a list with its objects in their places; what is no object counts as an empty one."""
    if not is_array(value):
        return []
    return [one if is_object(one) else {} for one in value]


def _refuse_type(table: Mapping[str, Row], kind: object, path: str, key: str = "") -> None:
    if isinstance(kind, str) and kind in table:
        raise table[kind].refuse(f"{path}.{key}" if key else path)


def _refuse_value(row: Row, value: Any) -> None:
    if value and value not in row.allowed:
        raise row.refuse(row.name)


_HEADINGS: Final = MappingProxyType(
    {
        "parameter": "Request parameters",
        "tool": "Tool types",
        "tool_choice": "Tool choices",
        "item": "Input item types",
        "content": "Content part fields",
    }
)


def as_markdown() -> str:
    """`docs/reference/refused.md`, whole."""
    lines = [
        "# What is refused until later",
        "",
        "Made from `antiphon.core.support`; edit there. Each of these is answered with status 400, code",
        "`unsupported_parameter` and the place in `param`. A value that asks for nothing passes: null,",
        "false, empty.",
    ]
    for place, heading in _HEADINGS.items():
        lines += ["", f"## {heading}", "", "| name | passes | why | instead |", "|---|---|---|---|"]
        for row in rows():
            if row.place == place:
                passes = ", ".join(f"`{one}`" for one in row.allowed) or "-"
                lines.append(f"| `{row.name}` | {passes} | {row.why} | {row.instead} |")
    lines += ["", "# Extensions that are known", ""]
    lines += ["Any other unknown field is refused; with `server.parameters: lenient` it is left out, and a"]
    lines += ["`warning` header names it.", ""]
    lines += ["| field | known from | effect |", "|---|---|---|"]
    lines += [f"| `{one.name}` | {one.source} | {one.effect} |" for one in extensions()]
    return "\n".join(lines) + "\n"
