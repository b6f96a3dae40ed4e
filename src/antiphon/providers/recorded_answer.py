"""What a recorded model said, as signals, whichever way it was recorded."""

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any, cast

from antiphon.core.errors import ProviderError
from antiphon.core.items import CustomToolCall, FunctionCall, Message, OutputText, Reasoning, Refusal
from antiphon.core.signals import (
    ArgumentsDelta,
    FinishReason,
    ItemDone,
    ItemStarted,
    ModelItem,
    ModelSignal,
    ReasoningDelta,
    RefusalDelta,
    StepDone,
    SummaryDelta,
    TextDelta,
)
from antiphon.core.wire import JsonObject, decode_json
from antiphon.providers.chat_stream import ChatDecoder
from antiphon.providers.refusals import Redaction
from antiphon.providers.sse import SSEParser
from antiphon.recording.format import Answer, Exchange, Heard


def signals_of(exchange: Exchange, provider: str) -> list[Heard]:
    """The signals of an exchange. Those of a passed-through completion are read from its bytes.

    Raises ProviderError for bytes that are no completion; where the exchange ended with an error, what came before.
    """
    answer = exchange.answer
    if exchange.heard or answer is None or not answer.pieces:
        return exchange.heard
    if exchange.api == "completions":
        return [Heard(ms=answer.pieces[-1].ms, signals=_text_signals(answer))]
    numbers = count()
    decoder = ChatDecoder(provider, lambda: f"call_recorded{next(numbers)}", Redaction())
    if not answer.is_stream:
        return [Heard(ms=answer.pieces[-1].ms, signals=decoder.whole(answer.body))]
    found: list[Heard] = []
    try:
        found += _stream_signals(decoder, answer)
    except ProviderError:
        if exchange.error is None:
            raise
    return found


def _stream_signals(decoder: ChatDecoder, answer: Answer) -> Iterator[Heard]:
    parser, last = SSEParser(), 0
    for piece in answer.pieces:
        last = piece.ms
        heard = decoder.feed(parser.feed(piece.data))
        if heard:
            yield Heard(ms=last, signals=heard)
    rest = decoder.feed(parser.finish())
    yield Heard(ms=last, signals=rest + decoder.finish(done=parser.done))


def _text_signals(answer: Answer) -> list[ModelSignal]:
    """A text completion, whole or streamed, as one message."""
    chunks = _chunks(answer)
    choices: list[JsonObject] = [choice for chunk in chunks for choice in (chunk.get("choices") or ())[:1]]
    text = "".join(str(choice.get("text") or "") for choice in choices)
    finishes = [choice["finish_reason"] for choice in choices if choice.get("finish_reason")]
    finish = "length" if "length" in finishes else "stop"
    item = Message(role="assistant", content=[OutputText(text=text, annotations=[])])
    return [ItemDone(0, item), StepDone(cast("FinishReason", finish))]


def _chunks(answer: Answer) -> list[Any]:
    if not answer.is_stream:
        return [decode_json(answer.body)]
    parser = SSEParser()
    return [decode_json(data) for data in [*parser.feed(answer.body), *parser.finish()]]


def with_deltas(heard: Sequence[Heard]) -> Iterator[Heard]:
    """The same, with a start and a delta for each item that came in one piece."""
    started: set[int] = set()
    said: set[int] = set()
    for batch in heard:
        full: list[ModelSignal] = []
        for signal in batch.signals:
            if isinstance(signal, ItemStarted):
                started.add(signal.slot)
            elif isinstance(signal, ItemDone):
                if signal.slot not in started:
                    full.append(ItemStarted(signal.slot, _skeleton(signal.item)))
                if signal.slot not in said:
                    full += _deltas(signal.slot, signal.item)
            elif not isinstance(signal, StepDone):
                said.add(signal.slot)
            full.append(signal)
        yield Heard(ms=batch.ms, signals=full)


def _skeleton(item: ModelItem) -> ModelItem:
    match item:
        case FunctionCall(call_id=call_id, name=name):
            return FunctionCall(call_id=call_id, name=name, arguments="")
        case CustomToolCall(call_id=call_id, name=name):
            return CustomToolCall(call_id=call_id, name=name, input="")
        case _:
            return item


def _deltas(slot: int, item: ModelItem) -> Iterator[ModelSignal]:
    match item:
        case FunctionCall(arguments=arguments):
            yield ArgumentsDelta(slot, arguments)
        case CustomToolCall(input=text):
            yield ArgumentsDelta(slot, text)
        case Reasoning(content=content, summary=summary):
            yield from (ReasoningDelta(slot, part.text) for part in content or ())
            if not content:
                yield from (SummaryDelta(slot, index, part.text) for index, part in enumerate(summary))
        case Message(content=content):
            for part in content:
                if isinstance(part, OutputText):
                    yield TextDelta(slot, part.text, tuple(part.logprobs or ()))
                elif isinstance(part, Refusal):
                    yield RefusalDelta(slot, part.refusal)
