"""Errors of what is part of a request, told by its place in the whole."""

import re
from typing import TypeVar

from antiphon.core.errors import AntiphonError

E = TypeVar("E", bound=AntiphonError)
_FIELD = re.compile(r"(^|\. |Also: )`([^`\s]+)`(?=:)")


def below(error: E, path: str) -> E:
    """The error, with the field that it names below `path`."""
    error.message = _FIELD.sub(rf"\1`{path}.\2`", error.message)
    error.param = f"{path}.{error.param}" if error.param else path
    return error
