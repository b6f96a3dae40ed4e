"""Where in a Messages body something stands that the engine names by its own path, and errors told so."""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from antiphon.core.errors import AntiphonError, ProviderError

_INDEX: Final = re.compile(r"\[(\d+)\]")
_QUOTED: Final = re.compile(r"`([^`\s]+)`")
_INPUT: Final = re.compile(r"input\[(\d+)\](?:\.(?:content|output)\[(\d+)\])?")
_NAMES: Final = (
    (re.compile(r"tools\[(\d+)\]\.parameters"), r"tools[\1].input_schema"),
    (re.compile(r"max_output_tokens\Z"), "max_tokens"),
    (re.compile(r"text\.format"), "output_config.format"),
    (re.compile(r"reasoning\.effort\Z"), "output_config.effort"),
    (re.compile(r"reasoning\b.*"), "thinking"),
    (re.compile(r"parallel_tool_calls\Z"), "tool_choice.disable_parallel_tool_use"),
    (re.compile(r"instructions\Z"), "system"),
    (re.compile(r"stop\Z"), "stop_sequences"),
    (re.compile(r"(user|safety_identifier)\Z"), "metadata.user_id"),
    (re.compile(r"input\Z"), "messages"),
)


class Place(NamedTuple):
    """`path` of the block that an item came from, and those of its parts."""

    path: str
    parts: tuple[str, ...] = ()


Places = Sequence[Place]


def path_of(param: str, places: Places = ()) -> str:
    """The path in the body for a path of the engine; one that it does not know is only written in this API's way."""
    found = _INPUT.match(param)
    if found is not None and int(found[1]) < len(places):
        place = places[int(found[1])]
        part = int(found[2]) if found[2] is not None else None
        return place.path if part is None or part >= len(place.parts) else place.parts[part]
    for pattern, name in _NAMES:
        if pattern.match(param):
            param = pattern.sub(name, param)
            break
    return _INDEX.sub(r".\1", param)


def in_words_of_messages(error: AntiphonError, places: Places = ()) -> AntiphonError:
    """The same error with its `param`, and the names in backticks of its message, in the words of this API.

    What an upstream said of its own stays as it is, but for the field that was recognized.
    """
    param = error.param
    if isinstance(error, ProviderError):
        if param is not None:
            error.message = error.message.replace(f"`{param}`", f"`{path_of(param, places)}`")
    else:
        error.message = _QUOTED.sub(lambda quoted: f"`{path_of(quoted[1], places)}`", error.message)
    if param is not None:
        error.param = path_of(param, places)
    return error
