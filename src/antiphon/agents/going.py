"""Which turns are going on.

A row says `in_progress` from the beginning of a run to its end. A process that dies leaves such a row behind, so each
process that carries out a run says so again in the row, every few seconds. A row of which nobody has said so for
`LEASE_S` is shown as `interrupted`.
"""

from antiphon.agents.record import inner_of
from antiphon.agents.shapes import TurnStatus
from antiphon.ports import Clock
from antiphon.ports.agents import StoredTurn

LEASE_S = 15
RENEW_S = 5.0


class Going:
    """The runs of this process, and what rows tell of those of others."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._here: set[str] = set()

    def begin(self, turn_id: str) -> None:
        self._here.add(turn_id)

    def end(self, turn_id: str) -> None:
        self._here.discard(turn_id)

    def until(self) -> int:
        """How long a run counts as going on that says so now. Unix seconds."""
        return self._clock.now() + LEASE_S

    def status(self, turn: StoredTurn) -> TurnStatus:
        """What a row that says `in_progress` is."""
        if turn.id in self._here or self._clock.now() < inner_of(turn).until:
            return "in_progress"
        return "interrupted"

    def __len__(self) -> int:
        return len(self._here)
