"""Answers of the Messages API → model signals; a stream and a whole answer alike. Pure.

Blocks come one after the other, each numbered. A thinking block is a reasoning item of its own; as what it must be
sent back (its text and signature, or the redacted data) is the item's encrypted content. Text blocks in a row are one
message. Blocks of kinds that this server did not ask for (server tools) are an error, not silence.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from antiphon.core.custom_calls import InputReader
from antiphon.core.errors import ProviderError, ProviderProtocolError
from antiphon.core.items import (
    CustomToolCall,
    FunctionCall,
    Message,
    MessagePart,
    OutputText,
    Reasoning,
    ReasoningText,
    Refusal,
)
from antiphon.core.signals import (
    ArgumentsDelta,
    FinishReason,
    ItemDone,
    ItemStarted,
    ModelSignal,
    ReasoningDelta,
    RefusalDelta,
    StepDone,
    TextDelta,
)
from antiphon.core.thoughts import marked
from antiphon.core.usage import InputDetails, OutputDetails, Usage
from antiphon.core.wire import UNSET, encode
from antiphon.providers.refusals import Redaction, stream_error

_FINISH: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
}
_TIERS = {"standard": "default", "priority": "priority", "batch": "flex"}
_NO_INPUT = (b"{}", b"null", b'""')


class _StopDetails(msgspec.Struct):
    """Why an answer was refused."""

    explanation: str | None = None


class _Block(msgspec.Struct):
    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = msgspec.Raw(b"{}")


class _Delta(msgspec.Struct):
    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: _StopDetails | None = None


class _OutputDetails(msgspec.Struct):
    thinking_tokens: int | None = None


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    output_tokens_details: _OutputDetails | None = None
    service_tier: str | None = None
    speed: str | None = None


class _Answer(msgspec.Struct):
    type: str = ""
    content: list[_Block] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: _StopDetails | None = None
    usage: _Usage | None = None
    error: Any = None


class _Event(msgspec.Struct):
    type: str = ""
    index: int = 0
    message: _Answer | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: _Usage | None = None
    error: Any = None


_EVENT = msgspec.json.Decoder(_Event)
_ANSWER = msgspec.json.Decoder(_Answer)


@dataclass(slots=True)
class _Open:
    """The block that is being written."""

    index: int
    kind: str
    slot: int
    texts: list[str] = field(default_factory=list[str])
    signature: str = ""
    item: FunctionCall | CustomToolCall | None = None
    reader: InputReader | None = None


class MessagesDecoder:
    """Reads one answer. `custom` names the tools whose input is plain text."""

    def __init__(self, provider: str, redaction: Redaction, custom: frozenset[str] = frozenset()) -> None:
        self._provider = provider
        self._redaction = redaction
        self._custom = custom
        self._slots = 0
        self._open: _Open | None = None
        self._message: tuple[int, list[str]] | None = None
        self._called = False
        self._finish: str | None = None
        self._stop_sequence: str | None = None
        self._refusal = ""
        self._usage = _Usage()
        self.done = False
        """`message_stop` was seen."""
        self.failure: ProviderError | None = None
        """What ended the answer after the signals that `feed` gave last."""

    # --- input ----------------------------------------------------------------------------------------------
    def feed(self, payloads: Sequence[bytes]) -> list[ModelSignal]:
        """The signals of some events. What is no event, or an error, is in `failure` afterwards: what came before it
        was said.
        """
        out: list[ModelSignal] = []
        try:
            for payload in payloads:
                self._take(self._event(payload), out)
        except ProviderError as error:
            self.failure = error
        return out

    def _event(self, payload: bytes) -> _Event:
        try:
            return _EVENT.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            said = self._redaction.clean(str(error))
            raise self._broken(f"sent an event that cannot be read ({said})") from None

    def whole(self, body: bytes) -> list[ModelSignal]:
        """The signals of an answer in one piece: only `ItemDone`s, then the `StepDone`."""
        try:
            answer = _ANSWER.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise self._broken("answered with something that is no message") from None
        if answer.error is not None:
            raise stream_error(self._provider, answer.error, self._redaction)
        if answer.type != "message" or answer.content is None:
            raise self._broken("answered with JSON that is no message")
        out: list[ModelSignal] = []
        for index, block in enumerate(answer.content):
            self._start(index, block, out)
            self._stop(out)
        self._ends(answer)
        self._count(answer.usage)
        out += self.finish()
        return [signal for signal in out if isinstance(signal, ItemDone | StepDone)]

    def finish(self) -> list[ModelSignal]:
        """The last signals. Raises `failure`, and ProviderProtocolError for a stream that was cut off."""
        if self.failure is not None:
            raise self.failure
        if self._finish is None:
            raise self._broken("ended its stream without a stop reason")
        out: list[ModelSignal] = []
        self._stop(out)
        reason = _FINISH.get(self._finish, "stop")
        if reason in ("stop", "tool_calls"):
            reason = "tool_calls" if self._called else "stop"
        if self._slots == 0 and reason == "stop":
            self._text(out)
        if self._refusal and reason == "content_filter":
            out.append(RefusalDelta(self._text(out), self._refusal))
        self._close_message(out)
        out.append(StepDone(reason, self._counted(), self._tier(), self._stop_sequence))
        return out

    def _ends(self, said: _Answer | _Delta) -> None:
        self._finish = said.stop_reason or self._finish
        self._stop_sequence = said.stop_sequence
        details = said.stop_details
        if details is not None and details.explanation:
            self._refusal = details.explanation

    # --- one event ------------------------------------------------------------------------------------------
    def _take(self, event: _Event, out: list[ModelSignal]) -> None:
        match event.type:
            case "content_block_delta" if event.delta is not None:
                self._delta(event.index, event.delta, out)
            case "content_block_start" if event.content_block is not None:
                self._stop(out)
                self._start(event.index, event.content_block, out)
            case "content_block_stop":
                self._stop(out)
            case "message_start" if event.message is not None:
                self._count(event.message.usage)
            case "message_delta":
                self._count(event.usage)
                if event.delta is not None:
                    self._ends(event.delta)
            case "message_stop":
                self.done = True
            case "error":
                raise stream_error(self._provider, event.error, self._redaction)
            case _:  # `ping`, and kinds to come: they may be skipped
                return

    def _start(self, index: int, block: _Block, out: list[ModelSignal]) -> None:
        match block.type:
            case "text":
                self._open = _Open(index, "text", self._text(out))
                self._say(block.text or "", out)
            case "thinking" | "redacted_thinking":
                self._close_message(out)
                self._open = opened = _Open(index, block.type, self._next_slot())
                out.append(ItemStarted(opened.slot, Reasoning(summary=[])))
                opened.signature = block.signature or block.data or ""
                self._think(block.thinking or "", out)
            case "tool_use":
                self._close_message(out)
                self._call(index, block, out)
            case kind:
                raise self._broken(
                    f'sent a block of type "{self._redaction.clean(kind)}", which was not asked for'
                )

    def _call(self, index: int, block: _Block, out: list[ModelSignal]) -> None:
        if not block.name or not block.id:
            raise self._broken("made a tool call without a name or an id")
        custom = block.name in self._custom
        self._open = opened = _Open(index, "tool_use", self._next_slot())
        if custom:
            opened.item = CustomToolCall(call_id=block.id, name=block.name, input="")
            opened.reader = InputReader()
        else:
            opened.item = FunctionCall(call_id=block.id, name=block.name, arguments="")
        self._called = True
        out.append(ItemStarted(opened.slot, opened.item))
        given = bytes(block.input)
        if given.replace(b" ", b"") not in _NO_INPUT:
            self._argue(given.decode(), out)

    def _delta(self, index: int, delta: _Delta, out: list[ModelSignal]) -> None:
        if self._open is None or self._open.index != index:
            raise self._broken("wrote into a block that it had not begun")
        if delta.text:
            self._say(delta.text, out)
        elif delta.thinking:
            self._think(delta.thinking, out)
        elif delta.partial_json:
            self._argue(delta.partial_json, out)
        elif delta.signature:
            self._open.signature += delta.signature

    # --- blocks ---------------------------------------------------------------------------------------------
    def _text(self, out: list[ModelSignal]) -> int:
        """The slot of the message that text goes to."""
        if self._message is None:
            self._message = (self._next_slot(), [])
            out.append(ItemStarted(self._message[0], Message(role="assistant", content=[])))
        return self._message[0]

    def _say(self, text: str, out: list[ModelSignal]) -> None:
        if text and self._message is not None:
            self._message[1].append(text)
            out.append(TextDelta(self._message[0], text))

    def _think(self, text: str, out: list[ModelSignal]) -> None:
        if text and self._open is not None:
            self._open.texts.append(text)
            out.append(ReasoningDelta(self._open.slot, text))

    def _argue(self, text: str, out: list[ModelSignal]) -> None:
        opened = self._open
        if opened is None:
            return
        opened.texts.append(text)
        shown = text if opened.reader is None else opened.reader.feed(text)
        if shown:
            out.append(ArgumentsDelta(opened.slot, shown))

    def _stop(self, out: list[ModelSignal]) -> None:
        opened, self._open = self._open, None
        if opened is None or opened.kind == "text":
            return
        if opened.item is not None:
            self._stop_call(opened, opened.item, out)
            return
        out.append(ItemDone(opened.slot, self._thought(opened)))

    def _stop_call(self, opened: _Open, item: FunctionCall | CustomToolCall, out: list[ModelSignal]) -> None:
        if opened.reader is not None:
            text, rest = opened.reader.finish()
        else:
            text = "".join(opened.texts)
            text, rest = (text, "") if text else ("{}", "{}")
        if rest:
            out.append(ArgumentsDelta(opened.slot, rest))
        name = "input" if isinstance(item, CustomToolCall) else "arguments"
        out.append(ItemDone(opened.slot, msgspec.structs.replace(item, **{name: text})))

    def _thought(self, opened: _Open) -> Reasoning:
        text = "".join(opened.texts)
        if opened.kind == "redacted_thinking":
            block = {"type": opened.kind, "data": opened.signature}
        else:
            block = {"type": opened.kind, "thinking": text, "signature": opened.signature}
        content = [ReasoningText(text=text)] if text else UNSET
        blob = marked(self._provider, encode(block).decode()) if opened.signature else UNSET
        return Reasoning(summary=[], content=content, encrypted_content=blob)

    def _close_message(self, out: list[ModelSignal]) -> None:
        message, self._message = self._message, None
        if message is None:
            return
        slot, texts = message
        content: list[MessagePart] = [OutputText(text="".join(texts), annotations=[])]
        if self._refusal and self._finish == "refusal":
            content = [*(content if texts else ()), Refusal(refusal=self._refusal)]
        out.append(ItemDone(slot, Message(role="assistant", content=content)))

    # --- counting -------------------------------------------------------------------------------------------
    def _count(self, usage: _Usage | None) -> None:
        """Later figures replace earlier ones: those of `message_delta` are of the whole answer."""
        if usage is not None:
            for name in _Usage.__struct_fields__:
                value = getattr(usage, name)
                if value is not None:
                    setattr(self._usage, name, value)

    def _counted(self) -> Usage:
        usage, details = self._usage, self._usage.output_tokens_details
        cached, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
        given, made = (usage.input_tokens or 0) + cached + written, usage.output_tokens or 0
        return Usage(
            input_tokens=given,
            input_tokens_details=InputDetails(cached_tokens=cached, cache_write_tokens=written),
            output_tokens=made,
            output_tokens_details=OutputDetails(
                reasoning_tokens=(details.thinking_tokens if details is not None else None) or 0
            ),
            total_tokens=given + made,
        )

    def _tier(self) -> str | None:
        return "fast" if self._usage.speed == "fast" else _TIERS.get(self._usage.service_tier or "")

    def _next_slot(self) -> int:
        self._slots += 1
        return self._slots - 1

    def _broken(self, what: str) -> ProviderProtocolError:
        return ProviderProtocolError(self._provider, f'provider "{self._provider}" {what}.')
