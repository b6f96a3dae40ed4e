"""What the loop and the event writer hear while a run goes on.

A provider numbers the items of one model call by `slot`, 0.. in the order in which they first appear. For each
slot: `ItemStarted`, deltas, `ItemDone`; slots may interleave. An upstream that answers in one piece sends only the
`ItemDone`s. `StepDone` comes once, last.
"""

from typing import Literal

import msgspec

from antiphon.core.client_tools import ClientCall
from antiphon.core.hosted_calls import HostedCall
from antiphon.core.hosted_items import (
    Compaction,
    McpApprovalRequest,
    McpAuthorizationRequest,
    McpElicitationRequest,
    McpListTools,
    McpSamplingCall,
    ToolSearchOutput,
)
from antiphon.core.items import Call, CustomToolCall, FunctionCall, Logprob, Message, Reasoning
from antiphon.core.shields import Violation
from antiphon.core.usage import Usage

ModelItem = Message | Reasoning | FunctionCall | CustomToolCall
"""What a model makes."""
McpAsk = McpElicitationRequest | McpAuthorizationRequest
"""Items that end a response, since the user has to do something."""
OutputItem = (
    ModelItem
    | ClientCall
    | HostedCall
    | McpListTools
    | McpApprovalRequest
    | McpAsk
    | McpSamplingCall
    | ToolSearchOutput
    | Compaction
)
"""What a response's output may hold."""
FinishReason = Literal["stop", "tool_calls", "length", "content_filter"]


class Signalled(msgspec.Struct, frozen=True, gc=False, tag=True, tag_field="signal"):
    """Base of the signals: structs, since one is made per token and a dataclass takes five times as long. The tag
    is for those that are written down (`recording.format`); making one costs the same with it.
    """


class ItemStarted(Signalled, frozen=True):
    """An item began. `item` is its skeleton: role or call_id and name, empty content."""

    slot: int
    item: ModelItem


class TextDelta(Signalled, frozen=True):
    slot: int
    text: str
    logprobs: tuple[Logprob, ...] = ()


class RefusalDelta(Signalled, frozen=True):
    slot: int
    text: str


class ReasoningDelta(Signalled, frozen=True):
    slot: int
    text: str


class SummaryDelta(Signalled, frozen=True):
    """A piece of part `index` of a reasoning summary that the upstream wrote itself.

    An item has `SummaryDelta`s or `ReasoningDelta`s, not both.
    """

    slot: int
    index: int
    text: str


class ArgumentsDelta(Signalled, frozen=True):
    """A piece of a function call's arguments, or of a custom tool call's input."""

    slot: int
    text: str


class ItemDone(Signalled, frozen=True):
    """The whole item, without id and status: the run gives those. Its text is the concatenation of its deltas.

    A reasoning item's `encrypted_content` is the upstream's own, marked with its origin (`core.origin`).
    """

    slot: int
    item: ModelItem


class StepDone(Signalled, frozen=True):
    """The model call ended. Every started slot has had its `ItemDone`."""

    finish: FinishReason
    usage: Usage | None = None
    service_tier: str | None = None
    stop_sequence: str | None = None
    """Which of the request's `stop` ended the answer, where the upstream tells."""


ModelDelta = TextDelta | RefusalDelta | ReasoningDelta | SummaryDelta | ArgumentsDelta
ModelSignal = ItemStarted | ModelDelta | ItemDone | StepDone


class ToolDone(Signalled, frozen=True):
    """A server-side tool finished. `output` is the text the model sees, also when the tool failed.

    Of a call that is shown as an item, `item` is that with what came of it, without id: its status is `completed` or
    `failed`, and the model sees what `hosted_calls.said` says of it where there is no `output`.
    """

    call_id: str
    output: str
    item: HostedCall | None = None
    asks: tuple[McpAsk, ...] = ()
    """What the user has to do before the run can go on: the response ends with these. A call that waits for an answer
    has the status `incomplete`, and goes on in a response that brings it.
    """


class ToolsListed(Signalled, frozen=True):
    """An MCP server was asked for its tools: `item` has them, all that it has, or says in `error` why there are none.
    It is without id.
    """

    server_label: str
    item: McpListTools
    asks: tuple[McpAsk, ...] = ()


class Sampled(Signalled, frozen=True):
    """A model was called for a server, in the middle of a call of its tool; `item` is without id."""

    item: McpSamplingCall
    usage: Usage | None = None


class Failed(Signalled, frozen=True):
    """The run cannot go on. `code` is one of the response error codes of the spec (`ResponseErrorCode`)."""

    code: str
    message: str


class Cancelled(Signalled, frozen=True):
    """Somebody with the right to do so stopped the run."""


class Invalid(Signalled, frozen=True):
    """A held answer breaks a constraint that the upstream does not enforce; nothing of it was shown.

    `item` is a message that breaks `text.format`, or the custom tool call whose input breaks its grammar; `calls`
    are all calls of that step, itself included.
    """

    item: Message | CustomToolCall
    problem: str
    calls: tuple[Call, ...] = ()
    usage: Usage | None = None


class Counted(Signalled, frozen=True):
    """How many input tokens the model call that was asked about would be."""

    tokens: int


class ContentChecked(Signalled, frozen=True):
    """The shields were asked. `violation` is the most severe one that they found, of any level."""

    violation: Violation | None = None


class Compacted(Signalled, frozen=True):
    """A context was compacted: into a `summary` of its model, or by its upstream into a blob that is marked with its
    origin.
    """

    summary: str = ""
    upstream: str = ""
    usage: Usage | None = None


class NotCompacted(Signalled, frozen=True):
    """It could not be. `usage` is what the attempt cost."""

    usage: Usage | None = None


Signal = (
    ItemStarted
    | ItemDone
    | StepDone
    | ToolDone
    | ToolsListed
    | Sampled
    | Invalid
    | Counted
    | ContentChecked
    | Compacted
    | NotCompacted
    | Failed
    | Cancelled
)
