"""`POST /v1/embeddings`."""

from dataclasses import dataclass

from starlette.types import Send

from antiphon.embeddings.answer import corrected
from antiphon.embeddings.request import EmbeddingRequest
from antiphon.models.catalog import Catalog, Resolved
from antiphon.models.tap import Tap
from antiphon.web.http import Reply, Request
from antiphon.web.routing import Route
from antiphon.web.served_by import served_by_header
from antiphon.web.whole import answer_whole

PATH = "/embeddings"


@dataclass(frozen=True, slots=True)
class Embedded:
    """One request on its way to the model's server and back."""

    resolved: Resolved
    asked: EmbeddingRequest

    async def respond(self, request: Request, send: Send) -> None:
        await answer_whole(request, send, self._answer, self._headers)

    def _headers(self) -> dict[str, str]:
        return served_by_header(self.resolved.served_by())

    async def _answer(self) -> bytes:
        model = self.resolved.upstream_model
        sent = self.asked.sent_as(model)
        async with await self.resolved.provider.open(PATH, sent, model=model) as reply:
            answer = await reply.read()
        provider_id, _, _ = self.resolved.served_by().partition("/")
        return corrected(answer, self.asked, provider_id)


@dataclass(frozen=True, slots=True)
class EmbeddingRoutes:
    catalog: Catalog
    tap: Tap | None = None

    async def create(self, request: Request) -> Reply:
        asked = EmbeddingRequest.parse(await request.json_body(EmbeddingRequest))
        resolved = await self.catalog.resolve(asked.model)
        if self.tap is not None:
            resolved = self.tap(resolved, request.owner, request.request_id, asked.model)
        return Embedded(resolved, asked)

    def table(self) -> list[Route]:
        return [
            Route(
                "POST",
                "/v1/embeddings",
                self.create,
                "Make vectors of texts",
                request="EmbeddingRequest",
                response="EmbeddingList",
                form=True,
            )
        ]
