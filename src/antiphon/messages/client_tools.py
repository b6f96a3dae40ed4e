"""Tools that Anthropic has described and clients run: `bash`, the text editors, `memory`.

Claude models know their schemas by heart; every other model is shown them, as it is any function.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from antiphon.core.wire import JsonObject

_DATED: Final = re.compile(r"(bash|text_editor|memory)_(\d{8})\Z")
_UNDO_ENDED: Final = "20250429"
"""From this version on the text editor has no `undo_edit`."""


class Described(NamedTuple):
    description: str
    schema: JsonObject


def _text(about: str) -> JsonObject:
    return {"type": "string", "description": about}


_PATH: Final = _text("The absolute path of a file or folder.")
_RANGE: Final[JsonObject] = {
    "type": "array",
    "items": {"type": "integer"},
    "minItems": 2,
    "maxItems": 2,
    "description": "For `view` of a file: its first and last line to show, counted from 1; -1 is the end.",
}
_EDITING: Final[Mapping[str, JsonObject]] = MappingProxyType(
    {
        "path": _PATH,
        "file_text": _text("For `create`: the whole content of the file."),
        "old_str": _text("For `str_replace`: the text to replace; it must be in the file exactly once."),
        "new_str": _text("For `str_replace`: the text to put there."),
        "insert_line": {
            "type": "integer",
            "description": "For `insert`: the line behind which to insert; 0 is the beginning.",
        },
        "insert_text": _text("For `insert`: the text to insert."),
        "view_range": _RANGE,
    }
)


def is_described(kind: str) -> bool:
    return _DATED.match(kind) is not None


def described(kind: str, max_characters: int | None = None) -> Described:
    """What a model is told of a tool of this type, for which `is_described` holds."""
    found = _DATED.match(kind)
    family, version = (found[1], found[2]) if found is not None else ("", "")
    match family:
        case "bash":
            return _bash()
        case "memory":
            return _memory()
        case _:
            return _editor(max_characters, undo=version < _UNDO_ENDED)


def _bash() -> Described:
    properties: JsonObject = {
        "command": _text("The command to run. Required, unless the tool is being restarted."),
        "restart": {"type": "boolean", "description": "True restarts the tool."},
    }
    about = "Run commands in a bash shell that keeps its state between calls."
    return Described(about, {"type": "object", "properties": properties})


def _editor(max_characters: int | None, *, undo: bool) -> Described:
    commands = ["view", "create", "str_replace", "insert", *(["undo_edit"] if undo else [])]
    fields = dict(_EDITING)
    if undo:  # the older versions insert `new_str`
        del fields["insert_text"]
        fields["new_str"] = _text("For `str_replace` and `insert`: the text to put there.")
    about = "View, create and edit text files. `view` of a folder lists it."
    if max_characters is not None:
        about += f" At most {max_characters} characters of a file are shown."
    return Described(about, _commands(commands, fields, required=["command", "path"]))


def _memory() -> Described:
    commands = ["view", "create", "str_replace", "insert", "delete", "rename"]
    fields = {
        **_EDITING,
        "path": _text("The path of a file or folder below /memories."),
        "old_path": _text("For `rename`: the path as it is."),
        "new_path": _text("For `rename`: the path as it shall be."),
    }
    about = "Keep notes in files below /memories, which last between conversations."
    return Described(about, _commands(commands, fields, required=["command"]))


def _commands(commands: list[str], fields: Mapping[str, JsonObject], required: list[str]) -> JsonObject:
    command = {"type": "string", "enum": commands, "description": "What to do."}
    return {"type": "object", "properties": {"command": command, **fields}, "required": required}
