"""Valid instances of OpenAPI schemas: the smallest, the largest, one for each choice, and random ones.

`variants` expands a schema by sums, not by products: each optional key, union branch, enum value, null and
array form appears in at least one instance whose other parts are minimal. `sample` mixes them, from a seed.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from antiphon.core.json_values import is_array, is_object

Schema = Mapping[str, Any]
_BY_PATTERN = {
    "^[a-zA-Z0-9_-]+$": "name_1-b",
    "^tunnel_[a-z0-9]{32}$": "tunnel_" + "a1" * 16,
}
_ODD_TEXT = 'Zürich "東京"\n\u2028\U0001f642 \\u0000 </script>'
_STRING: Schema = {"type": "string"}  # what a key is that is required and nowhere described
_FREE: tuple[Any, ...] = ({}, {"any": [1, {"x": None}, "é", 0.5, True]})


def reachable(spec: Schema, roots: Iterable[Any]) -> set[str]:
    """Names of the component schemas that `roots` lead to."""
    schemas = spec["components"]["schemas"]
    seen: set[str] = set()
    todo = [name for root in roots for name in _references(root)]
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo.extend(_references(schemas.get(name, {})))
    return seen


def _references(value: Any) -> Iterator[str]:
    if is_object(value):
        for key, inner in value.items():
            if key == "$ref" and isinstance(inner, str):
                yield inner.rsplit("/", 1)[1]
            elif key != "discriminator":
                yield from _references(inner)
    elif is_array(value):
        for inner in value:
            yield from _references(inner)


@dataclass(frozen=True, slots=True)
class _Object:
    """An object schema with its `allOf` parts merged."""

    properties: dict[str, Schema] = field(default_factory=dict[str, Schema])
    required: tuple[str, ...] = ()
    others: Any = None


class Instances:
    """Instances of the schemas of one OpenAPI document."""

    def __init__(self, spec: Schema) -> None:
        self._schemas: Schema = spec["components"]["schemas"]

    def minimal(self, name: str) -> Any:
        return self._minimal(self._schemas[name], (name,))

    def maximal(self, name: str) -> Any:
        return self._maximal(self._schemas[name], (name,))

    def variants(self, name: str) -> Iterator[Any]:
        yield self.maximal(name)
        yield from self._variants(self._schemas[name], (name,))

    def sample(self, name: str, random: Random) -> Any:
        return self._sample(self._schemas[name], random, (name,))

    def is_scalar(self, name: str) -> bool:
        """Whether the schema is a string, number, enum or a union of such: a value, not a structure."""
        return self._is_scalar(self._schemas[name])

    def _is_scalar(self, schema: Schema) -> bool:
        if "$ref" in schema:
            return self.is_scalar(schema["$ref"].rsplit("/", 1)[1])
        branches = schema.get("anyOf") or schema.get("oneOf")
        if branches:
            return all(self._is_scalar(one) for one in branches)
        return "enum" in schema or schema.get("type") in ("string", "integer", "number", "boolean", "null")

    def _follow(self, schema: Schema, trail: tuple[str, ...]) -> tuple[Schema, tuple[str, ...]] | None:
        """The schema behind a reference; None where it would lead round in a circle."""
        if "$recursiveRef" in schema:
            name = next(one for one in reversed(trail) if "$recursiveAnchor" in self._schemas[one])
        elif "$ref" in schema:
            name = schema["$ref"].rsplit("/", 1)[1]
        else:
            return schema, trail
        if trail.count(name) > 1:
            return None
        return self._follow(self._schemas[name], (*trail, name))

    def _branches(self, schema: Schema) -> list[Schema]:
        return list(schema.get("anyOf") or schema.get("oneOf") or ())

    def _object(self, schema: Schema) -> _Object | None:
        if "$ref" in schema:
            return self._object(self._schemas[schema["$ref"].rsplit("/", 1)[1]])
        own = _Object(
            dict(schema.get("properties", {})),
            tuple(schema.get("required", ())),
            schema.get("additionalProperties"),
        )
        if "allOf" in schema:
            for part in schema["allOf"]:
                found = self._object(part)
                own = own if found is None else self._merged(found, own)
            return own
        return own if schema.get("type") == "object" or own.properties else None

    def _merged(self, one: _Object, two: _Object) -> _Object:
        properties = one.properties | two.properties
        for key in one.properties.keys() & two.properties.keys():
            first, second = one.properties[key], two.properties[key]
            if self._is_scalar(first) and self._is_scalar(second):  # both hold, so what both allow
                allowed = list(self._variants(second, ()))
                properties[key] = {"enum": [one for one in self._variants(first, ()) if one in allowed]}
        return _Object(
            properties,
            tuple(dict.fromkeys(one.required + two.required)),
            one.others if two.others is None else two.others,
        )

    def _minimal(self, schema: Schema, trail: tuple[str, ...]) -> Any:
        followed = self._follow(schema, trail)
        if followed is None:
            raise RecursionError(trail[-1])
        schema, trail = followed
        for branch in self._branches(schema):
            try:
                return self._minimal(branch, trail)
            except RecursionError:
                continue
        shape = self._object(schema)
        if shape is not None and "enum" not in schema:
            return {key: self._minimal(shape.properties.get(key, _STRING), trail) for key in shape.required}
        if schema.get("type") == "array":
            return [self._minimal(schema["items"], trail)] * schema.get("minItems", 0)
        return _scalars(schema)[0]

    def _maximal(self, schema: Schema, trail: tuple[str, ...]) -> Any:
        followed = self._follow(schema, trail)
        if followed is None:
            raise RecursionError(trail[-1])
        schema, trail = followed
        for branch in self._branches(schema):
            try:
                return self._maximal(branch, trail)
            except RecursionError:
                continue
        shape = self._object(schema)
        if shape is not None and "enum" not in schema:
            keys = dict.fromkeys((*shape.properties, *shape.required))
            found = {key: self._maximal(shape.properties.get(key, _STRING), trail) for key in keys}
            return found or self._mapping(shape, trail)[-1]
        if schema.get("type") == "array":
            return [self._maximal(schema["items"], trail)]
        return _scalars(schema)[-1]

    def _mapping(self, shape: _Object, trail: tuple[str, ...]) -> list[Any]:
        """Forms of an object whose keys are free."""
        if is_object(shape.others) and shape.others:
            return [{}, *({"key": one} for one in self._variants(shape.others, trail))]
        return list(_FREE)

    def _variants(self, schema: Schema, trail: tuple[str, ...]) -> Iterator[Any]:
        followed = self._follow(schema, trail)
        if followed is None:
            return
        schema, trail = followed
        if schema.get("nullable"):
            yield None
        branches = self._branches(schema)
        if branches:
            for branch in branches:
                yield from self._variants(branch, trail)
            return
        shape = self._object(schema)
        if shape is not None and "enum" not in schema:
            yield from self._object_variants(shape, trail)
        elif schema.get("type") == "array":
            if not schema.get("minItems"):
                yield []
            items = list(self._variants(schema["items"], trail))
            yield from ([one] for one in items)
            if len(items) > 1:
                yield [items[0], items[-1]]
        else:
            yield from _scalars(schema)

    def _object_variants(self, shape: _Object, trail: tuple[str, ...]) -> Iterator[Any]:
        base = {key: self._minimal(shape.properties.get(key, _STRING), trail) for key in shape.required}
        if not shape.properties:
            yield from ({**base, **one} for one in self._mapping(shape, trail))
            return
        yield base
        for key, inner in shape.properties.items():
            yield from ({**base, key: one} for one in self._variants(inner, trail))

    def _sample(self, schema: Schema, random: Random, trail: tuple[str, ...]) -> Any:
        followed = self._follow(schema, trail)
        if followed is None:
            raise RecursionError(trail[-1])
        schema, trail = followed
        branches = self._branches(schema)
        for branch in random.sample(branches, len(branches)):
            try:
                return self._sample(branch, random, trail)
            except RecursionError:
                continue
        shape = self._object(schema)
        if shape is not None and "enum" not in schema:
            return self._sample_object(shape, random, trail)
        if schema.get("type") == "array":
            count = max(schema.get("minItems", 0), random.choice((0, 1, 1, 2, 3)))
            return [self._sample(schema["items"], random, trail) for _ in range(count)]
        return random.choice(_scalars(schema))

    def _sample_object(self, shape: _Object, random: Random, trail: tuple[str, ...]) -> Any:
        if not shape.properties:
            return random.choice(self._mapping(shape, trail))
        found: dict[str, Any] = {}
        for key in dict.fromkeys((*shape.properties, *shape.required)):
            if key in shape.required or random.random() < 0.4:
                found[key] = self._sample(shape.properties.get(key, _STRING), random, trail)
        return found


def _scalars(schema: Schema) -> list[Any]:
    """Values of a schema without structure: each enum value, both ends of a range."""
    if "enum" in schema:
        return list(schema["enum"])
    kind = schema.get("type")
    low, high = schema.get("minimum"), schema.get("maximum")
    match kind:
        case "string":
            return _strings(schema)
        case "integer":
            return _within((7, low, high), low, high)
        case "number":
            return _within((0.5, 1, low, high), low, high)
        case "boolean":
            return [True, False]
        case "null":
            return [None]
        case _:
            return ["anything", None, *_FREE]


def _within(values: Iterable[float | None], low: float | None, high: float | None) -> list[Any]:
    return [
        one
        for one in values
        if one is not None and (low is None or one >= low) and (high is None or one <= high)
    ]


def _strings(schema: Schema) -> list[str]:
    if "pattern" in schema:
        return [_BY_PATTERN[schema["pattern"]]]
    if schema.get("format") == "uri":
        return ["https://example.test/a?b=c"]
    # Some limits are only in the words of the document; 64 is the narrowest of them.
    longest = schema.get("maxLength", 64)
    return ["text_1", "x" * longest] if longest <= 128 else ["text_1", _ODD_TEXT]
