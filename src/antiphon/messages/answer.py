"""What an answer is in the Messages API: its blocks, why it stopped, what it used.

A stream (`stream.py`) ends in the same words, so that what a client puts together from it is the whole message.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from antiphon.core.errors import ShuttingDown
from antiphon.core.ids import RESPONSE_PREFIX
from antiphon.core.items import FunctionCall, Message, OutputText, Reasoning, Refusal
from antiphon.core.json_values import is_object
from antiphon.core.response import ResponseState
from antiphon.core.usage import Usage
from antiphon.core.wire import JsonObject, decode_json, encode
from antiphon.messages.errors import AnswerFailed

PREFIX = "msg_"
NO_USAGE = Usage()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the request decides of its answer. `thoughts`: left out, only carried on as sealed blobs, or shown too."""

    model: str
    thoughts: Literal["none", "sealed", "shown"] = "none"
    stops: Sequence[str] = ()


@dataclass(slots=True)
class Ending:
    """Why an answer stopped, gathered from its items. `called`: whether it made a whole call."""

    called: bool = False
    refusal: list[str] = field(default_factory=list[str])

    def note(self, item: object) -> None:
        match item:
            case FunctionCall(status=status):
                self.called = self.called or status != "incomplete"
            case Message(content=list() as parts):
                self.refusal += [part.refusal for part in parts if isinstance(part, Refusal)]
            case _:
                return

    def delta(self, status: str, reason: str | None, stop_sequence: str | None, wanted: Wanted) -> JsonObject:
        """`stop_reason` and what belongs to it. A stop sequence counts only where the request named it."""
        refused = bool(self.refusal) or reason == "content_filter"
        met = stop_sequence if stop_sequence in wanted.stops else None
        if status == "incomplete" and not refused:
            stop = "max_tokens"
        elif refused:
            stop = "refusal"
        elif self.called:
            stop = "tool_use"
        else:
            stop = "end_turn" if met is None else "stop_sequence"
        delta: JsonObject = {"stop_reason": stop, "stop_sequence": met if stop == "stop_sequence" else None}
        if stop == "refusal":
            explanation = "".join(self.refusal) or None
            delta["stop_details"] = {"type": "refusal", "category": None, "explanation": explanation}
        return delta


def message_id(response_id: str) -> str:
    return PREFIX + response_id.removeprefix(RESPONSE_PREFIX)


def head_of(response_id: str, model: str) -> JsonObject:
    """The message before anything was said."""
    return {
        "id": message_id(response_id),
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage_of(NO_USAGE),
    }


def whole_message(
    response_id: str,
    items: Iterable[object],
    state: ResponseState,
    stop_sequence: str | None,
    wanted: Wanted,
) -> bytes:
    """The answer in one piece. Raises AnswerFailed for one that broke off."""
    failed = failure_of(state.status, state.error_code, state.error_message)
    if failed is not None:
        raise failed
    ending = Ending()
    blocks: list[JsonObject] = []
    for item in items:
        ending.note(item)
        blocks += blocks_of(item, wanted)
    delta = ending.delta(state.status, state.incomplete_reason, stop_sequence, wanted)
    usage = usage_of(state.usage or NO_USAGE)
    return encode({**head_of(response_id, wanted.model), "content": blocks, **delta, "usage": usage})


def failure_of(status: str, code: str | None, message: str | None) -> AnswerFailed | None:
    """The error that a response broke off with. One that was cancelled has none of its own: the server stops."""
    if status == "cancelled":
        return AnswerFailed("server_shutting_down", ShuttingDown().message)
    if status == "failed":
        return AnswerFailed(code or "server_error", message or "the answer broke off.")
    return None


def blocks_of(item: object, wanted: Wanted) -> list[JsonObject]:
    """The blocks that show an item. What a refusal says stands in `stop_details`."""
    match item:
        case Message(content=list() as parts):
            texts = [part.text for part in parts if isinstance(part, OutputText)]
            return [{"type": "text", "text": text} for text in texts if text]
        case FunctionCall(call_id=call_id, name=name, arguments=arguments):
            return [{"type": "tool_use", "id": call_id, "name": name, "input": input_of(arguments)}]
        case Reasoning() if wanted.thoughts != "none":
            return thought_blocks(thought_text(item), item.encrypted_content or "", wanted)
        case _:
            return []


def thought_text(item: Reasoning) -> str:
    parts = item.summary or item.content or []
    return "\n\n".join(part.text for part in parts if part.text)


def thought_blocks(text: str, blob: str, wanted: Wanted) -> list[JsonObject]:
    """`signature` is our sealed blob; a thought without a readable word is nothing but its blob."""
    if text:
        shown = text if wanted.thoughts == "shown" else ""
        return [{"type": "thinking", "thinking": shown, "signature": blob}]
    return [{"type": "redacted_thinking", "data": blob}] if blob else []


def input_of(arguments: str) -> JsonObject:
    """A call's input must be an object; arguments that are none, or were cut short, stand in one under one key."""
    try:
        value = decode_json(arguments or "{}")
    except (ValueError, RecursionError):
        value = None
    return value if is_object(value) else {"arguments": arguments}


def usage_of(usage: Usage) -> JsonObject:
    """Here `input_tokens` are only those that were neither read from the cache nor written to it."""
    details = usage.input_tokens_details
    cached, written = details.cached_tokens, details.cache_write_tokens
    return {
        "input_tokens": max(0, usage.input_tokens - cached - written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": cached,
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"thinking_tokens": usage.output_tokens_details.reasoning_tokens},
    }
