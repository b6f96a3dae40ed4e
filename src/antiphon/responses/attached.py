"""A provider whose model is shown its calls otherwise: with the images and files that a request refers to, for one."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Protocol, cast

from antiphon.core.commands import CallModel
from antiphon.core.request import ResponseRequest
from antiphon.core.signals import ModelSignal
from antiphon.core.token_estimate import estimate
from antiphon.ports import (
    Constraint,
    Intake,
    ModelInfo,
    ModelProvider,
    TakesFiles,
    UpstreamCompaction,
    UpstreamReply,
)


def intake_of(provider: ModelProvider) -> Intake:
    return provider.intake() if isinstance(provider, TakesFiles) else Intake()


class Showing(Protocol):
    """What is to be shown otherwise, of one request."""

    async def shown(self, call: CallModel, intake: Intake) -> CallModel:
        """The call as a model of this intake is to see it. Raises AntiphonError before anything is sent."""
        ...


class Attached:
    """Stands before the provider of one request; everything but what the model sees is the provider's own."""

    def __init__(self, provider: ModelProvider, given: Showing) -> None:
        self._provider = provider
        self._given = given

    @property
    def provider_id(self) -> str:
        return self._provider.provider_id

    def intake(self) -> Intake:
        return intake_of(self._provider)

    def unenforced(self, request: ResponseRequest) -> frozenset[Constraint]:
        """See `ports.ModelProvider.unenforced`."""
        return self._provider.unenforced(request)

    def dropped(self, request: ResponseRequest) -> Sequence[str]:
        """See `ports.ModelProvider.dropped`."""
        return self._provider.dropped(request)

    async def stream(self, model: str, call: CallModel) -> AsyncGenerator[Sequence[ModelSignal], None]:
        """See `ports.ModelProvider.stream`. Raises what `Showing.shown` raises before anything is sent."""
        shown = await self._shown(call)
        stream = cast("AsyncGenerator[Sequence[ModelSignal], None]", self._provider.stream(model, shown))
        async with aclosing(stream) as batches:
            async for batch in batches:
                yield batch

    async def open(self, path: str, body: bytes, *, model: str) -> UpstreamReply:
        """See `ports.ModelProvider.open`."""
        return await self._provider.open(path, body, model=model)

    async def count_tokens(self, model: str, call: CallModel) -> int | None:
        """See `ports.ModelProvider.count_tokens`."""
        return await self._provider.count_tokens(model, await self._shown(call))

    async def estimated_tokens(self, call: CallModel) -> int:
        """By the rule of thumb, of what the model is shown."""
        shown = await self._shown(call)
        return estimate(shown.request, shown.transcript)

    async def compact(self, model: str, call: CallModel) -> UpstreamCompaction | None:
        """See `ports.ModelProvider.compact`."""
        return await self._provider.compact(model, await self._shown(call))

    async def list_models(self) -> Sequence[ModelInfo]:
        """See `ports.ModelProvider.list_models`."""
        return await self._provider.list_models()

    async def aclose(self) -> None:
        """The provider is closed by who made it."""

    async def _shown(self, call: CallModel) -> CallModel:
        return await self._given.shown(call, self.intake())
