"""Reading a Messages stream as the provider would, from events or from bytes in any pieces."""

import json
from collections.abc import Iterable, Sequence
from itertools import pairwise

from antiphon.core.items import Message, OutputText
from antiphon.core.signals import ItemDone, ModelItem, ModelSignal
from antiphon.providers.messages_stream import MessagesDecoder
from antiphon.providers.refusals import Redaction
from antiphon.providers.sse import SSEParser
from tests.wire.anthropic_rules import Json


def decoder(custom: Iterable[str] = ()) -> MessagesDecoder:
    return MessagesDecoder("up", Redaction(("sk-secret",)), frozenset(custom))


def sse(events: Iterable[Json]) -> bytes:
    return "".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n" for one in events).encode()


def read_bytes(
    raw: bytes, cuts: Sequence[int] = (), reader: MessagesDecoder | None = None
) -> list[ModelSignal]:
    """The signals of a stream that arrives in the pieces that `cuts` makes. Raises what the provider would."""
    heard, reader = said_of(raw, cuts, reader)
    return heard + reader.finish()


def said_of(
    raw: bytes, cuts: Sequence[int] = (), reader: MessagesDecoder | None = None
) -> tuple[list[ModelSignal], MessagesDecoder]:
    """The signals before the end, and the decoder."""
    reader, parser = reader or decoder(), SSEParser()
    out: list[ModelSignal] = []
    for start, end in pairwise([0, *sorted(cuts), len(raw)]):
        if not (reader.done or reader.failure):
            out += reader.feed(parser.feed(raw[start:end]))
    if not (reader.done or reader.failure):
        out += reader.feed(parser.finish())
    return out, reader


def read(events: Iterable[Json], reader: MessagesDecoder | None = None) -> list[ModelSignal]:
    return read_bytes(sse(events), reader=reader)


def items_of(heard: Iterable[ModelSignal]) -> list[ModelItem]:
    return [one.item for one in heard if isinstance(one, ItemDone)]


def said(text: str) -> Message:
    return Message(role="assistant", content=[OutputText(text=text, annotations=[])])
