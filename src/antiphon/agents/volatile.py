"""`VolatileSessions`: sessions of agents that are not to be stored. They are in this process's memory alone, each in a
store of its own, so that nothing of one reaches a disk, and all of it goes at once.
"""

from collections import OrderedDict
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

from antiphon.core.errors import NotFound
from antiphon.ports import Clock, Owner, Store
from antiphon.ports.agents import Gone, StoredAgent, StoredSession
from antiphon.ports.knowledge import Chunk

SESSION_BYTES = 16 * 1024
"""What a session costs beside its content, about."""
DOCUMENTS_SHARE = 4
_CHUNK_BYTES = 1_500
"""What a chunk costs beside its text, about."""


class MeasuredStore(Store, Protocol):
    """A store in memory."""

    @property
    def size_bytes(self) -> int:
        """Of what it holds of turns, about. Telling it takes no longer the more there is."""
        ...


@dataclass(slots=True)
class _Kept:
    store: MeasuredStore
    agent_id: str
    used_at: int
    size_bytes: int = SESSION_BYTES
    turns: int = 0
    """How many are going on: it stays while there are any."""
    chunks: tuple[Chunk, ...] = ()
    """Of its large documents, the oldest first."""


class VolatileSessions:
    """One per server, for one event loop.

    A session goes `ttl_s` seconds after its last turn, or was made; earlier when all of them hold more than `max_bytes`
    and it is the one whose last turn is the longest ago. None goes while a turn of it is going on.
    """

    def __init__(
        self, make: Callable[[], MeasuredStore], clock: Clock, *, ttl_s: float, max_bytes: int
    ) -> None:
        """`make` makes an empty store in memory."""
        self._make = make
        self._clock = clock
        self._ttl_us = round(ttl_s * 1_000_000)
        self._max_bytes = max_bytes
        self._kept: OrderedDict[tuple[Owner, str], _Kept] = OrderedDict()  # the least used first
        self._size_bytes = 0

    async def add(self, owner: Owner, session: StoredSession) -> None:
        """Keep a new session of an agent that is there."""
        store = self._make()
        await store.agents.add_agent(owner, StoredAgent(session.agent_id, session.started_at, b"{}"))
        await store.agents.add_session(owner, session)
        self._kept[owner, session.id] = _Kept(store, session.agent_id, self._clock.now_us())
        self._size_bytes += SESSION_BYTES
        self._drop()

    def store_for(self, owner: Owner, session_id: str) -> Store | None:
        """Where a session, its turns and its responses are; None where it is not here (any more)."""
        self._drop()
        kept = self._kept.get((owner, session_id))
        return None if kept is None else kept.store

    @contextmanager
    def turn(self, owner: Owner, session_id: str) -> Generator[Store]:
        """The store of a session while a turn of it goes on. Raises NotFound when it is not here."""
        self._drop()
        key = (owner, session_id)
        kept = self._kept.get(key)
        if kept is None:
            raise NotFound(
                f'there is no session "{session_id[:200]}". Sessions of this agent are not stored: they go some time'
                " after their last turn, and when the server stops. Create another one.",
                param="session_id",
            )
        kept.turns += 1
        try:
            yield kept.store
        finally:
            kept.turns -= 1
            if self._kept.get(key) is kept:
                self._used(key, kept)

    async def list(
        self, owner: Owner, agent_id: str, start: int, limit: int | None
    ) -> Sequence[StoredSession]:
        """The owner's sessions with an agent, as `AgentStore.list_sessions`."""
        self._drop()
        found = [
            await kept.store.agents.get_session(owner, agent_id, session_id)
            for (whose, session_id), kept in list(self._kept.items())
            if whose == owner and kept.agent_id == agent_id
        ]
        sessions = sorted((one for one in found if one is not None), key=lambda one: one.started_at)
        return sessions[start:][:limit]

    async def delete(self, owner: Owner, agent_id: str, session_id: str) -> Gone | None:
        """As `AgentStore.delete_session`."""
        kept = self._kept.get((owner, session_id))
        if kept is None or kept.agent_id != agent_id:
            return None
        self._forget((owner, session_id))
        # Also for a turn that is going on in it: it finds nowhere to be kept.
        return await kept.store.agents.delete_session(owner, agent_id, session_id)

    async def delete_agent(self, owner: Owner, agent_id: str) -> None:
        """Forget the sessions of everybody with an agent."""
        of_everybody = [
            key
            for key, kept in self._kept.items()
            if key[0].tenant == owner.tenant and kept.agent_id == agent_id
        ]
        for whose, session_id in of_everybody:
            await self.delete(whose, agent_id, session_id)

    def chunks(self, owner: Owner, session_id: str) -> Sequence[Chunk]:
        """What is remembered of the large documents of a session; nothing of one that is not here."""
        kept = self._kept.get((owner, session_id))
        return () if kept is None else kept.chunks

    def remember(self, owner: Owner, session_id: str, chunks: Sequence[Chunk]) -> None:
        """Remember chunks with a session, in place of what there was of their documents. They may take a quarter of the
        room that there is for all sessions; beyond that the oldest documents are forgotten.
        """
        kept = self._kept.get((owner, session_id))
        if kept is None:
            return
        new = {one.file_id for one in chunks}
        documents: OrderedDict[str, list[Chunk]] = OrderedDict()
        for one in (*(old for old in kept.chunks if old.file_id not in new), *chunks):
            documents.setdefault(one.file_id, []).append(one)
        while sum(map(_chunk_bytes, chain(*documents.values()))) > self._max_bytes // DOCUMENTS_SHARE:
            documents.popitem(last=False)
        kept.chunks = tuple(chain(*documents.values()))

    async def sweep(self) -> None:
        """Drop what has expired, also when nobody asks for anything."""
        self._drop()

    @property
    def size_bytes(self) -> int:
        return self._size_bytes

    def __len__(self) -> int:
        return len(self._kept)

    def _used(self, key: tuple[Owner, str], kept: _Kept) -> None:
        size = SESSION_BYTES + kept.store.size_bytes + sum(map(_chunk_bytes, kept.chunks))
        self._size_bytes += size - kept.size_bytes
        kept.size_bytes = size
        kept.used_at = self._clock.now_us()
        self._kept.move_to_end(key)
        self._drop()

    def _drop(self) -> None:
        """Drop what has expired, and then what there is no room for."""
        before = self._clock.now_us() - self._ttl_us
        size = self._size_bytes
        doomed: list[tuple[Owner, str]] = []
        for key, kept in self._kept.items():
            if kept.used_at > before and size <= self._max_bytes:
                break  # the others were used later
            if not kept.turns:
                doomed.append(key)
                size -= kept.size_bytes
        for key in doomed:
            self._forget(key)

    def _forget(self, key: tuple[Owner, str]) -> None:
        self._size_bytes -= self._kept.pop(key).size_bytes


def _chunk_bytes(chunk: Chunk) -> int:
    """About: most characters take one byte, those of other scripts two."""
    return _CHUNK_BYTES + len(chunk.text) * (1 if chunk.text.isascii() else 2) + len(chunk.metadata)
