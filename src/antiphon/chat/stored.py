"""Stored chat completions: got, listed, labelled and deleted."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from msgspec import Raw

from antiphon.chat.answers import ChatChoice, ChatUsage, ToolCall
from antiphon.core.body import Metadata
from antiphon.core.errors import NotFound
from antiphon.core.json_values import is_array
from antiphon.core.wire import JsonObject, Wire, decode_json, encode
from antiphon.ports import ChatPage, ChatStore, Owner, StoredChat
from antiphon.web.paging import Page


class UpdateChat(Wire):
    """`metadata` takes the place of what there was; null is none."""

    metadata: Metadata | None


class StoredCompletion(msgspec.Struct, kw_only=True):
    """`CreateChatCompletionResponse` of the official OpenAPI, with its metadata."""

    id: str
    object: str
    created: int
    model: str
    choices: list[ChatChoice]
    metadata: dict[str, str]
    usage: ChatUsage | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None


class ChatList(msgspec.Struct, kw_only=True):
    object: str
    data: list[StoredCompletion]
    first_id: str | None
    last_id: str | None
    has_more: bool


class StoredMessage(msgspec.Struct, kw_only=True):
    """A message that was asked, of any role. Content in parts is `content_parts`, and `content` null then."""

    id: str
    role: str
    content: str | None
    refusal: str | None
    content_parts: list[JsonObject] | None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None


class ChatMessageList(msgspec.Struct, kw_only=True):
    object: str
    data: list[StoredMessage]
    first_id: str | None
    last_id: str | None
    has_more: bool


@dataclass(frozen=True, slots=True)
class StoredChats:
    store: ChatStore

    async def get(self, owner: Owner, chat_id: str) -> bytes:
        """The completion. Raises NotFound: unknown, deleted and foreign ids answer alike."""
        return _shown(await self._stored(owner, chat_id))

    async def list_page(
        self, owner: Owner, page: Page, model: str | None, metadata: Mapping[str, str]
    ) -> bytes:
        """The list object. Raises InvalidRequest for a cursor that names no stored completion of this owner."""
        asked = ChatPage(page.limit + 1, page.order == "desc", page.after, model, metadata)
        found = await self.store.list_chats(owner, asked)
        rows = found[: page.limit]
        return encode(
            {
                "object": "list",
                "data": [Raw(_shown(row)) for row in rows],
                "first_id": rows[0].id if rows else None,
                "last_id": rows[-1].id if rows else None,
                "has_more": len(found) > page.limit,
            }
        )

    async def set_metadata(self, owner: Owner, chat_id: str, metadata: Mapping[str, str]) -> bytes:
        """The completion as it is then. Raises NotFound."""
        stored = await self.store.set_chat_metadata(owner, chat_id, encode(metadata))
        if stored is None:
            raise _unknown(chat_id)
        return _shown(stored)

    async def delete(self, owner: Owner, chat_id: str) -> None:
        """Raises NotFound."""
        if not await self.store.delete_chat(owner, chat_id):
            raise _unknown(chat_id)

    async def messages(self, owner: Owner, chat_id: str, page: Page) -> JsonObject:
        """A page of the messages that were asked. Raises NotFound, InvalidRequest for a cursor that is none of them."""
        stored = await self._stored(owner, chat_id)
        messages: list[JsonObject] = decode_json(stored.messages)
        shown = [_message(f"{chat_id}-{at}", message) for at, message in enumerate(messages)]
        return page.cut(shown, [str(message["id"]) for message in shown])

    async def _stored(self, owner: Owner, chat_id: str) -> StoredChat:
        stored = await self.store.get_chat(owner, chat_id)
        if stored is None:
            raise _unknown(chat_id)
        return stored


def _shown(stored: StoredChat) -> bytes:
    return b'%b,"metadata":%b}' % (stored.body[:-1], stored.metadata)


def _message(message_id: str, message: JsonObject) -> JsonObject:
    content = message.get("content")
    parts = content if is_array(content) else None
    return {
        "refusal": None,
        **message,
        "id": message_id,
        "content": None if parts is not None else content,
        "content_parts": parts,
    }


def _unknown(chat_id: str) -> NotFound:
    return NotFound(
        f'there is no stored chat completion "{chat_id[:200]}". It may have been deleted, or created without'
        " store: true.",
        param="completion_id",
    )
