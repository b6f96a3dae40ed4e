"""What one WebSocket remembers of its responses, so that those with `store: false` can be continued on it."""

from collections import OrderedDict
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from antiphon.core.transcript import PastTurn
from antiphon.ports import Owner, StoredResponse
from antiphon.runs.runner import ResponseKeeper

_OVERHEAD = 400  # bytes of the objects around a turn's payload, about


@dataclass(slots=True)
class _Kept:
    turn: PastTurn
    parent_id: str | None
    size_bytes: int
    users: int = 0
    """Turns that continue it, and runs that are about to."""
    hidden: bool = False
    """Not to be continued any more; what continues it already still needs it."""


class SocketMemory:
    """The turns of unstored responses, and of stored ones that continue such. For one connection.

    Over the limit the turn that was not used for longest goes first, a turn always before the one it continues.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self.size_bytes = 0

    def turns(self, response_id: str) -> tuple[Sequence[PastTurn], str | None] | None:
        """The remembered turns up to this response, root first, and the stored response that the first of them
        continues. None when it is not remembered.
        """
        kept = self._kept.get(response_id)
        if kept is None or kept.hidden:
            return None
        turns: list[PastTurn] = []
        at: str | None = response_id
        while at is not None and (kept := self._kept.get(at)) is not None:
            self._kept.move_to_end(at)  # the root last: it is used by whatever uses its descendants
            turns.append(kept.turn)
            at = kept.parent_id
        turns.reverse()
        return turns, at

    def keeper(self, store: ResponseKeeper | None) -> ResponseKeeper:
        """What keeps the response of a run: this memory, behind the store where there is one."""
        return _Keeper(self, store)

    def remember(self, response: StoredResponse) -> None:
        turn = PastTurn(response.id, response.input, response.output, response.served_by)
        size = len(turn.input) + len(turn.output) + _OVERHEAD
        parent = self._kept.get(response.parent_id or "")
        if parent is not None:
            parent.users += 1
        self._kept[response.id] = _Kept(turn, response.parent_id, size)
        self.size_bytes += size
        self.turns(response.id)
        self._shrink()

    def _shrink(self) -> None:
        while self.size_bytes > self._limit_bytes:
            oldest = next((one for one, kept in self._kept.items() if not kept.users), None)
            if oldest is None:
                return
            self._drop(oldest)

    @contextmanager
    def in_use(self, response_id: str | None) -> Generator[None]:
        """While a run continues this response: its turn stays, even if another continuation of it fails meanwhile."""
        kept = self._kept.get(response_id or "")
        if kept is None or response_id is None:
            yield
            return
        kept.users += 1
        try:
            yield
        finally:
            kept.users -= 1
            if kept.hidden and not kept.users:
                self._drop(response_id)
            self._shrink()

    def forget(self, response_id: str | None) -> None:
        """A continuation of this response failed: it cannot be continued any more."""
        kept = self._kept.get(response_id or "")
        if kept is None or response_id is None:
            return
        kept.hidden = True
        if not kept.users:
            self._drop(response_id)

    def knows(self, response_id: str | None) -> bool:
        return response_id in self._kept

    def _drop(self, response_id: str) -> None:
        """Let go of a turn that nothing continues, and of what was kept for it alone."""
        at: str | None = response_id
        while at is not None and (kept := self._kept.pop(at, None)) is not None:
            self.size_bytes -= kept.size_bytes
            parent = self._kept.get(kept.parent_id or "")
            if parent is None:
                return
            parent.users -= 1
            at = kept.parent_id if parent.hidden and not parent.users else None


@dataclass(frozen=True, slots=True)
class _Keeper:
    memory: SocketMemory
    store: ResponseKeeper | None

    async def put_response(self, owner: Owner, response: StoredResponse) -> None:
        if self.store is not None:
            await self.store.put_response(owner, response)
        if response.status not in ("completed", "incomplete"):
            return
        if self.store is None or self.memory.knows(response.parent_id):
            self.memory.remember(response)
