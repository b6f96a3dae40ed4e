"""Calls and outputs that stand alone, as only a client that edits a conversation can leave them.

A chain of responses has none: each call is answered by the turn behind it. In a conversation a client may put a call
there without its output, put the output in later, or take one of the two out. Model servers refuse half a pair, so the
model is shown whole pairs only, each output behind its call; what is stored stays as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from antiphon.core.items import Call, CallOutput, Reasoning
from antiphon.core.removals import THINNED
from antiphon.core.transcript import (
    PastTurn,
    TranscriptItem,
    is_models_own,
    sendable,
    since_compaction,
)
from antiphon.core.wire import encode


@dataclass(frozen=True, slots=True)
class OpenCalls:
    """`waiting` have to be answered now. `excused` may be: their outputs were taken out."""

    waiting: Sequence[str]
    excused: frozenset[str] = frozenset()

    @classmethod
    def of(cls, history: Sequence[PastTurn]) -> "OpenCalls":
        if not is_loose(history):
            return cls([call.call_id for call in _calls_of(history[-1:])])
        items = [item for turn in since_compaction(history) for item in turn.items()]
        answered = {item.call_id for item in items if isinstance(item, CallOutput)}
        unanswered = [
            item.call_id for item in items if isinstance(item, Call) and item.call_id not in answered
        ]
        excused = frozenset(call_id for turn in history for call_id in turn.unanswered)
        return cls([one for one in unanswered if one not in excused], excused & set(unanswered))


def is_loose(history: Sequence[PastTurn]) -> bool:
    """Whether a look for loose ends can pay: nearly never, and then told without decoding more than a turn.

    It can where a client put calls or outputs, took something out, or came between a call and its output.
    """
    return any(
        turn.by_hand
        and (THINNED in turn.id or turn.has_calls or bool(_calls_of(history[max(at - 1, 0) : at])))
        for at, turn in enumerate(history)
    )


def _calls_of(turns: Sequence[PastTurn]) -> list[Call]:
    return [call for turn in turns for call in turn.calls_made() if call.status != "incomplete"]


def tied(
    history: Sequence[PastTurn], own: tuple[TranscriptItem, ...]
) -> tuple[Sequence[PastTurn], tuple[TranscriptItem, ...]]:
    """A history and the items that continue it, without half pairs and with every output behind its call.

    A turn that is changed by that gets another id; the others keep what was rendered of them.
    """
    if not is_loose(history):
        return history, own
    turns = [(at, item) for at, turn in enumerate(history) for item in turn.items()]
    placed = [*turns, *((len(history), item) for item in own)]
    whole = _pairs([item for _, item in placed])
    at_of = {id(item): at for at, item in placed}
    kept: list[list[TranscriptItem]] = [[] for _ in range(len(history) + 1)]
    latest = len(history)
    for item in reversed(whole):  # an item that moved forward goes to the turn that it now stands in
        latest = min(latest, at_of[id(item)])
        kept[latest].append(item)
    changed = [_with_items(turn, items[::-1]) for turn, items in zip(history, kept, strict=False)]
    return changed, tuple(kept[-1][::-1])


def _pairs(items: list[TranscriptItem]) -> list[TranscriptItem]:
    calls = {item.call_id for item in items if isinstance(item, Call)}
    outputs = {item.call_id for item in items if isinstance(item, CallOutput)}
    whole: list[TranscriptItem] = []
    for item in reversed(items):
        if isinstance(item, Call | CallOutput) and item.call_id not in calls & outputs:
            continue
        if isinstance(item, Reasoning) and not (whole and is_models_own(whole[-1])):
            continue  # what it led to is gone
        whole.append(item)
    return sendable(whole[::-1])


def _with_items(turn: PastTurn, items: list[TranscriptItem]) -> PastTurn:
    if items == turn.items():
        return turn
    array = encode(items)
    return replace(turn, id=f"{turn.id}{THINNED}{sha256(array).hexdigest()}", input=array, output=b"[]")
