"""Every parameter of a request, at every depth, with a wrong type, out of its range, and with a value that it has not.

The cases are made from the types that parse requests, so that a new field is tested as soon as it is there.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from msgspec import inspect

from antiphon.core import support
from antiphon.core.body import Runnable
from antiphon.core.errors import InvalidRequest
from antiphon.core.request import ResponseRequest

BASE: dict[str, Any] = {"model": "m", "input": "hi"}
SAMPLES: dict[type, Any] = {bool: True, int: 7, float: 0.5, str: "x", list: [], dict: {}}
ANY = {"guardrails", "agent"}
"""Of any shape: what is refused of `guardrails` is in the table of `core.support`, an `agent` is looked up."""
REFUSED = {row.name for row in support.rows() if row.place == "parameter"}
LONG = 11 * 1024 * 1024
MAX_DEPTH = 4


@dataclass(frozen=True)
class Case:
    path: tuple[str | int, ...]
    value: Any
    kind: str

    def body(self) -> bytes:
        body: dict[str, Any] = json.loads(json.dumps(BASE))
        if self.path[0] == "stream_options":
            body["stream"] = True
        place: Any = body
        for step, following in zip(self.path[:-1], self.path[1:], strict=True):
            fresh: Any = [{}] if isinstance(following, int) else _beginning(self.path, step)
            if isinstance(step, str):
                place.setdefault(step, fresh)
            place = place[step]
        place[self.path[-1]] = self.value
        return json.dumps(body).encode()

    @property
    def param(self) -> str:
        text = ""
        for step in self.path:
            text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
        return text

    @property
    def params(self) -> set[str]:
        """What may be named: of a parameter that is refused whole, the parameter."""
        return {self.param, str(self.path[0])} if self.path[0] in REFUSED else {self.param}

    def __str__(self) -> str:
        shown = json.dumps(self.value)
        return f"{self.param}-{self.kind}-{shown[:24]}"


OBJECTS: dict[tuple[str | int, ...], dict[str, Any]] = {
    ("text", "format"): {"type": "json_schema", "name": "n", "schema": {"type": "object"}},
    ("tools", 0): {"type": "function", "name": "f"},
    ("tool_choice",): {"type": "function", "name": "f"},
    ("context_management", 0): {"type": "compaction"},
    ("moderation",): {"model": "m"},
    ("prompt",): {"id": "p"},
    ("conversation",): {"id": "c"},
}


def _beginning(path: tuple[str | int, ...], step: str | int) -> dict[str, Any]:
    upto = path[: path.index(step) + 1]
    return dict(OBJECTS.get(upto, {}))


def cases() -> list[Case]:
    info = inspect.type_info(Runnable)
    assert isinstance(info, inspect.StructType)
    return [case for field in info.fields for case in _of(field.type, (field.encode_name,), 0)]


def _of(kind: inspect.Type, path: tuple[str | int, ...], depth: int) -> Iterator[Case]:
    if depth > MAX_DEPTH or isinstance(kind, inspect.AnyType):
        return
    choices = list(kind.types) if isinstance(kind, inspect.UnionType) else [kind]
    choices = [one for one in (_plain(choice) for choice in choices) if one is not None]
    taken = {type_ for choice in choices for type_ in _accepts(choice)}
    if any(isinstance(choice, inspect.AnyType) for choice in choices):
        return
    for type_, sample in SAMPLES.items():
        if type_ not in taken and not (type_ is int and float in taken):
            yield Case(path, sample, "type")
    if len(choices) == 1:
        yield from _out_of_range(choices[0], path, depth)


def _plain(kind: inspect.Type) -> inspect.Type | None:
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    return None if isinstance(kind, inspect.NoneType | inspect.RawType) or _is_unset(kind) else kind


def _is_unset(kind: inspect.Type) -> bool:
    return isinstance(kind, inspect.CustomType) and kind.cls is msgspec.UnsetType


def _accepts(kind: inspect.Type) -> set[type]:
    match kind:
        case inspect.BoolType():
            return {bool}
        case inspect.IntType():
            return {int}
        case inspect.FloatType():
            return {int, float}
        case inspect.StrType():
            return {str}
        case inspect.LiteralType(values=values):
            return {type(value) for value in values}
        case inspect.ListType():
            return {list}
        case _:
            return {dict}


def _out_of_range(kind: inspect.Type, path: tuple[str | int, ...], depth: int) -> Iterator[Case]:
    match kind:
        case inspect.IntType() | inspect.FloatType():
            step = 1 if isinstance(kind, inspect.IntType) else 0.5
            if kind.ge is not None:
                yield Case(path, kind.ge - step, "range")
            if kind.gt is not None:
                yield Case(path, kind.gt, "range")
            if kind.le is not None:
                yield Case(path, kind.le + step, "range")
        case inspect.StrType(max_length=longest) if longest is not None and longest < LONG:
            yield Case(path, "x" * (longest + 1), "range")
        case inspect.LiteralType(values=values):
            yield Case(path, f"{values[0]}-not", "value")
        case inspect.ListType(item_type=item, max_length=longest):
            if longest is not None and longest <= 1000:
                yield Case(path, [{}] * (longest + 1), "range")
            yield from _of(item, (*path, 0), depth + 1)
        case inspect.StructType(fields=fields):
            yield Case((*path, "no_such_key"), 1, "value")
            for field in fields:
                yield from _of(field.type, (*path, field.encode_name), depth + 1)
        case _:
            return


CASES = cases()


def test_every_parameter_has_a_case() -> None:
    named = {case.path[0] for case in CASES}
    assert {name for name in ResponseRequest.__struct_fields__ if name not in ANY} <= named
    assert {case.kind for case in CASES} == {"type", "range", "value"}
    assert len(CASES) > 250


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_wrong_value_names_its_parameter(case: Case) -> None:
    with pytest.raises(InvalidRequest) as caught:
        ResponseRequest.parse(case.body())
    assert caught.value.status == 400
    assert caught.value.param in case.params, caught.value.message
    assert str(caught.value.param) in caught.value.message


@pytest.mark.parametrize(
    "row", [row for row in support.rows() if row.place == "parameter"], ids=lambda row: row.name
)
def test_an_unsupported_parameter_is_refused_by_its_name(row: support.Row) -> None:
    values: dict[str, Any] = {
        "background": True,
        "conversation": "conv_1",
        "moderation": {"model": "m"},
        "multi_agent": {"enabled": True},
        "guardrails": ["g"],
        "personality": "friendly",
    }
    with pytest.raises(InvalidRequest) as caught:
        ResponseRequest.parse(json.dumps({**BASE, row.name: values[row.name]}).encode())
    assert (caught.value.code, caught.value.param) == ("unsupported_parameter", row.name)
