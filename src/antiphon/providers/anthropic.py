"""The wire `anthropic`: upstreams that speak Anthropic's Messages API."""

import copy
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from antiphon import ports
from antiphon.core.commands import CallModel
from antiphon.core.errors import ProviderError, ProviderProtocolError, UnsupportedParameter
from antiphon.core.request import ResponseRequest
from antiphon.core.signals import ModelSignal
from antiphon.core.tools import CustomTool
from antiphon.ports import Constraint, Ids, ModelInfo
from antiphon.providers.messages_config import PRESET, MessagesConfig, parse_messages_config
from antiphon.providers.messages_render import MessagesRenderer
from antiphon.providers.messages_stream import MessagesDecoder
from antiphon.providers.site import Site
from antiphon.providers.sse import SSEParser
from antiphon.providers.upstream import UpstreamClient

MESSAGES = "/messages"
CHAT = "/chat/completions"
_PARAMS = {
    "messages": "input",
    "max_tokens": "max_output_tokens",
    "system": "instructions",
    "stop_sequences": "stop",
    "output_config": "text.format",
    "thinking": "reasoning.effort",
}
"""Names of the Messages API in an upstream's refusal, and what our caller wrote instead."""


class _ListedModel(msgspec.Struct):
    id: str
    created_at: str = ""


class _ModelList(msgspec.Struct):
    data: list[_ListedModel]


_MODELS = msgspec.json.Decoder(_ModelList)


class Anthropic:
    """One configured provider. Shared by all runs; holds no state of any of them."""

    wire = "messages"

    def __init__(
        self, provider_id: str, config: MessagesConfig, client: UpstreamClient, *, lenient: bool = False
    ) -> None:
        self.provider_id = provider_id
        self.capabilities = config
        self._lenient = lenient
        self._site = Site.of(provider_id, PRESET, config.upstream(), client)
        self._chat = Site.of(provider_id, PRESET, config.upstream(chat=True), client)
        self._renderer = MessagesRenderer(provider_id, config, lenient=lenient)
        loose = frozenset[Constraint](("json_object", "grammar"))
        self._unenforced = loose if config.json_schema else loose | frozenset[Constraint](("json_schema",))

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
    ) -> "Anthropic":
        """The provider that a configuration describes. Raises ProviderConfigError."""
        del provider_type, ids  # one type; every call of this wire has an id
        return cls(provider_id, parse_messages_config(mapping), client, lenient=lenient)

    def without_waiting(self) -> "Anthropic":
        """See `ports.Patient`."""
        hasty = copy.copy(self)
        hasty._site = self._site.without_waiting()  # noqa: SLF001  # a copy of this very object
        hasty._chat = self._chat.without_waiting()  # noqa: SLF001  # the same
        return hasty

    def unenforced(self, request: ResponseRequest) -> frozenset[Constraint]:
        """See `ports.ModelProvider.unenforced`."""
        return self._unenforced

    def dropped(self, request: ResponseRequest) -> Sequence[str]:
        """See `ports.ModelProvider.dropped`."""
        return [found.param for found in self._renderer.unsupported(request)] if self._lenient else ()

    async def stream(self, model: str, call: CallModel) -> AsyncGenerator[Sequence[ModelSignal], None]:
        """See `ports.ModelProvider.stream`."""
        body = self._renderer.render(model, call)
        try:
            reply = await self._site.post(MESSAGES, body, model)
        except ProviderError as error:
            _rename_param(error)
            raise
        custom = frozenset(tool.name for tool in call.request.tools or () if isinstance(tool, CustomTool))
        decoder = MessagesDecoder(self.provider_id, self._site.upstream.redaction, custom)
        async with reply:
            yield ()
            if not call.stream or reply.is_json:
                yield decoder.whole(await reply.read())
                return
            parser = SSEParser()
            while not decoder.done and (chunk := await reply.next_chunk()):
                if signals := decoder.feed(parser.feed(chunk)):
                    yield signals
            yield decoder.feed(parser.finish()) + decoder.finish()
            await reply.drain()

    async def open(self, path: str, body: bytes, *, model: str) -> ports.UpstreamReply:
        """See `ports.ModelProvider.open`. Of these only chat completions have a route there."""
        if path != CHAT:
            raise UnsupportedParameter(
                f'provider "{self.provider_id}" speaks the Messages API, which has nothing like {path}; name a'
                " model of another one.",
                param="model",
            )
        return await self._chat.post(path, body, model)

    async def list_models(self) -> Sequence[ModelInfo]:
        """The models that the upstream lists, a thousand at most. Raises ProviderError."""
        url = self._site.endpoints.url("/models").with_query(limit="1000")
        async with await self._site.upstream.send("GET", url, max_retries=0) as reply:
            body = await reply.read()
        try:
            listed = _MODELS.decode(body).data
        except (msgspec.DecodeError, RecursionError):
            raise ProviderProtocolError(
                self.provider_id, f'provider "{self.provider_id}" answered /models with something else.'
            ) from None
        allowed = self.capabilities.allowed_models
        return [
            ModelInfo(one.id, _seconds(one.created_at), "anthropic")
            for one in listed
            if allowed is None or one.id in allowed
        ]

    async def aclose(self) -> None:
        """Nothing to close: connections belong to the `UpstreamClient`."""


def _seconds(written: str) -> int:
    """Unix seconds of an RFC 3339 time; 0 for what is none."""
    try:
        return int(datetime.fromisoformat(written).timestamp())
    except ValueError:
        return 0


def _rename_param(error: ProviderError) -> None:
    """Refusals of this API name their field at the beginning of the message: `messages.0.content: …`."""
    name, colon, _ = error.message.partition(" rejected the request: ")[2].partition(":")
    head = name.split(".", 1)[0].strip()
    if (
        error.param is None
        and colon
        and head in {*_PARAMS, "model", "temperature", "tools", "top_p", "top_k"}
    ):
        error.param = _PARAMS.get(head, head)
