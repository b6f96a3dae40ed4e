"""What the loop asks for, step by step. The runner carries steps out through the ports and the event writer."""

from dataclasses import dataclass
from typing import Any, Literal

from antiphon.core.hosted_calls import HostedCall, HostedTool
from antiphon.core.hosted_items import McpListTools
from antiphon.core.items import FunctionCall, ItemStatus
from antiphon.core.marks import CallEnd, StepEnd
from antiphon.core.mcp import ElicitationAnswer
from antiphon.core.request import ResponseRequest
from antiphon.core.seen import TranscriptItem
from antiphon.core.shields import ShieldMessage, Touchpoint
from antiphon.core.signals import OutputItem
from antiphon.core.tools import McpTool
from antiphon.core.transcript import Transcript


@dataclass(frozen=True, slots=True)
class CallModel:
    """One sampling step.

    `transcript` is all the model sees; `request` carries the settings, whole, its tools as the model is shown them.
    The other fields are what the loop decided for this step and win over the request's. `tool_choice` is a
    `tools.ModelChoice`.
    """

    request: ResponseRequest
    transcript: Transcript
    tool_choice: Any = "auto"
    max_output_tokens: int | None = None
    stream: bool = True
    summarises: bool = False
    """The model is asked for a summary by which a conversation is compacted, not to go on with it."""


@dataclass(frozen=True, slots=True)
class CountTokens:
    """Say how many input tokens this call would be. It is not made yet."""

    call: CallModel


@dataclass(frozen=True, slots=True)
class Compact:
    """Compact the transcript of this call, which is not made itself. `required`: without that the response fails."""

    call: CallModel
    required: bool = False


@dataclass(frozen=True, slots=True)
class CallTool:
    """Run a server-side tool. Calls of one step may run at once; results are added in call order.

    `tool` and `item` are there for a tool that the request brought: its definition, and what is shown of the call.
    """

    call: FunctionCall
    tool: HostedTool | None = None
    item: HostedCall | None = None
    answer: ElicitationAnswer | None = None
    """Of a call that goes on after a question of its server: what the user said."""


@dataclass(frozen=True, slots=True)
class ListTools:
    """Ask an MCP server for its tools. `item` is what is shown of it, still without tools."""

    tool: McpTool
    item: McpListTools


@dataclass(frozen=True, slots=True)
class CheckContent:
    """Ask all of these shields at once about these messages, the last of which is what the rest led to. `items` are
    what the messages are made of: those may hold files, whose texts have to be read first.
    """

    touchpoint: Touchpoint
    shields: tuple[str, ...]
    messages: tuple[ShieldMessage, ...]
    items: tuple[TranscriptItem, ...] = ()


@dataclass(frozen=True, slots=True)
class OpenItem:
    """Show an item of the model: it gets its id and its place in the output. `kind` is a key of `PREFIX_BY_TYPE`, where
    that is not the item's type.
    """

    slot: int
    item: OutputItem
    kind: str = ""


@dataclass(frozen=True, slots=True)
class CloseItem:
    """Finish a shown item."""

    slot: int
    item: OutputItem
    status: ItemStatus


@dataclass(frozen=True, slots=True)
class Finish:
    """The response ends. Items still open are closed as they are, `incomplete`."""

    status: Literal["completed", "incomplete", "failed", "cancelled"]
    incomplete_reason: Literal["max_output_tokens", "content_filter"] | None = None
    error_code: str | None = None
    error_message: str | None = None


Step = (
    CallModel
    | CountTokens
    | Compact
    | CheckContent
    | ListTools
    | CallTool
    | OpenItem
    | CloseItem
    | StepEnd
    | CallEnd
    | Finish
)
"""`StepEnd` and `CallEnd` are marks, for runs that have such."""
