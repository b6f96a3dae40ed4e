"""A provider whose model is told its tools in words, and whose answers are read for calls."""

import secrets
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import cast

from antiphon.core.call_formats import CallFormat
from antiphon.core.commands import CallModel
from antiphon.core.prompted_calls import SystemBehavior, in_words, shows_tools, without_tools
from antiphon.core.request import ResponseRequest
from antiphon.core.signals import ModelSignal
from antiphon.core.token_estimate import estimate
from antiphon.core.tools import CustomTool
from antiphon.models.prompted_answer import PromptedAnswer
from antiphon.models.prompted_chat import ReadReply, chat_in_words
from antiphon.ports import (
    CallsInWords,
    Constraint,
    Intake,
    ModelInfo,
    ModelProvider,
    Patient,
    TakesFiles,
    UpstreamCompaction,
    UpstreamReply,
)

CHAT = "/chat/completions"
ALL_CONSTRAINTS: frozenset[Constraint] = frozenset(("json_schema", "json_object", "text_grammar", "grammar"))


def new_call_id() -> str:
    return f"call_{secrets.token_hex(16)}"


@dataclass(frozen=True, slots=True)
class Prompting:
    """How tools are told. See `core.prompted_calls.in_words`."""

    form: CallFormat = "json"
    behavior: SystemBehavior = "append"
    new_id: Callable[[], str] = new_call_id


def told_in_words(provider: ModelProvider) -> ModelProvider:
    """The provider behind what tells its tools in words, where its configuration says so (`tool_calls: prompted`)."""
    asked = isinstance(provider, CallsInWords) and provider.calls_in_words
    return Prompted(provider, Prompting()) if asked else provider


class Prompted:
    """Stands before a provider. Requests without tools, and without calls in what came before, pass as they are."""

    def __init__(self, provider: ModelProvider, prompting: Prompting) -> None:
        self._provider = provider
        self._prompting = prompting

    @property
    def provider_id(self) -> str:
        return self._provider.provider_id

    def without_waiting(self) -> ModelProvider:
        """See `ports.Patient`."""
        inner = self._provider
        return Prompted(inner.without_waiting(), self._prompting) if isinstance(inner, Patient) else self

    def intake(self) -> Intake:
        """See `ports.TakesFiles`."""
        return self._provider.intake() if isinstance(self._provider, TakesFiles) else Intake()

    def unenforced(self, request: ResponseRequest) -> frozenset[Constraint]:
        """See `ports.ModelProvider.unenforced`. Beside tools everything is said in words, which bind nobody."""
        return ALL_CONSTRAINTS if request.tools else self._provider.unenforced(request)

    def dropped(self, request: ResponseRequest) -> Sequence[str]:
        """See `ports.ModelProvider.dropped`."""
        return self._provider.dropped(without_tools(request))

    async def stream(self, model: str, call: CallModel) -> AsyncGenerator[Sequence[ModelSignal], None]:
        """See `ports.ModelProvider.stream`."""
        answer = self._answer(call) if shows_tools(call) else None
        stream = cast(
            "AsyncGenerator[Sequence[ModelSignal], None]", self._provider.stream(model, self._shown(call))
        )
        async with aclosing(stream) as batches:
            head = True
            async for batch in batches:
                taken = batch if answer is None else answer.take(batch)
                if taken or head:
                    yield taken
                head = False

    async def open(self, path: str, body: bytes, *, model: str) -> UpstreamReply:
        """See `ports.ModelProvider.open`. Chat completions are read for calls as well, in the form that was told."""
        if path != CHAT:
            return await self._provider.open(path, body, model=model)
        sent, tools = chat_in_words(body, self._prompting.form, self._prompting.new_id)
        reply = await self._provider.open(path, sent, model=model)
        return reply if tools is None else ReadReply(reply, tools)

    async def count_tokens(self, model: str, call: CallModel) -> int | None:
        """See `ports.ModelProvider.count_tokens`."""
        return await self._provider.count_tokens(model, self._shown(call))

    async def estimated_tokens(self, call: CallModel) -> int:
        """By the rule of thumb, of what the model is shown."""
        shown = self._shown(call)
        return estimate(shown.request, shown.transcript)

    async def compact(self, model: str, call: CallModel) -> UpstreamCompaction | None:
        """See `ports.ModelProvider.compact`."""
        return await self._provider.compact(model, self._shown(call))

    async def list_models(self) -> Sequence[ModelInfo]:
        """See `ports.ModelProvider.list_models`."""
        return await self._provider.list_models()

    async def aclose(self) -> None:
        await self._provider.aclose()

    def _shown(self, call: CallModel) -> CallModel:
        return in_words(call, self._prompting.form, self._prompting.behavior)

    def _answer(self, call: CallModel) -> PromptedAnswer:
        tools = call.request.model_tools
        names = frozenset(tool.name for tool in tools)
        custom = frozenset(tool.name for tool in tools if isinstance(tool, CustomTool))
        return PromptedAnswer(self._prompting.form, names, custom, self._prompting.new_id)
