"""`SqliteStore`: the store port over one SQLite file."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import apsw

from antiphon.core.transcript import PastTurn
from antiphon.ports import ListedResponse, Owner, ResponsePage, StoredResponse
from antiphon.storage import chains, queries
from antiphon.storage.chains import Chains
from antiphon.storage.database import Database
from antiphon.storage.listing import read_page
from antiphon.storage.sqlite_agents import SqliteAgents
from antiphon.storage.sqlite_chats import SqliteChats
from antiphon.storage.sqlite_conversations import SqliteConversations
from antiphon.storage.sqlite_files import SqliteFiles
from antiphon.storage.sqlite_knowledge import SqliteKnowledge
from antiphon.storage.sqlite_mcp import SqliteMcp
from antiphon.storage.sqlite_prompts import SqlitePrompts
from antiphon.storage.sqlite_shields import SqliteShields
from antiphon.storage.sqlite_tool_groups import SqliteToolGroups

CACHE_BYTES = 16 * 1024 * 1024
_SQL = queries.load("responses.sqlite")


class SqliteStore:
    """A `Store` of one file, which its stores share."""

    def __init__(self, database: Database, *, cache_bytes: int = CACHE_BYTES) -> None:
        self._database = database
        self._chains = Chains(database, cache_bytes)
        self.conversations = SqliteConversations(database, self._chains)
        self.prompts = SqlitePrompts(database)
        self.chats = SqliteChats(database)
        self.knowledge = SqliteKnowledge(database)
        self.files = SqliteFiles(database)
        self.mcp = SqliteMcp(database)
        self.agents = SqliteAgents(database, self._chains)
        self.shields = SqliteShields(database)
        self.tool_groups = SqliteToolGroups(database)

    @classmethod
    def open(cls, url_or_path: str | Path, *, cache_bytes: int = CACHE_BYTES) -> "SqliteStore":
        """See `Database.open`."""
        return cls(Database.open(url_or_path), cache_bytes=cache_bytes)

    async def put_response(self, owner: Owner, response: StoredResponse) -> None:
        await self._database.write(partial(chains.put, owner, response))
        self._chains.added(owner, response)

    async def get_response(self, owner: Owner, response_id: str) -> StoredResponse | None:
        row = self._read_row("get_response", owner, response_id)
        return None if row is None else StoredResponse(*row)

    async def delete_response(self, owner: Owner, response_id: str) -> bool:
        purged = await self._database.write(partial(_delete, owner, response_id), several_statements=True)
        if purged is None:
            return False
        self._chains.purged(owner, purged)
        return True

    async def get_chain(self, owner: Owner, response_id: str) -> Sequence[PastTurn]:
        """As the port says; also empty when an ancestor is gone, since half a history is none."""
        visible = self._read_row("is_visible", owner, response_id)
        return await self._chains.get(owner, response_id) if visible else ()

    async def list_responses(self, owner: Owner, page: ResponsePage) -> Sequence[ListedResponse]:
        return await self._database.read_behind(lambda reader: read_page(reader, _SQL, owner, page))

    async def aclose(self) -> None:
        """Commit what was asked for and let go of the file. May be called twice."""
        await self._database.aclose()
        self.knowledge.close()

    def _read_row(self, statement: str, owner: Owner, response_id: str) -> tuple[Any, ...] | None:
        return self._database.read_row(_SQL[statement], chains.of(owner, response_id))


def _delete(owner: Owner, response_id: str, connection: apsw.Connection) -> list[str] | None:
    """Hide a response and purge what no live response needs any more: the ids purged. None when unknown."""
    row = queries.execute(connection, _SQL["hide_response"], chains.of(owner, response_id)).fetchone()
    return None if row is None else chains.purge(owner, response_id, connection)
