"""Short codes of vectors, whose Hamming distance tells roughly how far apart the vectors are.

Each number of a vector becomes one to three bits: whether it is above each of so many thresholds (a thermometer code).
Vectors have length 1, so their numbers spread by 1 / sqrt(dimension), and the thresholds are parts of that. One bit
alone, the sign, loses a fifth of the ten nearest among 100,000 short texts when 500 candidates are compared; three lose
one in a hundred.
"""

import struct
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

MAX_BITS = 2048
"""A longer code takes longer to scan than it is worth: large vectors need fewer bits for each number."""
_THRESHOLDS: Final[Mapping[int, Sequence[float]]] = {1: (0.0,), 2: (0.45, -0.45), 3: (0.8, 0.0, -0.8)}


def bits_of_a_number(dimension: int) -> int:
    return max(1, min(3, MAX_BITS // dimension))


def to_quantize(vector: bytes, dimension: int) -> tuple[bytes, bytes]:
    """Two vectors whose difference, quantized to the signs of its numbers, is the code."""
    return (vector + bytes(-len(vector) % 32)) * bits_of_a_number(dimension), _thresholds(dimension)


@lru_cache(maxsize=64)
def _thresholds(dimension: int) -> bytes:
    spread = 1 / dimension**0.5
    whole = dimension + -dimension % 8  # so that a code has whole bytes
    parts = _THRESHOLDS[bits_of_a_number(dimension)]
    return b"".join(struct.pack("<f", part * spread) * whole for part in parts)
