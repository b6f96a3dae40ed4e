"""Values that a field of a wire type must refuse: of the wrong type, out of range, not among the allowed."""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import inspect

_EVERY: tuple[Any, ...] = ("text", 3, 2.5, True, [3.5], {"no": "such"}, [])


def faulty_fields(wanted: Any) -> Iterator[tuple[str, Any]]:
    """Every field with each value that it must not have, from the structure of the type."""
    struct = inspect.type_info(wanted)
    assert isinstance(struct, inspect.StructType)
    for field in struct.fields:
        for value in _faulty(field.type, wanted.__annotations__[field.name]):
            yield field.encode_name, value


def _faulty(kind: inspect.Type, hint: Any) -> Iterator[Any]:
    """Wrong types are found by asking msgspec, which read the same declaration; limits are read off here."""
    for value in _EVERY:
        try:
            msgspec.convert(value, hint)
        except msgspec.ValidationError:
            yield value
    yield from _out_of_range(kind)


def _out_of_range(kind: inspect.Type) -> Iterator[Any]:
    match kind:
        case inspect.Metadata():
            yield from _out_of_range(kind.type)
        case inspect.UnionType():
            for one in kind.types:
                yield from _out_of_range(one)
        case inspect.IntType() | inspect.FloatType():
            if kind.ge is not None:
                yield kind.ge - 1
            if kind.le is not None:
                yield kind.le + 1
        case inspect.StrType():
            if kind.min_length:
                yield ""
            if kind.max_length is not None:
                yield "x" * (kind.max_length + 1)
        case inspect.LiteralType():
            yield "no-such-value"
        case inspect.ListType():
            if kind.max_length is not None:
                yield ["x"] * (kind.max_length + 1)
        case _:
            return
