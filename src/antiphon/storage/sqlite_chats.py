"""`SqliteChats`: the store of chat completions over a database that other stores share."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import apsw

from antiphon.core.wire import encode
from antiphon.ports import ChatPage, Owner, StoredChat
from antiphon.storage import queries
from antiphon.storage.database import Database
from antiphon.storage.listing import unknown_cursor

_SQL = queries.load("chats.sqlite")
_FIRST = (-1, -1)
_LAST = (2**63 - 1, 2**63 - 1)


class SqliteChats:
    """A `ChatStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_chat(self, owner: Owner, chat: StoredChat) -> bool:
        return await self._database.write(partial(_add, owner, chat))

    async def get_chat(self, owner: Owner, chat_id: str) -> StoredChat | None:
        row = self._database.read_row(_SQL["get"], _of(owner, chat_id))
        return None if row is None else _chat(row)

    async def list_chats(self, owner: Owner, page: ChatPage) -> Sequence[StoredChat]:
        return await self._database.read_behind(partial(_list, owner, page))

    async def set_chat_metadata(self, owner: Owner, chat_id: str, metadata: bytes) -> StoredChat | None:
        return await self._database.write(partial(_set_metadata, owner, chat_id, metadata))

    async def delete_chat(self, owner: Owner, chat_id: str) -> bool:
        return await self._database.write(partial(_delete, owner, chat_id))


def _of(owner: Owner, chat_id: str) -> dict[str, Any]:
    return {"id": chat_id, "tenant": owner.tenant, "subject": owner.subject}


def _chat(row: Sequence[Any]) -> StoredChat:
    id, model, created_at, metadata, body, *messages = row
    return StoredChat(id, model, created_at, metadata.encode(), body, messages[0] if messages else b"")


def _add(owner: Owner, chat: StoredChat, connection: apsw.Connection) -> bool:
    bindings = {
        **_of(owner, chat.id),
        "model": chat.model,
        "created_at": chat.created_at,
        "metadata": chat.metadata.decode(),
        "body": chat.body,
        "messages": chat.messages,
    }
    return queries.execute(connection, _SQL["add"], bindings).fetchone() is not None


def _list(owner: Owner, page: ChatPage, connection: apsw.Connection) -> list[StoredChat]:
    at = _LAST if page.newest_first else _FIRST
    if page.after is not None:
        found = queries.execute(connection, _SQL["position"], _of(owner, page.after)).fetchone()
        if found is None:
            raise unknown_cursor(page.after, "after", "stored chat completion")
        at = (found[0], found[1])
    bindings = {
        **_of(owner, ""),
        "after_at": at[0],
        "after_number": at[1],
        "model": page.model,
        "wanted": encode(page.metadata).decode(),
        "limit": page.limit,
    }
    statement = _SQL["list_newest_first" if page.newest_first else "list_oldest_first"]
    return [_chat(row) for row in queries.execute(connection, statement, bindings)]


def _set_metadata(
    owner: Owner, chat_id: str, metadata: bytes, connection: apsw.Connection
) -> StoredChat | None:
    bindings = {**_of(owner, chat_id), "metadata": metadata.decode()}
    rows = list(queries.execute(connection, _SQL["set_metadata"], bindings))
    return _chat(rows[0]) if rows else None


def _delete(owner: Owner, chat_id: str, connection: apsw.Connection) -> bool:
    return bool(list(queries.execute(connection, _SQL["delete"], _of(owner, chat_id))))
