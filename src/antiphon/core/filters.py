"""Filters over the attributes of files: their checked form, and what they mean.

`holds` is the meaning; every index pushes filters down in its own language and must agree with it. Source of the
shape: `ComparisonFilter` and `CompoundFilter` of the official OpenAPI.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, assert_never

from antiphon.core.errors import InvalidRequest
from antiphon.core.tools import Filter
from antiphon.core.wire import UNSET

Scalar = str | float | bool
Attributes = Mapping[str, Scalar]
Comparator = Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"]
MAX_DEPTH = 8
MAX_CONDITIONS = 256
MAX_KEY = 64
MAX_VALUES = 1_000


@dataclass(frozen=True, slots=True)
class Comparison:
    """`value` is a tuple with `in` and `nin`, else one value; of `gt`, `gte`, `lt` and `lte` never a boolean.

    Texts, numbers and booleans are three kinds: a value equals, and is ordered against, only one of its own kind.
    Texts are ordered by code point. `ne` and `nin` hold exactly where `eq` and `in` do not, so also for a file without
    the attribute.
    """

    key: str
    operator: Comparator
    value: Scalar | tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """All (`and`) or any (`or`) of at least one filter."""

    operator: Literal["and", "or"]
    filters: tuple["AttributeFilter", ...]


AttributeFilter = Comparison | Group


def holds(condition: AttributeFilter, attributes: Attributes) -> bool:
    """Whether a file of these attributes passes."""
    match condition:
        case Group(operator="and", filters=filters):
            return all(holds(one, attributes) for one in filters)
        case Group(filters=filters):
            return any(holds(one, attributes) for one in filters)
        case Comparison():
            return _compares(condition, attributes)


def _compares(one: Comparison, attributes: Attributes) -> bool:
    given = attributes.get(one.key)
    match one.operator:
        case "eq" | "in":
            return given is not None and any(_equal(given, value) for value in values_of(one))
        case "ne" | "nin":
            return given is None or not any(_equal(given, value) for value in values_of(one))
        case "gt" | "gte" | "lt" | "lte":
            order = None if given is None else _order(given, values_of(one)[0])
            if order is None:
                return False
            return {"gt": order > 0, "gte": order >= 0, "lt": order < 0, "lte": order <= 0}[one.operator]
        case _:
            assert_never(one.operator)


def values_of(one: Comparison) -> tuple[Scalar, ...]:
    return one.value if isinstance(one.value, tuple) else (one.value,)


def _kind(value: Scalar) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "text" if isinstance(value, str) else "number"


def _equal(one: Scalar, other: Scalar) -> bool:
    return _kind(one) == _kind(other) and one == other


def _order(one: Scalar, other: Scalar) -> int | None:
    """Below zero, zero or above; None where the two have no order."""
    if isinstance(one, str) and isinstance(other, str):
        return (one > other) - (one < other)
    if isinstance(one, bool | str) or isinstance(other, bool | str):
        return None
    return (one > other) - (one < other)


# --- from the wire --------------------------------------------------------------------------------------------
def checked(given: Filter, param: str) -> AttributeFilter:
    """The filter of a request. Raises InvalidRequest, with the path of what is wrong in `param`."""
    return _Check().filter(given, param, 1)


class _Check:
    def __init__(self) -> None:
        self._conditions = 0

    def filter(self, given: Filter, path: str, depth: int) -> AttributeFilter:
        self._conditions += 1
        if depth > MAX_DEPTH or self._conditions > MAX_CONDITIONS:
            raise InvalidRequest(
                f"`{path}`: at most {MAX_CONDITIONS} conditions, nested {MAX_DEPTH} deep, are taken; make the filter"
                " smaller.",
                param=path,
            )
        if given.type == "and" or given.type == "or":  # noqa: PLR1714  `in` does not narrow the type
            return self._group(given, given.type, path, depth)
        return self._comparison(given, given.type, path)

    def _group(self, given: Filter, operator: Literal["and", "or"], path: str, depth: int) -> Group:
        if given.key is not UNSET or given.value is not UNSET:
            raise InvalidRequest(
                f'`{path}`: a filter of type "{operator}" has `filters`, and neither `key` nor `value`.',
                param=path,
            )
        if not given.filters:
            raise InvalidRequest(
                f"`{path}.filters`: required, with at least one filter.", param=f"{path}.filters"
            )
        inner = [self.filter(one, f"{path}.filters[{at}]", depth + 1) for at, one in enumerate(given.filters)]
        return Group(operator, tuple(inner))

    def _comparison(self, given: Filter, operator: Comparator, path: str) -> Comparison:
        if given.filters is not UNSET:
            raise InvalidRequest(
                f'`{path}.filters`: only filters of type "and" and "or" have it.', param=f"{path}.filters"
            )
        if not given.key or len(given.key) > MAX_KEY:
            raise InvalidRequest(
                f"`{path}.key`: required, the name of an attribute, 1 to {MAX_KEY} characters.",
                param=f"{path}.key",
            )
        if given.value is UNSET:
            raise InvalidRequest(f"`{path}.value`: required.", param=f"{path}.value")
        return Comparison(given.key, operator, _value(operator, given.value, f"{path}.value"))


def _value(operator: str, value: Scalar | list[str | float], path: str) -> Scalar | tuple[Scalar, ...]:
    if operator in ("in", "nin"):
        if not isinstance(value, list) or not value or len(value) > MAX_VALUES:
            raise InvalidRequest(
                f'`{path}`: with "{operator}" an array of 1 to {MAX_VALUES} texts and numbers.', param=path
            )
        return tuple(value)
    if isinstance(value, list):
        raise InvalidRequest(
            f'`{path}`: with "{operator}" one value; arrays go with "in" and "nin".', param=path
        )
    if isinstance(value, bool) and operator not in ("eq", "ne"):
        raise InvalidRequest(f'`{path}`: with "{operator}" a text or a number.', param=path)
    return value
