"""`/v1/conversations`. Errors raised below become the envelope in `web/edge.py`."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from starlette.types import Send

from antiphon.conversations.bodies import (
    ChangedConversation,
    DeletedConversation,
    MoreItems,
    NewConversation,
    parse_items,
)
from antiphon.conversations.service import ConversationService
from antiphon.core.parse import load
from antiphon.core.transcript import StoredItem
from antiphon.core.wire import JsonObject, encode
from antiphon.responses.rendering import Visible
from antiphon.responses.routes import INCLUDE
from antiphon.web.http import NO_PARAMS, Reply, Request, json_reply
from antiphon.web.paging import PAGE_QUERY, Page, included, refuse_unknown
from antiphon.web.routing import Route
from antiphon.web.whole import answer_whole

_ALL = "/v1/conversations"
_ONE = _ALL + "/{conversation_id}"
_ITEMS = _ONE + "/items"
_ITEM = _ITEMS + "/{item_id:path}"  # clients may choose ids with a slash


@dataclass(frozen=True, slots=True)
class _InTurn:
    """Answers what waits for its turn in a conversation. A client that leaves stops waiting."""

    work: Callable[[], Awaitable[object]]

    async def respond(self, request: Request, send: Send) -> None:
        async def answer() -> bytes:
            return encode(await self.work())

        await answer_whole(request, send, answer, lambda: NO_PARAMS)


@dataclass(frozen=True, slots=True)
class ConversationRoutes:
    service: ConversationService

    async def create(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        body = await request.optional_json_body()
        return json_reply(await self.service.create(request.owner, parse_items(body, NewConversation)))

    async def get(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        return json_reply(await self.service.get(request.owner, _id(request)))

    async def update(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        body = load(await request.json_body(), ChangedConversation)
        return json_reply(await self.service.update(request.owner, _id(request), body.metadata))

    async def delete(self, request: Request) -> Reply:
        refuse_unknown(request.query())

        async def work() -> DeletedConversation:
            await self.service.delete(request.owner, _id(request))
            return DeletedConversation(id=_id(request))

        return _InTurn(work)

    async def add_items(self, request: Request) -> Reply:
        visible = _visible(request)
        body = parse_items(await request.json_body(), MoreItems)

        async def work() -> JsonObject:
            added = await self.service.add(request.owner, _id(request), body.items)
            page = Page(limit=len(added), order="asc")
            return _listed(page.cut(self._shown(request, added, visible), [str(one.id) for one in added]))

        return _InTurn(work)

    async def list_items(self, request: Request) -> Reply:
        visible = _visible(request, *(parameter.name for parameter in PAGE_QUERY))
        page = Page.of(request.query())
        items = await self.service.items(request.owner, _id(request))
        cut = page.cut(items, [str(item.id) for item in items])
        return json_reply(_listed({**cut, "data": self._shown(request, cut["data"], visible)}))

    async def get_item(self, request: Request) -> Reply:
        visible = _visible(request)
        item = await self.service.item(request.owner, _id(request), request.params["item_id"])
        return json_reply(self._shown(request, [item], visible)[0])

    async def remove_item(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        return _InTurn(lambda: self.service.remove(request.owner, _id(request), request.params["item_id"]))

    def _shown(self, request: Request, items: Iterable[StoredItem], visible: Visible) -> list[StoredItem]:
        return self.service.shown(request.owner, items, visible)

    def table(self) -> list[Route]:
        whole, page = "Conversation", "ConversationItemList"
        return [
            Route(
                "POST", _ALL, self.create, "Make a conversation", request="NewConversation", response=whole
            ),
            Route("GET", _ONE, self.get, "Get a conversation", response=whole),
            Route(
                "POST",
                _ONE,
                self.update,
                "Replace a conversation's metadata",
                request="ChangedConversation",
                response=whole,
            ),
            Route(
                "DELETE",
                _ONE,
                self.delete,
                "Delete a conversation; its responses stay",
                response="DeletedConversation",
            ),
            Route(
                "POST",
                _ITEMS,
                self.add_items,
                "Put items behind those of a conversation",
                request="MoreItems",
                response=page,
                query=(INCLUDE,),
            ),
            Route(
                "GET",
                _ITEMS,
                self.list_items,
                "List the items of a conversation",
                response=page,
                query=(*PAGE_QUERY, INCLUDE),
            ),
            Route(
                "GET",
                _ITEM,
                self.get_item,
                "Get an item of a conversation",
                response="ConversationItem",
                query=(INCLUDE,),
            ),
            Route(
                "DELETE",
                _ITEM,
                self.remove_item,
                "Leave an item out of a conversation from now on",
                response=whole,
            ),
        ]


def _id(request: Request) -> str:
    return request.params["conversation_id"]


def _visible(request: Request, *known: str) -> Visible:
    query = request.query()
    refuse_unknown(query, "include", *known)
    return Visible.of(included(query))


def _listed(page: JsonObject) -> JsonObject:
    """The official list has no null for the ids of an empty page."""
    return {**page, "first_id": page["first_id"] or "", "last_id": page["last_id"] or ""}
