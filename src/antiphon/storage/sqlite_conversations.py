"""`SqliteConversations`: the conversation store over the database, and the chains, that it shares with responses."""

import asyncio
from collections.abc import Sequence
from functools import partial

import apsw

from antiphon.core.errors import ConversationChanged
from antiphon.core.transcript import PastTurn
from antiphon.ports import Owner, StoredConversation, StoredResponse
from antiphon.storage import chains, queries
from antiphon.storage.chains import Chains
from antiphon.storage.database import Database

_SQL = queries.load("conversations.sqlite")


class SqliteConversations:
    """A `ConversationStore`."""

    def __init__(self, database: Database, turns: Chains) -> None:
        self._database = database
        self._turns = turns

    async def create(
        self, owner: Owner, conversation: StoredConversation, first: StoredResponse | None = None
    ) -> None:
        work = partial(_create, owner, conversation, first)
        await self._database.write(work, several_statements=first is not None)
        if first is not None:
            self._turns.added(owner, first)

    async def get(self, owner: Owner, conversation_id: str) -> StoredConversation | None:
        row = self._database.read_row(_SQL["get"], chains.of(owner, conversation_id))
        return None if row is None else StoredConversation(*row)

    async def update(self, owner: Owner, conversation_id: str, metadata: bytes) -> StoredConversation | None:
        return await self._database.write(partial(_update, owner, conversation_id, metadata))

    async def delete(self, owner: Owner, conversation_id: str) -> bool:
        purged = await self._database.write(partial(_delete, owner, conversation_id), several_statements=True)
        if purged is None:
            return False
        self._turns.purged(owner, purged)
        return True

    async def get_turns(self, owner: Owner, tip: str | None) -> Sequence[PastTurn]:
        return () if tip is None else await self._turns.get(owner, tip)

    async def append(
        self, owner: Owner, conversation_id: str, turn: StoredResponse, *, continues: str | None
    ) -> None:
        work = partial(_append, owner, conversation_id, turn, continues)
        writing = self._database.write(work, several_statements=True)
        try:
            moved = await asyncio.shield(writing)
        except asyncio.CancelledError:
            await asyncio.wait([writing])  # or the next turn would be made for a tip that is about to move
            raise
        if not moved:
            raise ConversationChanged(conversation_id)
        self._turns.added(owner, turn)

    async def get_items(self, owner: Owner, turn_id: str) -> bytes | None:
        row = self._database.read_row(_SQL["get_items"], chains.of(owner, turn_id))
        return None if row is None else bytes(row[0])


def _create(
    owner: Owner, conversation: StoredConversation, first: StoredResponse | None, connection: apsw.Connection
) -> None:
    bindings = {
        **chains.of(owner, conversation.id),
        "created_at": conversation.created_at,
        "metadata": conversation.metadata,
        "tip": conversation.tip,
    }
    queries.execute(connection, _SQL["create"], bindings)
    if first is not None:
        chains.put(owner, first, connection)


def _update(
    owner: Owner, conversation_id: str, metadata: bytes, connection: apsw.Connection
) -> StoredConversation | None:
    bindings = {**chains.of(owner, conversation_id), "metadata": metadata}
    row = queries.execute(connection, _SQL["update"], bindings).fetchone()
    return None if row is None else StoredConversation(*row)


def _delete(owner: Owner, conversation_id: str, connection: apsw.Connection) -> list[str] | None:
    """The ids of the responses that only the conversation still kept. None when it is unknown."""
    row = queries.execute(connection, _SQL["delete"], chains.of(owner, conversation_id)).fetchone()
    return None if row is None else chains.purge(owner, row[0], connection)


def _append(
    owner: Owner,
    conversation_id: str,
    turn: StoredResponse,
    continues: str | None,
    connection: apsw.Connection,
) -> bool:
    bindings = {**chains.of(owner, conversation_id), "tip": turn.id, "continues": continues}
    if queries.execute(connection, _SQL["move_tip"], bindings).fetchone() is None:
        return False
    chains.put(owner, turn, connection)
    return True
