"""Routes of the Responses API. Errors raised below become the envelope in `web/edge.py`."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from starlette.types import Send

from antiphon.core.request import ResponseRequest
from antiphon.core.support import INCLUDES
from antiphon.responses.listing import list_responses
from antiphon.responses.rendering import Visible
from antiphon.responses.service import ResponseService
from antiphon.responses.stack_framing import stack_framing
from antiphon.runs.runner import Run
from antiphon.web.http import JsonReply, Reply, Request, json_reply
from antiphon.web.left_out import left_out_header
from antiphon.web.llama_stack import from_llama_stack
from antiphon.web.paging import PAGE_QUERY, Page, included, refuse_unknown
from antiphon.web.routing import Query, Route
from antiphon.web.served_by import served_by_header
from antiphon.web.sse import DONE, PLAIN, Framing, SseSender, Watch, last_words
from antiphon.web.streams import OpenStreams
from antiphon.web.whole import answer_whole

COMMIT_TO_STREAM_S = 10.0
INCLUDE = Query(
    "include",
    {"type": "array", "items": {"type": "string", "enum": sorted(INCLUDES)}},
    "Optional parts of items to show.",
)


_MODEL = Query("model", {"type": "string"}, "Only responses of this model, as their requests named it.")


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """`heartbeat_s`: a comment after so much silence. `done_marker`: end with `data: [DONE]`."""

    heartbeat_s: float = 15.0
    done_marker: bool = False


class ResponseStream:
    """The events of a run as it goes. An error before the run begins is raised and becomes a real status."""

    def __init__(
        self,
        run: Run,
        settings: StreamSettings,
        streams: OpenStreams,
        *,
        framing: Framing | None = None,
        headers: Callable[[Run], Mapping[str, str]] | None = None,
    ) -> None:
        """`framing` and `headers` are those of another API that shows the same run."""
        self._run = run
        self._settings = settings
        self._streams = streams
        self._framing = framing or (Framing(end=DONE) if settings.done_marker else PLAIN)
        self._headers = headers or response_headers

    async def respond(self, request: Request, send: Send) -> None:
        run = self._run
        sender = SseSender(send, request.request_id, lambda: self._headers(run), self._framing)
        run.emit = sender.emit
        seen = 0

        async def on_silence() -> None:
            nonlocal seen
            if not run.begun:
                run.begin()
                await run.flush()
            elif sender.writes == seen:
                await sender.heartbeat()
            seen = sender.writes

        every_s = min(COMMIT_TO_STREAM_S, self._settings.heartbeat_s)
        with self._streams.one(), Watch(request.receive, on_silence=on_silence, every_s=every_s) as watch:
            try:
                await run.execute()
            except asyncio.CancelledError:
                if run.begun and not watch.gone:  # the server stops: the reader is still there
                    await last_words(self._last_events(sender))
                raise
        if not watch.gone:
            await sender.finish(self._framing.end)

    async def _last_events(self, sender: SseSender) -> None:
        """How the cancelled run ended."""
        self._run.emit = sender.emit
        await self._run.flush()
        await sender.finish(self._framing.end)


class WholeResponse:
    """The final object of a run, when it is there."""

    def __init__(self, run: Run) -> None:
        self._run = run

    async def respond(self, request: Request, send: Send) -> None:
        await answer_whole(request, send, self._run.execute, lambda: response_headers(self._run))


@dataclass(frozen=True, slots=True)
class ConversationTurn:
    """A response in a conversation: it waits for the turns before it. A client that leaves stops waiting."""

    routes: "ResponseRoutes"
    asked: ResponseRequest
    unknown: Sequence[str]

    async def respond(self, request: Request, send: Send) -> None:
        turn = self.routes.service.turn(request.owner, self.asked)
        async with AsyncExitStack() as until_answered:
            with Watch(request.receive) as watch:
                await until_answered.enter_async_context(turn)
            if not watch.gone:
                reply = await self.routes.reply(request, self.asked, self.unknown)
                await reply.respond(request, send)


def response_headers(run: Run) -> dict[str, str]:
    """Who answers, and what a lenient server left out."""
    return served_by_header(run.ports.served_by()) | left_out_header(run.unknown, run.dropped)


@dataclass(frozen=True, slots=True)
class ResponseRoutes:
    service: ResponseService
    settings: StreamSettings
    streams: OpenStreams
    lenient: bool = False

    async def create(self, request: Request) -> Reply:
        body = await request.json_body(ResponseRequest)
        asked, unknown = ResponseRequest.read(body, lenient=self.lenient)
        if asked.conversation_id is not None:
            return ConversationTurn(self, asked, unknown)
        return await self.reply(request, asked, unknown)

    async def reply(self, request: Request, asked: ResponseRequest, unknown: Sequence[str]) -> Reply:
        """The answer to a request. `unknown` fields were left out of its body."""
        run = await self.service.prepare(request.owner, asked)
        run.unknown = unknown
        if asked.stream:
            stack = from_llama_stack(request.headers)
            framing = stack_framing(run.response.id) if stack else None
            return ResponseStream(run, self.settings, self.streams, framing=framing)
        return WholeResponse(run)

    async def list_all(self, request: Request) -> Reply:
        query = request.query()
        refuse_unknown(query, "include", "model", *(parameter.name for parameter in PAGE_QUERY))
        visible, page = Visible.of(included(query)), Page.of(query)
        model = (query.get("model") or [""])[-1] or None
        return JsonReply(await list_responses(self.service, request.owner, page, visible, model=model))

    async def get(self, request: Request) -> Reply:
        query = request.query()
        refuse_unknown(query, "include")
        visible = Visible.of(included(query))
        return JsonReply(await self.service.get(request.owner, request.params["response_id"], visible))

    async def delete(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        response_id = request.params["response_id"]
        await self.service.delete(request.owner, response_id)
        return json_reply({"id": response_id, "object": "response", "deleted": True})

    async def input_items(self, request: Request) -> Reply:
        query = request.query()
        refuse_unknown(query, "include", *(parameter.name for parameter in PAGE_QUERY))
        visible = Visible.of(included(query))
        page = Page.of(query)
        items = await self.service.input_items(request.owner, request.params["response_id"])
        shown = self.service.shown_items(request.owner, items, visible)
        return json_reply(page.cut(shown, [str(item.id) for item in items]))

    def table(self) -> list[Route]:
        one = "/v1/responses/{response_id}"
        return [
            Route(
                "POST",
                "/v1/responses",
                self.create,
                "Create a response: run the model, with function tools and stored state",
                request="CreateResponse",
                response="Response",
                events="Event",
                form=True,
            ),
            Route(
                "GET",
                "/v1/responses",
                self.list_all,
                "List stored responses",
                response="ResponseList",
                query=(*PAGE_QUERY, _MODEL, INCLUDE),
            ),
            Route("GET", one, self.get, "Get a stored response", response="Response", query=(INCLUDE,)),
            Route("DELETE", one, self.delete, "Delete a response", response="Deleted"),
            Route(
                "GET",
                one + "/input_items",
                self.input_items,
                "List what the model was given",
                response="ItemList",
                query=(*PAGE_QUERY, INCLUDE),
            ),
        ]
