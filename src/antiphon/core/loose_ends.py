"""Calls and outputs that stand alone, as only a client that edits a conversation can leave them.

A chain of responses has none: each call is answered by the turn behind it. In a conversation a client may put a call
there without its output, put the output in later, or take one of the two out. Model servers refuse half a pair, so the
model is shown whole pairs only, each output behind its call; what is stored stays as it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from antiphon.core.items import Call, CallOutput, Reasoning
from antiphon.core.transcript import (
    THINNED,
    PastTurn,
    TranscriptItem,
    is_models_own,
    sendable,
    since_compaction,
)
from antiphon.core.wire import encode

_NOT_THE_MODELS = tuple(
    b'[{"type":"message","role":"%b"' % role for role in (b"user", b"system", b"developer")
)


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

    It can where a client put calls or outputs, took something out, or came into the middle of what a model said.
    """
    return any(
        turn.by_hand
        and (
            THINNED in turn.id
            or turn.has_calls
            or not turn.input.startswith(_NOT_THE_MODELS)
            or bool(_calls_of(history[max(at - 1, 0) : at]))
        )
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
    placed = [(at, item) for at, turn in enumerate(history) for item in turn.seen()]
    placed += [(len(history), item) for item in own]
    thinned = frozenset(at for at, turn in enumerate(history) if THINNED in turn.id)
    whole = _pairs(placed, thinned)
    at_of = {id(item): at for at, item in placed}
    kept: list[list[TranscriptItem]] = [[] for _ in range(len(history) + 1)]
    for at, item in zip(_turns_of(whole, at_of), whole, strict=True):
        kept[at].append(item)
    changed = [_with_items(turn, items) for turn, items in zip(history, kept, strict=False)]
    return changed, tuple(kept[-1])


def _turns_of(items: Sequence[TranscriptItem], at_of: Mapping[int, int]) -> list[int]:
    """The turn that each item stands in now: a step of the model and its outputs in one, in order throughout."""
    places: list[int] = []
    for number, item in enumerate(items):
        place = at_of[id(item)]
        if number and _goes_on(items[number - 1], item):
            place = min(place, places[-1])
        places.append(place)
    for number in range(len(places) - 2, -1, -1):
        places[number] = min(places[number], places[number + 1])
    return places


def _goes_on(before: TranscriptItem, item: TranscriptItem) -> bool:
    """Whether an item belongs to the same step of the model as the one before it."""
    return isinstance(item, CallOutput) or (is_models_own(before) and is_models_own(item))


def _pairs(placed: Sequence[tuple[int, TranscriptItem]], thinned: frozenset[int]) -> list[TranscriptItem]:
    """Without half pairs, and without the thoughts that led to what is gone.

    Each item with the place of its turn; of those in `thinned` something was taken out.
    """
    calls = {item.call_id for _, item in placed if isinstance(item, Call)}
    outputs = {item.call_id for _, item in placed if isinstance(item, CallOutput)}
    paired = calls & outputs
    whole: list[TranscriptItem] = []
    is_gone = False  # what follows
    for at, item in reversed(placed):
        if isinstance(item, Call | CallOutput) and item.call_id not in paired:
            is_gone = True
            continue
        leads_nowhere = not whole or not is_models_own(whole[-1])
        if isinstance(item, Reasoning) and leads_nowhere and (is_gone or at in thinned):
            continue
        whole.append(item)
        is_gone = False
    return sendable(whole[::-1])


def _with_items(turn: PastTurn, items: list[TranscriptItem]) -> PastTurn:
    if items == turn.items():
        return turn
    array = encode(items)
    return replace(turn, id=f"{turn.id}{THINNED}{sha256(array).hexdigest()}", input=array, output=b"[]")
