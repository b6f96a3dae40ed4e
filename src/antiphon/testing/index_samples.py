"""Texts, vectors, attributes and filters that indexes are tried with."""

import math
from random import Random
from typing import Final

from antiphon.core.filters import AttributeFilter, Attributes, Comparator, Comparison, Group, Scalar
from antiphon.core.vectors import packed, unpacked

ODD_TEXTS: Final = (
    "plain",
    "' OR 1=1; DROP TABLE chunks; --",
    '"quotes" \\ back\\slash %s %d {} ${x} :id ?1 $1',
    "line\nline\r\n\ttab \u2028 \u0085 \x01\x1f\x7f",
    "né \U0001f600\U0001f468\u200d\U0001f469 e\u0301 \ufeff \u202e \uffff",
    "東京 한국어 ไทย العربية हिन्दी",
    "   spaces at the ends   ",
    "../../etc/passwd",
)
ODD_QUERIES: Final = (
    *ODD_TEXTS,
    "AND",
    "OR OR",
    "NOT text",
    "NEAR(an text, 5)",
    "text*",
    '"',
    '"unbalanced',
    "^text",
    "{a b} : text",
    "-text +text",
    "text:*",
    "text\u0000innocent",
    "'; DELETE FROM chunks; --",
    "<-> & | ! :* text:ABC",
    "\U0001f600",
    "かな交じり文",
    "a" * 5_000,
    "word " * 5_000,
    " ".join(f"w{number}" for number in range(3_000)),
    "((((((((((",
    "$not %like% _",
)
VALUES: Final[tuple[Scalar, ...]] = (
    "1",
    "true",
    "",
    "a",
    "A",
    "ä",
    "\uffff",
    "\U0001f600",
    'it\'s "x" \\ %',
    1.0,
    0.0,
    -1.0,
    0.1,
    0.30000000000000004,
    5e-324,
    1.7976931348623157e308,
    -1.7976931348623157e308,
    9007199254740993.0,
    1e-7,
    1_767_225_600,
    True,
    False,
)
"""Values of one key whose kinds and order are easily mixed up."""

_KEYS: Final = ("x", "y", "author name", "a.b", "$k", "ключ", 'it\'s "q" \\')
_FEW: Final[tuple[Scalar, ...]] = ("1", "true", "b", 1.0, 0.0, 2.5, 1e300, True, False)


def random_vector(chance: Random, dimension: int) -> bytes:
    """A vector of length 1, in any direction."""
    numbers = [chance.gauss(0, 1) for _ in range(dimension)]
    length = math.hypot(*numbers)
    return packed([number / length for number in numbers])


def cosine(one: bytes, other: bytes) -> float:
    """Of two vectors of length 1."""
    return math.fsum(a * b for a, b in zip(unpacked(one), unpacked(other), strict=True))


def random_attributes(chance: Random) -> Attributes:
    """Values of mixed kinds under few keys, so that filters tell them apart; keys are missing often."""
    return {key: _value(chance) for key in _KEYS if chance.random() < 0.6}


def random_filter(chance: Random, depth: int = 0) -> AttributeFilter:
    """A tree of filters, up to four deep."""
    if depth < 3 and chance.random() < 0.45:
        inner = tuple(random_filter(chance, depth + 1) for _ in range(chance.randint(1, 3)))
        return Group("and" if chance.random() < 0.5 else "or", inner)
    return _comparison(chance)


def _comparison(chance: Random) -> Comparison:
    key = chance.choice([*_KEYS, "nobody has this"])
    lists: tuple[Comparator, ...] = ("in", "nin")
    equals: tuple[Comparator, ...] = ("eq", "ne")
    orders: tuple[Comparator, ...] = ("gt", "gte", "lt", "lte")
    if chance.random() < 0.3:
        values = tuple(_value(chance) for _ in range(chance.randint(1, 4)))
        return Comparison(key, chance.choice(lists), values)
    value = _value(chance)
    operator = chance.choice(equals if isinstance(value, bool) else equals + orders)
    return Comparison(key, operator, value)


def _value(chance: Random) -> Scalar:
    return chance.choice(_FEW if chance.random() < 0.8 else VALUES)
