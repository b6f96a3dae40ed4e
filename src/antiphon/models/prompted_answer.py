"""What a model answers that was told its tools in words, as signals: its text, and the calls in it."""

from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from antiphon.core import signals
from antiphon.core.call_formats import CallFormat, WrittenCall
from antiphon.core.call_reader import CallReader, Piece
from antiphon.core.custom_calls import InputReader
from antiphon.core.items import Call, CustomToolCall, FunctionCall, Logprob, Message, OutputText
from antiphon.core.signals import ItemDone, ItemStarted, ModelItem, ModelSignal, StepDone, TextDelta
from antiphon.core.wire import UNSET


@dataclass(slots=True)
class _Reading:
    """A message of the upstream. `slot` is that of ours which has the text since the last call; None: none has."""

    reader: CallReader
    streams: bool
    read: list[str] = field(default_factory=list[str])
    slot: int | None = None
    text: list[str] = field(default_factory=list[str])
    shown: list[Logprob] = field(default_factory=list[Logprob])
    waiting: list[Logprob] = field(default_factory=list[Logprob])
    """Of text that is still held."""
    calls: bool = False


@dataclass(slots=True)
class PromptedAnswer:
    """Of one model call. `custom` are the tools among `names` whose input is text; `new_id` makes ids of calls.

    Items are numbered anew, since a message may become several.
    """

    form: CallFormat
    names: Container[str]
    custom: Container[str]
    new_id: Callable[[], str]
    _slots: dict[int, int] = field(default_factory=dict[int, int])
    _messages: dict[int, _Reading] = field(default_factory=dict[int, _Reading])
    _next: int = 0
    _calls: bool = False
    _out: list[ModelSignal] = field(default_factory=list[ModelSignal])

    def take(self, batch: Iterable[ModelSignal]) -> Sequence[ModelSignal]:
        for signal in batch:
            self._take(signal)
        out, self._out = self._out, []
        return out

    def _take(self, signal: ModelSignal) -> None:
        match signal:
            case ItemStarted(slot=slot, item=Message()):
                self._messages[slot] = _Reading(CallReader(self.form, self.names), streams=True)
            case ItemStarted(slot=slot, item=item):
                self._out.append(ItemStarted(self._slot(slot), item))
            case TextDelta(slot=slot, text=text, logprobs=logprobs):
                reading = self._messages[slot]
                reading.read.append(text)
                reading.waiting += logprobs
                self._show(reading, reading.reader.feed(text))
            case signals.RefusalDelta(slot=slot, text=text):
                self._out.append(signals.RefusalDelta(self._message(self._messages[slot]), text))
            case ItemDone(slot=slot, item=Message() as item):
                self._message_done(slot, item)
            case ItemDone(slot=slot, item=item):
                self._calls = self._calls or isinstance(item, Call)
                self._out.append(ItemDone(self._slot(slot), item))
            case StepDone(finish="stop") if self._calls:
                self._out.append(msgspec.structs.replace(signal, finish="tool_calls"))
            case StepDone():
                self._out.append(signal)
            case _:
                self._out.append(msgspec.structs.replace(signal, slot=self._slot(signal.slot)))

    def _slot(self, slot: int) -> int:
        """Ours for an item that stays one."""
        if slot not in self._slots:
            self._slots[slot] = self._new_slot()
        return self._slots[slot]

    def _new_slot(self) -> int:
        self._next += 1
        return self._next - 1

    # --- messages ---------------------------------------------------------------------------------------------
    def _message_done(self, slot: int, item: Message) -> None:
        reading = self._messages.pop(slot, None)
        if reading is None:
            reading = _Reading(CallReader(self.form, self.names), streams=False)
        whole, read = _text_of(item), "".join(reading.read)
        rest = whole.removeprefix(read) if whole.startswith(read) else ""
        self._show(reading, [*reading.reader.feed(rest), *reading.reader.finish()])
        if reading.calls:
            self._close(reading, refusals=item)
        else:
            unchanged = "".join(reading.text) == whole
            slot = self._message(reading)
            self._out.append(ItemDone(slot, item if unchanged else _message(reading, item)))

    def _show(self, reading: _Reading, pieces: Iterable[Piece]) -> None:
        for piece in pieces:
            if isinstance(piece, str):
                self._say(reading, piece)
            else:
                self._close(reading)
                reading.waiting.clear()
                reading.calls = True
                self._call(piece, streams=reading.streams)

    def _say(self, reading: _Reading, text: str) -> None:
        slot = self._message(reading)
        reading.text.append(text)
        logprobs = tuple(reading.waiting)
        reading.waiting.clear()
        reading.shown += logprobs
        if reading.streams:
            self._out.append(TextDelta(slot, text, logprobs))

    def _message(self, reading: _Reading) -> int:
        """The slot of what is said now, begun where it is not."""
        if reading.slot is None:
            reading.slot = self._new_slot()
            if reading.streams:
                self._out.append(ItemStarted(reading.slot, Message(role="assistant", content=[])))
        return reading.slot

    def _close(self, reading: _Reading, refusals: Message | None = None) -> None:
        """End the message that is open, if there is one. A refusal in `refusals` makes one."""
        refused = (
            refusals is not None
            and isinstance(refusals.content, list)
            and any(not isinstance(part, OutputText) for part in refusals.content)
        )
        if reading.slot is None and not refused:
            return
        self._out.append(ItemDone(self._message(reading), _message(reading, refusals)))
        reading.slot = None
        reading.text.clear()
        reading.shown.clear()

    # --- calls ------------------------------------------------------------------------------------------------
    def _call(self, call: WrittenCall, *, streams: bool) -> None:
        self._calls = True
        slot, call_id = self._new_slot(), self.new_id()
        begun, done, text = self._items(call, call_id)
        if streams:
            self._out.append(ItemStarted(slot, begun))
            self._out.append(signals.ArgumentsDelta(slot, text))
        self._out.append(ItemDone(slot, done))

    def _items(self, call: WrittenCall, call_id: str) -> tuple[ModelItem, ModelItem, str]:
        """The item as it begins and as it is, and what comes between."""
        if call.name not in self.custom:
            begun = FunctionCall(call_id=call_id, name=call.name, arguments="")
            return begun, msgspec.structs.replace(begun, arguments=call.arguments), call.arguments
        reader = InputReader()
        reader.feed(call.arguments)
        text, _ = reader.finish()
        custom = CustomToolCall(call_id=call_id, name=call.name, input="")
        return custom, msgspec.structs.replace(custom, input=text), text


def _text_of(item: Message) -> str:
    if isinstance(item.content, str):
        return item.content
    return "".join(part.text for part in item.content if isinstance(part, OutputText))


def _message(reading: _Reading, whole: Message | None) -> Message:
    """A message with the text since the last call, and the refusals of the whole one."""
    text = "".join(reading.text)
    logprobs = list(reading.shown) if reading.shown else UNSET
    given = whole.content if whole is not None and isinstance(whole.content, list) else []
    refusals = [part for part in given if not isinstance(part, OutputText)]
    said = [OutputText(text=text, logprobs=logprobs)] if text or not refusals else []
    return Message(role="assistant", content=[*said, *refusals])
