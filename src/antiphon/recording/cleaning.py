"""Takes secrets out of what a model answered, whose text comes in many pieces."""

from collections.abc import Iterator
from typing import Any

import msgspec

from antiphon.core.json_values import is_array, is_object
from antiphon.core.signals import ItemDone, ModelDelta, ModelItem, ModelSignal
from antiphon.core.wire import decode_json, encode
from antiphon.recording.format import Answer, Heard, Piece
from antiphon.recording.redaction import Redactor, without_logprobs

_ITEM: msgspec.json.Decoder[ModelItem] = msgspec.json.Decoder(ModelItem)


def redacted_signals(heard: list[Heard], clean: Redactor) -> tuple[list[Heard], bool]:
    """The signals without secrets. Where an item holds one, its deltas go: a secret may be spread over several.

    So do those of an item that broke off before it was whole.
    """
    slots = _spoiled(heard, clean)
    found: list[Heard] = []
    for batch in heard:
        kept: list[ModelSignal] = []
        for signal in batch.signals:
            if isinstance(signal, ItemDone):
                item = _cleaned(signal.item, clean)
                if item is not None:
                    slots.add(signal.slot)
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
    """The events cleaned, each by itself and all together: what is spread over several goes into the first of them."""
    lines = body.split(b"\n")
    events = {at: event for at, line in enumerate(lines) if (event := _event(line)) is not None}
    said: dict[str, list[str]] = {}
    for event in events.values():
        for path, text in _texts(event):
            said.setdefault(path, []).append(text)
    spread = {path: cleaned for path, texts in said.items() if (cleaned := _joined(texts, clean)) is not None}
    for at, line in enumerate(lines):
        if spread and at in events:
            gathered = clean.value(_gathered(events[at], spread))
            lines[at] = b"data: " + encode(without_logprobs(gathered))
        elif line.startswith(b"data: "):
            lines[at] = b"data: " + clean.json(line[6:])
    return b"\n".join(lines)


def _event(line: bytes) -> Any:
    """What a `data:` line holds; None where that is no JSON object."""
    if not line.startswith(b"data: "):
        return None
    try:
        event = decode_json(line[6:])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return event if is_object(event) else None


def _texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Each string with its place; elements of arrays are told apart by their `index`, as chunks have it."""
    if isinstance(value, str):
        yield path, value
    elif is_object(value):
        for key, inner in value.items():
            yield from _texts(inner, f"{path}.{key}")
    elif is_array(value):
        for at, inner in enumerate(value):
            yield from _texts(inner, f"{path}[{_index(inner, at)}]")


def _index(value: Any, at: int) -> Any:
    return value.get("index", at) if is_object(value) else at


def _joined(texts: list[str], clean: Redactor) -> str | None:
    """The whole of a text that came in pieces, cleaned; None where nothing is to be cut out across them."""
    if len(texts) < 2 or len(set(texts)) == 1:  # an id or a name that is repeated in each event is no text
        return None
    whole = "".join(texts)
    cleaned = clean.text(whole)
    return None if cleaned == whole else cleaned


def _gathered(value: Any, spread: dict[str, str], path: str = "") -> Any:
    """The event with the texts of `spread` in the first event that has them, and nothing in the others."""
    if isinstance(value, str):
        if path not in spread:
            return value
        text, spread[path] = spread[path], ""
        return text
    if is_object(value):
        return {key: _gathered(inner, spread, f"{path}.{key}") for key, inner in value.items()}
    if is_array(value):
        return [_gathered(inner, spread, f"{path}[{_index(inner, at)}]") for at, inner in enumerate(value)]
    return value


def _spoiled(heard: list[Heard], clean: Redactor) -> set[int]:
    """The slots whose deltas, one after the other, hold a secret."""
    said: dict[tuple[int, str], list[str]] = {}
    for batch in heard:
        for signal in batch.signals:
            if isinstance(signal, ModelDelta):
                said.setdefault((signal.slot, type(signal).__name__), []).append(signal.text)
    return {slot for (slot, _), texts in said.items() if clean.text(whole := "".join(texts)) != whole}


def _cleaned(item: ModelItem, clean: Redactor) -> ModelItem | None:
    """The item with its strings cleaned; None when there was nothing to clean."""
    data = encode(item)
    cleaned = clean.json(data)
    return None if cleaned == data else _ITEM.decode(cleaned)


def _is_delta_of(signal: ModelSignal, slots: set[int]) -> bool:
    return isinstance(signal, ModelDelta) and signal.slot in slots
