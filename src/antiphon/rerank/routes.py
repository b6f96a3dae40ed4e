"""`POST /v1/rerank` (and `/v2/rerank`, where Cohere's newer client asks), and Llama Stack's rerank routes."""

from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import Send

from antiphon.core.wire import encode
from antiphon.models.catalog import Catalog, Resolved
from antiphon.models.tap import Tap
from antiphon.ports import Ids
from antiphon.rerank.answer import (
    RerankResponse,
    RerankResult,
    RerankUsage,
    StackRerankResponse,
)
from antiphon.rerank.asking import ask
from antiphon.rerank.request import (
    Ranking,
    RerankRequest,
    StackRerankRequest,
    parse_rerank,
    parse_stack_rerank,
)
from antiphon.web.http import Reply, Request
from antiphon.web.routing import Route
from antiphon.web.served_by import served_by_header
from antiphon.web.whole import answer_whole

Shape = Callable[[list[RerankResult], RerankUsage], RerankResponse | StackRerankResponse]


@dataclass(frozen=True, slots=True)
class Reranked:
    """One request on its way to the model's server and back. `shape` makes the answer of the results."""

    resolved: Resolved
    asked: Ranking
    shape: Shape

    async def respond(self, request: Request, send: Send) -> None:
        await answer_whole(request, send, self._answer, self._headers)

    def _headers(self) -> dict[str, str]:
        return served_by_header(self.resolved.served_by())

    async def _answer(self) -> bytes:
        return encode(self.shape(*await ask(self.resolved, self.asked)))


@dataclass(frozen=True, slots=True)
class RerankRoutes:
    catalog: Catalog
    ids: Ids
    tap: Tap | None = None

    async def rerank(self, request: Request) -> Reply:
        asked, body = parse_rerank(await request.json_body(RerankRequest))

        def shape(results: list[RerankResult], usage: RerankUsage) -> RerankResponse:
            if body.return_documents is not False:
                for one in results:
                    document = body.documents[one.index]
                    one.document = {"text": document} if isinstance(document, str) else document
            return RerankResponse(
                id=self.ids.new("rerank_"), object="list", model=asked.model, results=results, usage=usage
            )

        return Reranked(await self._resolved(request, asked), asked, shape)

    async def stack_rerank(self, request: Request) -> Reply:
        asked = parse_stack_rerank(await request.json_body(StackRerankRequest))
        return Reranked(
            await self._resolved(request, asked),
            asked,
            lambda results, _: StackRerankResponse(data=results),
        )

    async def _resolved(self, request: Request, asked: Ranking) -> Resolved:
        resolved = await self.catalog.resolve(asked.model)
        if self.tap is None:
            return resolved
        return self.tap(resolved, request.owner, request.request_id, asked.model)

    def table(self) -> list[Route]:
        about = "Order documents by their relevance to a query"
        return [
            self._cohere("/v1/rerank", about),
            self._cohere("/v2/rerank", f"{about}, for Cohere's client"),
            self._stack("/v1alpha/inference/rerank", about),
            self._stack("/v1/inference/rerank", about),
        ]

    def _cohere(self, path: str, about: str) -> Route:
        return Route(
            "POST",
            path,
            self.rerank,
            about,
            request="RerankRequest",
            response="RerankResponse",
            form=True,
        )

    def _stack(self, path: str, about: str) -> Route:
        return Route(
            "POST",
            path,
            self.stack_rerank,
            about,
            "Llama Stack",
            request="StackRerankRequest",
            response="StackRerankResponse",
            form=True,
        )
