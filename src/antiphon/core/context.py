"""From the `input` of a request to the items of this response, checked against the chain it continues."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from antiphon.core.errors import InvalidRequest
from antiphon.core.ids import ItemIds
from antiphon.core.items import (
    Call,
    CallOutput,
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    InputText,
    Message,
    OutputText,
    Reasoning,
)
from antiphon.core.transcript import PastTurn, TranscriptItem, sendable
from antiphon.core.wire import UNSET


@dataclass(frozen=True, slots=True)
class Context:
    """`stored` is what the client sent, every item with an id; `shown` is what the model sees of it."""

    stored: tuple[TranscriptItem, ...]
    shown: tuple[TranscriptItem, ...]


def own_items(given: str | Sequence[TranscriptItem] | None, ids: ItemIds) -> tuple[TranscriptItem, ...]:
    """The items of `input` in their stored form: a string is one user message, string content is one text part."""
    if given is None:
        return ()
    if isinstance(given, str):
        part = InputText(text=given)
        return (Message(id=ids.new("message"), role="user", status="completed", content=[part]),)
    return tuple(_stored_form(item, ids) for item in given)


def _stored_form(item: TranscriptItem, ids: ItemIds) -> TranscriptItem:
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
        case Reasoning():
            return item if item.id else msgspec.structs.replace(item, id=ids.new("reasoning"))
        case FunctionCall():
            return item if item.id else msgspec.structs.replace(item, id=ids.new("function_call"))
        case FunctionCallOutput():
            return item if item.id else msgspec.structs.replace(item, id=ids.new("function_call_output"))
        case CustomToolCall() | CustomToolCallOutput():
            # `CustomToolCallResource` and its output need both; of function calls the status may be missing.
            kind = "custom_tool_call" if isinstance(item, CustomToolCall) else "custom_tool_call_output"
            status = item.status if item.status is not UNSET else "completed"
            return msgspec.structs.replace(item, id=item.id or ids.new(kind), status=status)


def build_context(history: Sequence[PastTurn], own: Iterable[TranscriptItem]) -> Context:
    """Match calls and outputs across the chain.

    Some clients send `previous_response_id` and the earlier items again: a call or an output that the chain holds
    already is kept as sent but shown to the model once.

    Raises InvalidRequest: an output whose `call_id` no call has, or a call that has no output.
    """
    stored = tuple(own)
    pending = _open_calls(history[-1:])
    needs_past = any(_is_replay(item, pending) for item in stored)
    past = _all_calls(history) if needs_past else frozenset[str]()
    shown: list[TranscriptItem] = []
    answered: set[str] = set()
    for at, item in enumerate(stored):
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
        shown.append(item)
    _require_answers(stored, pending)
    return Context(stored, tuple(sendable(shown)))


def _is_replay(item: TranscriptItem, pending: dict[str, int]) -> bool:
    if isinstance(item, Call):
        return True
    return isinstance(item, CallOutput) and item.call_id not in pending


def _open_calls(turns: Sequence[PastTurn]) -> dict[str, int]:
    """Calls of the last turn that wait for the client's output; -1 marks that they are not in this input."""
    return {call.call_id: -1 for turn in turns for call in turn.calls_made() if call.status != "incomplete"}


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


def _require_answers(stored: tuple[TranscriptItem, ...], pending: dict[str, int]) -> None:
    for call_id, at in pending.items():
        call = stored[at] if at >= 0 else None
        if isinstance(call, Call) and call.status == "incomplete":
            continue
        raise InvalidRequest(
            f"No tool output found for function call {call_id}. Send a `function_call_output` item (of a custom"
            " tool: `custom_tool_call_output`) with this call_id.",
            param="input" if at < 0 else f"input[{at}]",
        )
