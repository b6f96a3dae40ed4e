"""Stored items as the model sees them: calls of client-run tools and their outputs as those of functions, and what a
compaction stands for.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from antiphon.core import mcp
from antiphon.core.client_tools import APPLY_PATCH, COMPUTER, LOCAL_SHELL, SHELL, TOOL_SEARCH
from antiphon.core.compaction import UpstreamContext, seen_of
from antiphon.core.file_search import FILE_SEARCH
from antiphon.core.hosted_calls import said as said_of
from antiphon.core.hosted_items import (
    AdditionalTools,
    Compaction,
    FileSearchCall,
    McpApprovalRequest,
    McpApprovalResponse,
    McpAuthorizationRequest,
    McpCall,
    McpElicitationRequest,
    McpElicitationResponse,
    McpListTools,
    McpSamplingCall,
    ToolItem,
    ToolSearchCall,
    ToolSearchOutput,
)
from antiphon.core.items import (
    Call,
    CallOutput,
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    InputImage,
    ItemStatus,
    Message,
    Reasoning,
)
from antiphon.core.machine_items import (
    ApplyPatchCall,
    ApplyPatchCallOutput,
    ComputerCall,
    ComputerCallOutput,
    LocalShellCall,
    LocalShellCallOutput,
    MachineItem,
    ShellCall,
    ShellCallOutput,
    ShellExit,
    ShellOutput,
)
from antiphon.core.shown_tools import server_tool_name, shown, shown_name
from antiphon.core.tool_search import said
from antiphon.core.wire import UNSET, UnsetType, decode_json, encode

TranscriptItem = Message | Reasoning | Call | CallOutput | UpstreamContext
"""What a model sees."""
StoredItem = TranscriptItem | ToolItem | Compaction
"""What a response may hold; `as_seen` says what of it the model sees."""


def as_seen(items: Iterable[StoredItem]) -> list[TranscriptItem]:
    """In order. Tools that are brought by an item are no item of their own: `toolbox` shows them."""
    return [seen for _, seen in seen_with_places(items)]


def seen_with_places(items: Iterable[StoredItem]) -> Iterator[tuple[int, TranscriptItem]]:
    """Each with the place of the stored item that it stands for."""
    searches: deque[str] = deque()  # the server's own, which have no call id: each is answered in its turn
    for at, item in enumerate(items):
        match item:
            case Message() | Reasoning() | CustomToolCallOutput() | UpstreamContext():
                yield at, item
            case Compaction():
                yield from ((at, one) for one in seen_of(item))
            case FunctionCall() | CustomToolCall():
                yield at, _by_shown_name(item)
            case FunctionCallOutput():
                yield at, item
            case ToolSearchCall():
                call_id = item.call_id or item.id or f"search_{at}"
                if not item.call_id:
                    searches.append(call_id)
                yield at, _call(item, call_id, TOOL_SEARCH, _asked(item))
            case ToolSearchOutput():
                own = searches.popleft() if not item.call_id and searches else item.id or f"search_{at}"
                yield at, _output(item.call_id or own, _loaded(item))
            case FileSearchCall():
                if item.status in ("completed", "failed"):  # else it was cut short: nothing came of it
                    yield at, _call(item, item.id, FILE_SEARCH, {"queries": item.queries})
                    yield at, _output(item.id, said_of(item))
            case McpCall():
                if item.status in ("completed", "failed") or item.output or item.error:
                    name = server_tool_name(item.server_label, item.name)
                    yield at, _made(item.id, name, item.arguments)
                    yield at, _output(item.id, said_of(item))
            case McpApprovalResponse(asked=McpApprovalRequest() as asked, approve=False):
                yield at, _made(asked.id, server_tool_name(asked.server_label, asked.name), asked.arguments)
                yield at, _output(asked.id, mcp.said_of_denial(item.reason or ""))
            case (
                AdditionalTools()
                | McpListTools()
                | McpApprovalRequest()
                | McpApprovalResponse()
                | McpElicitationRequest()
                | McpElicitationResponse()
                | McpAuthorizationRequest()
                | McpSamplingCall()
            ):
                continue  # what came of these is in other items
            case _:
                yield at, _machine(item)


def _by_shown_name(call: Call) -> Call:
    if not isinstance(call.namespace, str):
        return call
    return msgspec.structs.replace(call, name=shown_name(call.namespace, call.name), namespace=UNSET)


def _machine(item: MachineItem) -> TranscriptItem:
    match item:
        case ComputerCall():
            one = [item.action] if item.action is not UNSET else []
            actions = item.actions if item.actions is not UNSET else one
            return _call(item, item.call_id, COMPUTER, {"actions": actions})
        case ShellCall():
            return _call(item, item.call_id, SHELL, item.action)
        case LocalShellCall():
            return _call(item, item.call_id, LOCAL_SHELL, item.action)
        case ApplyPatchCall():
            return _call(item, item.call_id, APPLY_PATCH, item.operation)
        case ComputerCallOutput():
            shot = item.output
            image = InputImage(image_url=shot.image_url, file_id=shot.file_id, detail=shot.detail)
            return FunctionCallOutput(call_id=item.call_id, output=[image])
        case ShellCallOutput():
            printed = "\n\n".join(_printed(one) for one in item.output)
            return _output(item.call_id, printed or "(no output)")
        case LocalShellCallOutput():
            return _output(item.call_id or item.id or "", item.output)
        case ApplyPatchCallOutput():
            text = item.output or ""
            if item.status == "failed":
                text = f"Failed: {text}" if text else "Failed."
            return _output(item.call_id, text or "Done.")


def _call(item: ToolItem, call_id: str, name: str, arguments: Any) -> FunctionCall:
    """`arguments` in the form that `client_tools.item_of` reads."""
    value: Any = msgspec.to_builtins(arguments)
    if name == LOCAL_SHELL:
        del value["type"]
    status: ItemStatus | UnsetType | None = (
        UNSET if isinstance(item, FileSearchCall) else getattr(item, "status", UNSET)
    )
    return FunctionCall(
        call_id=call_id,
        name=name,
        arguments=encode(value).decode(),
        status=status if status is not None else UNSET,
    )


def _made(call_id: str, name: str, arguments: str) -> FunctionCall:
    return FunctionCall(call_id=call_id, name=name, arguments=arguments)


def _asked(item: ToolSearchCall) -> Any:
    """Its arguments, which some clients keep as JSON text."""
    if not isinstance(item.arguments, str):
        return item.arguments
    try:
        return decode_json(item.arguments)
    except (msgspec.DecodeError, RecursionError):
        return item.arguments


def _output(call_id: str, text: str) -> FunctionCallOutput:
    return FunctionCallOutput(call_id=call_id, output=text)


def _printed(output: ShellOutput) -> str:
    """What one command wrote and how it ended, as a terminal would show it."""
    ended = (
        f"[exit code {output.outcome.exit_code}]" if isinstance(output.outcome, ShellExit) else "[timed out]"
    )
    parts = [output.stdout.rstrip("\n"), output.stderr.rstrip("\n"), ended]
    return "\n".join(part for part in parts if part)


def _loaded(item: ToolSearchOutput) -> str:
    return said([one.face.name for one in shown(item.tools)])
