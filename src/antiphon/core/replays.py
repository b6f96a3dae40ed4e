"""Messages that a client sends again beside `previous_response_id`.

AG2 answers a call with the question that led to it before the output, instructions and all. A model that is shown the
question behind the output takes it for a new one, and calls again.
"""

from collections.abc import Collection, Sequence

from antiphon.core.items import CallOutput, Message
from antiphon.core.seen import TranscriptItem
from antiphon.core.transcript import PastTurn
from antiphon.core.wire import encode

Placed = tuple[int, TranscriptItem]
"""An item and its place in the input."""


def without_replays(
    history: Sequence[PastTurn], items: list[Placed], waiting: Collection[str]
) -> list[Placed]:
    """The items without messages before the first output for a `waiting` call that the turn of the call has too.

    Empty messages of the assistant go as well: they stand for the call. Messages behind the output are new, whatever
    they say.
    """
    first = next((at for at, (_, item) in enumerate(items) if _answers(item, waiting)), 0)
    head = [item for _, item in items[:first] if isinstance(item, Message)]
    if not head or not history:
        return items
    known = {_said(item) for item in history[-1].items() if isinstance(item, Message)}
    known.add(("assistant", ""))
    repeated = {id(item) for item in head if _said(item) in known}
    return [one for one in items if id(one[1]) not in repeated]


def _answers(item: TranscriptItem, waiting: Collection[str]) -> bool:
    return isinstance(item, CallOutput) and item.call_id in waiting


def _said(message: Message) -> tuple[str, str]:
    """Who said what; of text alone the text, however it was cut into parts."""
    parts = message.content
    if isinstance(parts, str):
        return message.role, parts
    texts = [getattr(part, "text", None) for part in parts]
    if all(isinstance(text, str) for text in texts):
        return message.role, "".join(map(str, texts))
    return message.role, encode(parts).decode()
