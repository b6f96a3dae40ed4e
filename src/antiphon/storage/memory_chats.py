"""`MemoryChats`: the store of chat completions in a dictionary."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from antiphon.core.wire import decode_json
from antiphon.ports import ChatPage, Owner, StoredChat
from antiphon.storage.listing import by_age


class MemoryChats:
    """A `ChatStore` that forgets when the process ends, and keeps every other promise."""

    def __init__(self, check_open: Callable[[], None]) -> None:
        """`check_open` raises StoreUnavailable when the store that this one belongs to is closed."""
        self._check_open = check_open
        self._chats: dict[tuple[Owner, str], StoredChat] = {}  # in the order in which they were added

    async def add_chat(self, owner: Owner, chat: StoredChat) -> bool:
        self._check_open()
        if (owner, chat.id) in self._chats:
            return False
        self._chats[owner, chat.id] = chat
        return True

    async def get_chat(self, owner: Owner, chat_id: str) -> StoredChat | None:
        self._check_open()
        return self._chats.get((owner, chat_id))

    async def list_chats(self, owner: Owner, page: ChatPage) -> Sequence[StoredChat]:
        self._check_open()
        own = (chat for key, chat in self._chats.items() if key[0] == owner)
        kind = "stored chat completion"
        chats = by_age(own, newest_first=page.newest_first, after=page.after, kind=kind)
        found = [chat for chat in chats if page.model in (None, chat.model) and _has(chat, page)]
        return [replace(chat, messages=b"") for chat in found[: page.limit]]

    async def set_chat_metadata(self, owner: Owner, chat_id: str, metadata: bytes) -> StoredChat | None:
        chat = await self.get_chat(owner, chat_id)
        if chat is None:
            return None
        chat = self._chats[owner, chat_id] = replace(chat, metadata=metadata)
        return replace(chat, messages=b"")

    async def delete_chat(self, owner: Owner, chat_id: str) -> bool:
        self._check_open()
        return self._chats.pop((owner, chat_id), None) is not None


def _has(chat: StoredChat, page: ChatPage) -> bool:
    pairs: dict[str, str] = decode_json(chat.metadata)
    return page.metadata.items() <= pairs.items()
