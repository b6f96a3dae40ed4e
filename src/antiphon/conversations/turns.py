"""One turn at a time in each conversation."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from antiphon.core.errors import ConversationLocked
from antiphon.ports import Owner

WAIT_S = 300.0
"""Longer than nearly every turn takes, and shorter than the patience of the official clients, who then know why."""


@dataclass(slots=True)
class _Queue:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    callers: int = 0
    """Who holds the lock, and who waits for it."""


class Turns:
    """Who works on which conversation. For one event loop; a conversation that nobody works on takes no memory."""

    def __init__(self) -> None:
        self._queues: dict[tuple[Owner, str], _Queue] = {}

    @asynccontextmanager
    async def one(self, owner: Owner, conversation_id: str) -> AsyncGenerator[None]:
        """Holds a conversation. Callers get it in the order in which they came; one that is cancelled leaves.

        Raises ConversationLocked to those who waited for `WAIT_S` in vain: a client may keep its stream open and never
        read it.
        """
        key = (owner, conversation_id)
        queue = self._queues.setdefault(key, _Queue())
        queue.callers += 1
        try:
            await _acquire(queue.lock, conversation_id)
            try:
                yield
            finally:
                queue.lock.release()
        finally:
            queue.callers -= 1
            if not queue.callers:
                del self._queues[key]

    def __len__(self) -> int:
        """How many conversations are being worked on."""
        return len(self._queues)


async def _acquire(lock: asyncio.Lock, conversation_id: str) -> None:
    try:
        async with asyncio.timeout(WAIT_S):
            await lock.acquire()
    except TimeoutError:
        raise ConversationLocked(conversation_id, WAIT_S) from None
