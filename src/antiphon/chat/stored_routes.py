"""The routes of stored chat completions, as the official OpenAPI has them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from antiphon.chat.stored import StoredChats, UpdateChat
from antiphon.core.errors import InvalidRequest
from antiphon.core.parse import load
from antiphon.web.http import JsonReply, Reply, Request, json_reply
from antiphon.web.paging import PAGE_QUERY, Page, refuse_unknown
from antiphon.web.routing import Query, Route

_ALL = "/v1/chat/completions"
_ONE = _ALL + "/{completion_id}"
_METADATA = re.compile(r"metadata\[(.*)\]", re.DOTALL)
_PAGE = tuple(
    Query(one.name, {**one.schema, "default": "asc"}, "By age; asc is oldest first.")
    if one.name == "order"
    else one
    for one in PAGE_QUERY
    if one.name != "before"
)
_PAGE_NAMES = tuple(one.name for one in _PAGE)
_LIST = (
    *_PAGE,
    Query("model", {"type": "string"}, "Only completions of this model, as their requests named it."),
    Query(
        "metadata",
        {"type": "object", "additionalProperties": {"type": "string"}},
        "Only completions with these pairs: `metadata[key]=value`, once for each.",
    ),
)


@dataclass(frozen=True, slots=True)
class StoredChatRoutes:
    chats: StoredChats

    async def list_all(self, request: Request) -> Reply:
        query = request.query()
        metadata = _metadata(query)
        others = {name: values for name, values in query.items() if not _METADATA.fullmatch(name)}
        refuse_unknown(others, *_PAGE_NAMES, "model")
        model = (query.get("model") or [""])[-1] or None
        page = Page.of(query, order="asc")
        return JsonReply(await self.chats.list_page(request.owner, page, model, metadata))

    async def get(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        return JsonReply(await self.chats.get(request.owner, request.params["completion_id"]))

    async def update(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        body = load(await request.json_body(), UpdateChat)
        completion_id = request.params["completion_id"]
        return JsonReply(await self.chats.set_metadata(request.owner, completion_id, body.metadata or {}))

    async def delete(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        completion_id = request.params["completion_id"]
        await self.chats.delete(request.owner, completion_id)
        return json_reply({"object": "chat.completion.deleted", "id": completion_id, "deleted": True})

    async def messages(self, request: Request) -> Reply:
        query = request.query()
        refuse_unknown(query, *_PAGE_NAMES)
        page = Page.of(query, order="asc")
        return json_reply(await self.chats.messages(request.owner, request.params["completion_id"], page))

    def table(self) -> list[Route]:
        return [
            Route(
                "GET",
                _ALL,
                self.list_all,
                "List stored chat completions",
                response="ChatList",
                query=_LIST,
            ),
            Route("GET", _ONE, self.get, "Get a stored chat completion", response="StoredCompletion"),
            Route(
                "POST",
                _ONE,
                self.update,
                "Set the metadata of a stored chat completion",
                request="UpdateChat",
                response="StoredCompletion",
            ),
            Route("DELETE", _ONE, self.delete, "Delete a stored chat completion", response="Deleted"),
            Route(
                "GET",
                _ONE + "/messages",
                self.messages,
                "List the messages that a stored chat completion was asked",
                response="ChatMessageList",
                query=_PAGE,
            ),
        ]


def _metadata(query: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The pairs of `metadata[key]=value`. Raises InvalidRequest for a key with two values: no completion has both."""
    wanted: dict[str, str] = {}
    for name, values in query.items():
        match = _METADATA.fullmatch(name)
        if match is None:
            continue
        if len(set(values)) > 1:
            raise InvalidRequest(
                f"`{name[:100]}`: given several values; a completion has one for each key.", param=name[:100]
            )
        wanted[match[1]] = values[-1]
    return wanted
