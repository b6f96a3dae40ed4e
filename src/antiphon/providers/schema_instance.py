"""A value that fits a JSON Schema: the same one each time, the smallest that is easy to read."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from antiphon.core.wire import JsonObject

MAX_DEPTH = 32
MAX_VALUES = 10_000
MAX_LENGTH = 100_000
_FORMATS = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "time": "12:00:00Z",
    "duration": "PT1H",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


class NoInstance(Exception):
    """The schema is none, or asks for more than a model would say."""


class _Document:
    """The whole schema, and what may still be made of it: a small one can stand for endless values."""

    def __init__(self, schema: JsonObject) -> None:
        self.schema = schema
        self._left = MAX_VALUES

    def spend(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise ValueError(f"it stands for more than {MAX_VALUES} values and schemas")


def instance_of(schema: JsonObject | bool, name: str = "text") -> Any:
    """A value that fits `schema`; strings are made of `name`, the property they stand under.

    Understood: type, enum, const, properties, required, items, prefixItems, bounds of numbers, strings and
    arrays, format, anyOf, oneOf, allOf, $ref within the document. Not understood: pattern, not, if.

    Raises NoInstance.
    """
    try:
        return _value(schema, _Document(schema if isinstance(schema, dict) else {}), name, 0)
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        raise NoInstance(str(error)) from None


def _value(schema: Any, root: _Document, name: str, depth: int) -> Any:
    root.spend()
    node = _resolved(schema, root, depth)
    if "const" in node:
        return node["const"]
    if node.get("enum"):
        return node["enum"][0]
    for key in ("anyOf", "oneOf"):
        options = node.get(key)
        if options:
            rest = {one: value for one, value in node.items() if one != key}
            return _value(_merged([rest, _simplest(options, root, depth)]), root, name, depth + 1)
    match _type_of(node):
        case "object":
            return _object(node, root, depth)
        case "array":
            return _array(node, root, name, depth)
        case "integer":
            return int(_number(node, whole=True))
        case "number":
            return _number(node, whole=False)
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return _string(node, name)


def _resolved(schema: Any, root: _Document, depth: int) -> JsonObject:
    """The schema with `$ref` and `allOf` taken in."""
    root.spend()
    if not isinstance(schema, dict) or depth > MAX_DEPTH:
        return {}
    node = cast("JsonObject", schema)
    for _ in range(MAX_DEPTH):
        ref = node.get("$ref")
        if not isinstance(ref, str):
            break
        rest = {key: value for key, value in node.items() if key != "$ref"}
        node = _merged([_pointed(ref, root), rest])
    if node.get("allOf"):
        rest = {key: value for key, value in node.items() if key != "allOf"}
        node = _merged([rest, *(_resolved(part, root, depth + 1) for part in node["allOf"])])
    return node


def _pointed(ref: str, root: _Document) -> JsonObject:
    at: Any = root.schema
    for part in ref.removeprefix("#").split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        at = cast("Mapping[str, Any]", at).get(key) if isinstance(at, Mapping) else None
    return cast("JsonObject", at) if isinstance(at, dict) else {}


def _merged(parts: Sequence[Any]) -> JsonObject:
    whole: JsonObject = {}
    for part in parts:
        for key, value in (cast("JsonObject", part) if isinstance(part, dict) else {}).items():
            if key == "properties" and key in whole:
                whole[key] = {**whole[key], **value}
            elif key == "required" and key in whole:
                whole[key] = [*whole[key], *value]
            else:
                whole[key] = value
    return whole


def _simplest(options: Sequence[Any], root: _Document, depth: int) -> JsonObject:
    """The first option that is not null; the first without a reference where the nesting gets deep."""
    resolved = [(option, _resolved(option, root, depth + 1)) for option in options]
    something = [(option, node) for option, node in resolved if node.get("type") != "null"] or resolved
    if depth > MAX_DEPTH // 4:
        return min((node for _, node in resolved), key=lambda node: len(str(node)))
    return something[0][1]


def _type_of(node: JsonObject) -> str:
    kind = node.get("type")
    if isinstance(kind, list):
        kinds = cast("list[str]", kind)
        return next((one for one in kinds if one != "null"), "null")
    if isinstance(kind, str):
        return kind
    if "properties" in node or "required" in node:
        return "object"
    if "items" in node or "prefixItems" in node:
        return "array"
    return "number" if "minimum" in node or "maximum" in node else "string"


def _object(node: JsonObject, root: _Document, depth: int) -> JsonObject:
    """The required properties; all of them where none is required, down to some depth."""
    properties: JsonObject = node.get("properties") or {}
    required: list[str] = node.get("required") or []
    wanted = required or (list(properties) if depth < 3 else [])
    names = [name for name in properties if name in wanted] + [one for one in wanted if one not in properties]
    return {name: _value(properties.get(name, {}), root, name, depth + 1) for name in dict.fromkeys(names)}


def _array(node: JsonObject, root: _Document, name: str, depth: int) -> list[Any]:
    first: list[Any] = node.get("prefixItems") or []
    least = int(node.get("minItems", 0 if depth > MAX_DEPTH // 4 or node.get("maxItems") == 0 else 1))
    items = [_value(part, root, name, depth + 1) for part in first]
    while len(items) < least:
        suffix = f"{name} {len(items) + 1}" if node.get("uniqueItems") and items else name
        items.append(_value(node.get("items", {}), root, suffix, depth + 1))
    return items


def _number(node: JsonObject, *, whole: bool) -> int | float:
    """The first multiple of the step that is within the bounds, from the lower one if there is one."""
    step: int | float = node.get("multipleOf", 1 if whole else 0.5)
    low: int | float | None = node.get("minimum", node.get("exclusiveMinimum"))
    high: int | float | None = node.get("maximum", node.get("exclusiveMaximum"))
    if low is not None:
        number = -(-low // step) * step
        above = node.get("exclusiveMinimum")
        return number + step if above is not None and number <= above else number
    if high is not None and high <= step:
        number = high // step * step
        below = node.get("exclusiveMaximum")
        return number - step if below is not None and number >= below else number
    return step


def _string(node: JsonObject, name: str) -> str:
    text = _FORMATS.get(str(node.get("format")), name)
    least, most = node.get("minLength", 0), node.get("maxLength")
    if int(least) > MAX_LENGTH:
        raise ValueError(f"a text of {least} characters is too long")
    text = text.ljust(int(least), ".")
    return text if most is None else text[: int(most)]
