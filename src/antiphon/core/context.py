"""From the `input` of a request to the items of this response, checked against the chain it continues."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from antiphon.core.compaction import UpstreamContext
from antiphon.core.errors import InvalidRequest
from antiphon.core.hosted_items import (
    AdditionalTools,
    Compaction,
    McpApprovalRequest,
    McpApprovalResponse,
    McpListTools,
    ToolSearchCall,
    ToolSearchOutput,
)
from antiphon.core.ids import ItemIds
from antiphon.core.items import (
    Call,
    CallOutput,
    InputText,
    Message,
    OutputText,
    Reasoning,
)
from antiphon.core.loose_ends import OpenCalls
from antiphon.core.machine_items import LocalShellCall, LocalShellCallOutput, ShellCall, ShellCallOutput
from antiphon.core.replays import without_replays
from antiphon.core.seen import StoredItem, TranscriptItem, as_seen, seen_with_places
from antiphon.core.transcript import PastTurn, last_replacing, sendable
from antiphon.core.wire import UNSET

_LOCAL_SHELL = b'"local_shell_call"'


@dataclass(frozen=True, slots=True)
class Context:
    """`stored` is what the client sent, every item with an id; `shown` is what the model sees of it."""

    stored: tuple[StoredItem, ...]
    shown: tuple[TranscriptItem, ...]
    replaces: bool = False
    """Whether `shown` stands for the history too."""


def own_items(given: str | Sequence[StoredItem] | None, ids: ItemIds) -> tuple[StoredItem, ...]:
    """The items of `input` in their stored form: a string is one user message, string content is one text part."""
    if given is None:
        return ()
    if isinstance(given, str):
        part = InputText(text=given)
        return (Message(id=ids.new("message"), role="user", status="completed", content=[part]),)
    return tuple(_stored_form(item, ids) for item in given)


def _stored_form(item: StoredItem, ids: ItemIds) -> StoredItem:
    match item:
        case Message():
            content = item.content
            if isinstance(content, str):
                is_ours = item.role == "assistant"
                text = (
                    OutputText(text=content, annotations=[], logprobs=[])
                    if is_ours
                    else InputText(text=content)
                )
                content = [text]
            status = item.status if item.status is not UNSET else "completed"
            item_id = item.id or ids.new("message")
            return msgspec.structs.replace(item, id=item_id, status=status, content=content)
        case (
            Reasoning()
            | AdditionalTools()
            | Compaction()
            | McpListTools()
            | McpApprovalRequest()
            | McpApprovalResponse()
        ):
            return item if item.id else msgspec.structs.replace(item, id=ids.new(_type_of(item)))
        case UpstreamContext():
            return item
        case ToolSearchCall() | ToolSearchOutput():
            return msgspec.structs.replace(
                item,
                id=item.id or ids.new(_type_of(item)),
                call_id=item.call_id or None,
                execution=item.execution or ("client" if item.call_id else "server"),
                status=item.status or "completed",
            )
        case LocalShellCallOutput():
            call_id = item.call_id or item.id  # some clients put the call's id there
            return msgspec.structs.replace(
                item, id=ids.new(_type_of(item)), call_id=call_id, status=item.status or "completed"
            )
        case _:
            # Their stored forms (`FunctionToolCallOutputResource` and its like) need both.
            filled: dict[str, Any] = {
                "id": item.id or ids.new(_type_of(item)),
                "status": item.status or "completed",
            }
            if isinstance(item, ShellCallOutput) and item.max_output_length is UNSET:
                filled["max_output_length"] = None
            if isinstance(item, ShellCall) and item.environment is UNSET:
                filled["environment"] = None
            return msgspec.structs.replace(item, **filled)


def _type_of(item: StoredItem) -> str:
    return str(item.__struct_config__.tag)


def build_context(history: Sequence[PastTurn], own: Iterable[StoredItem]) -> Context:
    """Match calls and outputs across the chain.

    Some clients send `previous_response_id` and the earlier items again: a call or an output that the chain holds
    already is kept as sent but shown to the model once.

    Raises InvalidRequest: an output whose `call_id` no call has, or a call that has no output.
    """
    stored = tuple(own)
    said = tuple(item for item in stored if isinstance(item, Message))
    if not history and len(said) == len(stored):  # most first turns
        return Context(stored, said)
    stored = _by_call_ids(history, stored)
    open_calls = OpenCalls.of(history)
    pending = dict.fromkeys([*open_calls.waiting, *open_calls.excused], -1)  # not in this input
    needs_past = any(_is_replay(item, pending) for item in as_seen(stored))
    past = _all_calls(history) if needs_past else frozenset[str]()
    shown: list[tuple[int, TranscriptItem]] = []
    answered: set[str] = set()
    for at, item in seen_with_places(stored):
        if isinstance(item, Call):
            if item.call_id in pending or item.call_id in past or item.call_id in answered:
                continue
            pending[item.call_id] = at
        elif isinstance(item, CallOutput):
            if item.call_id in pending:
                del pending[item.call_id]
                answered.add(item.call_id)
            elif item.call_id in past or item.call_id in answered:
                continue
            else:
                raise _orphan(item.call_id, at)
        shown.append((at, item))
    for call_id in open_calls.excused:
        pending.pop(call_id, None)
    if pending:
        _require_answers(history, stored, pending)
    cut = last_replacing(stored)
    shown = without_replays(history, shown, open_calls.waiting, stored)
    kept = [item for at, item in shown if cut is None or at >= cut]
    if cut is not None:
        kept = _with_their_calls(kept)
    return Context(stored, tuple(sendable(kept)), cut is not None)


def _by_call_ids(history: Sequence[PastTurn], own: tuple[StoredItem, ...]) -> tuple[StoredItem, ...]:
    """The output of a local shell call may name the item of the call instead of the call."""
    if not any(isinstance(item, LocalShellCallOutput) for item in own):
        return own
    past = (item for turn in history if _LOCAL_SHELL in turn.output for item in turn.stored())
    calls = {item.id: item.call_id for item in (*past, *own) if isinstance(item, LocalShellCall)}
    return tuple(
        msgspec.structs.replace(item, call_id=calls.get(str(item.call_id), item.call_id))
        if isinstance(item, LocalShellCallOutput)
        else item
        for item in own
    )


def _with_their_calls(items: list[TranscriptItem]) -> list[TranscriptItem]:
    """Without the outputs of calls that a compaction stands for."""
    called = {item.call_id for item in items if isinstance(item, Call)}
    return [item for item in items if not isinstance(item, CallOutput) or item.call_id in called]


def _is_replay(item: TranscriptItem, pending: dict[str, int]) -> bool:
    if isinstance(item, Call):
        return True
    return isinstance(item, CallOutput) and item.call_id not in pending


def _all_calls(turns: Sequence[PastTurn]) -> frozenset[str]:
    return frozenset(
        item.call_id for turn in turns if turn.has_calls for item in turn.items() if isinstance(item, Call)
    )


def _orphan(call_id: str, at: int) -> InvalidRequest:
    return InvalidRequest(
        f'no tool call has call_id "{call_id}", so its output cannot be used. Send the item of the call'
        " before it, or continue with `previous_response_id` from the response that made the call.",
        param=f"input[{at}].call_id",
    )


def _require_answers(
    history: Sequence[PastTurn], stored: tuple[StoredItem, ...], pending: dict[str, int]
) -> None:
    for call_id, at in pending.items():
        call = stored[at] if at >= 0 else _stored_call(history, call_id)
        if getattr(call, "status", None) == "incomplete":
            continue
        kind = "function_call" if call is None else _type_of(call)
        answer = "tool_search_output" if kind == "tool_search_call" else f"{kind}_output"
        raise InvalidRequest(
            f"No tool output found for function call {call_id}. Send a `{answer}` item with this call_id.",
            param="input" if at < 0 else f"input[{at}]",
        )


def _stored_call(history: Sequence[PastTurn], call_id: str) -> StoredItem | None:
    """The call of this id, as the client got it."""
    past = (item for turn in reversed(history) if turn.has_calls for item in turn.stored())
    return next((one for one in past if getattr(one, "call_id", None) == call_id), None)
