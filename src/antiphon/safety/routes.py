"""`/v1/shields` and `/v1/safety/run-shield`: Llama Stack's routes."""

from dataclasses import dataclass

from antiphon.core.parse import load
from antiphon.safety.service import ShieldService
from antiphon.safety.shapes import RegisterShield, RunShield, ShieldAnswer, ShieldList
from antiphon.web.http import Reply, Request, json_reply
from antiphon.web.paging import refuse_unknown
from antiphon.web.routing import Route

_TAG = "Llama Stack"
_ALL = "/v1/shields"
_ONE = "/v1/shields/{identifier:path}"


@dataclass(frozen=True, slots=True)
class ShieldRoutes:
    service: ShieldService

    async def list_all(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        return json_reply(ShieldList(data=await self.service.list_all(request.owner)))

    async def get(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        return json_reply(await self.service.get(request.owner, request.params["identifier"]))

    async def register(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        body = load(await request.json_body(), RegisterShield, items=False)
        return json_reply(await self.service.register(request.owner, body))

    async def delete(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        await self.service.delete(request.owner, request.params["identifier"])
        return json_reply(None)

    async def run(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        body = load(await request.json_body(), RunShield, items=False)
        return json_reply(ShieldAnswer(violation=await self.service.run(request.owner, body)))

    def table(self) -> list[Route]:
        return [
            Route("GET", _ALL, self.list_all, "List shields", _TAG, response="ShieldList"),
            Route(
                "POST",
                _ALL,
                self.register,
                "Register a shield",
                _TAG,
                request="RegisterShield",
                response="Shield",
            ),
            Route("GET", _ONE, self.get, "Get a shield", _TAG, response="Shield"),
            Route("DELETE", _ONE, self.delete, "Remove a shield", _TAG),
            Route(
                "POST",
                "/v1/safety/run-shield",
                self.run,
                "Ask a shield about messages",
                _TAG,
                request="RunShield",
                response="ShieldAnswer",
            ),
        ]
