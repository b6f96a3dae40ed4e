"""The types that clients of 0.2 write for the parameters of tools, as JSON Schemas.

A `parameter_type` is a type of JSON Schema, or one of Python as annotations have it: `int`, `List[str]`,
`Optional[int]`, `int | None`, `Literal['a', 'b']`. The helper of the client sends no more of an annotation than its
`__name__`: of `Optional[int]` that is `Optional`, which says nothing about the value.
"""

import ast
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from antiphon.core.wire import JsonObject

MAX_TYPE = 256
"""Characters of a `parameter_type`."""

_TYPES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "string": ("string", "str", "text"),
        "integer": ("integer", "int"),
        "number": ("number", "float", "double"),
        "boolean": ("boolean", "bool"),
        "array": ("array", "list", "tuple", "set", "frozenset", "sequence", "iterable"),
        "object": ("object", "dict", "mapping", "typeddict"),
        "null": ("null", "none", "nonetype"),
    }
)
_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {word: kind for kind, words in _TYPES.items() for word in words}
)
_FORMATS: Final[Mapping[str, str]] = MappingProxyType(
    {"datetime": "date-time", "date": "date", "uuid": "uuid"}
)
_ANYTHING: Final = frozenset({"any", "optional", "union", "literal"})
EXPECTED: Final = ", ".join(f'"{kind}"' for kind in _TYPES)


def schema_of(written: str) -> JsonObject | None:
    """The schema of a `parameter_type`; None for one that means nothing. Arrays always have `items`."""
    schema = _read(written) if len(written) <= MAX_TYPE else None
    return None if schema is None else dict(schema)


@lru_cache(maxsize=512)
def _read(written: str) -> JsonObject | None:
    try:
        return _schema(ast.parse(written.strip(), mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _schema(node: ast.expr) -> JsonObject | None:
    match node:
        case ast.Constant(value=None):
            return {"type": "null"}
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return _named(name.lower())
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _any_of([left, right])
        case ast.Subscript(value=ast.Name(id=name) | ast.Attribute(attr=name), slice=inner):
            arguments = inner.elts if isinstance(inner, ast.Tuple) else [inner]
            return _generic(name.lower(), arguments)
        case _:
            return None


def _named(word: str) -> JsonObject | None:
    if word in _ANYTHING:
        return {}
    if word in _FORMATS:
        return {"type": "string", "format": _FORMATS[word]}
    kind = _WORDS.get(word)
    if kind is None:
        return None
    return {"type": kind, "items": {}} if kind == "array" else {"type": kind}


def _generic(word: str, arguments: list[ast.expr]) -> JsonObject | None:
    if word == "literal":
        return _literal(arguments)
    if word == "optional":
        return _any_of([*arguments, ast.Constant(value=None)])
    if word == "union":
        return _any_of(arguments)
    kind = _WORDS.get(word)
    if kind == "array":
        members = [one for one in arguments if not (isinstance(one, ast.Constant) and one.value is ...)]
        items = _any_of(members)
        return None if items is None else {"type": "array", "items": items}
    if kind == "object" and len(arguments) == 2:
        values = _schema(arguments[1])
        return None if values is None else {"type": "object", "additionalProperties": values}
    return None


def _any_of(members: list[ast.expr]) -> JsonObject | None:
    found: list[JsonObject] = []
    for member in members:
        one = _schema(member)
        if one is None:
            return None
        if one not in found:
            found.append(one)
    if not found or {} in found:
        return {} if found else None
    return found[0] if len(found) == 1 else {"anyOf": found}


def _literal(arguments: list[ast.expr]) -> JsonObject | None:
    values = [one.value for one in arguments if isinstance(one, ast.Constant)]
    plain = [one for one in values if one is None or isinstance(one, str | int | bool)]
    return {"enum": plain} if plain and len(plain) == len(arguments) else None
