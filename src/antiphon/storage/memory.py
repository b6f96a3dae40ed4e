"""`MemoryStore`: the store port in a dictionary, for tests, simulation and plugin authors."""

from collections.abc import Sequence
from dataclasses import replace

from antiphon.core.errors import StoreUnavailable
from antiphon.core.transcript import PastTurn
from antiphon.ports import ITEMS, ListedResponse, Owner, ResponsePage, StoredResponse
from antiphon.storage.listing import unknown_cursor
from antiphon.storage.memory_agents import MemoryAgents
from antiphon.storage.memory_chats import MemoryChats
from antiphon.storage.memory_conversations import MemoryConversations, chain
from antiphon.storage.memory_files import MemoryFiles
from antiphon.storage.memory_knowledge import MemoryKnowledge
from antiphon.storage.memory_mcp import MemoryMcp
from antiphon.storage.memory_prompts import MemoryPrompts
from antiphon.storage.memory_shields import MemoryShields
from antiphon.storage.memory_tool_groups import MemoryToolGroups


class MemoryStore:
    """A `Store` that forgets when the process ends, and keeps every other promise."""

    def __init__(self) -> None:
        self._rows: dict[tuple[Owner, str], StoredResponse] = {}
        self._hidden: set[tuple[Owner, str]] = set()
        self._closed = False
        self.conversations = MemoryConversations(self._rows, self._hidden, self._purge, self._check_open)
        self.prompts = MemoryPrompts(self._check_open)
        self.chats = MemoryChats(self._check_open)
        self.knowledge = MemoryKnowledge(self._check_open)
        self.files = MemoryFiles(self._check_open)
        self.mcp = MemoryMcp(self._check_open)
        self.agents = MemoryAgents(self._rows, self._hidden, self._purge, self._check_open)
        self.shields = MemoryShields(self._check_open)
        self.tool_groups = MemoryToolGroups(self._check_open)

    async def put_response(self, owner: Owner, response: StoredResponse) -> None:
        self._check_open()
        self._rows[owner, response.id] = response

    async def get_response(self, owner: Owner, response_id: str) -> StoredResponse | None:
        self._check_open()
        key = (owner, response_id)
        return None if key in self._hidden else self._rows.get(key)

    async def delete_response(self, owner: Owner, response_id: str) -> bool:
        if await self.get_response(owner, response_id) is None:
            return False
        self._hidden.add((owner, response_id))
        self._purge(owner, response_id)
        return True

    async def get_chain(self, owner: Owner, response_id: str) -> Sequence[PastTurn]:
        visible = await self.get_response(owner, response_id)
        return () if visible is None else chain(self._rows, owner, response_id)

    async def list_responses(self, owner: Owner, page: ResponsePage) -> Sequence[ListedResponse]:
        self._check_open()
        rows = [
            row for key, row in self._rows.items() if key[0] == owner and key not in self._hidden
        ]  # a dictionary keeps the order in which its keys were first put
        rows.sort(key=lambda row: row.created_at)
        if page.newest_first:
            rows.reverse()
        ids = [row.id for row in rows]
        start = _place(ids, page.after, "after") + 1
        end = len(ids) if page.before is None else _place(ids, page.before, "before")
        found = [row for row in rows[start:end] if page.model in (None, row.model)]
        cut = found[-page.limit :] if page.after is None and page.before is not None else found[: page.limit]
        return [ListedResponse(row.id, row.head, row.output) for row in cut]

    async def aclose(self) -> None:
        self._closed = True

    @property
    def size_bytes(self) -> int:
        """Of the turns of agents and their responses, about."""
        return self.agents.size_bytes

    @property
    def stored(self) -> dict[str, StoredResponse]:
        """Everything kept, hidden ones too, by id: for assertions."""
        return {response_id: row for (_, response_id), row in self._rows.items()}

    def _purge(self, owner: Owner, turn_id: str) -> None:
        """Remove a hidden turn that nothing needs any more, then its parent, and so on; items that a client added stay
        by themselves.
        """
        at: str | None = turn_id
        while at is not None and (owner, at) in self._hidden and not self._needed(owner, at):
            row = self._rows[owner, at]
            if row.status == ITEMS:
                self._rows[owner, at] = replace(row, parent_id=None)
            else:
                self._hidden.discard((owner, at))
                del self._rows[owner, at]
            at = row.parent_id

    def _needed(self, owner: Owner, turn_id: str) -> bool:
        ends = self.conversations.is_tip(owner, turn_id) or self.agents.is_tip(owner, turn_id)
        return ends or self._has_child(owner, turn_id)

    def _has_child(self, owner: Owner, response_id: str) -> bool:
        return any(key[0] == owner and row.parent_id == response_id for key, row in self._rows.items())

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailable("the store is closed: the server is stopping.")


def _place(ids: Sequence[str], cursor: str | None, param: str) -> int:
    """Where a cursor is; -1 for none given."""
    if cursor is None:
        return -1
    if cursor not in ids:
        raise unknown_cursor(cursor, param)
    return ids.index(cursor)
