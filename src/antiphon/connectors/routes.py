"""`/v1/connectors`. What Llama Stack has of it, reading and the tools, is at `/v1alpha` and `/v1beta` too."""

from dataclasses import dataclass

from antiphon.connectors.asking import ConnectorQuestions
from antiphon.connectors.drafts import refuse
from antiphon.connectors.registry import ConnectorRegistry, id_of
from antiphon.connectors.service import ConnectorService
from antiphon.connectors.shapes import (
    AuthorizeConnector,
    ConnectorTools,
    CreateConnector,
    DeletedAuthorization,
    DeletedConnector,
    UpdateConnector,
)
from antiphon.core.errors import UnsupportedParameter
from antiphon.core.parse import load
from antiphon.web.http import Reply, Request, json_reply
from antiphon.web.paging import PAGE_QUERY, Page, refuse_unknown
from antiphon.web.routing import Query, Route

_TAG = "Connectors"
_ALL = "/connectors"
_ONE = "/connectors/{connector_id}"
_LIMIT = Query(
    "limit", {"type": "integer", "minimum": 1, "maximum": 100, "default": 100}, "Connectors on a page."
)
_QUERY = (_LIMIT, *PAGE_QUERY[1:])
_LLAMA_STACK = ("/v1alpha", "/v1beta")


@dataclass(frozen=True, slots=True)
class ConnectorRoutes:
    registry: ConnectorRegistry
    service: ConnectorService
    questions: ConnectorQuestions

    async def create(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        body = load(await request.json_body(), CreateConnector, refuse=refuse, items=False)
        return json_reply(await self.service.create(request.owner, body))

    async def list_all(self, request: Request) -> Reply:
        query = request.query()
        refuse_unknown(query, *(one.name for one in _QUERY))
        page = Page.of(query, limit=100)
        entries = await self.registry.list_all(request.owner)
        found = page.cut(entries, [id_of(one) for one in entries])
        found["data"] = [self.registry.shown(request.owner, one) for one in found["data"]]
        return json_reply(found)

    async def get(self, request: Request) -> Reply:
        _refuse_query(request)
        return json_reply(await self.service.get(request.owner, request.params["connector_id"]))

    async def update(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        body = load(await request.json_body(), UpdateConnector, refuse=refuse, items=False)
        return json_reply(await self.service.update(request.owner, request.params["connector_id"], body))

    async def delete(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        connector_id = request.params["connector_id"]
        await self.service.delete(request.owner, connector_id)
        return json_reply(DeletedConnector(id=connector_id, connector_id=connector_id))

    async def tools(self, request: Request) -> Reply:
        _refuse_query(request)
        found = await self.questions.tools(request.owner, request.params["connector_id"])
        return json_reply(ConnectorTools(data=found))

    async def tool(self, request: Request) -> Reply:
        _refuse_query(request)
        connector_id, name = request.params["connector_id"], request.params["tool_name"]
        return json_reply(await self.questions.tool(request.owner, connector_id, name))

    async def health(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        return json_reply(await self.questions.health(request.owner, request.params["connector_id"]))

    async def authorize(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        load(await request.optional_json_body(), AuthorizeConnector, items=False)
        return json_reply(await self.questions.authorize(request.owner, request.params["connector_id"]))

    async def forget(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        connector_id = request.params["connector_id"]
        await self.questions.forget(request.owner, connector_id)
        return json_reply(DeletedAuthorization(connector_id=connector_id))

    def table(self) -> list[Route]:
        return [
            *self._changing(),
            *self._asking(),
            *self._reading("/v1"),
            *(route for prefix in _LLAMA_STACK for route in self._reading(prefix)),
        ]

    def _changing(self) -> list[Route]:
        return [
            Route(
                "POST",
                f"/v1{_ALL}",
                self.create,
                "Create a connector",
                _TAG,
                request="CreateConnector",
                response="Connector",
            ),
            Route(
                "POST",
                f"/v1{_ONE}",
                self.update,
                "Change a connector",
                _TAG,
                request="UpdateConnector",
                response="Connector",
            ),
            Route(
                "DELETE",
                f"/v1{_ONE}",
                self.delete,
                "Delete a connector",
                _TAG,
                response="DeletedConnector",
            ),
        ]

    def _asking(self) -> list[Route]:
        return [
            Route(
                "GET",
                f"/v1{_ONE}/health",
                self.health,
                "Ask whether a connector's server answers",
                _TAG,
                response="ConnectorHealth",
            ),
            Route(
                "POST",
                f"/v1{_ONE}/authorize",
                self.authorize,
                "Begin to authorise a connector: where the user goes",
                _TAG,
                response="ConnectorAuthorization",
            ),
            Route(
                "DELETE",
                f"/v1{_ONE}/authorization",
                self.forget,
                "Forget the caller's token for a connector",
                _TAG,
                response="DeletedConnectorAuthorization",
            ),
        ]

    def _reading(self, prefix: str) -> list[Route]:
        tag = _TAG if prefix == "/v1" else "Llama Stack"
        return [
            Route(
                "GET",
                prefix + _ALL,
                self.list_all,
                "List connectors",
                tag,
                response="ConnectorList",
                query=_QUERY,
            ),
            Route("GET", prefix + _ONE, self.get, "Get a connector", tag, response="Connector"),
            Route(
                "GET",
                f"{prefix}{_ONE}/tools",
                self.tools,
                "List the tools of a connector",
                tag,
                response="ConnectorToolList",
            ),
            Route(
                "GET",
                f"{prefix}{_ONE}/tools/{{tool_name}}",
                self.tool,
                "Get a tool of a connector",
                tag,
                response="ConnectorTool",
            ),
        ]


def _refuse_query(request: Request) -> None:
    """Llama Stack takes a token here, where it ends up in logs. Raises InvalidRequest."""
    query = request.query()
    if "authorization" in query:
        raise UnsupportedParameter(
            "`authorization`: a token in a URL ends up in logs. Give it to the connector, as `authorization` or"
            " `headers`, or let users authorise it by `oauth`.",
            param="authorization",
        )
    refuse_unknown(query)
