"""Which JSON Schemas the Messages API can bind an answer or a tool's input to.

Source: "JSON Schema limitations" of Anthropic's page on structured outputs. Everything else is refused there, so that
such a schema must be asked for in another way.
"""

from typing import Any, Final

from antiphon.core.json_values import is_array, is_object
from antiphon.core.wire import JsonObject

_PLAIN: Final = frozenset(
    {"type", "title", "description", "default", "examples", "required", "enum", "const", "$schema", "$id"}
)
_HANDLED: Final = frozenset(
    {
        "properties",
        "additionalProperties",
        "items",
        "minItems",
        "anyOf",
        "allOf",
        "$ref",
        "$defs",
        "definitions",
        "format",
    }
)
_FORMATS: Final = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
)
_DEFINITIONS: Final = ("$defs", "definitions")
MAX_STRICT_TOOLS: Final = 20


def bindable(schema: JsonObject) -> JsonObject | None:
    """The schema as the API takes it; None where it must be asked for in another way.

    Objects that say nothing of further properties are closed: what fits then fits the schema as it was, too.
    """
    if not _known(schema) or _recursive(schema):
        return None
    closed: JsonObject = _closed(schema)
    return closed


def _known(node: Any) -> bool:
    """Whether all of it is something that the API knows."""
    if not is_object(node) or set(node) - _PLAIN - _HANDLED:
        return False
    if _is_object_schema(node) and not _can_be_closed(node):
        return False
    if "format" in node and node["format"] not in _FORMATS:
        return False
    if node.get("minItems", 0) not in (0, 1):
        return False
    if not all(isinstance(value, str | int | float | bool | None) for value in node.get("enum", ())):
        return False
    if "allOf" in node and any(is_object(one) and "$ref" in one for one in node["allOf"]):
        return False
    return all(_known(inner) for inner in _inner(node))


def _is_object_schema(node: JsonObject) -> bool:
    kind = node.get("type")
    return "properties" in node or kind == "object" or (is_array(kind) and "object" in kind)


def _can_be_closed(node: JsonObject) -> bool:
    if node.get("additionalProperties", False) is not False:
        return False
    if "additionalProperties" not in node and "properties" not in node:
        return False  # any object at all
    return set(node.get("required", ())) <= set(node.get("properties", ()))


def _closed(node: Any) -> Any:
    if is_array(node):
        return [_closed(one) for one in node]
    if not is_object(node):
        return node
    copy = dict(node)
    for key in ("anyOf", "allOf", "items"):
        if key in copy:
            copy[key] = _closed(copy[key])
    for key in ("properties", *_DEFINITIONS):
        if is_object(named := copy.get(key)):
            copy[key] = {name: _closed(one) for name, one in named.items()}
    if _is_object_schema(copy):
        copy["additionalProperties"] = False
    return copy


def _inner(node: dict[str, Any]) -> list[Any]:
    found: list[Any] = []
    for key in ("properties", *_DEFINITIONS):
        if is_object(named := node.get(key)):
            found += named.values()
    for key in ("anyOf", "allOf"):
        if is_array(several := node.get(key)):
            found += several
    if "items" in node:
        found.append(node["items"])
    return found


def _recursive(schema: dict[str, Any]) -> bool:
    """Whether a definition leads back to itself, or anything refers to something that is no definition."""
    named: dict[str, Any] = {}
    for key in _DEFINITIONS:
        if is_object(definitions := schema.get(key)):
            named |= {f"#/{key}/{name}": one for name, one in definitions.items()}
    leads = {name: _references(one) for name, one in named.items()}
    top = _references({key: value for key, value in schema.items() if key not in _DEFINITIONS})
    if any(to - set(named) for to in (top, *leads.values())):
        return True
    while leads:
        ends = {name for name, to in leads.items() if not to & set(leads)}
        if not ends:
            return True
        leads = {name: to for name, to in leads.items() if name not in ends}
    return False


def _references(node: Any) -> set[str]:
    found: set[str] = set()
    todo: list[Any] = [node]
    while todo:
        one = todo.pop()
        if is_object(one):
            if isinstance(one.get("$ref"), str):
                found.add(one["$ref"])
            todo += _inner(one)
    return found
