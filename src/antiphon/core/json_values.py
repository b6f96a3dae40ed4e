"""Plain JSON values: what they are, and what to call them in a message."""

from typing import Any, TypeGuard


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def is_array(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


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
