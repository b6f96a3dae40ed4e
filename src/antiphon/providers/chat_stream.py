"""Chat completion answers → model signals. Pure: bytes of JSON in, signals out; a stream and a whole answer
alike.

Rules that the wire leaves open, decided here:

- Order is reasoning, message, calls, as it comes. Reasoning is closed when text or a call begins, a message
  when a call begins; what comes later opens a new item. A call stays open to the end, since fragments of
  parallel calls may interleave, or until another begins and its arguments are whole.
- Text that is only white space and not yet part of a message is held: with text after it, it belongs to that;
  beside a call or reasoning it is nothing. Several chat templates emit line breaks there.
- Log probabilities beside a null text are those of calls, thoughts or control tokens, and are left out.
- A call is shown when its name is known. A missing id is made here, as is one that TGI gives every call ("0");
  a missing index means the call whose id it bears, else a new call if it has a name, else the last one.
- A stream is whole when it had a finish reason or `[DONE]`. One that ends with neither was cut off.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from antiphon.core.custom_calls import InputReader
from antiphon.core.errors import ProviderProtocolError, ProviderUnavailable
from antiphon.core.items import (
    CustomToolCall,
    FunctionCall,
    Logprob,
    Message,
    MessagePart,
    OutputText,
    Reasoning,
    ReasoningText,
    Refusal,
    UrlCitation,
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
from antiphon.core.wire import UNSET, decode_json, encode
from antiphon.providers.chat_shapes import (
    BROKEN_REASONS,
    FINISH_REASONS,
    Choice,
    Chunk,
    Delta,
    Function,
    RawUsage,
    ToolCall,
    citations_of,
    detailed_reasoning,
    logprobs_of,
    parts_of,
    usage_of,
)
from antiphon.providers.refusals import Redaction, stream_error

_CHUNK = msgspec.json.Decoder(Chunk)
_SHORTEST_ID = 3
"""A number below this length is an upstream's counter and no id: it comes again in the next answer."""
_LONGEST_ID = 512
"""What clients may send back as the id of a call."""


@dataclass(slots=True)
class _OpenMessage:
    slot: int
    text: list[str] = field(default_factory=list[str])
    refusal: list[str] = field(default_factory=list[str])
    logprobs: list[Logprob] = field(default_factory=list[Logprob])
    refusal_first: bool = False


@dataclass(slots=True)
class _OpenReasoning:
    slot: int
    text: list[str] = field(default_factory=list[str])


@dataclass(slots=True)
class _OpenCall:
    """A call whose name is not known yet has slot -1 and keeps its arguments back."""

    upstream_id: str
    slot: int = -1
    call_id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list[str])
    custom: bool = False
    reader: InputReader | None = None
    closed: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether its arguments can be all there: the upstream says so only at the end of the whole answer."""
        if self.custom and self.reader is None:
            return False  # plain text may always go on
        try:
            decode_json("".join(self.arguments))
        except (msgspec.DecodeError, RecursionError):
            return False
        return True


class ChatDecoder:
    """Reads one answer. `new_call_id` makes ids for calls that come without one.

    `translated` names the custom tools that the upstream was shown as functions.
    """

    def __init__(
        self,
        provider: str,
        new_call_id: Callable[[], str],
        redaction: Redaction,
        translated: frozenset[str] = frozenset(),
    ) -> None:
        self._translated = translated
        self._provider = provider
        self._new_call_id = new_call_id
        self._redaction = redaction
        self._slots = 0
        self._message: _OpenMessage | None = None
        self._reasoning: _OpenReasoning | None = None
        self._calls: list[_OpenCall] = []
        self._call_at: dict[int, _OpenCall] = {}
        self._held: list[tuple[str, tuple[Logprob, ...]]] = []
        self._early: tuple[Logprob, ...] = ()
        self._annotations: list[UrlCitation] = []
        self._finish: str | None = None
        self._stop_sequence: str | None = None
        self._usage: RawUsage | None = None
        self._service_tier: str | None = None

    # --- input ----------------------------------------------------------------------------------------------
    def feed(self, payloads: Sequence[bytes]) -> list[ModelSignal]:
        """The signals of some chunks. Raises ProviderError for what is no chunk and for an error object."""
        out: list[ModelSignal] = []
        for payload in payloads:
            try:
                chunk = _CHUNK.decode(payload)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise self._broken(
                    f"sent a chunk that cannot be read ({self._redaction.clean(str(error))})"
                ) from None
            self._take(chunk, out)
        return out

    def whole(self, body: bytes) -> list[ModelSignal]:
        """The signals of an answer in one piece: only `ItemDone`s, then the `StepDone`."""
        out = self.feed((body,))
        if (
            self._finish is None
            and not self._slots
            and not self._held
            and not self._calls
            and self._usage is None
        ):
            raise self._broken("answered with JSON that is no chat completion")
        out += self.finish(done=True)
        return [signal for signal in out if isinstance(signal, ItemDone | StepDone)]

    def finish(self, *, done: bool) -> list[ModelSignal]:
        """The last signals. `done` says whether `[DONE]` came. Raises ProviderProtocolError for a cut-off
        stream.
        """
        if self._finish is None and not done:
            raise self._broken("ended its stream without a finish reason")
        out: list[ModelSignal] = []
        self._close_reasoning(out)
        if self._held and (self._slots == 0 or self._message is not None):
            self._release(out)
        if any(call.slot < 0 for call in self._calls):
            raise self._broken("made a tool call without a name")
        if self._slots == 0 and self._finish_reason() == "stop":
            self._open_message(out)
        self._close_message(out)
        for call in self._calls:
            if not call.closed:
                self._close_call(call, out)
        usage = usage_of(self._usage) if self._usage is not None else None
        out.append(StepDone(self._finish_reason(), usage, self._service_tier, self._stop_sequence))
        return out

    # --- one chunk ------------------------------------------------------------------------------------------
    def _take(self, chunk: Chunk, out: list[ModelSignal]) -> None:
        if chunk.error is not None:
            raise stream_error(self._provider, chunk.error, self._redaction)
        if chunk.object == "error":
            said = {"message": chunk.message, "code": chunk.code}
            raise stream_error(self._provider, said, self._redaction)
        if chunk.usage is not None:
            self._usage = chunk.usage
        if chunk.service_tier:
            self._service_tier = chunk.service_tier
        for choice in chunk.choices or ():
            if not choice.index:  # n is always 1; a stray second choice is not ours
                self._choice(choice, out)

    def _choice(self, choice: Choice, out: list[ModelSignal]) -> None:
        delta = choice.delta or choice.message
        if delta is not None:
            content = delta.content
            logprobs: tuple[Logprob, ...] = ()
            if choice.logprobs is not None and content is not None:
                logprobs = logprobs_of(choice.logprobs)
            message = self._message
            if message is not None and content and isinstance(content, str) and not self._early:
                # The hot path: one more piece of a message that is open.
                message.text.append(content)
                message.logprobs.extend(logprobs)
                out.append(TextDelta(message.slot, content, logprobs))
                content, logprobs = None, ()
            if content is not None or logprobs or delta.holds_more:
                self._rest(delta, content, logprobs, out)
        reason = choice.finish_reason
        if reason:
            if reason.lower() in BROKEN_REASONS:
                name = f'provider "{self._provider}"'
                raise ProviderUnavailable(
                    self._provider, f'{name} gave up in the middle of its answer ("{reason}").'
                )
            self._finish = reason
            self._stop_sequence = choice.stop_sequence

    def _rest(
        self,
        delta: Delta,
        content: str | list[Any] | None,
        logprobs: tuple[Logprob, ...],
        out: list[ModelSignal],
    ) -> None:
        thought = delta.reasoning_content or delta.reasoning or detailed_reasoning(delta)
        if thought:
            self._think(thought, out)
        if isinstance(content, list):
            for kind, piece in parts_of(content):
                if kind == "thinking":
                    self._think(piece, out)
                else:
                    self._say(piece, logprobs, out)
                    logprobs = ()
        elif content or logprobs:
            self._say(content or "", logprobs, out)
        if delta.refusal:
            self._refuse(delta.refusal, out)
        if delta.annotations:
            self._annotations += citations_of(delta.annotations)
        for fragment in delta.tool_calls or ():
            self._fragment(fragment, out)
        if delta.function_call is not None:
            self._fragment(ToolCall(index=0, function=delta.function_call), out)

    # --- text -----------------------------------------------------------------------------------------------
    def _say(self, text: str, logprobs: tuple[Logprob, ...], out: list[ModelSignal]) -> None:
        if not text:
            self._early += logprobs  # tokens of a character that is not complete yet
            return
        logprobs, self._early = self._early + logprobs, ()
        if self._message is None:
            self._held.append((text, logprobs))
            if not text.isspace():
                self._release(out)
            return
        self._text(self._message, text, logprobs, out)

    def _release(self, out: list[ModelSignal]) -> None:
        held, self._held = self._held, []
        message = self._message or self._open_message(out)
        for text, logprobs in held:
            self._text(message, text, logprobs, out)

    @staticmethod
    def _text(
        message: _OpenMessage, text: str, logprobs: tuple[Logprob, ...], out: list[ModelSignal]
    ) -> None:
        message.text.append(text)
        message.logprobs.extend(logprobs)
        out.append(TextDelta(message.slot, text, logprobs))

    def _refuse(self, text: str, out: list[ModelSignal]) -> None:
        message = self._message
        if message is None:
            message = self._open_message(out)
            message.refusal_first = True
        message.refusal.append(text)
        out.append(RefusalDelta(message.slot, text))

    def _open_message(self, out: list[ModelSignal]) -> _OpenMessage:
        self._close_reasoning(out)
        self._message = message = _OpenMessage(self._next_slot())
        out.append(ItemStarted(message.slot, Message(role="assistant", content=[])))
        return message

    def _close_message(self, out: list[ModelSignal]) -> None:
        message, self._message = self._message, None
        if message is None:
            return
        if self._early:
            self._text(message, "", self._early, out)
            self._early = ()
        parts: list[MessagePart] = []
        if message.text or not message.refusal:
            notes, self._annotations = self._annotations, []
            text = "".join(message.text)
            parts.append(OutputText(text=text, annotations=list(notes), logprobs=message.logprobs or UNSET))
        if message.refusal:
            said = Refusal(refusal="".join(message.refusal))
            parts.insert(0 if message.refusal_first else len(parts), said)
        out.append(ItemDone(message.slot, Message(role="assistant", content=parts)))

    # --- reasoning ------------------------------------------------------------------------------------------
    def _think(self, text: str, out: list[ModelSignal]) -> None:
        thought = self._reasoning
        if thought is None:
            self._close_message(out)
            self._held.clear()
            self._reasoning = thought = _OpenReasoning(self._next_slot())
            out.append(ItemStarted(thought.slot, Reasoning(summary=[], content=[])))
        thought.text.append(text)
        out.append(ReasoningDelta(thought.slot, text))

    def _close_reasoning(self, out: list[ModelSignal]) -> None:
        thought, self._reasoning = self._reasoning, None
        if thought is not None:
            content = [ReasoningText(text="".join(thought.text))]
            out.append(ItemDone(thought.slot, Reasoning(summary=[], content=content)))

    # --- calls ----------------------------------------------------------------------------------------------
    def _fragment(self, fragment: ToolCall, out: list[ModelSignal]) -> None:
        custom = fragment.custom
        function = custom.function if custom is not None else fragment.function or Function()
        call = self._call_of(fragment, function)
        if function.name and not call.name:
            call.name = function.name
            call.custom = custom is not None or call.name in self._translated
            call.reader = InputReader() if call.custom and custom is None else None
        arguments = function.arguments
        if arguments is not None and not isinstance(arguments, str):
            arguments = encode(arguments).decode()
        if call.closed:
            if arguments and not arguments.isspace():
                raise self._broken("went on with a tool call that was complete")
            return
        if call.slot < 0 and call.name:
            for earlier in self._calls:
                if earlier.slot >= 0 and not earlier.closed and earlier.is_whole:
                    self._close_call(earlier, out)
            self._show(call, out)
        if arguments:
            call.arguments.append(arguments)
            if call.slot >= 0:
                self._argue(call, arguments, out)

    @staticmethod
    def _argue(call: _OpenCall, arguments: str, out: list[ModelSignal]) -> None:
        text = arguments if call.reader is None else call.reader.feed(arguments)
        if text:
            out.append(ArgumentsDelta(call.slot, text))

    def _call_of(self, fragment: ToolCall, function: Function) -> _OpenCall:
        """The call that a fragment continues, or a new one."""
        index, upstream_id = fragment.index, fragment.id or ""
        if index is not None:
            call = self._call_at.get(index)
            # Some servers number every parallel call 0 and tell them apart by id only.
            another = (
                call is not None and upstream_id and call.upstream_id and upstream_id != call.upstream_id
            )
            if call is not None and not (another and function.name):
                return call
        elif upstream_id:
            for known in self._calls:
                if known.upstream_id == upstream_id:
                    return known
        elif self._calls and not function.name:
            return self._calls[-1]
        call = _OpenCall(upstream_id)
        self._calls.append(call)
        if index is not None:
            self._call_at[index] = call
        return call

    def _show(self, call: _OpenCall, out: list[ModelSignal]) -> None:
        self._close_reasoning(out)
        self._close_message(out)
        self._held.clear()
        call.slot = self._next_slot()
        call.call_id = call.upstream_id if self._is_id(call.upstream_id) else self._new_call_id()
        out.append(ItemStarted(call.slot, _item(call, "")))
        if call.arguments:
            call.arguments = ["".join(call.arguments)]
            self._argue(call, call.arguments[0], out)

    def _is_id(self, upstream_id: str) -> bool:
        """Whether what the upstream says tells this call from the others of its answer, and can be sent back."""
        is_number = len(upstream_id) < _SHORTEST_ID and upstream_id.isdecimal()
        is_taken = any(call.call_id == upstream_id for call in self._calls)
        return 0 < len(upstream_id) <= _LONGEST_ID and not is_number and not is_taken

    @staticmethod
    def _close_call(call: _OpenCall, out: list[ModelSignal]) -> None:
        call.closed = True
        if call.reader is not None:
            text, rest = call.reader.finish()
        else:
            text, rest = "".join(call.arguments), ""
            if not text and not call.custom:
                text = rest = "{}"
        if rest:
            out.append(ArgumentsDelta(call.slot, rest))
        out.append(ItemDone(call.slot, _item(call, text)))

    # --- the end --------------------------------------------------------------------------------------------
    def _finish_reason(self) -> FinishReason:
        """Ours. Calls make it `tool_calls` whatever a sloppy upstream says, unless the answer was cut."""
        reason = FINISH_REASONS.get((self._finish or "").lower(), "stop")
        if reason in ("stop", "tool_calls"):
            return "tool_calls" if self._calls else "stop"
        return reason

    def _next_slot(self) -> int:
        self._slots += 1
        return self._slots - 1

    def _broken(self, what: str) -> ProviderProtocolError:
        return ProviderProtocolError(self._provider, f'provider "{self._provider}" {what}.')


def _item(call: _OpenCall, text: str) -> FunctionCall | CustomToolCall:
    if call.custom:
        return CustomToolCall(call_id=call.call_id, name=call.name, input=text)
    return FunctionCall(call_id=call.call_id, name=call.name, arguments=text)
