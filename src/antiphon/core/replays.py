"""Messages that a client sends again beside `previous_response_id`.

AG2 answers a call with all that led to it before the output: its instructions, the question, and an assistant message
without text that stands for the call; others send the call itself again. Outputs are shown right behind their calls; a
model that is shown the question behind them takes it for a new one, and calls again.
"""

from collections.abc import Collection, Sequence

from antiphon.core.items import CallOutput, InputText, Message, OutputText
from antiphon.core.seen import StoredItem, TranscriptItem
from antiphon.core.transcript import PastTurn
from antiphon.core.wire import encode

_EMPTY = ("assistant", "")
Placed = tuple[int, TranscriptItem]
"""An item and its place in the input."""


def without_replays(
    history: Sequence[PastTurn],
    items: list[Placed],
    waiting: Collection[str],
    stored: Sequence[StoredItem] = (),
) -> list[Placed]:
    """The items without what leads to the first output for a `waiting` call, where the call is told again.

    It is by an empty message, or in `stored`, the whole input, by itself. Of the messages up to there those go that
    the turn of the call has too. All others are new, whatever they say.
    """
    first = next((at for at, (_, item) in enumerate(items) if _answers(item, waiting)), 0)
    head = [(at, item) for at, item in items[:first] if isinstance(item, Message)]
    if not head or not history:
        return items
    told = [at for at, message in head if _said(message) == _EMPTY]
    told += [at for at, item in enumerate(stored) if _is_call(item) and _call_id(item) in waiting]
    if not told:
        return items
    known = {_EMPTY, *(_said(item) for item in history[-1].items() if isinstance(item, Message))}
    repeated = {at for at, message in head if at <= max(told) and _said(message) in known}
    return [(at, item) for at, item in items if at not in repeated]


def _is_call(item: StoredItem) -> bool:
    return str(item.__struct_config__.tag).endswith("_call")


def _call_id(item: StoredItem) -> str:
    return str(getattr(item, "call_id", None))


def _answers(item: TranscriptItem, waiting: Collection[str]) -> bool:
    return isinstance(item, CallOutput) and item.call_id in waiting


def _said(message: Message) -> tuple[str, str]:
    """Who said what; of text alone the text, however it was cut into parts."""
    parts = message.content
    if isinstance(parts, str):
        return message.role, parts
    texts = [part.text for part in parts if isinstance(part, InputText | OutputText)]
    if len(texts) == len(parts):
        return message.role, "".join(texts)
    return message.role, encode(parts).decode()
