"""The JSON Schemas of `text.format`, where they are checked here: they come from callers, so they are held to bounds.

Nothing is fetched: a `$ref` is a pointer into the schema, never an address that this server would ask. And a fault is
explained only where that is cheap: every path through a recursive schema is in the explanation of one value.
"""

from typing import Any

from antiphon.core.json_schemas import nesting_exceeds
from antiphon.core.wire import JsonObject, encode

EXPLAINED_LEVELS = 4
SHOWN = 500


def fault(schema: JsonObject) -> str | None:
    """Why this is no schema that can be checked; None when it is one."""
    try:
        _validator(schema)
    except ValueError as error:
        return _words(error)
    return None


def violation(schema: JsonObject, value: object) -> str | None:
    """Where the value leaves the schema, in words for the model; None when it fits."""
    import jsonschema_rs

    try:
        validator = _validator(schema)
        if validator.is_valid(value):
            return None
        if b'ref":' in encode(schema).lower() and nesting_exceeds(value, EXPLAINED_LEVELS):
            return "it does not fit the JSON schema"
        validator.validate(value)
    except jsonschema_rs.ValidationError as error:
        path = "/".join(str(step) for step in error.instance_path)
        return f"{error.message} (at {path or 'the top'})"[:SHOWN]
    except ValueError as error:  # nested deeper than the validator goes
        return _words(error)
    return None


def _validator(schema: JsonObject) -> Any:
    """Raises ValueError."""
    import jsonschema_rs

    try:
        return jsonschema_rs.validator_for(schema, offline=True)
    except jsonschema_rs.ReferencingError as error:
        raise ValueError(str(error)) from None


def _words(error: ValueError) -> str:
    message = getattr(error, "message", None) or str(error)
    return " ".join(str(message).split())[:SHOWN]
