"""`/v1/vector-io`, `/v1/vector-dbs` and `/v1/tool-runtime/rag-tool`, as Llama Stack's clients ask for them."""

from dataclasses import dataclass

from antiphon.core.parse import load
from antiphon.vector_io.rag import RagTool
from antiphon.vector_io.service import VectorIo
from antiphon.vector_io.shapes import InsertChunks, QueryChunks, RagInsert, RagQuery, RegisterVectorDb
from antiphon.vector_io.stores import NamedStores, shown
from antiphon.web.http import JsonReply, Reply, Request, json_reply
from antiphon.web.paging import refuse_unknown
from antiphon.web.routing import Route

_DBS = "/v1/vector-dbs"
_DB = _DBS + "/{vector_db_id}"
_TAG = "Llama Stack"
_NOTHING = b"null"
"""What these routes answer where there is nothing to say."""


@dataclass(frozen=True, slots=True)
class VectorIoRoutes:
    vector_io: VectorIo
    rag: RagTool

    @property
    def stores(self) -> NamedStores:
        return self.vector_io.stores

    async def insert(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        body = load(await request.json_body(), InsertChunks, items=False)
        await self.vector_io.insert(request.owner, body)
        return JsonReply(_NOTHING)

    async def query(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        body = load(await request.json_body(), QueryChunks, items=False)
        return json_reply(await self.vector_io.query(request.owner, body))

    async def register(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        body = load(await request.json_body(), RegisterVectorDb, items=False)
        return json_reply(await self.stores.register(request.owner, body))

    async def list_all(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        return json_reply(await self.stores.list_all(request.owner))

    async def get(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        store = await self.stores.get(request.owner, request.params["vector_db_id"], "vector_db_id")
        return json_reply(shown(store))

    async def unregister(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        name = request.params["vector_db_id"]
        store = await self.stores.get(request.owner, name, "vector_db_id", also_expired=True)
        await self.stores.service.delete(request.owner, store.id)
        return JsonReply(_NOTHING)

    async def rag_insert(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        body = load(await request.json_body(), RagInsert, items=False)
        await self.rag.insert(request.owner, body)
        return JsonReply(_NOTHING)

    async def rag_query(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        body = load(await request.json_body(), RagQuery, items=False)
        return json_reply(await self.rag.query(request.owner, body))

    def table(self) -> list[Route]:
        io, rag = "/v1/vector-io", "/v1/tool-runtime/rag-tool"
        db, tag = "VectorDb", _TAG
        return [
            Route("POST", f"{io}/insert", self.insert, "Put chunks into a vector store", tag, "InsertChunks"),
            Route(
                "POST",
                f"{io}/query",
                self.query,
                "Find chunks of a vector store",
                tag,
                "QueryChunks",
                "FoundChunks",
            ),
            Route(
                "POST", _DBS, self.register, "Make a vector store under a name", tag, "RegisterVectorDb", db
            ),
            Route(
                "GET", _DBS, self.list_all, "List vector stores by their names", tag, response="VectorDbList"
            ),
            Route("GET", _DB, self.get, "Get a vector store by its name", tag, response=db),
            Route("DELETE", _DB, self.unregister, "Delete a vector store by its name", tag),
            Route(
                "POST",
                f"{rag}/insert",
                self.rag_insert,
                "Put documents into a vector store",
                tag,
                "RagInsert",
            ),
            Route(
                "POST",
                f"{rag}/query",
                self.rag_query,
                "Find a context for a query",
                tag,
                "RagQuery",
                "RagAnswer",
            ),
        ]
