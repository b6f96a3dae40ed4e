"""The tool search that the server makes: which tools that are not loaded fit a query."""

import re
from collections.abc import Iterable, Sequence

import msgspec

from antiphon.core.client_tools import FOUND_AT_ONCE, BadArguments
from antiphon.core.hosted_tools import AnyTool
from antiphon.core.items import FunctionCall
from antiphon.core.json_values import is_object
from antiphon.core.shown_tools import Shown
from antiphon.core.tools import McpTool, NamespaceTool
from antiphon.core.wire import JsonObject, decode_json

_WORD = re.compile(r"[^\W_]+")
_WHOLE_NAME, _IN_NAME, _IN_TEXT, _IN_PARAMETERS = 1_000_000, 4, 2, 1
_MOST = 50


def arguments_of(call: FunctionCall) -> JsonObject:
    """Raises BadArguments."""
    try:
        value = decode_json(call.arguments or "{}")
    except (msgspec.DecodeError, RecursionError):
        value = None
    if not is_object(value) or not isinstance(value.get("query"), str) or not value["query"].strip():
        raise BadArguments('give a JSON object with "query", what the tool should do')
    return value


def find(arguments: JsonObject, among: Sequence[Shown]) -> list[Shown]:
    """The tools that fit `query` best, best first, at most `limit`. One whose name is the query comes before others."""
    limit = arguments.get("limit")
    most = min(max(limit, 1), _MOST) if isinstance(limit, int) else FOUND_AT_ONCE
    query = str(arguments["query"])
    words = set(_words(query))
    ranked = [(_score(one, words) + _is_name(query, one), -at, one) for at, one in enumerate(among)]
    ranked.sort(key=lambda entry: entry[:2], reverse=True)
    return [one for score, _, one in ranked[:most] if score > 0]


def definitions(found: Iterable[Shown]) -> list[AnyTool]:
    """What was found as the items of the API have it: tools of one namespace or server together."""
    tools: list[AnyTool] = []
    places: dict[str, int] = {}
    for one in found:
        sent = one.sent
        if isinstance(sent, NamespaceTool) and sent.name in places:
            first = tools[places[sent.name]]
            if isinstance(first, NamespaceTool):
                tools[places[sent.name]] = msgspec.structs.replace(first, tools=first.tools + sent.tools)
            continue
        if isinstance(sent, NamespaceTool):
            places[sent.name] = len(tools)
        if isinstance(sent, McpTool) and f"mcp {sent.server_label}" in places:
            at = places[f"mcp {sent.server_label}"]
            tools[at] = _together(tools[at], sent)
            continue
        if isinstance(sent, McpTool):
            places[f"mcp {sent.server_label}"] = len(tools)
        tools.append(sent)
    return tools


def _together(first: AnyTool, other: McpTool) -> AnyTool:
    """One server's tools, those of both."""
    if not isinstance(first, McpTool):
        return first
    names = [
        name for one in (first, other) if isinstance(one.allowed_tools, list) for name in one.allowed_tools
    ]
    return msgspec.structs.replace(first, allowed_tools=names)


def said(names: Sequence[str]) -> str:
    """What the model is told of a search."""
    if not names:
        return "No tool was found. Try other words, or go on without."
    return f"Loaded, and can be called now: {', '.join(names)}."


def _is_name(query: str, one: Shown) -> int:
    return _WHOLE_NAME if query.strip() in (one.name, one.face.name) else 0


def _score(one: Shown, words: set[str]) -> int:
    parameters = getattr(one.face, "parameters", None)
    return (
        _IN_NAME * len(words & set(_words(f"{one.name} {one.namespace or ''}")))
        + _IN_TEXT * len(words & set(_words(one.face.description or "")))
        + _IN_PARAMETERS * len(words & set(_words(" ".join(_names(parameters)))))
    )


def _names(schema: object) -> list[str]:
    properties = schema.get("properties") if is_object(schema) else None
    return [str(name) for name in properties] if is_object(properties) else []


def _words(text: str) -> list[str]:
    """Lower case, plurals as singulars; `getWeather` and `get_weather` are two words each."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text)
    return [word.removesuffix("s") if len(word) > 3 else word for word in _WORD.findall(spaced.lower())]
