"""Which fields of which types of `agents.shapes` are in a JSON value, walked along its type. null is nothing."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

import msgspec
from msgspec import inspect

from antiphon.agents import shapes
from antiphon.core.json_values import is_array, is_object
from antiphon.core.shields import Violation

SENT = (shapes.CreateAgent, shapes.CreateSession, shapes.CreateTurn, shapes.ResumeTurn)
SEEN = (
    *(shapes.AgentCreated, shapes.Agent, shapes.SessionCreated, shapes.Session, shapes.Page),
    *(shapes.Turn, shapes.StepAnswer, shapes.TurnChunk, Violation),
)
DOCUMENT = shapes.Content | shapes.Url
"""What the `content` of an attachment is, which msgspec cannot tell apart by itself."""
Place = tuple[str, str]
"""Of a type and a field of it."""


def all_fields() -> list[Place]:
    """Of every type that is reached, in the order in which they are reached."""
    found: dict[Place, None] = {}
    waiting: list[Any] = [*SENT, *SEEN, shapes.Url]
    known: set[Any] = set()
    while waiting:
        for struct in _structs(waiting.pop(0)):
            if struct in known:
                continue
            known.add(struct)
            found |= dict.fromkeys(_fields_of(struct))
            waiting += [field.type for field in msgspec.structs.fields(struct)]
            if struct is shapes.Attachment:
                waiting.append(DOCUMENT)
    return list(found)


def fields_in(value: Any, of: Any) -> Iterator[Place]:
    """The fields that are in `value`, which is of this type."""
    if is_array(value):
        for one in value:
            yield from fields_in(one, of)
    if not is_object(value):
        return
    struct = _fitting(value, list(_structs(of)))
    if struct is None:
        return
    tag = inspect.type_info(struct)
    if isinstance(tag, inspect.StructType) and tag.tag_field:
        yield struct.__name__, tag.tag_field
    for field in msgspec.structs.fields(struct):
        if value.get(field.encode_name) is not None:
            yield struct.__name__, field.encode_name
            inner = DOCUMENT if (struct, field.name) == (shapes.Attachment, "content") else field.type
            yield from fields_in(value[field.encode_name], inner)


def _fields_of(struct: type[msgspec.Struct]) -> list[Place]:
    info = inspect.type_info(struct)
    tags = [info.tag_field] if isinstance(info, inspect.StructType) and info.tag_field else []
    names = [field.encode_name for field in msgspec.structs.fields(struct)]
    return [(struct.__name__, name) for name in (*tags, *names)]


def _structs(of: Any) -> Iterator[type[msgspec.Struct]]:
    """Those that are in a type: in unions, lists and annotations."""
    if isinstance(of, type) and issubclass(of, msgspec.Struct):
        yield of
        return
    for inner in get_args(of):
        yield from _structs(inner)


def _fitting(
    value: Mapping[str, Any], structs: Sequence[type[msgspec.Struct]]
) -> type[msgspec.Struct] | None:
    """The struct of a union that an object is: by its tag, or as it has all fields that are required."""
    for struct in structs:
        info = inspect.type_info(struct)
        assert isinstance(info, inspect.StructType)
        if info.tag_field is not None:
            if value.get(info.tag_field) == info.tag:
                return struct
        elif all(field.encode_name in value for field in info.fields if field.required):
            return struct
    return None
