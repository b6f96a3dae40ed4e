"""JSON values in words, for messages."""

from typing import Any


def json_name(value: Any) -> str:
    """What a JSON value is, in a sentence, short enough to show."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return f"the integer {value}" if abs(value) < 10**18 else "a very large integer"
        case float():
            return f"the number {value}"
        case str():
            return f'the string "{value}"' if len(value) <= 40 else f"a string of {len(value)} characters"
        case list():
            return "an array"
        case _:
            return "an object"
