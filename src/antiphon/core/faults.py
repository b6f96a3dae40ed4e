"""Walk plain JSON beside the structure of a wire type: repair what may be, name each fault by its path.

msgspec reports the first fault only, and of a union no more than that nothing fitted; a caller deserves all
of them, with the path as OpenAI writes it (`input[2].content[0].text`) and the nearest valid name.
"""

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from sys import float_info
from typing import Any, Final

from msgspec import inspect

from antiphon.core.hints import misplaced
from antiphon.core.json_values import is_array, is_object, json_name

_SECRET = re.compile(r"(?:^|\.)(?:authorization|client_secret|headers)(?:\.|\[|$)")
"""Fields whose value is not repeated, whatever it is."""
MAX_FAULTS: Final = 25
SHOWN_NAMES: Final = 12


@dataclass(frozen=True, slots=True)
class Fault:
    """`param` is the wire path, empty for the body itself; `sentence` ends with a full stop."""

    param: str
    sentence: str


class _Enough(Exception):
    """So many faults that the rest would help nobody."""


def repair(value: Any, wanted: Any) -> list[Fault]:
    """Repair `value` in place towards the type `wanted`; what is still wrong, in document order."""
    walk = _Walk()
    with suppress(_Enough):
        walk.visit(value, _structure(wanted), "")
    return walk.faults


@cache
def _structure(wanted: Any) -> inspect.Type:
    return inspect.type_info(wanted)


@dataclass(slots=True)
class _Walk:
    faults: list[Fault] = field(default_factory=list[Fault])

    def visit(self, value: Any, kind: inspect.Type, path: str) -> Any:
        """The repaired value; faults are noted on the way."""
        match kind:
            case inspect.Metadata():
                return self.visit(value, kind.type, path)
            case inspect.AnyType():
                return value
            case inspect.UnionType():
                return self._union(value, kind, path)
            case inspect.StructType():
                return self._struct(value, kind, path)
            case inspect.ListType():
                return self._list(value, kind, path)
            case inspect.DictType():
                return self._dict(value, kind, path)
            case inspect.IntType() if isinstance(value, float) and value.is_integer():
                return self.visit(int(value), kind, path)
            case _:
                if (
                    isinstance(kind, inspect.LiteralType)
                    and isinstance(value, str)
                    and value not in kind.values
                ):
                    self._note(path, _not_among(value, _words(kind)))
                elif not _is_of(value, kind):
                    self._note(path, f"expected {_expected(kind)}, found {json_name(value)}")
                else:
                    self._limits(value, kind, path)
                return value

    def _note(self, path: str, what: str) -> None:
        if _SECRET.search(path):
            what = what.partition(", found ")[0]
        end = "" if what.endswith("?") else "."
        self.faults.append(Fault(path, f"{f'`{path}`' if path else 'the body'}: {what}{end}"))
        if len(self.faults) >= MAX_FAULTS:
            raise _Enough

    def _union(self, value: Any, kind: inspect.UnionType, path: str) -> Any:
        if is_object(value):
            structs = [one for one in kind.types if isinstance(one, inspect.StructType)]
            if structs:
                return self._one_of(value, structs, path)
        fitting = [one for one in kind.types if _is_of(value, one)]
        if fitting:
            return self.visit(value, fitting[0], path)
        if isinstance(value, float) and value.is_integer():
            for one in kind.types:
                if isinstance(one, inspect.IntType):
                    return self.visit(int(value), one, path)
        words = [word for one in kind.types if isinstance(one, inspect.LiteralType) for word in _words(one)]
        if words and isinstance(value, str):
            self._note(path, _not_among(value, words))
        else:
            self._note(path, f"expected {_expected(kind)}, found {json_name(value)}")
        return value

    def _one_of(self, value: dict[str, Any], structs: list[inspect.StructType], path: str) -> Any:
        """`value` as the struct that its tag names."""
        if len(structs) == 1 and structs[0].tag is None:
            return self._struct(value, structs[0], path)
        tags = {one.tag: one for one in structs}
        name = structs[0].tag_field or "type"
        _add_type(value, tags)
        tag = value.get(name)
        if tag is None:
            self._note(_join(path, name), f"required, and missing; say which it is: {_list_of(tags)}")
        elif not isinstance(tag, str):
            self._note(_join(path, name), f"expected a string, found {json_name(tag)}")
        elif tag not in tags:
            self._note(_join(path, name), _not_among(tag, [str(one) for one in tags]))
        else:
            return self._struct(value, tags[tag], path)
        return value

    def _struct(self, value: Any, kind: inspect.StructType, path: str) -> Any:
        if not is_object(value):
            self._note(path, f"expected an object, found {json_name(value)}")
            return value
        known = {one.encode_name: one for one in kind.fields}
        if kind.tag_field is not None:
            self._tag(value, kind, path)
        _repair_nulls(value, kind, known)
        for name in list(value):
            if name in known:
                value[name] = self.visit(value[name], known[name].type, _join(path, name))
            elif name != kind.tag_field:
                self._note(_join(path, name), misplaced(kind.tag, name, known) or _unknown_field(name, known))
        for name, one in known.items():
            if one.required and name not in value:
                self._note(_join(path, name), f"required, and missing; expected {_expected(one.type)}")
        return value

    def _tag(self, value: dict[str, Any], kind: inspect.StructType, path: str) -> None:
        """Where only one type is possible it may be left out, as on the fast path, but not be another."""
        name = kind.tag_field or "type"
        if value.get(name) is None:
            value.pop(name, None)
        elif value[name] != kind.tag:
            self._note(_join(path, name), f'expected "{kind.tag}", found {json_name(value[name])}')

    def _list(self, value: Any, kind: inspect.ListType, path: str) -> Any:
        if not is_array(value):
            self._note(path, f"expected an array, found {json_name(value)}")
            return value
        if not self._size(len(value), kind, path, "elements"):
            return value
        for at, one in enumerate(value):
            value[at] = self.visit(one, kind.item_type, f"{path}[{at}]")
        return value

    def _dict(self, value: Any, kind: inspect.DictType, path: str) -> Any:
        if not is_object(value):
            self._note(path, f"expected an object, found {json_name(value)}")
            return value
        if not self._size(len(value), kind, path, "keys"):
            return value
        for name in list(value):
            at = f"{path}.{name[:64]}"
            self.visit(name, kind.key_type, at)
            value[name] = self.visit(value[name], kind.value_type, at)
        return value

    def _size(self, size: int, kind: inspect.ListType | inspect.DictType, path: str, unit: str) -> bool:
        if kind.max_length is not None and size > kind.max_length:
            self._note(path, f"has {size} {unit}; at most {kind.max_length} are allowed")
            return False
        if kind.min_length is not None and size < kind.min_length:
            self._note(path, f"has {size} {unit}; at least {kind.min_length} are needed")
            return False
        return True

    def _limits(self, value: Any, kind: inspect.Type, path: str) -> None:
        match kind:
            case inspect.StrType():
                self._string_limits(value, kind, path)
            case inspect.IntType() | inspect.FloatType():
                low = kind.ge if kind.ge is not None else kind.gt
                high = kind.le
                too_low = (kind.ge is not None and value < kind.ge) or (
                    kind.gt is not None and value <= kind.gt
                )
                if too_low or (high is not None and value > high):
                    self._note(
                        path, f"{json_name(value)} is out of range: {_range(low, high, kind.ge is None)}"
                    )
                elif isinstance(kind, inspect.FloatType) and abs(value) > float_info.max:
                    self._note(path, f"{json_name(value)} is out of range: it has more than 308 digits")
            case _:
                return

    def _string_limits(self, value: str, kind: inspect.StrType, path: str) -> None:
        if kind.max_length is not None and len(value) > kind.max_length:
            self._note(path, f"has {len(value)} characters; at most {kind.max_length} are allowed")
        elif kind.min_length is not None and len(value) < kind.min_length:
            what = (
                "must not be empty"
                if kind.min_length == 1
                else f"needs at least {kind.min_length} characters"
            )
            self._note(path, what)
        elif kind.pattern is not None and not re.search(kind.pattern, value):
            allowed = "letters, digits, - and _" if "a-zA-Z0-9_-" in kind.pattern else kind.pattern
            self._note(path, f"{json_name(value)} has characters that are not allowed; allowed: {allowed}")


def _add_type(value: dict[str, Any], tags: dict[Any, inspect.StructType]) -> None:
    if value.get("type") is not None:
        return
    if "role" in value and "message" in tags:
        value["type"] = "message"
    elif "item_reference" in tags and isinstance(value.get("id"), str) and value.keys() <= {"id", "type"}:
        value["type"] = "item_reference"


def _repair_nulls(value: dict[str, Any], kind: inspect.StructType, known: dict[str, inspect.Field]) -> None:
    """Leave out nulls that say nothing: where the field may be absent, and in fields nobody knows."""
    if kind.tag == "output_text" and "text" in value and value["text"] is None:
        value["text"] = ""  # AG2 replays assistant turns so
    for name in [name for name, one in value.items() if one is None and name != kind.tag_field]:
        if name not in known or (not known[name].required and not _is_of(None, known[name].type)):
            del value[name]


def _is_of(value: Any, kind: inspect.Type) -> bool:
    """Whether the JSON form fits, limits and insides apart."""
    match kind:
        case inspect.AnyType():
            return True
        case inspect.NoneType():
            return value is None
        case inspect.BoolType():
            return isinstance(value, bool)
        case inspect.IntType():
            return isinstance(value, int) and not isinstance(value, bool)
        case inspect.FloatType():
            return isinstance(value, int | float) and not isinstance(value, bool)
        case inspect.StrType():
            return isinstance(value, str)
        case inspect.LiteralType():
            return isinstance(value, str | int) and value in kind.values
        case inspect.ListType():
            return is_array(value)
        case inspect.DictType() | inspect.StructType():
            return is_object(value)
        case inspect.UnionType():
            return any(_is_of(value, one) for one in kind.types)
        case inspect.Metadata():
            return _is_of(value, kind.type)
        case _:
            return False


def _expected(kind: inspect.Type) -> str:
    match kind:
        case inspect.NoneType():
            return "null"
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            return "an integer"
        case inspect.FloatType():
            return "a number"
        case inspect.StrType():
            return "a string"
        case inspect.LiteralType():
            return _list_of(_words(kind))
        case inspect.ListType():
            return "an array"
        case inspect.UnionType():
            return " or ".join(dict.fromkeys(_expected(one) for one in _without_null(kind.types)))
        case inspect.Metadata():
            return _expected(kind.type)
        case _:
            return "an object"


def _without_null(kinds: Iterable[inspect.Type]) -> list[inspect.Type]:
    return [one for one in kinds if not isinstance(one, inspect.NoneType)]


def _words(kind: inspect.LiteralType) -> list[str]:
    return [str(one) for one in kind.values]


def _list_of(names: Iterable[Any]) -> str:
    quoted = [f'"{name}"' for name in sorted(map(str, names))]
    shown, rest = quoted[:SHOWN_NAMES], len(quoted) - SHOWN_NAMES
    return ", ".join(shown) + (f" and {rest} more" if rest > 0 else "")


def _not_among(value: str, names: list[str]) -> str:
    near = get_close_matches(value[:64], names, n=1, cutoff=0.5)
    question = f' Did you mean "{near[0]}"?' if near else ""
    return f"{json_name(value)} is not known here.{question} Allowed: {_list_of(names)}"


def _unknown_field(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name[:64], list(known), n=1)
    return f'unknown field. Did you mean "{near[0]}"?' if near else "unknown field; leave it out"


def _range(low: float | None, high: float | None, open_below: bool) -> str:
    match low, high:
        case None, _:
            return f"at most {high}"
        case _, None:
            return f"more than {low}" if open_below else f"at least {low}"
        case _:
            return f"more than {low}, at most {high}" if open_below else f"{low} to {high}"


def _join(path: str, name: str) -> str:
    name = '""' if not name else name if len(name) <= 64 else name[:61] + "..."
    return f"{path}.{name}" if path else name
