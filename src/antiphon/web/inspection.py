"""What is served and by whom, in the form of Llama Stack: `/v1/inspect/routes` and `/v1/providers`."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from antiphon.core.errors import InvalidRequest, NotFound
from antiphon.core.wire import JsonObject
from antiphon.web.http import Reply, Request, json_reply
from antiphon.web.paging import refuse_unknown
from antiphon.web.routing import Query, Route

_LEVELS = ("v1", "v1alpha", "v1beta", "deprecated")
_FILTER = Query(
    "api_filter",
    {"type": "string", "enum": list(_LEVELS)},
    "Only routes of this level; nothing served here is deprecated.",
)
ADMIN = "/v1alpha/admin"
"""Clients from 0.4 on have these routes below it too."""


@dataclass(frozen=True, slots=True)
class InspectionRoutes:
    """`inference` is the type of each provider by its id; `failing` the ids of those that answer no questions.

    The configuration of a provider names hosts and keys, so it is nobody's to see: `config` is empty.
    """

    inference: Mapping[str, str]
    failing: Callable[[], Collection[str]]
    served: Sequence[Route]

    async def providers(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        return json_reply({"data": [self._provider(one) for one in self.inference]})

    async def provider(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        name = request.params["provider_id"]
        if name not in self.inference:
            known = ", ".join(self.inference) or "none"
            raise NotFound(f'there is no provider "{name[:200]}"; configured: {known}.')
        return json_reply(self._provider(name))

    def _provider(self, name: str) -> JsonObject:
        status = "Error" if name in self.failing() else "OK"
        return {
            "api": "inference",
            "provider_id": name,
            "provider_type": self.inference[name],
            "config": {},
            "health": {"status": status},
        }

    async def routes(self, request: Request) -> Reply:
        query = request.query()
        refuse_unknown(query, _FILTER.name)
        level = query.get(_FILTER.name, [None])[-1]
        if level is not None and level not in _LEVELS:
            raise InvalidRequest(
                f"expected one of {', '.join(_LEVELS)}; found {level[:100]!r}.", param=_FILTER.name
            )
        found = [one for one in self.served if level is None or one.path.startswith(f"/{level}/")]
        return json_reply({"data": [self._route(one) for one in found]})

    def _route(self, route: Route) -> JsonObject:
        by_models = {*self.inference.values()} if route.request in _BY_MODELS else ()
        path = route.path.replace(":path}", "}")
        return {"route": path, "method": route.method, "provider_types": sorted(by_models)}

    def table(self) -> list[Route]:
        tag = "Llama Stack"
        return [
            route
            for prefix in ("/v1", ADMIN)
            for route in (
                Route(
                    "GET",
                    f"{prefix}/providers",
                    self.providers,
                    "List providers",
                    tag,
                    response="ProviderList",
                ),
                Route(
                    "GET",
                    f"{prefix}/providers/{{provider_id}}",
                    self.provider,
                    "Get a provider",
                    tag,
                    response="Provider",
                ),
                Route(
                    "GET",
                    f"{prefix}/inspect/routes",
                    self.routes,
                    "List what is served",
                    tag,
                    response="RouteList",
                    query=(_FILTER,),
                ),
            )
        ]


_BY_MODELS = frozenset(
    {
        "CreateResponse",
        "ChatRequest",
        "CompletionRequest",
        "EmbeddingRequest",
        "RerankRequest",
        "StackRerankRequest",
    }
)
"""The bodies that a model answers."""
