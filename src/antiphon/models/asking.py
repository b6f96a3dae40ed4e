"""A model asked for a text and nothing else: a summary, a sentence about a chunk, another wording of a query."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import cast

from antiphon.core.commands import CallModel
from antiphon.core.errors import ProviderError
from antiphon.core.items import InputText, Message, OutputText, Refusal
from antiphon.core.request import ResponseRequest
from antiphon.core.signals import ItemDone, ModelSignal, StepDone
from antiphon.core.transcript import Transcript
from antiphon.core.usage import Usage
from antiphon.ports import ModelProvider


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said to one call. Its reasoning and its calls are left out."""

    text: str
    refused: bool
    done: StepDone | None

    @property
    def usage(self) -> Usage | None:
        return self.done.usage if self.done is not None else None

    @property
    def was_cut_off(self) -> bool:
        return self.done is not None and self.done.finish == "length"

    @property
    def problem(self) -> str | None:
        """Why there is no text to go on with, as the end of a sentence; None where there is."""
        if self.refused:
            return "it refused"
        if self.done is not None and self.done.finish == "content_filter":
            return "its answer was held back by a content filter"
        if self.text:
            return None
        if self.was_cut_off:
            return "its answer was cut off at its limit of tokens before it held any text"
        return "its answer holds no text"


async def ask(
    provider: ModelProvider, upstream_model: str, instructions: str, text: str, max_tokens: int
) -> str:
    """The model's answer to `text` under `instructions`, without white space around it. An answer that reached
    `max_tokens` ends there.

    Raises ProviderError when it refused or said nothing, and what `ModelProvider.stream` raises.
    """
    request = ResponseRequest(model=upstream_model, store=False)
    asked = Message(role="user", content=[InputText(text=text)])
    transcript = Transcript(instructions, (), (asked,))
    call = CallModel(request, transcript, "none", max_output_tokens=max_tokens, stream=False)
    answer = await answer_to(provider, upstream_model, call)
    if answer.problem is not None:
        name = provider.provider_id
        raise ProviderError(name, f'model "{upstream_model}" was asked for a text, and {answer.problem}.')
    return answer.text


async def answer_to(provider: ModelProvider, upstream_model: str, call: CallModel) -> Answer:
    """All that the model writes in one call, its messages joined by empty lines. Raises what `ModelProvider.stream`
    raises.
    """
    texts: list[str] = []
    refused = False
    done: StepDone | None = None
    stream = cast("AsyncGenerator[Sequence[ModelSignal], None]", provider.stream(upstream_model, call))
    async with aclosing(stream) as batches:
        async for batch in batches:
            for signal in batch:
                if isinstance(signal, ItemDone) and isinstance(signal.item, Message):
                    parts = signal.item.content
                    texts += [part.text for part in parts if isinstance(part, OutputText)]
                    refused = refused or any(isinstance(part, Refusal) for part in parts)
                elif isinstance(signal, StepDone):
                    done = signal
    return Answer("\n\n".join(texts).strip(), refused, done)
