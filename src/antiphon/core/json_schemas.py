"""A light check of the JSON Schemas that callers send: enough to fail early, with the place; it cannot hang.

Not a metaschema validation: upstreams differ in what they accept. Refused is only what no upstream can use.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import unquote

from antiphon.core.json_values import is_array, is_object

_TYPES: Final = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})
_ONE: Final = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames")
_MANY: Final = ("anyOf", "oneOf", "allOf", "prefixItems")
_NAMED: Final = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
_PLACES: Final[Mapping[str, str]] = MappingProxyType(
    {key: place for place, keys in (("one", _ONE), ("many", _MANY), ("named", _NAMED)) for key in keys}
)


def nesting_exceeds(value: Any, levels: int) -> bool:
    """Whether objects and arrays are nested more than `levels` deep. Looks no deeper than that."""
    row: list[Any] = [value]
    for _ in range(levels):
        row = [
            inner
            for one in row
            for inner in (one.values() if is_object(one) else one)
            if isinstance(inner, dict | list)
        ]
        if not row:
            return False
    return True


def is_closed(node: object) -> bool:
    """Whether OpenAI binds an answer to this schema (`strict`): no object in it may have other keys, or lack one. It
    refuses to be strict about any other. `node` is not nested too deep.
    """
    if is_array(node):
        return all(map(is_closed, node))
    if not is_object(node):
        return True
    properties: object = node.get("properties")
    if is_object(properties):
        required: object = node.get("required", [])
        whole = is_array(required) and all(name in required for name in properties)
        closed = whole and node.get("additionalProperties") is False
        return closed and all(map(is_closed, properties.values()))
    return all(map(is_closed, node.values()))


def fault_of_schema(schema: dict[str, Any], *, of_arguments: bool = False) -> tuple[str, str] | None:
    """The first fault as (path below the schema, what), or None. `of_arguments`: its top is an object."""
    kind = schema.get("type")
    if of_arguments and kind is not None and kind != "object" and not (is_array(kind) and "object" in kind):
        return ".type", 'the arguments of a function are an object; expected "object"'
    todo: list[tuple[str, Any]] = [("", schema)]
    while todo:
        path, one = todo.pop()
        if isinstance(one, bool):
            continue
        if not is_object(one):
            return path, "expected a schema: an object, true or false"
        fault = _fault_of_node(one, schema)
        if fault is not None:
            return path + fault[0], fault[1]
        todo.extend((path + below, inner) for below, inner in _inner(one))
    return None


def _fault_of_node(node: dict[str, Any], root: dict[str, Any]) -> tuple[str, str] | None:
    kind = node.get("type")
    if kind is not None:
        kinds = kind if is_array(kind) else [kind]
        if not kinds or not all(isinstance(one, str) and one in _TYPES for one in kinds):
            return ".type", f"expected one of {', '.join(sorted(_TYPES))}, or an array of them"
    required = node.get("required")
    if required is not None and not (is_array(required) and all(isinstance(one, str) for one in required)):
        return ".required", "expected an array of property names"
    enum = node.get("enum")
    if enum is not None and not isinstance(enum, list):
        return ".enum", "expected an array of values"
    reference = node.get("$ref")
    if reference is not None and not _resolves(reference, root):
        return (
            ".$ref",
            'does not resolve; only references within this schema, such as "#/$defs/name", are followed',
        )
    return None


def _resolves(reference: Any, root: dict[str, Any]) -> bool:
    """Pointers are followed; a named anchor (`#name`) is left to the upstream."""
    if not isinstance(reference, str) or not reference.startswith("#"):
        return False
    if not reference.startswith("#/"):
        return True
    at: Any = root
    for part in unquote(reference[2:]).split("/"):
        key = part.replace("~1", "/").replace("~0", "~")
        if is_object(at) and key in at:
            at = at[key]
        elif is_array(at) and key.isdecimal() and len(key) < 8 and int(key) < len(at):
            at = at[int(key)]
        else:
            return False
    return True


def _inner(node: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, inner in node.items():
        match _PLACES.get(key):
            case None:
                continue
            case "one" if key != "items" or not is_array(inner):
                yield f".{key}", inner
            case "named" if is_object(inner):
                yield from ((f".{key}.{name[:64]}", one) for name, one in inner.items())
            case "many" | "one" if is_array(inner):  # `items` as an array is the older tuple form
                yield from ((f".{key}[{at}]", one) for at, one in enumerate(inner))
            case _:
                yield f".{key}", None
