"""Is a body what the specification says? Asked of our own wire types, which the official document was held against.

Other servers add keys of their own, and clients leave those alone: they are no violation.
"""

import re
from typing import Any, cast

import msgspec

from antiphon.conformance.stream import Json, check_stream, response_events
from antiphon.core.events import Event

_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`(?: - at `\$(.*)`)?\Z", re.DOTALL)
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


def stream_violation(body: bytes, events: list[Json]) -> str | None:
    """The first violation of a Responses stream: its framing, the shape of an event, or the order of events.

    `events` gets what was read.
    """
    framing: list[str] = []
    events += response_events(body, framing, lenient=True)
    if framing:
        return framing[0]
    for event in events:
        kind = event.get("type")
        if isinstance(kind, str) and ":" in kind:
            continue  # Open Responses: an implementer's own events are named `slug:type`
        wrong = violation(event, Event)
        if wrong is not None:
            return f"event {kind}: {wrong}"
    order = check_stream(event for event in events if ":" not in event["type"])
    return order[0] if order else None


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
