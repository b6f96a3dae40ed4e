"""Filters over attributes as SQL over the tables `attribute_sets` and `attribute_values` of a collection.

The condition is on `s`, a row of `attribute_sets`. It must agree with `core.filters.holds`; values are kept with their
kind, so that a text, a number and a boolean are never compared, and SQLite compares texts by code point and numbers
exactly.
"""

from array import array
from collections.abc import Mapping
from typing import Any, Final

from antiphon.core.filters import AttributeFilter, Comparison, Group, Scalar, values_of
from antiphon.indexes.statements import in_array, statements

SQL: Final = statements("collection")

TEXT, NUMBER, BOOLEAN = 0, 1, 2
_OPERATORS: Final[Mapping[str, str]] = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_SMALLEST, _LARGEST = -(2**63), 2**63 - 1
_EXACT = 2**53


def stored(value: Scalar) -> tuple[int, str | int | float]:
    """The kind of a value, and the value as SQLite keeps it."""
    match value:
        case bool():
            return BOOLEAN, int(value)
        case str():
            return TEXT, value
        case int() if not _SMALLEST <= value <= _LARGEST:
            return NUMBER, float(value)
        case _:
            return NUMBER, value


class Condition:
    """A filter as SQL. `sql` has named bindings, whose values are in `bindings`."""

    def __init__(self, where: AttributeFilter) -> None:
        self.bindings: dict[str, Any] = {}
        self.sql = self._sql(where)

    def _sql(self, where: AttributeFilter) -> str:
        match where:
            case Group(operator=operator, filters=filters):
                return "(" + f" {operator.upper()} ".join(self._sql(one) for one in filters) + ")"
            case Comparison(operator="ne" | "nin"):
                return f"s.n NOT IN ({self._equal(where)})"
            case Comparison(operator="eq" | "in"):
                return f"s.n IN ({self._equal(where)})"
            case Comparison():
                return f"s.n IN ({self._ordered(where)})"

    def _bound(self, value: Any) -> str:
        name = f"w{len(self.bindings)}"
        self.bindings[name] = value
        return f":{name}"

    def _sets(self, key: str, kind: int, condition: str) -> str:
        return SQL["sets"].format(name=self._bound(key), kind=kind, condition=condition)

    def _ordered(self, one: Comparison) -> str:
        kind, value = stored(values_of(one)[0])
        return self._sets(one.key, kind, f"{_OPERATORS[one.operator]} {self._bound(value)}")

    def _equal(self, one: Comparison) -> str:
        """The sets that hold one of the values. Long lists are bound as one array for each kind."""
        numbers, texts, others = array("d"), list[str](), list[tuple[int, str | int | float]]()
        for kind, value in map(stored, values_of(one)):
            if isinstance(value, str):
                # An array of texts ends each at a NUL.
                (others.append((kind, value)) if "\0" in value else texts.append(value))
            elif kind == NUMBER and (isinstance(value, float) or abs(value) <= _EXACT):
                numbers.append(float(value))
            else:
                others.append((kind, value))
        parts = [self._sets(one.key, NUMBER, self._among(numbers))] if numbers else []
        parts += [self._sets(one.key, TEXT, self._among(tuple(texts)))] if texts else []
        for kind in sorted({kind for kind, _ in others}):
            names = [self._bound(value) for of, value in dict.fromkeys(others) if of == kind]
            parts.append(self._sets(one.key, kind, f"IN ({', '.join(names)})"))
        return " UNION ALL ".join(parts)

    def _among(self, values: "array[float] | tuple[str, ...]") -> str:
        return SQL["among"].format(array=self._bound(in_array(values)))
