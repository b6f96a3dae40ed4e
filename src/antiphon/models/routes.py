"""`GET /v1/models` and `GET /v1/models/{id}`."""

from dataclasses import dataclass

from antiphon.models.catalog import Catalog
from antiphon.web.http import Reply, Request, json_reply
from antiphon.web.routing import Route


@dataclass(frozen=True, slots=True)
class ModelRoutes:
    catalog: Catalog

    async def list_all(self, request: Request) -> Reply:
        return json_reply({"object": "list", "data": await self.catalog.list()})

    async def get(self, request: Request) -> Reply:
        return json_reply(await self.catalog.get(request.params["model_id"]))

    def table(self) -> list[Route]:
        return [
            Route("GET", "/v1/models", self.list_all, "List the models served here", response="ModelList"),
            Route("GET", "/v1/models/{model_id:path}", self.get, "Get one model", response="Model"),
        ]
