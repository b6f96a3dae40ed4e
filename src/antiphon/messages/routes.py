"""`POST /v1/messages` and `POST /v1/messages/count_tokens`. Errors raised below become this API's envelope."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from msgspec import structs
from starlette.types import Send

from antiphon.core.errors import AntiphonError, ProviderRejected, UnsupportedParameter
from antiphon.core.request import ResponseRequest
from antiphon.core.thoughts import PURPOSE
from antiphon.core.wire import UNSET, encode
from antiphon.messages.answer import Wanted, whole_message
from antiphon.messages.errors import REQUEST_ID
from antiphon.messages.places import Places, in_words_of_messages, path_of
from antiphon.messages.request import parse_count, parse_messages, thoughts_wanted, to_response
from antiphon.messages.stream import PING, MessageStream
from antiphon.messages.types import Prompt
from antiphon.models.token_count import TokenCount
from antiphon.ports import Owner, SealBroken
from antiphon.responses.counting import HEADER, count
from antiphon.responses.routes import ResponseStream, StreamSettings
from antiphon.responses.service import ResponseService
from antiphon.runs.runner import Run
from antiphon.web.http import JsonReply, Reply, Request
from antiphon.web.left_out import left_out_header
from antiphon.web.paging import refuse_unknown
from antiphon.web.routing import Query, Route
from antiphon.web.served_by import served_by_header
from antiphon.web.sse import Framing
from antiphon.web.streams import OpenStreams
from antiphon.web.whole import answer_whole

_BETA = Query("beta", {"type": "string"}, "Accepted: what is served does not depend on it.")
_HINTS = ("reasoning", "reasoning.effort", "reasoning.summary", "reasoning.generate_summary")


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request as the engine runs it, where its items came from, and what of the body was left out."""

    request: ResponseRequest
    places: Places
    wanted: Wanted
    left_out: Sequence[str] = ()
    dropped: Sequence[str] = ()

    def without_reasoning(self) -> "_Asked":
        """The same for a model that cannot be told how much to think."""
        effort = self.request.reasoning.effort if self.request.reasoning is not None else None
        name = "output_config.effort" if effort not in (None, UNSET, "none") else "thinking"
        return replace(self, request=structs.replace(self.request, reasoning=None), dropped=[name])

    def headers(self, run: Run, request_id: str) -> Mapping[str, str]:
        dropped = [*self.dropped, *(path_of(name) for name in run.dropped)]
        warned = left_out_header(self.left_out, dropped)
        return {REQUEST_ID: request_id, **served_by_header(run.ports.served_by()), **warned}


@dataclass(frozen=True, slots=True)
class MessageReply:
    """The answer to a request, streamed or whole. An error before the run begins is raised in this API's words.

    How much to think is a hint in this API, which clients give to every model. Where a model's server refuses it, the
    model is asked without, and a `warning` header says so.
    """

    routes: "MessagesRoutes"
    asked: _Asked

    async def respond(self, request: Request, send: Send) -> None:
        try:
            try:
                await self._answer(self.asked, request, send)
            except (UnsupportedParameter, ProviderRejected) as error:
                if self.asked.request.reasoning is None or error.param not in _HINTS:
                    raise
                await self._answer(self.asked.without_reasoning(), request, send)
        except AntiphonError as error:
            raise in_words_of_messages(error, self.asked.places) from None

    async def _answer(self, asked: _Asked, request: Request, send: Send) -> None:
        service = self.routes.service
        async with service.turn(request.owner, asked.request):
            run = await service.prepare(request.owner, asked.request)
            if asked.request.stream:
                await self._stream(asked, run, request.request_id).respond(request, send)
            else:
                await self._whole(asked, run, request, send)

    def _stream(self, asked: _Asked, run: Run, request_id: str) -> ResponseStream:
        translated = MessageStream(asked.wanted, request_id, lambda: run.loop.stop_sequence)
        return ResponseStream(
            run,
            self.routes.settings,
            self.routes.streams,
            framing=Framing(translated.frame, PING),
            headers=lambda run: asked.headers(run, request_id),
        )

    @staticmethod
    async def _whole(asked: _Asked, run: Run, request: Request, send: Send) -> None:
        async def work() -> bytes:
            await run.execute()
            items = run.writer.finished_items()
            return whole_message(run.response.id, items, run.state, run.loop.stop_sequence, asked.wanted)

        await answer_whole(request, send, work, lambda: asked.headers(run, request.request_id))


@dataclass(frozen=True, slots=True)
class MessagesRoutes:
    service: ResponseService
    settings: StreamSettings
    streams: OpenStreams
    lenient: bool = False

    async def create(self, request: Request) -> Reply:
        refuse_unknown(request.query(), "beta")
        left_out: list[str] = []
        body = parse_messages(await request.json_body(), left_out if self.lenient else None)
        return MessageReply(self, self._asked(body, request.owner, left_out, body.stop_sequences or ()))

    async def count_tokens(self, request: Request) -> Reply:
        refuse_unknown(request.query(), "beta")
        left_out: list[str] = []
        body = parse_count(await request.json_body(), left_out if self.lenient else None)
        asked = self._asked(body, request.owner, left_out)
        try:
            counted = await self._counted(asked, request.owner)
        except AntiphonError as error:
            raise in_words_of_messages(error, asked.places) from None
        headers = {
            REQUEST_ID: request.request_id,
            HEADER: "exact" if counted.exact else "estimated",
            **left_out_header(asked.left_out),
        }
        return JsonReply(encode({"input_tokens": counted.tokens}), headers=headers)

    async def _counted(self, asked: _Asked, owner: Owner) -> TokenCount:
        try:
            return await count(self.service, owner, asked.request)
        except (UnsupportedParameter, ProviderRejected) as error:
            if asked.request.reasoning is None or error.param not in _HINTS:
                raise
            return await count(self.service, owner, asked.without_reasoning().request)

    def _asked(self, body: Prompt, owner: Owner, left_out: list[str], stops: Sequence[str] = ()) -> _Asked:
        def opens(blob: str) -> bool:
            try:
                self.service.sealer.open(owner.tenant, PURPOSE, blob)
            except SealBroken:
                return False
            return True

        request, places = to_response(body, opens, left_out)
        wanted = Wanted(body.model, thoughts_wanted(body), stops)
        return _Asked(request, places, wanted, left_out)

    def table(self) -> list[Route]:
        return [
            Route(
                "POST",
                "/v1/messages",
                self.create,
                "Create a message: Anthropic's Messages API over any model",
                "Anthropic",
                request="MessagesRequest",
                response="AnswerMessage",
                events="MessageEvent",
                errors="MessagesErrorEnvelope",
                query=(_BETA,),
            ),
            Route(
                "POST",
                "/v1/messages/count_tokens",
                self.count_tokens,
                "Count the input tokens of a message",
                "Anthropic",
                request="CountMessageTokens",
                response="MessageTokens",
                errors="MessagesErrorEnvelope",
                query=(_BETA,),
            ),
        ]
