"""Is a body what the specification says? Asked of our own wire types, which the official document was held against.

Other servers add keys of their own, and clients leave those alone: they are no violation.
"""

import re
from typing import Any, cast

import msgspec

from antiphon.conformance.stream import Json, StreamCheck
from antiphon.core.events import Event
from antiphon.core.response_object import Response

_UNKNOWN = re.compile(r"Object contains unknown field `(.*?)`(?: - at `\$(.*)`)?\Z", re.DOTALL)
_STEP = re.compile(r"\.([A-Za-z_][A-Za-z0-9_]*)|\[([0-9]+)\]")
_MAX_EXTRA = 200


def violation(value: object, kind: Any) -> str | None:
    """The first thing that keeps a decoded JSON value from being a `kind`, in words; None when it is one."""
    value = msgspec.json.decode(msgspec.json.encode(value))  # a copy: extra keys are taken out below
    for _ in range(_MAX_EXTRA):
        try:
            msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            if not _without_extra(value, str(error)):
                return str(error)
        else:
            return None
    return f"more than {_MAX_EXTRA} keys that the specification does not know"


def order_violation(events: list[Json]) -> str | None:
    """The first event that is out of order. Their numbers are another case, and so are their shapes, which are only
    looked at as far as the order needs them.
    """
    check = StreamCheck(numbered=False)
    for event in events:
        kind = event["type"]
        if ":" in kind:
            continue  # Open Responses: an implementer's own events are named `slug:type`
        try:
            check.feed(event)
        except KeyError as missing:
            return f"event {kind} lacks {missing}"
        except (TypeError, AttributeError) as error:
            return f"event {kind} is not of its shape: {error}"
        if check.violations:
            return check.violations[0]
    return next(iter(check.finish()), None)


def response_violation(response: Json) -> str | None:
    """What keeps a response from being one."""
    return violation(response, Response) or _omitted_in_response(response)


def event_violation(events: list[Json]) -> str | None:
    """The first event that is not of the shape of its type."""
    for event in events:
        if ":" in event["type"]:
            continue
        wrong = violation(event, Event) or _omitted_in_event(event)
        if wrong is not None:
            return f"event {event['type']}: {wrong}"
    return None


_REQUIRED = {
    "message": ("id", "role", "status", "content"),
    "reasoning": ("id", "summary"),
    "output_text": ("text", "annotations", "logprobs"),
    "response.output_text.delta": ("logprobs",),
    "response.output_text.done": ("logprobs",),
}
"""What the official document requires of output and events, where our types, which read input as well, take less."""
_USAGE = ("input_tokens", "input_tokens_details", "output_tokens", "output_tokens_details", "total_tokens")


def _omitted_in_response(response: Json) -> str | None:
    usage = response.get("usage")
    if usage is not None:
        missing = [key for key in _USAGE if key not in usage]
        if missing:
            return f"Object missing required field `{missing[0]}` - at `$.usage`"
    found = (_omitted(item, f"$.output[{at}]") for at, item in enumerate(response["output"]))
    return next(filter(None, found), None)


def _omitted_in_event(event: Json) -> str | None:
    if "response" in event:
        return _omitted_in_response(event["response"])
    held = next((key for key in ("item", "part") if key in event), None)
    return _omitted(event, "$") if held is None else _omitted(event[held], f"$.{held}")


def _omitted(value: Json, path: str) -> str | None:
    """The first required key that an item, or a part of it, leaves out."""
    missing = [key for key in _REQUIRED.get(value["type"], ()) if key not in value]
    if missing:
        return f"Object missing required field `{missing[0]}` - at `{path}`"
    content: Any = value.get("content")
    parts = cast("list[Json]", content) if isinstance(content, list) else []
    found = (_omitted(part, f"{path}.content[{at}]") for at, part in enumerate(parts))
    return next(filter(None, found), None)


def _without_extra(value: Any, message: str) -> bool:
    """Take out the unknown key that a message of msgspec names. False when it names something else."""
    found = _UNKNOWN.match(message)
    if found is None:
        return False
    key, path = found[1], found[2] or ""
    if _STEP.sub("", path):
        return False
    for name, index in _STEP.findall(path):
        value = value[name] if name else value[int(index)]
    cast("Json", value).pop(key)
    return True
