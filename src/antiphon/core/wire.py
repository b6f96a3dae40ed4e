"""What every type with a wire form shares.

A field that the wire may leave out is `UNSET` when it was left out, so that absent and null stay two things and
each value renders back to the JSON it came from.
"""

from collections.abc import Callable
from typing import Any, dataclass_transform

import msgspec
from msgspec import UNSET, UnsetType

__all__ = ["UNSET", "Json", "JsonObject", "UnsetType", "Wire", "decode_json", "encode"]

Json = dict[str, Any] | list[Any] | str | int | float | bool | None
JsonObject = dict[str, Any]


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class _WireMeta(msgspec.StructMeta):
    """Tells type checkers what msgspec inherits from `Wire`: subclasses are frozen and keyword-only too."""


class Wire(msgspec.Struct, metaclass=_WireMeta, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the wire types: immutable, keyword-only, and closed: an unknown key is an error, not ignored."""


_ENCODER = msgspec.json.Encoder()
_DECODER: msgspec.json.Decoder[Any] = msgspec.json.Decoder()


encode: Callable[[object], bytes] = _ENCODER.encode
"""The JSON bytes of a wire value, UTF-8, without spaces."""


def decode_json(data: bytes | str) -> Any:
    """Any JSON as plain Python values. Raises `msgspec.DecodeError` and, when nested too deep, RecursionError."""
    return _DECODER.decode(data)
