"""Carries a compaction out: by the upstream itself where it compacts, else by a summary that the model writes."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import cast

from antiphon.core.commands import CallModel
from antiphon.core.compacting import summary_request, summary_transcript
from antiphon.core.errors import CompactionFailed
from antiphon.core.items import Message, OutputText, Refusal
from antiphon.core.signals import Compacted, ItemDone, ModelSignal, StepDone
from antiphon.ports import ModelProvider


async def compact(provider: ModelProvider, model: str, call: CallModel) -> Compacted:
    """What `call.transcript` becomes. One request to the model's server, or two where it says that it cannot compact.

    Raises CompactionFailed for a summary that is none, and what `ModelProvider.stream` raises.
    """
    made = await provider.compact(model, call)
    if made is not None:
        return Compacted(upstream=made.blob, usage=made.usage)
    return await _summed_up(provider, model, call)


async def _summed_up(provider: ModelProvider, model: str, call: CallModel) -> Compacted:
    request, transcript = summary_request(call.request), summary_transcript(call.transcript)
    asked = CallModel(request, transcript, "none", stream=False, summarises=True)
    texts: list[str] = []
    refused = False
    done: StepDone | None = None
    stream = cast("AsyncGenerator[Sequence[ModelSignal], None]", provider.stream(model, asked))
    async with aclosing(stream) as batches:
        async for batch in batches:
            for signal in batch:
                if isinstance(signal, ItemDone) and isinstance(signal.item, Message):
                    parts = signal.item.content
                    texts += [part.text for part in parts if isinstance(part, OutputText)]
                    refused = refused or any(isinstance(part, Refusal) for part in parts)
                elif isinstance(signal, StepDone):
                    done = signal
    summary = "\n\n".join(texts).strip()
    problem = _problem(summary, done, refused=refused)
    if problem is not None:
        raise CompactionFailed(request.model, problem, done.usage if done is not None else None)
    return Compacted(summary=summary, usage=done.usage if done is not None else None)


def _problem(summary: str, done: StepDone | None, *, refused: bool) -> str | None:
    if refused:
        return "it refused"
    if done is not None and done.finish == "length":
        return "its answer was cut off at its limit of tokens"
    if done is not None and done.finish == "content_filter":
        return "its answer was held back by a content filter"
    return None if summary else "its answer holds no text"
