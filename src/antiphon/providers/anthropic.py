"""The wire `anthropic`: upstreams that speak Anthropic's Messages API."""

import asyncio
import copy
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec

from antiphon import ports
from antiphon.core.commands import CallModel
from antiphon.core.errors import ProviderError, ProviderProtocolError, UnsupportedParameter
from antiphon.core.request import ResponseRequest
from antiphon.core.signals import ModelSignal
from antiphon.core.tools import CustomTool
from antiphon.ports import Constraint, Ids, Intake, ModelInfo
from antiphon.providers.messages_config import PRESET, MessagesConfig, parse_messages_config
from antiphon.providers.messages_models import PAGE, ModelFacts, Page, facts_of, made_at
from antiphon.providers.messages_parameters import asks_for_effort, bound_schema
from antiphon.providers.messages_render import MessagesRenderer
from antiphon.providers.messages_stream import MessagesDecoder
from antiphon.providers.site import Site
from antiphon.providers.sse import SSEParser
from antiphon.providers.token_counts import MESSAGES_FIELDS, count_of, only
from antiphon.providers.upstream import UpstreamClient

MESSAGES = "/messages"
COUNT = "/messages/count_tokens"
CHAT = "/chat/completions"
MODELS = "/models"
MAX_PAGES = 10
LEARNING_S = 5.0
RETIRED = "retired"
_PARAMS = {
    "messages": "input",
    "max_tokens": "max_output_tokens",
    "system": "instructions",
    "stop_sequences": "stop",
    "output_config.format": "text.format",
    "output_config": "reasoning.effort",
    "thinking": "reasoning.effort",
    "metadata": "user",
    "speed": "service_tier",
    **{
        name: name
        for name in ("model", "temperature", "top_p", "top_k", "tools", "tool_choice", "service_tier")
    },
}
"""Names of the Messages API in an upstream's refusal, and what our caller wrote instead."""
_FIELD = re.compile(r"([`'\"])(?P<quoted>[a-z_]+(?:\.[\w-]+)*)\1|(?P<bare>[a-z_]+(?:\.[\w-]+)*):")


@dataclass(slots=True)
class _Known:
    """What is known about the models, shared by the impatient copies of a provider."""

    facts: dict[str, ModelFacts] = field(default_factory=dict[str, ModelFacts])
    asked: bool = False
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)


class Anthropic:
    """One configured provider. Shared by all runs; holds no state of any of them.

    What its list of models says about each is remembered, since models differ in how they reason.
    """

    wire = "messages"

    def __init__(
        self, provider_id: str, config: MessagesConfig, client: UpstreamClient, *, lenient: bool = False
    ) -> None:
        self.provider_id = provider_id
        self.capabilities = config.capabilities
        self.address = config.base_url
        self._allowed = config.allowed_models
        self._lenient = lenient
        self._site = Site.of(provider_id, PRESET, config.upstream(), client)
        self._chat = Site.of(provider_id, PRESET, config.upstream(chat=True), client)
        self._known = _Known()
        self._renderer = MessagesRenderer(provider_id, config, lenient=lenient, facts=self._known.facts)

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

    def intake(self) -> Intake:
        """See `ports.TakesFiles`. Text goes as text, of any other kind than PDF."""
        return Intake(image_urls=True, files="pdf")

    def unenforced(self, request: ResponseRequest) -> frozenset[Constraint]:
        """See `ports.ModelProvider.unenforced`."""
        bound = bound_schema(request, self.capabilities) is not None
        never: tuple[Constraint, ...] = ("json_object", "text_grammar", "grammar")
        return frozenset(never if bound else (*never, "json_schema"))

    def dropped(self, request: ResponseRequest) -> Sequence[str]:
        """See `ports.ModelProvider.dropped`."""
        if not self._lenient:
            return ()
        model = request.model.removeprefix(f"{self.provider_id}/")
        return [found.param for found in self._renderer.unsupported(request, model)]

    async def stream(self, model: str, call: CallModel) -> AsyncGenerator[Sequence[ModelSignal], None]:
        """See `ports.ModelProvider.stream`."""
        if call.max_output_tokens is None or asks_for_effort(call.request):
            await self._learn()
        body = self._renderer.render(model, call)
        try:
            reply = await self._site.post(MESSAGES, body, model)
        except ProviderError as error:
            rename_param(error)
            raise
        custom = frozenset(tool.name for tool in call.request.model_tools if isinstance(tool, CustomTool))
        decoder = MessagesDecoder(self.provider_id, self._site.upstream.redaction, custom)
        async with reply:
            yield ()
            if not call.stream or reply.is_json:
                yield decoder.whole(await reply.read())
                return
            parser = SSEParser()
            while not (decoder.done or decoder.failure) and (chunk := await reply.next_chunk()):
                if signals := decoder.feed(parser.feed(chunk)):
                    yield signals
            if not (decoder.done or decoder.failure) and (signals := decoder.feed(parser.finish())):
                yield signals
            yield decoder.finish()
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

    async def count_tokens(self, model: str, call: CallModel) -> int | None:
        """See `ports.ModelProvider.count_tokens`."""
        if asks_for_effort(call.request):
            await self._learn()
        question = only(self._renderer.render(model, call), MESSAGES_FIELDS)
        answer = await self._site.ask(COUNT, question, model)
        return count_of(self.provider_id, COUNT, answer)

    async def compact(self, model: str, call: CallModel) -> ports.UpstreamCompaction | None:
        """See `ports.ModelProvider.compact`. That API has no route for it."""
        del model, call
        return None

    async def list_models(self) -> Sequence[ModelInfo]:
        """The models that the upstream lists and that still answer. Raises ProviderError."""
        found: list[ModelInfo] = []
        after: str | None = None
        for _ in range(MAX_PAGES):
            page = await self._page(after)
            for one in page.data:
                self._known.facts[one.id] = facts_of(one)
                allowed = self._allowed is None or one.id in self._allowed
                if allowed and one.lifecycle != RETIRED:
                    found.append(ModelInfo(one.id, made_at(one), "anthropic"))
            after = page.last_id
            if not page.has_more or after is None:
                break
        self._known.asked = True
        return found

    async def _learn(self) -> None:
        """Ask for the list of models where nobody did so far. A server without one is not asked again."""
        known = self._known
        if known.asked:
            return
        async with known.asking:
            if not known.asked:
                known.asked = True
                with suppress(Exception):  # whatever is wrong with that server, the request itself will show
                    async with asyncio.timeout(LEARNING_S):
                        await self.list_models()

    async def _page(self, after: str | None) -> Page:
        query = {"limit": "1000", **({"after_id": after} if after else {})}
        url = self._site.endpoints.url(MODELS).with_query(query)
        async with await self._site.upstream.send("GET", url, max_retries=0) as reply:
            body = await reply.read()
        try:
            return PAGE.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise ProviderProtocolError(
                self.provider_id, f'provider "{self.provider_id}" answered {MODELS} with something else.'
            ) from None

    async def aclose(self) -> None:
        """Nothing to close: connections belong to the `UpstreamClient`."""


def rename_param(error: ProviderError) -> None:
    """Refusals of this API name their field at the beginning of the message: `messages.0.content: …`."""
    said = error.message.partition(" rejected the request: ")[2]
    named = _FIELD.match(said)
    if error.param is not None or named is None:
        return
    path = (named["quoted"] or named["bare"]).split(".")
    error.param = _PARAMS.get(".".join(path[:2])) or _PARAMS.get(path[0])
