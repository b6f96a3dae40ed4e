"""`Retry-After` (RFC 9110 §10.2.3) in three forms: seconds, a date, and `retry-after-ms` of OpenAI."""

import math
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime


def retry_after_s(headers: Mapping[str, str], now: Callable[[], int]) -> float | None:
    """Seconds to wait, 0 or more; None when the header is absent or not understood.

    A date is read against the answer's own `Date`, so that a wrong clock here or there does no harm.
    """
    ms = _number(headers.get("retry-after-ms"))
    if ms is not None:
        return max(0.0, ms / 1000)
    raw = headers.get("retry-after")
    if raw is None:
        return None
    seconds = _number(raw)
    if seconds is not None:
        return max(0.0, seconds)
    then = _unix_time(raw)
    if then is None:
        return None
    sent = _unix_time(headers.get("date", ""))
    return max(0.0, then - (now() if sent is None else sent))


def _number(raw: str | None) -> float | None:
    try:
        value = float(raw or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _unix_time(raw: str) -> float | None:
    try:
        return parsedate_to_datetime(raw).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
