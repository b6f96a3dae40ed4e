"""The first difference of two JSON values: where it is, and what stood there."""

import difflib
from collections.abc import Iterator
from typing import Any

import msgspec

from antiphon.core.json_values import is_array, is_object, json_name
from antiphon.core.wire import decode_json

_MISSING = "(nothing)"
_JSON_TEXT = frozenset({"arguments"})


class Difference(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`path` is `messages[3].content`; "" is the value itself. `absent` says which side has nothing there."""

    path: str
    recorded: Any = None
    now: Any = None
    absent: str | None = None

    @property
    def sides(self) -> tuple[str, str]:
        """Both values in words short enough for a sentence."""
        recorded = _MISSING if self.absent == "recorded" else json_name(self.recorded)
        return recorded, _MISSING if self.absent == "now" else json_name(self.now)

    def lines(self) -> Iterator[str]:
        """For people: a unified diff where both are longer texts, else the two values."""
        if isinstance(self.recorded, str) and isinstance(self.now, str) and _long(self.recorded, self.now):
            old, new = self.recorded.splitlines(), self.now.splitlines()
            yield from difflib.unified_diff(old, new, "recorded", "now", lineterm="", n=2)
            return
        yield f"  recorded: {_MISSING if self.absent == 'recorded' else _shown(self.recorded)}"
        yield f"  now:      {_MISSING if self.absent == 'now' else _shown(self.now)}"


def first_difference(recorded: Any, now: Any, path: str = "") -> Difference | None:
    """None when both are the same JSON. The text of `arguments` is compared as the JSON that it is."""
    if is_object(recorded) and is_object(now):
        return _in_objects(recorded, now, path)
    if is_array(recorded) and is_array(now):
        return _in_arrays(recorded, now, path)
    if recorded == now and isinstance(recorded, bool) == isinstance(now, bool):
        return None
    if path.rpartition(".")[2] in _JSON_TEXT and isinstance(recorded, str) and isinstance(now, str):
        parsed = _parsed(recorded), _parsed(now)
        if not (isinstance(parsed[0], str) or isinstance(parsed[1], str)):
            return first_difference(*parsed, path)
    return Difference(path=path, recorded=recorded, now=now)


def _in_objects(recorded: dict[str, Any], now: dict[str, Any], path: str) -> Difference | None:
    for key in [*recorded, *(key for key in now if key not in recorded)]:
        where = f"{path}.{key}" if path else key
        if key not in now:
            return Difference(path=where, recorded=recorded[key], absent="now")
        if key not in recorded:
            return Difference(path=where, now=now[key], absent="recorded")
        found = first_difference(recorded[key], now[key], where)
        if found is not None:
            return found
    return None


def _in_arrays(recorded: list[Any], now: list[Any], path: str) -> Difference | None:
    for at, (left, right) in enumerate(zip(recorded, now, strict=False)):
        found = first_difference(left, right, f"{path}[{at}]")
        if found is not None:
            return found
    at = min(len(recorded), len(now))
    if len(recorded) > at:
        return Difference(path=f"{path}[{at}]", recorded=recorded[at], absent="now")
    if len(now) > at:
        return Difference(path=f"{path}[{at}]", now=now[at], absent="recorded")
    return None


def _parsed(text: str) -> Any:
    try:
        return decode_json(text)
    except (ValueError, RecursionError):
        return text


def _long(*texts: str) -> bool:
    return any("\n" in text or len(text) > 80 for text in texts)


def _shown(value: Any) -> str:
    return msgspec.json.encode(value).decode()
