"""Embedding vectors: numbers, or the base64 of little-endian 32-bit floats as the OpenAI API writes them."""

import base64
import binascii
import math
import sys
from array import array
from collections.abc import Sequence


def to_base64(vector: Sequence[float]) -> str:
    """Raises ValueError for a number that is no finite 32-bit float."""
    floats = array("f", vector)
    if not math.isfinite(math.fsum(floats)):
        raise ValueError("a number of the vector is not finite")
    if sys.byteorder == "big":
        floats.byteswap()
    return base64.b64encode(floats.tobytes()).decode("ascii")


def from_base64(text: str) -> list[float]:
    """Raises ValueError for what is no base64 of finite 32-bit floats."""
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from None
    floats = array("f")
    if not data or len(data) % floats.itemsize:
        raise ValueError("not a whole number of 32-bit floats")
    floats.frombytes(data)
    if sys.byteorder == "big":
        floats.byteswap()
    vector = floats.tolist()
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


def unit(packed: bytes, dimensions: int = 0) -> bytes:
    """Little-endian 32-bit floats at length 1, all zero ones as they are; with `dimensions`, only the first ones.

    Raises ValueError for a number that is not finite.
    """
    floats = array("f")
    floats.frombytes(packed[: dimensions * floats.itemsize] if dimensions else packed)
    if sys.byteorder == "big":
        floats.byteswap()
    length = math.hypot(*floats)
    if not math.isfinite(length):
        raise ValueError("a number of the vector is not finite")
    if length:
        floats = array("f", [number / length for number in floats])
    return _little(floats)


def mean(vectors: Sequence[bytes], weights: Sequence[float]) -> bytes:
    """The weighted mean of packed vectors of one size, at length 1."""
    total: list[float] | None = None
    for packed, weight in zip(vectors, weights, strict=True):
        floats = array("f")
        floats.frombytes(packed)
        if sys.byteorder == "big":
            floats.byteswap()
        parts = [number * weight for number in floats]
        total = parts if total is None else [one + other for one, other in zip(total, parts, strict=True)]
    return unit(_little(array("f", total or ())))


def _little(floats: "array[float]") -> bytes:
    if sys.byteorder == "big":
        floats.byteswap()
    return floats.tobytes()
