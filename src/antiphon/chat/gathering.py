"""The chunks of a chat stream, gathered into the completion that the same request gives without a stream.

Pieces of text are joined, entries of a list with an `index` are joined by it, other entries are added; of anything
else the last one counts. So what this server has no name for is gathered too.
"""

from typing import Any, Final, TypeVar

from antiphon.core.json_values import is_array, is_object
from antiphon.core.wire import JsonObject

_NAMES: Final = frozenset({"role", "id", "type", "name"})
"""Texts that come whole, by some servers in each chunk again."""
_NOT_KEPT: Final = frozenset({"object", "choices", "obfuscation"})
_KindT = TypeVar("_KindT", "_Pieces", "_Entries", "_Text")


class GatheredCompletion:
    """`add` each chunk, in order; then `body`, when it is `complete`."""

    __slots__ = ("_choices", "_fields")

    def __init__(self) -> None:
        self._fields: JsonObject = {}
        self._choices: dict[int, _Choice] = {}

    def add(self, chunk: JsonObject) -> None:
        for key, value in chunk.items():
            if value is not None and key not in _NOT_KEPT:
                self._fields[key] = value
        choices = chunk.get("choices")
        for one in choices if is_array(choices) else ():
            if is_object(one):
                index = one.get("index")
                self._choices.setdefault(index if isinstance(index, int) else 0, _Choice()).add(one)

    @property
    def complete(self) -> bool:
        """Whether each choice was told why it ended."""
        return bool(self._choices) and all(one.finished for one in self._choices.values())

    def body(self) -> JsonObject:
        """A `CreateChatCompletionResponse` of the official OpenAPI."""
        choices = [self._choices[index].value(index) for index in sorted(self._choices)]
        return {**self._fields, "object": "chat.completion", "choices": choices}


class _Choice:
    __slots__ = ("_fields", "_logprobs", "_message")

    def __init__(self) -> None:
        self._fields: JsonObject = {}
        self._message = _Pieces()
        self._logprobs: _Pieces | None = None

    def add(self, piece: JsonObject) -> None:
        for key, value in piece.items():
            if key == "delta" and is_object(value):
                self._message.add(value)
            elif key == "logprobs" and is_object(value):
                self._logprobs = self._logprobs or _Pieces()
                self._logprobs.add(value)
            elif value is not None and key not in ("index", "delta", "logprobs"):
                self._fields[key] = value

    @property
    def finished(self) -> bool:
        return bool(self._fields.get("finish_reason"))

    def value(self, index: int) -> JsonObject:
        message = {"role": "assistant", "content": None, "refusal": None, **self._message.value()}
        calls = message.get("tool_calls")
        for call in calls if is_array(calls) else ():
            if is_object(call):
                call.pop("index", None)
        if not message["content"] and (calls or message["refusal"] or message.get("function_call")):
            message["content"] = None  # streams begin with an empty text, also where none follows
        logprobs = (
            None if self._logprobs is None else {"content": None, "refusal": None, **self._logprobs.value()}
        )
        return {"index": index, "message": message, "logprobs": logprobs, **self._fields}


class _Pieces:
    """An object that comes in pieces."""

    __slots__ = ("_fields",)

    def __init__(self) -> None:
        self._fields: dict[str, Any] = {}

    def add(self, piece: JsonObject) -> None:
        fields = self._fields
        for key, value in piece.items():
            if value is None:
                fields.setdefault(key, None)
            elif isinstance(value, str):
                self._add_text(key, value)
            elif is_object(value):
                _of_kind(fields, key, _Pieces).add(value)
            elif is_array(value):
                _of_kind(fields, key, _Entries).add(value)
            else:
                fields[key] = value

    def _add_text(self, key: str, value: str) -> None:
        if key not in _NAMES:
            _of_kind(self._fields, key, _Text).parts.append(value)
        elif value or key not in self._fields:
            self._fields[key] = value

    def value(self) -> JsonObject:
        return {key: _whole(value) for key, value in self._fields.items()}


class _Text:
    """A text in pieces, joined once."""

    __slots__ = ("parts",)

    def __init__(self) -> None:
        self.parts: list[str] = []


class _Entries:
    """A list in pieces: entries with an `index` are joined by it, in its order; the others follow as they came."""

    __slots__ = ("_by_index", "_others")

    def __init__(self) -> None:
        self._by_index: dict[int, _Pieces] = {}
        self._others: list[Any] = []

    def add(self, entries: list[Any]) -> None:
        for entry in entries:
            index = entry.get("index") if is_object(entry) else None
            if is_object(entry) and isinstance(index, int):
                self._by_index.setdefault(index, _Pieces()).add(entry)
            else:
                self._others.append(entry)

    def value(self) -> list[Any]:
        return [*(self._by_index[index].value() for index in sorted(self._by_index)), *self._others]


def _of_kind(fields: dict[str, Any], key: str, kind: type[_KindT]) -> _KindT:
    """What is gathered under a key; begun anew where that was of another kind until now."""
    found = fields.get(key)
    if not isinstance(found, kind):
        found = fields[key] = kind()
    return found


def _whole(value: Any) -> Any:
    match value:
        case _Text(parts=parts):
            return "".join(parts)
        case _Pieces() | _Entries():
            return value.value()
        case _:
            return value
