"""Text of servers, made fit to be shown and logged."""

import re
from collections.abc import Iterator
from typing import Any, Final

from antiphon.core.json_values import is_array, is_object
from antiphon.core.wire import encode
from antiphon.mcp.limits import MAX_DEPTH, MAX_SCHEMA_BYTES

_CONTROL: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
_IN_LINE: Final = re.compile(r"[\t\n ]+")


def plain(text: str, limit: int) -> str:
    """Without control characters, and without those that turn or hide what follows; at most `limit` characters."""
    return _CONTROL.sub("", text[: 2 * limit])[:limit]


def line(text: str, limit: int) -> str:
    """The same in one line."""
    return _IN_LINE.sub(" ", plain(text, limit)).strip()


def is_plain(text: str) -> bool:
    return _CONTROL.search(text) is None


def fits(value: Any, max_bytes: int = MAX_SCHEMA_BYTES) -> bool:
    """Whether a JSON value is nested and large within what is kept."""
    return not is_too_deep(value) and len(encode(value)) <= max_bytes


def is_too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for one in level for inner in _inside(one)]
        if not level:
            return False
    return True


def _inside(value: Any) -> Iterator[Any]:
    if is_object(value):
        yield from value.values()
    elif is_array(value):
        yield from value
