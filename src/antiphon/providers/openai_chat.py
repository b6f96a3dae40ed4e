"""The wire `openai_chat`: every upstream that speaks `/v1/chat/completions`, by preset."""

import copy
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import msgspec

from antiphon import ports
from antiphon.core.commands import CallModel
from antiphon.core.errors import ProviderError, ProviderProtocolError
from antiphon.core.request import ResponseRequest
from antiphon.core.signals import ModelSignal
from antiphon.ports import Constraint, Ids, Intake, ModelInfo
from antiphon.providers.chat_parameters import Unsupported, unenforced_by
from antiphon.providers.chat_render import ChatRenderer
from antiphon.providers.chat_stream import ChatDecoder
from antiphon.providers.embedding_wire import (
    EMBEDDINGS,
    RERANK,
    cut,
    embedding_call,
    no_such_route,
    rerank_path,
)
from antiphon.providers.presets import (
    PRESETS,
    Capabilities,
    Preset,
    UpstreamConfig,
    capabilities_of,
    parse_config,
)
from antiphon.providers.ready import ReadyReply
from antiphon.providers.site import Site
from antiphon.providers.sse import SSEParser
from antiphon.providers.token_counts import (
    TEMPLATE_FIELDS,
    VLLM_FIELDS,
    count_of,
    for_text,
    has_media,
    only,
    prompt_of,
)
from antiphon.providers.upstream import UpstreamClient

CHAT = "/chat/completions"

_PARAMS = {
    "messages": "input",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "response_format": "text.format",
    "reasoning_effort": "reasoning.effort",
    "verbosity": "text.verbosity",
}
"""Names of the chat API in an upstream's refusal, and what our caller wrote instead."""


class _ListedModel(msgspec.Struct):
    id: str
    created: int | float | None = None
    owned_by: str | None = None


class _ModelList(msgspec.Struct):
    data: list[_ListedModel] | None = None


_MODELS: msgspec.json.Decoder[_ModelList | list[_ListedModel]] = msgspec.json.Decoder(
    _ModelList | list[_ListedModel]  # Together lists them without an envelope
)


class OpenAIChat:
    """One configured provider. Shared by all runs; holds no state of any of them."""

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
        self.capabilities: Capabilities = capabilities_of(preset, config)
        self._unenforced = unenforced_by(self.capabilities)
        self._unenforced_beside_tools = unenforced_by(self.capabilities, beside_tools=True)
        self._config = config
        self._lenient = lenient
        self._ids = ids
        self._site = Site.of(provider_id, preset, config, client)
        self._renderer = ChatRenderer(provider_id, self.capabilities, lenient=lenient)

    @classmethod
    def from_config(
        cls,
        provider_id: str,
        provider_type: str,
        mapping: Mapping[str, Any],
        client: UpstreamClient,
        ids: Ids,
        *,
        lenient: bool = False,
    ) -> "OpenAIChat":
        """The provider that a configuration describes. Raises ProviderConfigError."""
        config = parse_config(provider_type, mapping)
        return cls(provider_id, PRESETS[provider_type], config, client, ids, lenient=lenient)

    def without_waiting(self) -> "OpenAIChat":
        """See `ports.Patient`. Shares everything but its patience with this one."""
        hasty = copy.copy(self)
        hasty._site = self._site.without_waiting()  # noqa: SLF001  # a copy of this very object
        return hasty

    def unsupported(self, request: ResponseRequest) -> list[Unsupported]:
        """What this upstream cannot honour: refused, or dropped where the server is lenient."""
        return self._renderer.unsupported(request)

    @property
    def calls_in_words(self) -> bool:
        """See `ports.CallsInWords`."""
        return self.capabilities.tool_calls == "prompted"

    def intake(self) -> Intake:
        """See `ports.TakesFiles`. This wire's file parts are for PDF alone."""
        return Intake(self.capabilities.image_urls, "pdf" if self.capabilities.file_parts else "none")

    def unenforced(self, request: ResponseRequest) -> frozenset[Constraint]:
        """See `ports.ModelProvider.unenforced`. A format that is only in the instructions binds nobody."""
        return self._unenforced_beside_tools if request.tools else self._unenforced

    def dropped(self, request: ResponseRequest) -> Sequence[str]:
        """See `ports.ModelProvider.dropped`."""
        return [found.param for found in self.unsupported(request)] if self._lenient else ()

    async def stream(
        self, model: str, call: CallModel, *, more: bytes = b""
    ) -> AsyncGenerator[Sequence[ModelSignal], None]:
        """See `ports.ModelProvider.stream`. `more` is put into the body: `"name":value,"name":value`."""
        body = self._renderer.render(model, call)
        if more:
            body = b"%b,%b}" % (body[:-1], more)
        try:
            reply = await self._site.post(CHAT, body, model)
        except ProviderError as error:
            _rename_param(error)
            raise
        with_id = self._new_call_id
        redaction = self._site.upstream.redaction
        decoder = ChatDecoder(self.provider_id, with_id, redaction, self._renderer.translated(call.request))
        async with reply:
            yield ()
            if not call.stream or reply.is_json:
                yield decoder.whole(await reply.read())
                return
            parser = SSEParser()
            while not parser.done and (chunk := await reply.next_chunk()):
                signals = decoder.feed(parser.feed(chunk))
                if parser.done:
                    signals += decoder.finish(done=True)
                if signals:
                    yield signals
            if not parser.done:
                signals = decoder.feed(parser.finish())
                yield signals + decoder.finish(done=parser.done)
            await reply.drain()

    async def open(self, path: str, body: bytes, *, model: str) -> ports.UpstreamReply:
        """See `ports.ModelProvider.open`. Embeddings and reranking go by the capabilities."""
        if path not in (EMBEDDINGS, RERANK):
            return await self._site.post(path, body, model)
        try:
            return await self._open_vectors(path, body, model)
        except ProviderError as error:
            unsupported = no_such_route(self.provider_id, path, error)
            if unsupported is None:
                raise
            raise unsupported from error

    async def _open_vectors(self, path: str, body: bytes, model: str) -> ports.UpstreamReply:
        if path == RERANK:
            return await self._site.post(rerank_path(self.provider_id, self.capabilities), body, model)
        call = embedding_call(self.provider_id, self.capabilities, body)
        reply = await self._site.post(path, call.body, model)
        if call.cut_to is None:
            return reply
        async with reply:
            return ReadyReply(cut(self.provider_id, await reply.read(), call.cut_to))

    async def count_tokens(self, model: str, call: CallModel) -> int | None:
        """See `ports.ModelProvider.count_tokens`. By the tokenizer beside the API, where there is one."""
        path, template = self.capabilities.tokenize_path, self.capabilities.template_path
        if path is None:
            return None
        body = self._renderer.render(model, call)
        if has_media(body):
            return None
        if template is None:
            question = only(body, VLLM_FIELDS)
        else:
            made = await self._site.ask(template, only(body, TEMPLATE_FIELDS), model, at_root=True)
            question = for_text(prompt_of(self.provider_id, template, made))
        return count_of(self.provider_id, path, await self._site.ask(path, question, model, at_root=True))

    async def compact(self, model: str, call: CallModel) -> ports.UpstreamCompaction | None:
        """See `ports.ModelProvider.compact`. There is nothing like it beside chat completions."""
        del model, call
        return None

    async def list_models(self) -> Sequence[ModelInfo]:
        """The models that the upstream lists, or the configured `allowed_models` of one that cannot list
        them.
        """
        allowed = self._config.allowed_models
        if not self.capabilities.models_listed:
            return [ModelInfo(name, 0, self.provider_id) for name in allowed or ()]
        async with await self._site.get("/models") as reply:
            body = await reply.read()
        models = self._decode_models(body)
        return [model for model in models if allowed is None or model.name in allowed]

    async def aclose(self) -> None:
        """Nothing to close: connections belong to the `UpstreamClient`."""

    def _decode_models(self, body: bytes) -> list[ModelInfo]:
        try:
            answer = _MODELS.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise ProviderProtocolError(
                self.provider_id, f'provider "{self.provider_id}" answered /models with something else.'
            ) from None
        listed = answer if isinstance(answer, list) else answer.data or []
        return [ModelInfo(one.id, _seconds(one.created), one.owned_by or self.provider_id) for one in listed]

    def _new_call_id(self) -> str:
        return self._ids.new("call_")


def _seconds(created: float | None) -> int:
    """Unix seconds. watsonx writes milliseconds."""
    value = int(created or 0)
    return value // 1000 if value > 100_000_000_000 else value


def _rename_param(error: ProviderError) -> None:
    if error.param is not None:
        head = error.param.split("[", 1)[0].split(".", 1)[0]
        error.param = _PARAMS.get(head, error.param)
