"""From stored rows to the turns of a chain."""

import msgspec

from antiphon.core.transcript import PastTurn
from antiphon.ports import ITEMS, REMOVAL, StoredResponse

HIDDEN = frozenset({ITEMS, REMOVAL})
"""Statuses of turns that never answer as responses."""
_IDS = msgspec.json.Decoder(tuple[str, ...])


def past_turn(turn_id: str, status: str, given: bytes, output: bytes, served_by: str) -> PastTurn:
    if status == REMOVAL:
        return PastTurn(turn_id, b"[]", b"[]", removes=_IDS.decode(given))
    return PastTurn(turn_id, given, output, served_by, by_hand=status == ITEMS)


def turn_of(row: StoredResponse) -> PastTurn:
    return past_turn(row.id, row.status, row.input, row.output, row.served_by)
