"""Forms (`application/x-www-form-urlencoded`) as the JSON they stand for; Open Responses allows them.

Keys nest by brackets: `metadata[team]=blue`, `input[0][role]=user`, `tools[0][type]=function`, `include[]=…`. What a
value is, the field decides that it is for:

- a field that takes text takes the value as text: `input=5` is "5";
- any other field takes it as JSON: `temperature=0.5`, `stream=true`, `max_output_tokens=null`,
  `tools=[{"type": "function", …}]`;
- a field of any shape (the inside of a tool's schema) takes JSON where the value is JSON, else text; a text that
  would be JSON is quoted: `"5"`.
"""

from functools import cache
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from msgspec import inspect

from antiphon.core.errors import InvalidRequest, UnsupportedMediaType
from antiphon.core.wire import decode_json, encode

MAX_FIELDS = 10_000
MAX_DEPTH = 32
_ANY = inspect.AnyType()


class _Branch(dict[str, "_Branch | str"]):
    """What is below a key. `appended` when its keys were written `[]`."""

    appended = False


_Node = _Branch | str


def to_json(body: bytes, wanted: Any) -> bytes:
    """The JSON of a form that stands for a `wanted`.

    Raises InvalidRequest, with the field in `param`, and UnsupportedMediaType for JSON that only says it is a form.
    """
    if body.lstrip()[:1] == b"{":  # what `curl -d` sends when nobody names a type
        raise UnsupportedMediaType(
            "the body is JSON, but its content-type says that it is a form; send it with"
            " `content-type: application/json`."
        )
    root = _Branch()
    for key, value in _fields(body):
        _add(root, key, value)
    return encode(_typed(root, _structure(wanted), ""))


@cache
def _structure(wanted: Any) -> inspect.Type:
    return inspect.type_info(wanted)


def _fields(body: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            body.decode(),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except UnicodeDecodeError:
        raise InvalidRequest("the form is not valid UTF-8, or its percent-encoding is not.") from None
    except ValueError as error:
        wrong = (
            f"has more than {MAX_FIELDS} fields" if "fields exceeded" in str(error) else "is not key=value&…"
        )
        raise InvalidRequest(f"the form {wrong}; send JSON, or mend it.") from None


# --- keys ------------------------------------------------------------------------------------------------------
def _add(root: _Branch, key: str, value: str) -> None:
    names = _names(key)
    at = root
    for depth, name in enumerate(names[:-1]):
        below = at.setdefault(name, _Branch())
        if isinstance(below, str):
            raise _twice(names[: depth + 1])
        at = below
    last = names[-1]
    if last == "":
        if at and not at.appended:
            raise _twice(names[:-1])
        at.appended = True
        last = str(len(at))
    elif at.appended or last in at:
        raise _twice(names)
    at[last] = value


def _names(key: str) -> list[str]:
    """`input[0][role]` as its parts; the last may be empty, for `include[]`."""
    first, *rest = key.split("[")
    whole = first and "]" not in first and all(part.endswith("]") and "]" not in part[:-1] for part in rest)
    names = [first, *(part[:-1] for part in rest)]
    if not whole or "" in names[1:-1]:
        raise InvalidRequest(
            f'the form key "{key[:100]}" cannot be read; write it as `a`, `a[b]`, `a[0][b]` or `a[]`.',
            param=key[:100] or None,
        )
    if len(names) > MAX_DEPTH:
        raise InvalidRequest(f"a form key is nested deeper than {MAX_DEPTH} levels.", param=first[:100])
    return names


def _twice(names: list[str]) -> InvalidRequest:
    path = ""
    for name in names:
        path = _join(path, name)
    return InvalidRequest(
        f"`{path[:200]}` is there twice; give it once, or the elements of an array by number: `{names[0][:64]}[0]`.",
        param=path[:200],
    )


def _join(path: str, name: str) -> str:
    if not path:
        return name
    return f"{path}[{name}]" if name.isdigit() else f"{path}.{name}"


# --- values ----------------------------------------------------------------------------------------------------
def _typed(node: _Node, kind: inspect.Type, path: str) -> Any:
    kinds = _members(kind)
    if isinstance(node, str):
        return _leaf(node, kinds)
    arrays = [one for one in kinds if isinstance(one, inspect.ListType)]
    if arrays and (node.appended or all(name.isdigit() for name in node)):
        return _array(node, arrays[0].item_type, path)
    structs = [one for one in kinds if isinstance(one, inspect.StructType)]
    struct = _struct_of(node, structs)
    if struct is not None:
        fields: dict[str, inspect.Type] = {one.encode_name: one.type for one in struct.fields}
        if struct.tag_field is not None:
            fields[struct.tag_field] = inspect.StrType()
        return _object(node, fields, path)
    mappings = [one for one in kinds if isinstance(one, inspect.DictType)]
    if mappings and not node.appended:
        return {
            name: _typed(below, mappings[0].value_type, _join(path, name)) for name, below in node.items()
        }
    if node.appended or (node and _numbered(node)):
        return _array(node, _ANY, path)
    return _object(node, {}, path)


def _members(kind: inspect.Type) -> list[inspect.Type]:
    """The types that a value may have, without their wrappings."""
    match kind:
        case inspect.Metadata():
            return _members(kind.type)
        case inspect.UnionType():
            return [member for one in kind.types for member in _members(one)]
        case _:
            return [kind]


def _leaf(text: str, kinds: list[inspect.Type]) -> Any:
    for kind in kinds:
        if isinstance(kind, inspect.StrType) or (
            isinstance(kind, inspect.LiteralType) and text in kind.values
        ):
            return text
    try:
        return decode_json(text)
    except (msgspec.DecodeError, RecursionError):
        return text  # whoever checks the field says what it should be


def _array(node: _Branch, kind: inspect.Type, path: str) -> list[Any]:
    if not _numbered(node):
        raise InvalidRequest(
            f"`{path}` is an array: number its elements from 0, without a gap.", param=path or None
        )
    return [_typed(node[str(at)], kind, f"{path}[{at}]") for at in range(len(node))]


def _numbered(node: _Branch) -> bool:
    return all(str(at) in node for at in range(len(node)))


def _struct_of(node: _Branch, structs: list[inspect.StructType]) -> inspect.StructType | None:
    """The one that the tag names; a message may leave its tag out, as it may in JSON."""
    if len(structs) == 1:
        return structs[0]
    for one in structs:
        said = node.get(one.tag_field or "type", "message" if "role" in node else None)
        if one.tag is not None and said == one.tag:
            return one
    return None


def _object(node: _Branch, fields: dict[str, inspect.Type], path: str) -> dict[str, Any]:
    """Fields that nobody knows may be anything: it is not here that they are refused."""
    return {name: _typed(below, fields.get(name, _ANY), _join(path, name)) for name, below in node.items()}
