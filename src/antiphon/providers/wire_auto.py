"""`wire: auto`: one upstream, spoken to by responses where it has them, else by chat completions."""

import copy
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

from antiphon import ports
from antiphon.core.commands import CallModel
from antiphon.core.errors import ProviderError, ProviderProtocolError
from antiphon.core.request import ResponseRequest
from antiphon.core.signals import ModelSignal
from antiphon.ports import Constraint, Intake, ModelInfo
from antiphon.providers.capabilities import Capabilities, ResponsesCapabilities
from antiphon.providers.openai_responses import RESPONSES, OpenAIResponses
from antiphon.providers.wire_probe import LIMIT_S, Wire, WireProbe

Batches = AsyncGenerator[Sequence[ModelSignal], None]
_NOT_BY_RESPONSES = re.compile(
    r"(?:not (?:supported|available|compatible)|cannot be used|unsupported).{0,40}responses"
    r"|only supported in v1/chat|responses.{0,40}not (?:supported|available|enabled)",
    re.IGNORECASE,
)
"""How OpenAI and Azure say that a model is for chat completions only."""

KEPT_MODELS = 1_000


class AutoWire:
    """Holds both wires. A request that only chat can honour whole goes by chat, whatever the server has."""

    def __init__(self, responses: OpenAIResponses, *, probe_limit_s: float = LIMIT_S) -> None:
        self.provider_id = responses.provider_id
        self._responses = responses
        self._chat = responses.chat
        self._probe = WireProbe(responses.site, RESPONSES, probe_limit_s)
        self._chat_models: set[str] = set()

    @property
    def wire(self) -> str:
        """What the server was found to speak; `auto` while it was not asked."""
        return self._probe.known or "auto"

    async def find_wire(self) -> None:
        """Ask the server now, for who wants to look at it."""
        await self._probe.wire()

    @property
    def capabilities(self) -> Capabilities | ResponsesCapabilities:
        """Those of the wire that is used."""
        used = self._responses if self._probe.known == "responses" else self._chat
        return used.capabilities

    def without_waiting(self) -> "AutoWire":
        """See `ports.Patient`. What is known of the server is shared."""
        hasty = copy.copy(self)
        hasty._responses = self._responses.without_waiting()  # noqa: SLF001  # a copy of this very object
        hasty._chat = hasty._responses.chat  # noqa: SLF001  # a copy of this very object
        return hasty

    @property
    def calls_in_words(self) -> bool:
        """See `ports.CallsInWords`."""
        return self._chat.calls_in_words

    def intake(self) -> Intake:
        """See `ports.TakesFiles`: while either wire may be used, what both take."""
        by_chat, by_responses = self._chat.intake(), self._responses.intake()
        known = {"chat": by_chat, "responses": by_responses}
        return known.get(self.wire) or by_chat.shared(by_responses)

    def unenforced(self, request: ResponseRequest) -> frozenset[Constraint]:
        """See `ports.ModelProvider.unenforced`: while either wire may be used, what either leaves open."""
        by_chat = self._chat.unenforced(request)
        return by_chat if self._probe.known == "chat" else by_chat | self._responses.unenforced(request)

    def dropped(self, request: ResponseRequest) -> Sequence[str]:
        """See `ports.ModelProvider.dropped`."""
        by_responses = self._probe.known == "responses" and self._prefers_responses(request)
        return (self._responses if by_responses else self._chat).dropped(request)

    def stream(self, model: str, call: CallModel) -> AsyncIterator[Sequence[ModelSignal]]:
        """See `ports.ModelProvider.stream`."""
        return _ChosenStream(self, model, call)

    async def begin(self, model: str, call: CallModel) -> tuple[Batches, Sequence[ModelSignal]]:
        """The stream by the wire that is right for this call, and its first batch."""
        if await self._wire_for(model, call.request) == "responses":
            try:
                return await _begun(self._responses.stream(model, call))
            except ProviderError as error:
                if not _is_for_chat(error):
                    raise
            if len(self._chat_models) < KEPT_MODELS:
                self._chat_models.add(model)
        return await _begun(self._chat.stream(model, call))

    async def _wire_for(self, model: str, request: ResponseRequest) -> Wire:
        if model in self._chat_models or not self._prefers_responses(request):
            return "chat"
        return await self._probe.wire() or "chat"

    def _prefers_responses(self, request: ResponseRequest) -> bool:
        return not self._responses.unsupported(request) or bool(self._chat.unsupported(request))

    async def open(self, path: str, body: bytes, *, model: str) -> ports.UpstreamReply:
        """See `ports.ModelProvider.open`."""
        return await self._chat.open(path, body, model=model)

    async def count_tokens(self, model: str, call: CallModel) -> int | None:
        """See `ports.ModelProvider.count_tokens`: by the wire that this call would take."""
        by_responses = await self._wire_for(model, call.request) == "responses"
        return await (self._responses if by_responses else self._chat).count_tokens(model, call)

    async def compact(self, model: str, call: CallModel) -> ports.UpstreamCompaction | None:
        """See `ports.ModelProvider.compact`."""
        by_responses = await self._wire_for(model, call.request) == "responses"
        return await (self._responses if by_responses else self._chat).compact(model, call)

    async def list_models(self) -> Sequence[ModelInfo]:
        """See `ports.ModelProvider.list_models`."""
        return await self._chat.list_models()

    async def aclose(self) -> None:
        await self._probe.aclose()


def _is_for_chat(error: ProviderError) -> bool:
    """Whether the refusal is of the wire, not of the request."""
    if isinstance(error, ProviderProtocolError):
        return error.upstream_status in (404, 405)
    about_the_model = error.param in (None, "model")  # what is said of a parameter is no word on the wire
    return (
        error.upstream_status is not None
        and about_the_model
        and bool(_NOT_BY_RESPONSES.search(error.message))
    )


async def _begun(batches: Batches) -> tuple[Batches, Sequence[ModelSignal]]:
    try:
        return batches, await anext(batches)
    except BaseException:
        await batches.aclose()
        raise


class _ChosenStream:
    """Chooses when it is first asked. From then on `async for` goes over the wire's own iterator."""

    __slots__ = ("_batches", "_call", "_model", "_provider")

    def __init__(self, provider: AutoWire, model: str, call: CallModel) -> None:
        self._provider = provider
        self._model = model
        self._call = call
        self._batches: Batches | None = None

    def __aiter__(self) -> AsyncIterator[Sequence[ModelSignal]]:
        return self if self._batches is None else self._batches

    async def __anext__(self) -> Sequence[ModelSignal]:
        if self._batches is not None:
            return await anext(self._batches)
        self._batches, head = await self._provider.begin(self._model, self._call)
        return head

    async def aclose(self) -> None:
        if self._batches is not None:
            await self._batches.aclose()
