"""`/v1/vector_stores`. Errors raised below become the envelope in `web/edge.py`."""

from dataclasses import dataclass

from antiphon.core.parse import load
from antiphon.vector_stores.service import VectorStores
from antiphon.vector_stores.shapes import CreateVectorStore, SearchVectorStore, UpdateVectorStore
from antiphon.web.http import Reply, Request, json_reply
from antiphon.web.paging import PAGE_QUERY, Page, refuse_unknown
from antiphon.web.routing import Method, Route

_ALL = "/v1/vector_stores"
_ONE = _ALL + "/{vector_store_id}"
_CHANGING: tuple[Method, Method] = ("POST", "PUT")
"""The official clients change by POST, others by PUT."""


@dataclass(frozen=True, slots=True)
class VectorStoreRoutes:
    service: VectorStores

    async def create(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        body = load(await request.optional_json_body(), CreateVectorStore, items=False)
        return json_reply(await self.service.create(request.owner, body))

    async def list_all(self, request: Request) -> Reply:
        query = request.query()
        refuse_unknown(query, *(parameter.name for parameter in PAGE_QUERY))
        return json_reply(await self.service.list_page(request.owner, Page.of(query)))

    async def get(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        return json_reply(await self.service.get(request.owner, _id(request)))

    async def update(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        body = load(await request.json_body(), UpdateVectorStore, items=False)
        return json_reply(await self.service.update(request.owner, _id(request), body))

    async def delete(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        await self.service.delete(request.owner, _id(request))
        return json_reply({"id": _id(request), "object": "vector_store.deleted", "deleted": True})

    async def search(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        body = load(await request.json_body(), SearchVectorStore, items=False)
        return json_reply(await self.service.search(request.owner, _id(request), body))

    def table(self) -> list[Route]:
        whole = "VectorStore"
        return [
            Route(
                "POST",
                _ALL,
                self.create,
                "Make a vector store, with its first files",
                request="CreateVectorStore",
                response=whole,
            ),
            Route(
                "GET", _ALL, self.list_all, "List vector stores", response="VectorStoreList", query=PAGE_QUERY
            ),
            Route("GET", _ONE, self.get, "Get a vector store", response=whole),
            *(
                Route(
                    method,
                    _ONE,
                    self.update,
                    "Change name, metadata and expiry of a vector store",
                    request="UpdateVectorStore",
                    response=whole,
                )
                for method in _CHANGING
            ),
            Route("DELETE", _ONE, self.delete, "Delete a vector store; its files stay", response="Deleted"),
            Route(
                "POST",
                _ONE + "/search",
                self.search,
                "Search a vector store",
                request="SearchVectorStore",
                response="VectorStoreSearchResults",
            ),
        ]


def _id(request: Request) -> str:
    return request.params["vector_store_id"]
