"""Rules of the JSON Schemas in an agent's configuration, besides those of every request (`core.tool_rules`)."""

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import unquote

from antiphon.core.errors import InvalidRequest
from antiphon.core.json_schemas import nesting_exceeds
from antiphon.core.json_values import is_array, is_object
from antiphon.core.tool_rules import MAX_NESTING, check_schema
from antiphon.core.wire import JsonObject, encode

MAX_SCHEMA_BYTES = 256 * 1024
"""Of one schema, as JSON. It is sent with each model call."""
_ONE: Final = ("items", "additionalProperties", "contains", "propertyNames", "not", "if", "then", "else")
_MANY: Final = ("anyOf", "oneOf", "allOf", "prefixItems")
_NAMED: Final = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")


def check(schema: JsonObject, path: str, *, of_arguments: bool = False) -> None:
    """Raises InvalidRequest for a schema that is too deep or too large, that is none, or that nothing can meet because
    its references go round in a circle. One that contains itself where a value may end (a tree, a list) is fine.
    """
    check_depth(schema, path)
    check_schema(schema, path, of_arguments=of_arguments)
    check_size(schema, path, MAX_SCHEMA_BYTES)
    if not _Ends(schema).all_do():
        raise InvalidRequest(
            f"`{path}`: its references ($ref) go round in a circle that no value can end; break the cycle, or make the"
            " property that repeats it optional.",
            param=path,
        )


def check_depth(value: Any, path: str) -> None:
    if isinstance(value, dict | list) and nesting_exceeds(value, MAX_NESTING):
        raise InvalidRequest(f"`{path}`: nested deeper than {MAX_NESTING} levels; flatten it.", param=path)


def check_size(value: Any, path: str, limit_bytes: int) -> None:
    """`value` is not nested too deep."""
    size = len(encode(value))
    if size > limit_bytes:
        raise InvalidRequest(f"`{path}`: {size} bytes as JSON; at most {limit_bytes} are taken.", param=path)


def with_items(schema: Any) -> Any:
    """The schema with `items` in each array that says nothing of its members: some model APIs refuse those without,
    and clients that make schemas of annotations write a plain `list` so.
    """
    if not is_object(schema):
        return schema
    made = {key: _with_items_below(key, inner) for key, inner in schema.items()}
    kind = made.get("type")
    if "array" in (kind if is_array(kind) else [kind]) and not ("items" in made or "prefixItems" in made):
        made["items"] = {}
    return made


def _with_items_below(key: str, inner: Any) -> Any:
    if key in _NAMED and is_object(inner):
        return {name: with_items(one) for name, one in inner.items()}
    if key in _MANY and is_array(inner):
        return [with_items(one) for one in inner]
    return with_items(inner) if key in _ONE else inner


class _Ends:
    """Which schemas of a document some finite value can meet, as far as references decide it: a least fixed point."""

    def __init__(self, root: JsonObject) -> None:
        self._root = root
        self._ending: set[int] = set()

    def all_do(self) -> bool:
        left, before = self._nodes(), 0
        if not any("$ref" in node for node in left):
            return True
        while left and len(left) != before:
            before = len(left)
            self._ending.update(id(node) for node in left if self._ends(node))
            left = [node for node in left if id(node) not in self._ending]
        return not left

    def _nodes(self) -> list[JsonObject]:
        """Every schema in the document, and whatever a reference leads to."""
        found: dict[int, JsonObject] = {}
        todo: list[Any] = [self._root]
        while todo:
            one = todo.pop()
            if is_object(one) and id(one) not in found:
                found[id(one)] = one
                todo += self._referred(one)
                todo += (inner for key in _ONE if (inner := one.get(key)))
                todo += (inner for key in _MANY for inner in _array(one, key))
                todo += (inner for key in _NAMED for inner in _object(one, key).values())
        return list(found.values())

    def _ends(self, node: JsonObject) -> bool:
        """As far as is known yet."""
        if not all(map(self._known, self._must(node))):
            return False
        choices = [branches for key in ("anyOf", "oneOf") if (branches := _array(node, key))]
        return all(any(map(self._known, branches)) for branches in choices)

    def _known(self, node: Any) -> bool:
        return not is_object(node) or id(node) in self._ending

    def _must(self, node: JsonObject) -> Iterator[Any]:
        """The schemas that any value of this one, or a part which it has to have, meets too."""
        yield from self._referred(node)
        yield from _array(node, "allOf")
        if node.get("type") == "object":
            properties = _object(node, "properties")
            yield from (properties[name] for name in _array(node, "required") if name in properties)
        least = node.get("minItems")
        if node.get("type") == "array" and isinstance(least, int) and least > 0:
            yield node.get("items")

    def _referred(self, node: JsonObject) -> Iterator[Any]:
        """Where `$ref` leads, if it is a pointer: `check_schema` saw to it that it leads somewhere."""
        reference = node.get("$ref")
        if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
            return
        at: Any = self._root
        for part in unquote(reference[1:]).split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            at = at[key] if is_object(at) else at[int(key)]
        yield at


def _array(node: JsonObject, key: str) -> list[Any]:
    value = node.get(key)
    return value if is_array(value) else []


def _object(node: JsonObject, key: str) -> JsonObject:
    value = node.get(key)
    return value if is_object(value) else {}
