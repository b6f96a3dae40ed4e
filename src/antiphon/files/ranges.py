"""Which bytes a download asks for (RFC 9110, section 14)."""

import re
from collections.abc import Mapping

from antiphon.core.errors import InvalidRequest, RangeNotSatisfiable

_RANGE = re.compile(rb"bytes=\s*(?:([0-9]{1,19})-([0-9]{0,19})|-([0-9]{1,19}))\s*", re.IGNORECASE)


def wanted(headers: Mapping[bytes, bytes], size: int, etag: str) -> tuple[int, int] | None:
    """The first byte and the one behind the last; None for all of them.

    Several ranges, other units than bytes, and a range of another version (`If-Range`) give all, as the RFC allows.
    Raises RangeNotSatisfiable for a range behind the end, InvalidRequest for what is no range.
    """
    header = headers.get(b"range")
    if header is None or not header.lower().lstrip().startswith(b"bytes=") or b"," in header:
        return None
    condition = headers.get(b"if-range")
    if condition is not None and condition.strip() != etag.encode():
        return None
    match = _RANGE.fullmatch(header.strip())
    if match is None:
        raise _no_range()
    first, last, suffix = match.groups()
    if suffix is not None:
        count = int(suffix)
        if not count:
            raise RangeNotSatisfiable(size)
        return max(0, size - count), size
    start = int(first)
    end = int(last) + 1 if last else size
    if end <= start and last:
        raise _no_range()
    if start >= size:
        raise RangeNotSatisfiable(size)
    return start, min(end, size)


def has_it(headers: Mapping[bytes, bytes], etag: str) -> bool:
    """Whether the caller already has this version (`If-None-Match`)."""
    known = headers.get(b"if-none-match", b"").decode("latin-1")
    return any(one.strip().removeprefix("W/") in (etag, "*") for one in known.split(",") if one.strip())


def _no_range() -> InvalidRequest:
    return InvalidRequest("a range is `bytes=FIRST-LAST`, `bytes=FIRST-` or `bytes=-COUNT`.", param="range")
