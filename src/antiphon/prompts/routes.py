"""`/v1/prompts`: Llama Stack's routes, with the methods of its clients: POST for a change until 0.4, PUT since 0.5."""

import re
from dataclasses import dataclass

from antiphon.core.errors import InvalidRequest
from antiphon.core.parse import load
from antiphon.prompts.service import PromptService
from antiphon.prompts.shapes import CreatePrompt, PromptList, SetDefaultVersion, UpdatePrompt
from antiphon.web.http import Reply, Request, json_reply
from antiphon.web.paging import refuse_unknown
from antiphon.web.routing import Method, Query, Route

_VERSION = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)
_ONE = "/v1/prompts/{prompt_id}"
_TAG = "Llama Stack"
_CHANGING: tuple[Method, Method] = ("POST", "PUT")


@dataclass(frozen=True, slots=True)
class PromptRoutes:
    service: PromptService

    async def create(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        body = load(await request.json_body(), CreatePrompt)
        return json_reply(await self.service.create(request.owner, body))

    async def get(self, request: Request) -> Reply:
        version = _version(request)
        return json_reply(await self.service.get(request.owner, request.params["prompt_id"], version))

    async def list_all(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        return json_reply(PromptList(data=await self.service.list_all(request.owner)))

    async def list_versions(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        versions = await self.service.list_versions(request.owner, request.params["prompt_id"])
        return json_reply(PromptList(data=versions))

    async def update(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        body = load(await request.json_body(), UpdatePrompt)
        return json_reply(await self.service.update(request.owner, request.params["prompt_id"], body))

    async def set_default(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        body = load(await request.json_body(), SetDefaultVersion)
        prompt_id = request.params["prompt_id"]
        return json_reply(await self.service.set_default(request.owner, prompt_id, body.version))

    async def delete(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        prompt_id = request.params["prompt_id"]
        await self.service.delete(request.owner, prompt_id)
        return json_reply({"id": prompt_id, "object": "prompt.deleted", "deleted": True})

    def table(self) -> list[Route]:
        version = Query("version", {"type": "integer", "minimum": 1}, "Which version; else the default one.")
        return [
            Route(
                "POST",
                "/v1/prompts",
                self.create,
                "Create a prompt: a template with variables",
                _TAG,
                request="CreatePrompt",
                response="Prompt",
            ),
            Route(
                "GET",
                "/v1/prompts",
                self.list_all,
                "List prompts, each by its default version",
                _TAG,
                response="PromptList",
            ),
            Route(
                "GET",
                _ONE,
                self.get,
                "Get a version of a prompt",
                _TAG,
                response="Prompt",
                query=(version,),
            ),
            *(
                Route(
                    method,
                    _ONE,
                    self.update,
                    "Add a version to a prompt",
                    _TAG,
                    request="UpdatePrompt",
                    response="Prompt",
                )
                for method in _CHANGING
            ),
            Route(
                "DELETE", _ONE, self.delete, "Delete a prompt with all its versions", _TAG, response="Deleted"
            ),
            Route(
                "GET",
                _ONE + "/versions",
                self.list_versions,
                "List the versions of a prompt",
                _TAG,
                response="PromptList",
            ),
            *(
                Route(
                    method,
                    _ONE + "/set-default-version",
                    self.set_default,
                    "Choose the default version of a prompt",
                    _TAG,
                    request="SetDefaultVersion",
                    response="Prompt",
                )
                for method in _CHANGING
            ),
        ]


def _version(request: Request) -> int | None:
    """Raises InvalidRequest for what is no version number."""
    query = request.query()
    refuse_unknown(query, "version")
    given = query.get("version", [""])[-1]
    if not given:
        return None
    if not _VERSION.fullmatch(given):
        raise InvalidRequest(f"version is a whole number from 1 on, not {given[:50]!r}.", param="version")
    return int(given)
