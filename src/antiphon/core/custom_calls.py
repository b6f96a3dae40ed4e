"""Custom tools on a wire that knows functions only: a function with one string, and its call translated back."""

import re
from dataclasses import dataclass, field
from typing import Any

import msgspec

from antiphon.core.json_values import is_object
from antiphon.core.tools import CustomTool, GrammarFormat
from antiphon.core.wire import JsonObject, decode_json, encode

KEY = "input"


def as_function(tool: CustomTool, *, patterns: bool) -> JsonObject:
    """The function that stands for a custom tool. `patterns`: a regex is put where it binds the model."""
    grammar = tool.format if isinstance(tool.format, GrammarFormat) else None
    lines = [tool.description] if isinstance(tool.description, str) and tool.description else []
    argument: JsonObject = {"type": "string", "description": "The whole input of the tool, as plain text."}
    if grammar is not None:
        name = "regular expression" if grammar.syntax == "regex" else "Lark grammar"
        lines.append(f"`{KEY}` must match this {name} from beginning to end:\n{grammar.definition}")
        if patterns and grammar.syntax == "regex":
            argument["pattern"] = f"^(?:{grammar.definition})$"
    return {
        "name": tool.name,
        "description": "\n\n".join(lines),
        "parameters": {
            "type": "object",
            "properties": {KEY: argument},
            "required": [KEY],
            "additionalProperties": False,
        },
    }


def arguments_of(text: str) -> str:
    """The arguments of that function for an input that was given earlier."""
    return encode({KEY: text}).decode()


_BEGINNING = re.compile(r'\s*\{\s*"input"\s*:\s*"')
_LONGEST_BEGINNING = 64
_WRITTEN = re.compile(
    r'(?:[^"\\]|\\["\\/bfnrt]|\\u(?![dD][89abAB])[0-9a-fA-F]{4}'
    r"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})*"
)
"""Characters and escapes of a JSON string that are there whole; a high surrogate counts with its other half."""
_LONGEST_ESCAPE = 12
_STRING = msgspec.json.Decoder(str)


@dataclass(slots=True)
class InputReader:
    """The arguments of such a call, piece by piece, as the input that they spell.

    It is shown as it comes while the arguments begin as we asked for them. Models also write the input itself, or
    under another key; that is understood at the end.
    """

    _raw: list[str] = field(default_factory=list[str])
    _shown: list[str] = field(default_factory=list[str])
    _pending: str = ""
    _inside: bool = False
    _over: bool = False

    def feed(self, piece: str) -> str:
        """What of the input is new."""
        self._raw.append(piece)
        if self._over:
            return ""
        self._pending += piece
        if not self._inside:
            beginning = _BEGINNING.match(self._pending)
            if beginning is None:
                self._over = len(self._pending) > _LONGEST_BEGINNING
                return ""
            self._inside = True
            self._pending = self._pending[beginning.end() :]
        return self._read()

    def finish(self) -> tuple[str, str]:
        """The whole input, and what of it was not shown yet."""
        shown, whole = "".join(self._shown), _understood("".join(self._raw))
        if not whole.startswith(shown):
            return shown, ""  # what was shown stands
        return whole, whole[len(shown) :]

    def _read(self) -> str:
        written = _WRITTEN.match(self._pending)
        end = written.end() if written is not None else 0
        text, self._pending = self._pending[:end], self._pending[end:]
        self._over = self._pending.startswith('"') or len(self._pending) >= _LONGEST_ESCAPE
        try:
            new = _STRING.decode(f'"{text}"')
        except msgspec.DecodeError:
            self._over = True
            return ""
        self._shown.append(new)
        return new


def _understood(text: str) -> str:
    try:
        value: Any = decode_json(text)
    except (ValueError, RecursionError):
        return text
    if is_object(value):
        values = [value[KEY]] if KEY in value else list(value.values())
        return values[0] if len(values) == 1 and isinstance(values[0], str) else text
    return value if isinstance(value, str) else text
