"""Takes secrets out of what is written: the operator's patterns, known credentials, and what looks like a key."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from antiphon.core.json_values import is_array, is_object
from antiphon.core.wire import decode_json, encode

REDACTED = "***"
KEY_LIKE = r"\b(?:sk|pk|gsk|rk)-[A-Za-z0-9_-]{16,}|\bBearer\s+[A-Za-z0-9._~+/=-]{8,}"
_SHORTEST = 6  # a shorter "secret" stands in every other sentence


class Redactor:
    """`patterns` are regular expressions, `secrets` plain texts. Both apply to every string of a line."""

    def __init__(self, patterns: Sequence[str] = (), secrets: Iterable[str] = ()) -> None:
        """Raises re.error for what is no regular expression."""
        self.patterns = tuple(patterns)
        for pattern in patterns:
            re.compile(pattern)
        known = [re.escape(secret) for secret in secrets if len(secret) >= _SHORTEST]
        self._expression = re.compile("|".join([*known, KEY_LIKE, *(f"(?:{one})" for one in patterns)]))

    def text(self, text: str) -> str:
        return self._expression.sub(REDACTED, text)

    def value(self, value: Any) -> Any:
        """The JSON value with each of its strings cleaned; keys stay."""
        if isinstance(value, str):
            return self.text(value)
        if is_object(value):
            return {key: self.value(item) for key, item in value.items()}
        if is_array(value):
            return [self.value(item) for item in value]
        return value

    def json(self, data: bytes) -> bytes:
        """JSON text, decoded only where something may have to go. What is no JSON is cleaned as text."""
        try:
            text = data.decode()
        except UnicodeDecodeError:
            return data
        if self._expression.search(text) is None and "\\" not in text:
            return data
        try:
            value = decode_json(data)
        except (ValueError, RecursionError):
            return self.text(text).encode()
        cleaned = self.value(value)
        return data if cleaned == value else encode(without_logprobs(cleaned))


def without_logprobs(value: Any) -> Any:
    """For where something was cut out: log-probabilities spell the text out once more, token by token."""
    if is_object(value):
        return {
            key: _emptied(inner) if key == "logprobs" else without_logprobs(inner)
            for key, inner in value.items()
        }
    return [without_logprobs(inner) for inner in value] if is_array(value) else value


def _emptied(logprobs: Any) -> Any:
    """Items have a list of them, chunks an object; the parameter of that name is a number or a truth."""
    if is_array(logprobs):
        return []
    return None if is_object(logprobs) else logprobs
