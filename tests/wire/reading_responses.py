"""Reading a `/responses` stream as the provider would, from events or from bytes in any pieces."""

import json
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from antiphon.core.signals import ModelSignal
from antiphon.providers.refusals import Redaction
from antiphon.providers.responses_stream import Reading, ResponsesDecoder
from antiphon.providers.sse import SSEParser

Json = dict[str, Any]


def decoder(translated: frozenset[str] = frozenset(), **how: Any) -> ResponsesDecoder:
    numbers = iter(range(1000))
    made = Reading("up", lambda: f"call_made{next(numbers)}", Redaction(), translated, **how)
    return ResponsesDecoder(made)


def sse(events: Iterable[Json], *, named: bool = True, done: bool = False) -> bytes:
    """The events as bytes of a stream; `named` gives each its `event:` line."""
    lines = [
        (f"event: {event.get('type')}\n" if named else "") + f"data: {json.dumps(event)}\n\n"
        for event in events
    ]
    return ("".join(lines) + ("data: [DONE]\n\n" if done else "")).encode()


def read_bytes(
    raw: bytes, cuts: Sequence[int] = (), reader: ResponsesDecoder | None = None
) -> list[ModelSignal]:
    """The signals of a stream that arrives in the pieces that `cuts` makes. Raises what the provider would."""
    reader, parser = reader or decoder(), SSEParser()
    out: list[ModelSignal] = []
    for start, end in pairwise([0, *sorted(cuts), len(raw)]):
        out += reader.feed(parser.feed(raw[start:end]))
    if not (parser.done or reader.ended):
        out += reader.feed(parser.finish())
    if reader.failure is not None:
        raise reader.failure
    return out + reader.finish(done=parser.done)


def read(events: Iterable[Json], reader: ResponsesDecoder | None = None) -> list[ModelSignal]:
    return read_bytes(sse(events), reader=reader)
