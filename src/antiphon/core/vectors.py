"""Embedding vectors: numbers, the little-endian 32-bit floats that ports carry (packed), or those in base64 as the
OpenAI API writes them.
"""

import base64
import binascii
import math
import sys
from array import array
from collections.abc import Sequence

_BYTES = 4  # of one number


def packed(vector: Sequence[float]) -> bytes:
    """Raises OverflowError for a number that is no 32-bit float."""
    return _little(array("f", vector))


def unpacked(vector: bytes) -> "array[float]":
    """Raises ValueError for what is not a whole number of 32-bit floats."""
    floats = array("f")
    floats.frombytes(vector)
    if sys.byteorder == "big":
        floats.byteswap()
    return floats


def to_base64(vector: Sequence[float]) -> str:
    """Raises ValueError for a number that is no finite 32-bit float."""
    floats = array("f", vector)
    if not math.isfinite(math.fsum(floats)):
        raise ValueError("a number of the vector is not finite")
    return base64.b64encode(_little(floats)).decode("ascii")


def from_base64(text: str) -> list[float]:
    """Raises ValueError for what is no base64 of finite 32-bit floats."""
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from None
    if not data or len(data) % _BYTES:
        raise ValueError("not a whole number of 32-bit floats")
    vector = unpacked(data).tolist()
    if not all(map(math.isfinite, vector)):
        raise ValueError("a number of the vector is not finite")
    return vector


def shortened(vector: Sequence[float], dimensions: int) -> list[float]:
    """The first `dimensions` numbers at unit length: sound only for models that were trained to be cut
    (Matryoshka representations, arXiv 2205.13147).
    """
    kept = vector[:dimensions]
    length = math.hypot(*kept)
    return [number / length for number in kept] if length else list(kept)


def unit(vector: bytes, dimensions: int = 0) -> bytes:
    """A packed vector at length 1, one of zeros as it is; with `dimensions`, only its first numbers.

    Raises ValueError for a number that is not finite.
    """
    floats = unpacked(vector[: dimensions * _BYTES] if dimensions else vector)
    length = math.hypot(*floats)
    if not math.isfinite(length):
        raise ValueError("a number of the vector is not finite")
    if length:
        floats = array("f", [number / length for number in floats])
    return _little(floats)


def mean(vectors: Sequence[bytes], weights: Sequence[float]) -> bytes:
    """The weighted mean of packed vectors of one size, at length 1."""
    total: list[float] | None = None
    for vector, weight in zip(vectors, weights, strict=True):
        parts = [number * weight for number in unpacked(vector)]
        total = parts if total is None else [one + other for one, other in zip(total, parts, strict=True)]
    return unit(packed(total or ()))


def _little(floats: "array[float]") -> bytes:
    if sys.byteorder == "big":
        floats.byteswap()
    return floats.tobytes()
