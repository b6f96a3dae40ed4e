"""Regular expressions that take time in proportion to the text, whatever they are: RE2's.

RE2 has no look-around and no back references; a pattern with one is refused when it is read.
"""

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import Any, Protocol, cast

MAX_PATTERN = 20_000
MAX_MEMORY = 32 * 1024 * 1024
"""Bytes that RE2 may use for one pattern; a pattern that needs more is refused."""
VALUE = "value"
"""The group of a pattern that holds what is to be checked, where it is not all that matched."""


class PatternError(ValueError):
    """A pattern that cannot be; the message completes "the pattern …"."""


class _Match(Protocol):
    def group(self, group: str | int = 0) -> str | None: ...


class _Regexp(Protocol):
    groupindex: dict[str, int]

    def search(self, text: str) -> _Match | None: ...

    def finditer(self, text: str) -> Iterator[_Match]: ...


class Pattern:
    """A compiled pattern. Other threads run while it searches."""

    __slots__ = ("_group", "_regexp")

    def __init__(self, source: str, *, ignore_case: bool = False) -> None:
        """Raises PatternError."""
        if len(source) > MAX_PATTERN:
            raise PatternError(f"has {len(source)} characters; {MAX_PATTERN} are the most.")
        self._regexp = _compiled(source, ignore_case)
        if self._regexp.search("") is not None:
            raise PatternError("fits nothing at all, so it would be found in every text.")
        self._group = VALUE if VALUE in self._regexp.groupindex else 0

    def found_in(self, text: str) -> bool:
        return self._regexp.search(text) is not None

    def values(self, text: str) -> Iterator[str]:
        """What matched, one after another, without overlaps: the group `value` where the pattern has one."""
        for match in self._regexp.finditer(text):
            yield match.group(self._group) or ""


def _compiled(source: str, ignore_case: bool) -> _Regexp:
    re2 = _re2()
    options = re2.Options()
    options.max_mem = MAX_MEMORY
    options.log_errors = False
    options.case_sensitive = not ignore_case
    try:
        return cast("_Regexp", re2.compile(source, options))
    except re2.error as error:
        raise PatternError(f"cannot be read: {_said(error)}.") from None


def _said(error: Exception) -> str:
    said = error.args[0] if error.args else ""
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)


@cache
def _re2() -> Any:
    """The package has no types of its own."""
    return import_module("re2")
