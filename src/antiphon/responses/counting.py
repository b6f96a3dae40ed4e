"""`POST /v1/responses/input_tokens`: how many tokens a request would put in."""

from dataclasses import dataclass

from antiphon.core.count_request import CountBody, read_count
from antiphon.core.ids import RESPONSE_PREFIX, ItemIds
from antiphon.core.request import ResponseRequest
from antiphon.core.wire import encode
from antiphon.models.token_count import TokenCount, count_tokens
from antiphon.ports import Owner
from antiphon.responses.service import ResponseService
from antiphon.web.http import JsonReply, Reply, Request
from antiphon.web.left_out import left_out_header
from antiphon.web.paging import refuse_unknown
from antiphon.web.routing import Route

HEADER = "x-antiphon-token-count"


async def count(service: ResponseService, owner: Owner, request: ResponseRequest) -> TokenCount:
    """The input tokens of the first model call that this request would lead to. Nothing is stored.

    Raises what `ResponseService.prepare` raises.
    """
    asked = await service.consider(owner, request, ItemIds(service.ids.new(RESPONSE_PREFIX)))
    return await count_tokens(asked.resolved.provider, asked.resolved.upstream_model, asked.loop.planned())


@dataclass(frozen=True, slots=True)
class TokenCountRoutes:
    service: ResponseService
    lenient: bool = False

    async def create(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        body = await request.json_body(CountBody)
        asked, unknown = read_count(body, lenient=self.lenient)
        counted = await count(self.service, request.owner, asked)
        answer = encode({"object": "response.input_tokens", "input_tokens": counted.tokens})
        how = "exact" if counted.exact else "estimated"
        return JsonReply(answer, headers={HEADER: how, **left_out_header(unknown)})

    def table(self) -> list[Route]:
        return [
            Route(
                "POST",
                "/v1/responses/input_tokens",
                self.create,
                "Count the input tokens of a request",
                request="CountTokens",
                response="TokenCount",
                form=True,
            )
        ]
