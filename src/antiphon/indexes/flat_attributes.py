"""Attributes as flat fields of one kind each, and filters over such fields, for databases that know neither kinds nor
the order of texts.

A text has its value in a field, and its order in up to `PIECES` more: six bytes of its UTF-8 each, as a number that is
less where the text is. So "after 2024-05" becomes comparisons of numbers, which such databases have. Of longer texts
that begin alike their values tell (`tied`).
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, assert_never

from antiphon.core.filters import AttributeFilter, Attributes, Comparison, Group, Scalar, holds, values_of

PIECE_BYTES: Final = 6
PIECES: Final = 6
COVERED_BYTES: Final = PIECE_BYTES * PIECES
_BASE: Final = 257
"""A byte and one more: the end of the text, which is less than any byte. Six of those are less than 2^53."""

Kind = Literal["text", "number", "boolean", "order"]


@dataclass(frozen=True, slots=True)
class Field:
    """Where values of one kind, of the attribute `key`, are. Of kind `order` there are `PIECES`, from 0 on."""

    kind: Kind
    key: str
    piece: int = 0


Sign = Literal["gt", "gte", "lt", "lte"]


@dataclass(frozen=True, slots=True)
class OneOf:
    """The field has one of these values; with `negated` it has none of them, or is missing."""

    field: Field
    values: tuple[Scalar, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Ordered:
    """The field is there, and its number stands so to the value."""

    field: Field
    sign: Sign
    value: float


@dataclass(frozen=True, slots=True)
class Every:
    """All of these; none of them is always so."""

    parts: tuple["Plain", ...]


@dataclass(frozen=True, slots=True)
class Some:
    """Any of these; none of them is never so."""

    parts: tuple["Plain", ...]


Plain: TypeAlias = OneOf | Ordered | Every | Some
Tie: TypeAlias = tuple[str, str]
"""A key, and a text of more than `COVERED_BYTES` bytes that it is compared with."""


def pieces(text: str) -> tuple[int, ...]:
    """Numbers whose order is that of texts by code point, as far as `COVERED_BYTES` go; the end counts as a byte."""
    data = text.encode("utf-8", "surrogatepass")
    count = min(len(data) // PIECE_BYTES + 1, PIECES)
    return tuple(_piece(data[at * PIECE_BYTES : (at + 1) * PIECE_BYTES]) for at in range(count))


def _piece(data: bytes) -> int:
    number = 0
    for byte in data:
        number = number * _BASE + byte + 1
    return number * int(_BASE ** (PIECE_BYTES - len(data)))


def sortable(number: float) -> int:
    """A 64-bit whole number; the less the less the float is, and the same for floats that are equal."""
    bits = int.from_bytes(struct.pack(">d", number + 0.0), "big", signed=True)
    return bits if bits >= 0 else ~bits ^ -0x8000000000000000


def fields_of(attributes: Attributes) -> Iterator[tuple[Field, Scalar]]:
    """What is stored of attributes, besides themselves."""
    for key, value in attributes.items():
        if isinstance(value, bool):
            yield Field("boolean", key), value
        elif isinstance(value, str):
            yield Field("text", key), value
            yield from ((Field("order", key, at), piece) for at, piece in enumerate(pieces(value)))
        else:
            yield Field("number", key), float(value)


def ties(where: AttributeFilter) -> set[Tie]:
    """For which attributes of like beginning the values have to be looked up."""
    if isinstance(where, Group):
        return set[Tie]().union(*map(ties, where.filters))
    value = values_of(where)[0]
    if where.operator in ("gt", "gte", "lt", "lte") and isinstance(value, str) and _is_long(value):
        return {(where.key, value)}
    return set()


def _is_long(text: str) -> bool:
    return len(text.encode("utf-8", "surrogatepass")) >= COVERED_BYTES


def begins_alike(tie: Tie) -> Plain:
    """Those whose values have to be looked up."""
    key, text = tie
    return Every(tuple(OneOf(Field("order", key, at), (piece,)) for at, piece in enumerate(pieces(text))))


def plain(where: AttributeFilter, tied: Mapping[Tie, Sequence[str]]) -> Plain:
    """The filter over fields. `tied` has the texts that `begins_alike` finds, for each of `ties`."""
    if isinstance(where, Group):
        parts = tuple(plain(one, tied) for one in where.filters)
        return Every(parts) if where.operator == "and" else Some(parts)
    match where.operator:
        case "eq" | "in":
            return Some(tuple(OneOf(field, values) for field, values in _by_kind(where)))
        case "ne" | "nin":
            return Every(tuple(OneOf(field, values, negated=True) for field, values in _by_kind(where)))
        case "gt" | "gte" | "lt" | "lte":
            return _ordered(where, where.operator, tied)
        case _:
            assert_never(where.operator)


def _by_kind(where: Comparison) -> Iterator[tuple[Field, tuple[Scalar, ...]]]:
    values = values_of(where)
    texts = tuple(value for value in values if isinstance(value, str))
    booleans = tuple(value for value in values if isinstance(value, bool))
    numbers = tuple(float(value) for value in values if not isinstance(value, str | bool))
    if texts:
        yield Field("text", where.key), texts
    if booleans:
        yield Field("boolean", where.key), booleans
    if numbers:
        yield Field("number", where.key), numbers


def _ordered(where: Comparison, sign: Sign, tied: Mapping[Tie, Sequence[str]]) -> Plain:
    value = values_of(where)[0]
    if not isinstance(value, str):
        return Ordered(Field("number", where.key), sign, float(value))
    asked = pieces(value)
    strict: Sign = "gt" if sign in ("gt", "gte") else "lt"
    same = tuple(OneOf(Field("order", where.key, at), (piece,)) for at, piece in enumerate(asked))
    parts: list[Plain] = [
        Every((*same[:at], Ordered(Field("order", where.key, at), strict, piece)))
        for at, piece in enumerate(asked)
    ]
    passing: tuple[str, ...] = (value,) if sign in ("gte", "lte") else ()
    if _is_long(value):
        alike = {*tied[where.key, value]}
        passing = tuple(sorted(text for text in alike if holds(where, {where.key: text})))
    if passing:
        parts.append(OneOf(Field("text", where.key), passing))
    return Some(tuple(parts))
