"""`GET /v1/models` and `GET /v1/models/{id}`."""

from dataclasses import dataclass

from antiphon.core.wire import encode
from antiphon.messages.errors import REQUEST_ID, VERSION
from antiphon.models.catalog import Catalog
from antiphon.web.http import JsonReply, Reply, Request, json_reply
from antiphon.web.llama_stack import from_llama_stack
from antiphon.web.routing import Route


@dataclass(frozen=True, slots=True)
class ModelRoutes:
    """Clients of Llama Stack get their own fields beside those of OpenAI, those of Anthropic a list in its shape."""

    catalog: Catalog

    async def list_all(self, request: Request) -> Reply:
        models = await self.catalog.list()
        if VERSION in request.headers:
            from antiphon.messages.models import model_page

            return JsonReply(encode(model_page(models, request.query())), headers=_request_id(request))
        if from_llama_stack(request.headers):
            from antiphon.models.stack import stack_model

            models = [stack_model(one, await self.catalog.resolve(one.id)) for one in models]
        return json_reply({"object": "list", "data": models})

    async def get(self, request: Request) -> Reply:
        model = await self.catalog.get(request.params["model_id"])
        if VERSION in request.headers:
            from antiphon.messages.models import model_info

            return JsonReply(encode(model_info(model)), headers=_request_id(request))
        if from_llama_stack(request.headers):
            from antiphon.models.stack import stack_model

            model = stack_model(model, await self.catalog.resolve(model.id))
        return json_reply(model)

    def table(self) -> list[Route]:
        return [
            Route("GET", "/v1/models", self.list_all, "List the models served here", response="ModelList"),
            Route("GET", "/v1/models/{model_id:path}", self.get, "Get one model", response="Model"),
        ]


def _request_id(request: Request) -> dict[str, str]:
    return {REQUEST_ID: request.request_id}
