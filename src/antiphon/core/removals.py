"""Items that a client took out of a conversation.

A removal is a link of the chain: what was made before it still has the item, what is made after it has not.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec

from antiphon.core.items import CallOutput
from antiphon.core.transcript import PastTurn
from antiphon.core.wire import decode_json, encode

THINNED = "~"
"""Stands in the id of a turn that is not the stored one any more, and in no other."""


def as_left(turns: Sequence[PastTurn]) -> Sequence[PastTurn]:
    """The turns as they are after all removals among them, which are themselves left out.

    A turn that lost something has another id than before, as adapters keep what they rendered under it.
    """
    if not any(turn.removes for turn in turns):
        return turns
    removed: set[str] = set()
    left: list[PastTurn] = []
    for turn in reversed(turns):
        if turn.removes:
            removed.update(turn.removes)
        else:
            left.append(_without(turn, removed))
    return left[::-1]


def _without(turn: PastTurn, removed: set[str]) -> PastTurn:
    held = [one for one in removed if any(encode(one) in array for array in (turn.input, turn.output))]
    if not held:
        return turn
    input_, output = (_Split.of(array, held) for array in (turn.input, turn.output))
    gone = input_.gone + output.gone
    if not gone:
        return turn
    named = encode(sorted(str(item["id"]) for item in gone)).decode()
    return replace(
        turn,
        id=f"{turn.id}{THINNED}{named}",
        input=input_.kept,
        output=output.kept,
        by_hand=True,
        unanswered=turn.unanswered | _answered_by(gone),
    )


class _Split(msgspec.Struct, frozen=True):
    """A stored array without some of its items, and those."""

    kept: bytes
    gone: list[dict[str, Any]]

    @classmethod
    def of(cls, array: bytes, ids: Sequence[str]) -> "_Split":
        items: list[dict[str, Any]] = decode_json(array)
        gone = [item for item in items if item.get("id") in ids]
        if not gone:
            return cls(array, [])
        return cls(encode([item for item in items if item.get("id") not in ids]), gone)


def _answered_by(items: Sequence[dict[str, Any]]) -> frozenset[str]:
    """The calls that these items answer, those among them that are outputs."""
    seen = PastTurn("", encode(items), b"[]").items()
    return frozenset(item.call_id for item in seen if isinstance(item, CallOutput))
