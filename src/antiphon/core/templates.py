"""Templates with placeholders: `{{ name }}`, of letters, digits and `_`. Anything else in braces is plain text."""

import re
from collections.abc import Mapping

_PLACEHOLDER = re.compile(r"\{\{\s*(\w+)\s*\}\}")


def placeholders(template: str) -> tuple[str, ...]:
    """The names that occur, each once, in the order of their first place."""
    return tuple(dict.fromkeys(_PLACEHOLDER.findall(template)))


def filled_size(template: str, sizes: Mapping[str, int]) -> int:
    """How many characters the filled template has, from the sizes of the values."""
    size = len(template)
    for match in _PLACEHOLDER.finditer(template):
        size += sizes[match[1]] - len(match[0])
    return size


def fill(template: str, values: Mapping[str, str]) -> str:
    """The template with each placeholder replaced, in one pass: what a value holds is never a placeholder itself.

    Raises KeyError for a name without a value.
    """
    return _PLACEHOLDER.sub(lambda match: values[match[1]], template)
