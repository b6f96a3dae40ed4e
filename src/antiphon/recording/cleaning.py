"""Takes secrets out of what a model answered, whose text comes in many pieces."""

import msgspec

from antiphon.core.signals import ItemDone, ModelItem, ModelSignal
from antiphon.core.wire import encode
from antiphon.recording.format import Answer, Heard, Piece
from antiphon.recording.redaction import Redactor

_ITEM: msgspec.json.Decoder[ModelItem] = msgspec.json.Decoder(ModelItem)


def redacted_signals(heard: list[Heard], clean: Redactor) -> tuple[list[Heard], bool]:
    """The signals without secrets. Where an item holds one, its deltas go: a secret may be spread over several."""
    slots: dict[int, list[ItemDone]] = {}
    found: list[Heard] = []
    for batch in heard:
        kept: list[ModelSignal] = []
        for signal in batch.signals:
            if isinstance(signal, ItemDone):
                item = _cleaned(signal.item, clean)
                if item is not None:
                    slots.setdefault(signal.slot, []).append(signal)
                    signal = ItemDone(signal.slot, item)  # noqa: PLW2901 the cleaned one takes its place
            kept.append(signal)
        found.append(Heard(ms=batch.ms, signals=kept))
    if not slots:
        return found, False
    return [
        Heard(ms=batch.ms, signals=[one for one in batch.signals if not _is_delta_of(one, slots)])
        for batch in found
    ], True


def redacted_answer(answer: Answer, clean: Redactor, *, withhold: bool) -> Answer:
    """The answer without secrets. Bytes whose secret cannot be cut out of one piece are left out altogether."""
    if withhold:
        return Answer(status=answer.status, headers=answer.headers, withheld=True)
    body = answer.body
    cleaned = _cleaned_stream(body, clean) if answer.is_stream else clean.json(body)
    if cleaned == body:
        return answer
    last = answer.pieces[-1].ms
    return Answer(status=answer.status, headers=answer.headers, pieces=[Piece.of(last, cleaned)])


def _cleaned_stream(body: bytes, clean: Redactor) -> bytes:
    """Each event cleaned by itself."""
    lines = body.split(b"\n")
    return b"\n".join(
        b"data: " + clean.json(line[6:]) if line.startswith(b"data: ") else line for line in lines
    )


def _cleaned(item: ModelItem, clean: Redactor) -> ModelItem | None:
    """The item with its strings cleaned; None when there was nothing to clean."""
    data = encode(item)
    cleaned = clean.json(data)
    return None if cleaned == data else _ITEM.decode(cleaned)


def _is_delta_of(signal: ModelSignal, slots: dict[int, list[ItemDone]]) -> bool:
    return hasattr(signal, "text") and getattr(signal, "slot", None) in slots
