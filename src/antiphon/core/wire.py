"""What every type with a wire form shares.

A field that the wire may leave out is `UNSET` when it was left out, so that absent and null stay two things and
each value renders back to the JSON it came from.
"""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

type_of_json = dict[str, Any] | list[Any] | str | int | float | bool | None

__all__ = ["UNSET", "Json", "JsonObject", "UnsetType", "Wire", "decode_json", "encode"]

Json = type_of_json
JsonObject = dict[str, Any]


class Wire(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the wire types: immutable, keyword-only, and closed: an unknown key is an error, not ignored."""


_ENCODER = msgspec.json.Encoder()
_DECODER: msgspec.json.Decoder[Any] = msgspec.json.Decoder()


def encode(value: object) -> bytes:
    """The JSON bytes of a wire value, UTF-8, without spaces."""
    return _ENCODER.encode(value)


def decode_json(data: bytes | str) -> Any:
    """Any JSON as plain Python values. Raises `msgspec.DecodeError` and, when nested too deep, RecursionError."""
    return _DECODER.decode(data)
