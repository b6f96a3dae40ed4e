"""Recent turns in memory, so that a long chain costs a walk over pointers and not a query that copies it.

A stored turn hardly ever changes; the store tells of replaced and purged ones.
"""

from collections import OrderedDict
from dataclasses import dataclass

from antiphon.core.transcript import PastTurn
from antiphon.ports import Owner

_OVERHEAD = 400  # bytes of the objects around a turn's payload, about


@dataclass(frozen=True, slots=True)
class _Link:
    turn: PastTurn
    parent_id: str | None
    size_bytes: int


class ChainCache:
    """Least recently used turns go first, by bytes of payload. For one thread."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._size_bytes = 0
        self._links: OrderedDict[tuple[str, str, str], _Link] = OrderedDict()
        self.changes = 0

    def find(self, owner: Owner, response_id: str) -> list[PastTurn] | None:
        """The whole chain, root first; None unless every turn is here. Says nothing about visibility."""
        links, tenant, subject = self._links, owner.tenant, owner.subject
        turns: list[PastTurn] = []
        at: str | None = response_id
        while at is not None:
            key = (tenant, subject, at)
            link = links.get(key)
            if link is None:
                return None
            links.move_to_end(key)
            turns.append(link.turn)
            at = link.parent_id
        turns.reverse()
        return turns

    def add(self, owner: Owner, turn: PastTurn, parent_id: str | None) -> None:
        """Keep a turn, in place of an older form of it."""
        self.discard(owner, turn.id)
        size = len(turn.input) + len(turn.output) + _OVERHEAD
        if size > self._limit_bytes:
            return
        self._links[owner.tenant, owner.subject, turn.id] = _Link(turn, parent_id, size)
        self._size_bytes += size
        while self._size_bytes > self._limit_bytes:
            _, oldest = self._links.popitem(last=False)
            self._size_bytes -= oldest.size_bytes

    def discard(self, owner: Owner, response_id: str) -> None:
        self.changes += 1
        link = self._links.pop((owner.tenant, owner.subject, response_id), None)
        if link is not None:
            self._size_bytes -= link.size_bytes
