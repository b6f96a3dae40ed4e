"""`POST /v1/chat/completions` and `POST /v1/completions`."""

import asyncio
from dataclasses import dataclass

from starlette.types import Send

from antiphon.chat.attachments import has_parts, shown_body
from antiphon.chat.corrections import StreamCorrections, corrected_body
from antiphon.chat.keeping import ChatKeeper, Keep
from antiphon.chat.request import ChatRequest, CompletionRequest, parse_chat, parse_completion, with_model
from antiphon.core.errors import AntiphonError, ProviderProtocolError, ShuttingDown
from antiphon.core.wire import encode
from antiphon.models.catalog import Catalog, Resolved
from antiphon.models.tap import Tap
from antiphon.ports import UpstreamReply
from antiphon.responses.attached import intake_of
from antiphon.responses.attachments import Attachments
from antiphon.web.http import Reply, Request
from antiphon.web.llama_stack import from_llama_stack
from antiphon.web.routing import Route
from antiphon.web.served_by import served_by_header
from antiphon.web.sse import DONE, SseSender, Watch, last_words
from antiphon.web.streams import OpenStreams
from antiphon.web.whole import answer_whole

_OURS = frozenset({"store", "metadata"})
"""What is kept here is not stored upstream too, nor labelled there."""


@dataclass(frozen=True, slots=True)
class Forwarded:
    """One request on its way to the model's server and back."""

    resolved: Resolved
    path: str
    model: str
    body: bytes
    stream: bool
    heartbeat_s: float
    streams: OpenStreams
    keep: Keep | None = None
    """What keeps the answer, where `store: true` asked for it."""

    async def respond(self, request: Request, send: Send) -> None:
        if self.stream:
            with self.streams.one():
                await self._stream(request, send)
            return
        await answer_whole(request, send, self._whole, self._headers)

    async def _whole(self) -> bytes:
        async with await self._open() as reply:
            answer = await reply.read()
        corrected = self._corrected(answer)
        return corrected if self.keep is None else await self.keep.whole(corrected, self._provider())

    def _corrected(self, answer: bytes) -> bytes:
        try:
            return corrected_body(answer, self.model, self.resolved.answering_model())
        except ValueError as error:
            provider = self._provider()
            message = f'provider "{provider}" answered with what is no completion: {error}.'
            raise ProviderProtocolError(provider, message) from None

    def _provider(self) -> str:
        return self.resolved.served_by().partition("/")[0]

    async def _open(self) -> UpstreamReply:
        return await self.resolved.provider.open(self.path, self.body, model=self.resolved.upstream_model)

    def _headers(self) -> dict[str, str]:
        return served_by_header(self.resolved.served_by())

    async def _stream(self, request: Request, send: Send) -> None:
        sender = SseSender(send, request.request_id, self._headers)
        last = b""
        with Watch(request.receive, on_silence=sender.heartbeat, every_s=self.heartbeat_s) as watch:
            try:
                # Llama Stack's clients up to 0.6 decode each `data:` line as JSON.
                done_marker = not from_llama_stack(request.headers)
                last = await self._pass_on(sender, done_marker=done_marker)
            except AntiphonError as error:
                if not sender.started:
                    raise
                last = b"data: %b\n\n" % encode(error.envelope())
            except asyncio.CancelledError:
                if sender.started and not watch.gone:  # the server stops: the reader is still there
                    await last_words(sender.finish(b"data: %b\n\n" % encode(ShuttingDown().envelope())))
                raise
        if not watch.gone:
            await sender.finish(last)

    async def _pass_on(self, sender: SseSender, *, done_marker: bool) -> bytes:
        if self.keep is not None:
            return await self._pass_on_kept(self.keep, sender, done_marker=done_marker)
        async with await self._open() as reply:
            model = self.resolved.answering_model()
            corrections = StreamCorrections(self.model, model, done_marker=done_marker)
            async for chunk in reply:
                whole = corrections.feed(chunk)
                if whole:
                    await sender.write(whole)
        return corrections.finish()

    async def _pass_on_kept(self, keep: Keep, sender: SseSender, *, done_marker: bool) -> bytes:
        """`[DONE]` is sent when the completion is stored, and not before."""
        async with await self._open() as reply:
            corrections = StreamCorrections(self.model, self.resolved.answering_model(), done_marker=False)
            with keep.stream(self._provider()) as kept:
                async for chunk in reply:
                    whole = await kept.feed(corrections.feed(chunk))
                    if whole:
                        await sender.write(whole)
                rest = await kept.feed(corrections.finish())
                if rest:
                    await sender.write(rest)
                stored = await kept.finish()
        return DONE if stored and done_marker else b""


@dataclass(frozen=True, slots=True)
class ChatRoutes:
    catalog: Catalog
    keeper: ChatKeeper
    heartbeat_s: float
    streams: OpenStreams
    tap: Tap | None = None
    attachments: Attachments | None = None

    async def chat(self, request: Request) -> Reply:
        body = await request.json_body(ChatRequest)
        return await self._forward(request, "/chat/completions", parse_chat(body), body)

    async def completion(self, request: Request) -> Reply:
        body = await request.json_body(CompletionRequest)
        return await self._forward(request, "/completions", parse_completion(body), body)

    async def _forward(
        self, request: Request, path: str, asked: ChatRequest | CompletionRequest, body: bytes
    ) -> Reply:
        resolved = await self.catalog.resolve(asked.model)
        sent = body
        if self.attachments is not None and isinstance(asked, ChatRequest) and has_parts(asked.messages):
            intake = intake_of(resolved.provider)
            body = await shown_body(self.attachments, request.owner, asked.messages, body, intake)
        if self.tap is not None:
            store = asked.store if isinstance(asked, ChatRequest) else None
            resolved = self.tap(resolved, request.owner, request.request_id, asked.model, store=store)
        keep: Keep | None = None
        if isinstance(asked, ChatRequest) and asked.store:
            keep = self.keeper.keep(request.owner, asked.model, asked.metadata, sent)
            body = with_model(body, resolved.upstream_model, without=_OURS)
        elif resolved.upstream_model != asked.model:
            body = with_model(body, resolved.upstream_model)
        stream = asked.stream is True
        return Forwarded(resolved, path, asked.model, body, stream, self.heartbeat_s, self.streams, keep)

    def table(self) -> list[Route]:
        return [
            Route(
                "POST",
                "/v1/chat/completions",
                self.chat,
                "Create a chat completion",
                request="ChatRequest",
                response="ChatCompletion",
                events="ChatCompletionChunk",
                form=True,
            ),
            Route(
                "POST",
                "/v1/completions",
                self.completion,
                "Create a text completion",
                request="CompletionRequest",
                response="Completion",
                events="Completion",
                form=True,
            ),
        ]
