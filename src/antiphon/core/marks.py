"""Marks between the events of a run: where its steps begin and end. They are in order with the events, have no number,
and no client of the Responses API is sent one; a run has them where its `TurnRules` ask for them.
"""

from typing import Literal

import msgspec

from antiphon.core.items import Call
from antiphon.core.shields import Touchpoint, Violation
from antiphon.core.wire import JsonObject, encode
from antiphon.core.writer import Event

STEP_STARTED = "antiphon.step.started"
"""A model call was answered with its head. No data."""
STEP_DONE = "antiphon.step.done"
"""A model call has ended, and all that it showed was written. Data: `StepEnd`."""
CALL_DONE = "antiphon.call.done"
"""A call that this server runs has its result. Data: `CallEnd`."""
SHIELDS_STARTED = "antiphon.shields.started"
"""Data: `ShieldsBegin`."""
SHIELDS_DONE = "antiphon.shields.done"
"""Data: `ShieldsEnd`."""
MARKS = frozenset({STEP_STARTED, STEP_DONE, CALL_DONE, SHIELDS_STARTED, SHIELDS_DONE})


class Rejected(msgspec.Struct, frozen=True):
    """A call that was not made, and what the model was told of it."""

    call: Call
    told: str


class StepEnd(msgspec.Struct, frozen=True):
    """`calls`: those that the model made in this step and may make, in its order, by the tools' own names (of an MCP
    server, or in a namespace); `servers`: the ids of those among them that this server runs, each of which has its
    `CallEnd` later. `is_last`: nothing comes of the calls, since the limit of model calls is reached.
    """

    finish: Literal["stop", "tool_calls", "length", "content_filter"]
    calls: tuple[Call, ...] = ()
    servers: tuple[str, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    is_last: bool = False


class CallEnd(msgspec.Struct, frozen=True):
    """`output` is what the model is told; `failed` whether that is an error. `metadata` is for clients: of a search
    `file_search.sources`.
    """

    call_id: str
    output: str
    failed: bool = False
    metadata: JsonObject = {}


class ShieldsBegin(msgspec.Struct, frozen=True):
    touchpoint: Touchpoint


class ShieldsEnd(msgspec.Struct, frozen=True):
    touchpoint: Touchpoint
    violation: Violation | None


def mark(kind: str, data: StepEnd | CallEnd | ShieldsBegin | ShieldsEnd | None = None) -> Event:
    return Event(-1, kind, b"{}" if data is None else encode(data))
