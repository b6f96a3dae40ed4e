"""What the loop and the event writer hear while a run goes on.

A provider numbers the items of one model call by `slot`, 0.. in the order in which they first appear. For each
slot: `ItemStarted`, deltas, `ItemDone`; slots may interleave. An upstream that answers in one piece sends only the
`ItemDone`s. `StepDone` comes once, last.
"""

from dataclasses import dataclass
from typing import Literal

from antiphon.core.items import FunctionCall, Logprob, Message, Reasoning
from antiphon.core.usage import Usage

ModelItem = Message | Reasoning | FunctionCall
FinishReason = Literal["stop", "tool_calls", "length", "content_filter"]


@dataclass(frozen=True, slots=True)
class ItemStarted:
    """An item began. `item` is its skeleton: role or call_id and name, empty content."""

    slot: int
    item: ModelItem


@dataclass(frozen=True, slots=True)
class TextDelta:
    slot: int
    text: str
    logprobs: tuple[Logprob, ...] = ()


@dataclass(frozen=True, slots=True)
class RefusalDelta:
    slot: int
    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    slot: int
    text: str


@dataclass(frozen=True, slots=True)
class ArgumentsDelta:
    slot: int
    text: str


@dataclass(frozen=True, slots=True)
class ItemDone:
    """The whole item, without id and status: the run gives those. Its text is the concatenation of its deltas."""

    slot: int
    item: ModelItem


@dataclass(frozen=True, slots=True)
class StepDone:
    """The model call ended. Every started slot has had its `ItemDone`."""

    finish: FinishReason
    usage: Usage | None = None
    service_tier: str | None = None


ModelDelta = TextDelta | RefusalDelta | ReasoningDelta | ArgumentsDelta
ModelSignal = ItemStarted | ModelDelta | ItemDone | StepDone


@dataclass(frozen=True, slots=True)
class ToolDone:
    """A server-side tool finished. `output` is the text the model sees, also when the tool failed."""

    call_id: str
    output: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The run cannot go on. `code` is one of the response error codes of the spec (`ResponseErrorCode`)."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Somebody with the right to do so stopped the run."""


@dataclass(frozen=True, slots=True)
class Invalid:
    """A held answer does not match the requested format (`text.format`); nothing of it was shown."""

    item: Message
    problem: str
    usage: Usage | None = None


Signal = ItemStarted | ItemDone | StepDone | ToolDone | Invalid | Failed | Cancelled
