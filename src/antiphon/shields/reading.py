"""Reading what an operator or a caller wrote for a shield: a mapping whose keys are known."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from antiphon.core.json_values import is_array

MAX_USER_MESSAGE = 2_000


class Wrong(ValueError):
    """What was written under `key` cannot be. `unknown`: the key itself is none."""

    def __init__(self, key: str, message: str, *, unknown: bool = False) -> None:
        super().__init__(message)
        self.key = key
        self.message = message
        self.unknown = unknown


def refuse_unknown(given: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raises Wrong for a key that is none."""
    for key in given:
        if key not in known:
            near = get_close_matches(key, known, 1)
            advice = f'did you mean "{near[0]}"?' if near else f"known: {', '.join(known)}."
            raise Wrong(key, f'"{key[:64]}" is not known here; {advice}', unknown=True)


def read_text(given: Mapping[str, Any], key: str, default: str, most: int = MAX_USER_MESSAGE) -> str:
    value = given.get(key)
    if value is None or value == "":
        return default
    if not isinstance(value, str) or len(value) > most:
        raise Wrong(key, f"{key} is a text of at most {most} characters.")
    return value


def read_choice(given: Mapping[str, Any], key: str, known: Sequence[str], default: str) -> str:
    """A number is taken for its text, as YAML reads one so."""
    value = given.get(key)
    if value is None or value == "":
        return default
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or text not in known:
        raise Wrong(key, f"{key} is one of {', '.join(known)}.")
    return text


def read_number(given: Mapping[str, Any], key: str, default: int, lowest: int, highest: int) -> int:
    value = given.get(key)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        raise Wrong(key, f"{key} is a whole number from {lowest} to {highest}.")
    return value


def read_names(given: Mapping[str, Any], key: str, default: Sequence[str], most: int = 10_000) -> list[str]:
    value = given.get(key)
    if value is None:
        return list(default)
    if not is_array(value) or len(value) > most or not all(isinstance(one, str) and one for one in value):
        raise Wrong(key, f"{key} is a list of at most {most} texts.")
    return [str(one) for one in value]
