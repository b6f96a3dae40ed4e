"""Items that a client took out of a conversation.

A removal is a link of the chain: what was made before it still has the item, what is made after it has not. What a
compaction keeps word for word is left out of it too; a summary cannot be changed, and may still tell of it.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any

from antiphon.core.items import CallOutput
from antiphon.core.transcript import THINNED, PastTurn
from antiphon.core.wire import decode_json, encode
from antiphon.core.withheld import as_told

_KEPT = ("before", "after")
"""The fields of a compaction with what it keeps word for word."""


def as_left(turns: Sequence[PastTurn]) -> Sequence[PastTurn]:
    """The turns as they are after all removals among them, which are themselves left out, and without what shields
    stopped.

    A turn that lost something has another id than before, as adapters keep what they rendered under it.
    """
    if any(turn.may_be_stopped for turn in turns):
        turns = [as_told(turn) for turn in turns]
    if not any(turn.removes for turn in turns):
        return turns
    ids: set[str] = set()
    left: list[PastTurn] = []
    for at, turn in reversed(list(enumerate(turns))):
        if turn.removes:
            ids.update(turn.removes)
        elif turn.has_compaction:
            left.append(_without(turn, _Removed(ids, _sides(ids, turns[: at + 1]))))
        else:
            left.append(_without(turn, _Removed(ids)))
    return left[::-1]


def _without(turn: PastTurn, removed: "_Removed") -> PastTurn:
    if not removed.may_be_in(turn):
        return turn
    input_, output = removed.taken_from(turn.input), removed.taken_from(turn.output)
    gone = input_.gone + output.gone
    if not gone:
        return turn
    named = encode(sorted(str(item.get("id") or item["call_id"]) for item in gone)).decode()
    return replace(
        turn,
        id=f"{turn.id}{THINNED}{named}",
        input=input_.kept,
        output=output.kept,
        by_hand=True,
        unanswered=turn.unanswered | _answered_by(gone),
    )


@dataclass(frozen=True, slots=True)
class _Split:
    """A stored array without some of its items, and those."""

    kept: bytes
    gone: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class _Removed:
    """What was taken out: items by their ids. `sides` are those that are calls and outputs, see `_side`: a compaction
    keeps such without their ids.
    """

    ids: AbstractSet[str]
    sides: AbstractSet[tuple[str, bool]] = frozenset()

    def may_be_in(self, turn: PastTurn) -> bool:
        """Whether a look at its items can pay."""
        return bool(self.ids) and (turn.has_compaction or not self.ids.isdisjoint(turn.item_ids()))

    def taken_from(self, array: bytes) -> _Split:
        gone: list[dict[str, Any]] = []
        kept = self._left(decode_json(array), gone)
        return _Split(encode(kept), gone) if gone else _Split(array, [])

    def _left(self, items: list[dict[str, Any]], gone: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The items that stay; `gone` gets the others."""
        kept: list[dict[str, Any]] = []
        for item in items:
            if item["id"] in self.ids if item.get("id") else _side(item) in self.sides:
                gone.append(item)
            else:
                kept.append(self._thinned(item, gone) if item["type"] == "compaction" else item)
        return kept

    def _thinned(self, item: dict[str, Any], gone: list[dict[str, Any]]) -> dict[str, Any]:
        """A compaction without what it keeps of the removed items."""
        content = decode_json(item["encrypted_content"])
        thinned = {part: self._left(content[part], gone) for part in _KEPT if part in content}
        return {**item, "encrypted_content": encode(content | thinned).decode()}


def _side(item: dict[str, Any]) -> tuple[str, bool] | None:
    """Which side of which call an item is: the `call_id`, and whether it is the output. None: of no call."""
    call_id = item.get("call_id")
    return (call_id, item["type"].endswith("_output")) if call_id else None


def _sides(ids: AbstractSet[str], turns: Sequence[PastTurn]) -> AbstractSet[tuple[str, bool]]:
    """Of the items with these ids those that are sides of calls."""
    whole = [turn for turn in turns if turn.has_calls and _Removed(ids).may_be_in(turn)]
    items = (item for turn in whole for array in (turn.input, turn.output) for item in decode_json(array))
    sides = (_side(item) for item in items if item.get("id") in ids)
    return {side for side in sides if side is not None}


def _answered_by(items: Sequence[dict[str, Any]]) -> frozenset[str]:
    """The calls that these items answer, those among them that are outputs."""
    seen = PastTurn("", encode(items), b"[]").items()
    return frozenset(item.call_id for item in seen if isinstance(item, CallOutput))
