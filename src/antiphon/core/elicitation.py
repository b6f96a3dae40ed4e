"""Questions that an MCP server asks a user: which forms can be shown, and which answers fit them.

Source: `requestedSchema` of `ElicitRequestFormParams`, the Model Context Protocol, revisions 2025-06-18 to 2026-07-28.
A form is a flat list of fields: texts, numbers, truth values and choices. It comes from a server that nobody trusts, so
there are no patterns here and no references, and each check is linear in what it looks at.
"""

import math
import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final, TypeGuard

from antiphon.core.errors import InvalidRequest
from antiphon.core.hosted_items import McpElicitationRequest, McpElicitationResponse
from antiphon.core.json_schemas import nesting_exceeds
from antiphon.core.json_values import is_array, is_object, json_name
from antiphon.core.wire import JsonObject, encode

MAX_FORM_BYTES: Final = 64 * 1024
MAX_FIELDS: Final = 128
_LEVELS: Final = 8
_TYPES: Final = ("string", "number", "integer", "boolean", "array")
_SHOWN_CHOICES: Final = 20
_EMAIL = re.compile(r"[^\s@]{1,64}@[^\s@]{1,255}\Z")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s]+\Z")

Fault = tuple[str, str]
"""The path below the content (`.name`, "" for the whole), and what was expected there."""


# --- forms ---------------------------------------------------------------------------------------------------
def fault_of_form(schema: JsonObject) -> str | None:
    """Why this cannot be put to a user; None when it can."""
    if nesting_exceeds(schema, _LEVELS) or len(encode(schema)) > MAX_FORM_BYTES:
        return f"its form is larger than {MAX_FORM_BYTES} bytes, or nested more than {_LEVELS} deep"
    fields = schema.get("properties", {})
    if schema.get("type", "object") != "object" or not is_object(fields):
        return "its form is no object with `properties`"
    if len(fields) > MAX_FIELDS:
        return f"its form has more than {MAX_FIELDS} fields"
    required = schema.get("required", [])
    if not is_array(required) or not all(isinstance(one, str) and one in fields for one in required):
        return "its form requires fields that it does not have"
    for name, field in fields.items():
        if not is_object(field) or _type_of(field) not in _TYPES:
            return f'its field "{name[:64]}" is neither a text, a number, a truth value nor a choice'
    return None


def _type_of(field: Mapping[str, Any]) -> str:
    """A choice that names no type is one of texts."""
    kind = field.get("type")
    if kind is None and _choices(field) is not None:
        return "string"
    return kind if isinstance(kind, str) else ""


def _choices(field: Mapping[str, Any]) -> list[Any] | None:
    """What may be chosen, `enum` or the `const`s of `oneOf` and `anyOf`; None where anything may be said."""
    if is_array(field.get("enum")):
        return list(field["enum"])
    for name in ("oneOf", "anyOf"):
        options = field.get(name)
        if is_array(options) and options and all(is_object(one) and "const" in one for one in options):
            return [one["const"] for one in options]
    return None


# --- answers -------------------------------------------------------------------------------------------------
def check_answer(asked: McpElicitationRequest, answer: McpElicitationResponse, path: str) -> None:
    """Whether an answer fits its question. `path` is that of the answer in the request (`input[2]`).

    Raises InvalidRequest with the field in `param`.
    """
    content = answer.content or None
    if answer.action != "accept" or asked.mode == "url":
        if content is not None:
            why = "a page was to be visited" if asked.mode == "url" else f'with "{answer.action}"'
            raise _refused(f"{path}.content", f"{why}, so there is nothing to send here; leave it out")
        return
    if not is_object(answer.content):
        raise _refused(f"{path}.content", 'required with "accept": an object with the fields of the form')
    fault = fault_of_content(asked.requested_schema or {}, answer.content)
    if fault is not None:
        raise _refused(f"{path}.content{fault[0]}", fault[1])


def _refused(param: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"`{param}`: {why}.", param=param)


def fault_of_content(schema: JsonObject, content: JsonObject) -> Fault | None:
    """The first thing in which the content leaves the form; None when it fits."""
    fields: JsonObject = schema.get("properties") or {}
    for name in schema.get("required") or ():
        if name not in content:
            return f".{name[:64]}", "required, and missing"
    for name, value in content.items():
        if name not in fields:
            known = ", ".join(list(fields)[:_SHOWN_CHOICES]) or "none"
            return f".{name[:64]}", f"the form has no such field; it has: {known}"
        why = _fault(fields[name], value)
        if why is not None:
            return f".{name[:64]}", why
    return None


def _fault(field: JsonObject, value: Any) -> str | None:
    kind = _type_of(field)
    if not _is(kind, value):
        return f"expected {_ARTICLES[kind]}, got {json_name(value)}"
    if kind == "array":
        return _fault_of_many(field, value)
    choices = _choices(field)
    if choices is not None and value not in choices:
        return f"expected one of {_listed(choices)}, got {json_name(value)}"
    if isinstance(value, str):
        return _fault_of_text(field, value)
    return _fault_of_number(field, value) if kind in ("number", "integer") else None


_ARTICLES: Final = {
    "string": "a string",
    "number": "a number",
    "integer": "an integer",
    "boolean": "true or false",
    "array": "an array",
}


def _is(kind: str, value: Any) -> bool:
    match kind:
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "array":
            return isinstance(value, list)
        case _:
            return _is_number(value) and (kind == "number" or float(value).is_integer())


def _is_number(value: object) -> TypeGuard[float]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 1e300 and math.isfinite(value)


def _fault_of_many(field: JsonObject, value: list[Any]) -> str | None:
    options = field.get("items")
    inner = options if is_object(options) else {}
    choices = _choices(inner)
    for one in value:
        if not isinstance(one, str):
            return f"expected strings in the array, got {json_name(one)}"
        if choices is not None and one not in choices:
            return f"expected some of {_listed(choices)}, got {json_name(one)}"
    return _fault_of_size(field, "Items", len(value), "entries")


def _fault_of_text(field: JsonObject, value: str) -> str | None:
    why = _fault_of_size(field, "Length", len(value), "characters")
    form = field.get("format")
    if why is None and isinstance(form, str) and not _has_form(form, value):
        return f"expected the form of {form}, got {json_name(value)}"
    return why


def _fault_of_size(field: JsonObject, what: str, size: int, unit: str) -> str | None:
    least, most = field.get(f"min{what}"), field.get(f"max{what}")
    if isinstance(least, int) and size < least:
        return f"expected at least {least} {unit}, got {size}"
    if isinstance(most, int) and size > most:
        return f"expected at most {most} {unit}, got {size}"
    return None


def _fault_of_number(field: JsonObject, value: float) -> str | None:
    least, most = field.get("minimum"), field.get("maximum")
    if _is_number(least) and value < least:
        return f"expected at least {least}, got {value}"
    if _is_number(most) and value > most:
        return f"expected at most {most}, got {value}"
    return None


def _has_form(form: str, value: str) -> bool:
    """The four forms that the protocol names; others are for the server to judge."""
    match form:
        case "email":
            return _EMAIL.match(value) is not None
        case "uri":
            return _URI.match(value) is not None
        case "date":
            return len(value) == len("2026-01-31") and _reads(date.fromisoformat, value)
        case "date-time":
            return "T" in value.upper() and _reads(datetime.fromisoformat, value)
        case _:
            return True


def _reads(read: Any, value: str) -> bool:
    try:
        read(value)
    except ValueError:
        return False
    return True


def _listed(choices: list[Any]) -> str:
    shown = ", ".join(str(one)[:64] for one in choices[:_SHOWN_CHOICES])
    return f"{shown} and {len(choices) - _SHOWN_CHOICES} more" if len(choices) > _SHOWN_CHOICES else shown
