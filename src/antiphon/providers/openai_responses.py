"""The wire `openai_responses`: upstreams that have `/v1/responses` themselves. Nothing is stored there."""

import copy
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

from antiphon import ports
from antiphon.core.commands import CallModel
from antiphon.core.errors import ProviderError, ProviderProtocolError
from antiphon.core.request import ResponseRequest
from antiphon.core.signals import ModelSignal
from antiphon.ports import Constraint, Ids, Intake, ModelInfo
from antiphon.providers.capabilities import Preset, ResponsesCapabilities
from antiphon.providers.chat_parameters import Unsupported, unenforced_by
from antiphon.providers.openai_chat import OpenAIChat
from antiphon.providers.presets import UpstreamConfig, responses_of
from antiphon.providers.responses_compaction import COMPACT_FIELDS, read_compaction
from antiphon.providers.responses_render import FEWEST_TOKENS, ResponsesRenderer
from antiphon.providers.responses_stream import Reading, ResponsesDecoder
from antiphon.providers.site import Site
from antiphon.providers.sse import SSEParser
from antiphon.providers.token_counts import RESPONSES_FIELDS, count_of, only
from antiphon.providers.upstream import UpstreamClient, UpstreamReply

RESPONSES = "/responses"
COUNT = "/responses/input_tokens"
COMPACT = "/responses/compact"
_PARAMS = {"input": "input", "response_format": "text.format", "chat_template_kwargs": "reasoning.effort"}
"""Names in an upstream's refusal, and what our caller wrote: places in `input` are not those of the caller."""

_NO_ENCRYPTION = re.compile(r"encrypted[ _]content", re.IGNORECASE)
KEPT_MODELS = 1_000


class OpenAIResponses:
    """One configured provider. `chat` does what is not about responses: passing on, listing, embedding."""

    wire = "responses"

    def __init__(
        self,
        provider_id: str,
        preset: Preset,
        config: UpstreamConfig,
        client: UpstreamClient,
        ids: Ids,
        *,
        lenient: bool = False,
    ) -> None:
        self.provider_id = provider_id
        self.capabilities: ResponsesCapabilities = responses_of(preset, config)
        self.chat = OpenAIChat(provider_id, preset, config, client, ids, lenient=lenient)
        self._unenforced = unenforced_by(self.capabilities)
        self._unenforced_beside_tools = unenforced_by(self.capabilities, beside_tools=True)
        self._lenient = lenient
        self._ids = ids
        self.site = Site.of(provider_id, preset, config, client)
        self._renderer = ResponsesRenderer(provider_id, self.capabilities, lenient=lenient)
        self._unencrypted: set[str] = set()

    def without_waiting(self) -> "OpenAIResponses":
        """See `ports.Patient`. Shares everything but its patience with this one."""
        hasty = copy.copy(self)
        hasty.chat = self.chat.without_waiting()
        hasty.site = self.site.without_waiting()
        return hasty

    def unsupported(self, request: ResponseRequest) -> list[Unsupported]:
        """What this upstream cannot honour: refused, or dropped where the server is lenient."""
        return self._renderer.unsupported(request)

    @property
    def calls_in_words(self) -> bool:
        """See `ports.CallsInWords`."""
        return self.capabilities.tool_calls == "prompted"

    def intake(self) -> Intake:
        """See `ports.TakesFiles`."""
        return Intake(self.capabilities.image_urls, "all" if self.capabilities.file_parts else "none")

    def unenforced(self, request: ResponseRequest) -> frozenset[Constraint]:
        """See `ports.ModelProvider.unenforced`."""
        return self._unenforced_beside_tools if request.tools else self._unenforced

    def dropped(self, request: ResponseRequest) -> Sequence[str]:
        """See `ports.ModelProvider.dropped`."""
        return [found.param for found in self.unsupported(request)] if self._lenient else ()

    async def stream(self, model: str, call: CallModel) -> AsyncGenerator[Sequence[ModelSignal], None]:
        """See `ports.ModelProvider.stream`."""
        reply = await self._send(model, call)
        decoder = ResponsesDecoder(self._reading(call))
        async with reply:
            yield ()
            if not call.stream or reply.is_json:
                yield decoder.whole(await reply.read())
                return
            async for signals in _streamed(reply, decoder):
                yield signals
            await reply.drain()

    async def _send(self, model: str, call: CallModel) -> UpstreamReply:
        """Encrypted reasoning is asked for until a model turns out to have none: OpenAI refuses that by name."""
        encrypted = model not in self._unencrypted
        try:
            try:
                return await self._post(model, call, encrypted=encrypted)
            except ProviderError as error:
                if not (encrypted and error.upstream_status == 400 and _NO_ENCRYPTION.search(error.message)):
                    raise
            reply = await self._post(model, call, encrypted=False)
        except ProviderError as error:
            _rename_param(error)
            raise
        if len(self._unencrypted) < KEPT_MODELS:
            self._unencrypted.add(model)
        return reply

    async def _post(self, model: str, call: CallModel, *, encrypted: bool) -> UpstreamReply:
        body = self._renderer.render(model, call, encrypted=encrypted)
        return await self.site.post(RESPONSES, body, model)

    def _reading(self, call: CallModel) -> Reading:
        limit = None if self.capabilities.says_cut else call.max_output_tokens
        return Reading(
            self.provider_id,
            self._new_call_id,
            self.site.upstream.redaction,
            self._renderer.translated(call.request),
            keeps_blobs=self.capabilities.reasoning_items == "encrypted",
            limit=None if limit is None else max(limit, FEWEST_TOKENS),
        )

    async def open(self, path: str, body: bytes, *, model: str) -> ports.UpstreamReply:
        """See `ports.ModelProvider.open`."""
        return await self.chat.open(path, body, model=model)

    async def count_tokens(self, model: str, call: CallModel) -> int | None:
        """See `ports.ModelProvider.count_tokens`."""
        if not self.capabilities.counts_tokens:
            return None
        question = only(self._renderer.render(model, call), RESPONSES_FIELDS)
        return count_of(self.provider_id, COUNT, await self.site.ask(COUNT, question, model))

    async def compact(self, model: str, call: CallModel) -> ports.UpstreamCompaction | None:
        """See `ports.ModelProvider.compact`."""
        if not self.capabilities.compacts:
            return None
        question = only(self._renderer.render(model, call), COMPACT_FIELDS)
        try:
            async with await self.site.post(COMPACT, question, model) as reply:
                return read_compaction(self.provider_id, await reply.read())
        except ProviderError as error:
            if _is_missing(error):
                return None
            _rename_param(error)
            raise

    async def list_models(self) -> Sequence[ModelInfo]:
        """See `ports.ModelProvider.list_models`."""
        return await self.chat.list_models()

    async def aclose(self) -> None:
        """Nothing to close: connections belong to the `UpstreamClient`."""

    def _new_call_id(self) -> str:
        return self._ids.new("call_")


async def _streamed(reply: UpstreamReply, decoder: ResponsesDecoder) -> AsyncIterator[Sequence[ModelSignal]]:
    parser = SSEParser()
    while not decoder.ended:
        chunk = b"" if parser.done else await reply.next_chunk()
        signals = decoder.feed(parser.feed(chunk) if chunk else parser.finish())
        over = decoder.ended or parser.done or not chunk
        if over and decoder.failure is None:
            signals += decoder.finish(done=parser.done)
        if signals:
            yield signals
        if decoder.failure is not None:
            raise decoder.failure
        if over:
            return


def _is_missing(error: ProviderError) -> bool:
    """Whether the upstream has no such route, which a gateway in front of it may lack."""
    return isinstance(error, ProviderProtocolError) and error.upstream_status in (404, 405)


def _rename_param(error: ProviderError) -> None:
    if error.param is not None:
        head = error.param.split("[", 1)[0].split(".", 1)[0]
        error.param = _PARAMS.get(head, error.param)
