"""Model calls that MCP servers ask for in the middle of a call (sampling): off unless the operator allows it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec

from antiphon.core.commands import CallModel, CallTool
from antiphon.core.errors import AntiphonError
from antiphon.core.hosted_items import McpCall, McpSamplingCall
from antiphon.core.items import InputText, Message, OutputText
from antiphon.core.mcp import Sampled, Sampling
from antiphon.core.request import ResponseRequest
from antiphon.core.transcript import Transcript
from antiphon.core.usage import Usage
from antiphon.models.asking import answer_to
from antiphon.models.catalog import Resolved
from antiphon.ports import ModelProvider
from antiphon.ports.mcp import SamplingRefused


@dataclass(frozen=True, slots=True)
class Made:
    """What became of one. `problem` says why there is no text; it is for the server and for who looks on."""

    model: str
    text: str = ""
    stop_reason: str = "endTurn"
    problem: str = ""
    usage: Usage | None = None

    def item(self, call: CallTool) -> McpSamplingCall:
        """What is shown of it, without id."""
        label = call.item.server_label if isinstance(call.item, McpCall) else ""
        name = call.item.name if isinstance(call.item, McpCall) else call.call.name
        return McpSamplingCall(
            id="",
            server_label=label,
            name=name,
            model=self.model,
            output=self.text if not self.problem else None,
            error=self.problem or None,
            usage=msgspec.to_builtins(self.usage) if self.usage is not None else None,
            status="failed" if self.problem else "completed",
        )

    def result(self) -> Sampled:
        """Raises SamplingRefused where there is no text."""
        if self.problem:
            raise SamplingRefused(self.problem)
        return Sampled(self.text, self.model, self.stop_reason)


@dataclass(frozen=True, slots=True)
class Sampler:
    """Carries them out. `model`: the one that answers, in place of the response's own; `max_calls` of one response."""

    enabled: bool = False
    model: str = ""
    max_tokens: int = 4096
    max_calls: int = 16
    resolve: Callable[[str], Awaitable[Resolved]] | None = None

    async def sample(
        self,
        asked: Sampling,
        number: int,
        tokens_left: int | None,
        provider: ModelProvider,
        upstream_model: str,
    ) -> Made:
        """Number `number` of this response. `tokens_left` is what the response may still generate.

        Raises SamplingRefused where the operator, or a limit of the request, does not allow it.
        """
        if not self.enabled:
            raise SamplingRefused("this server calls no models for MCP servers (mcp.sampling.enabled)")
        if number > self.max_calls:
            raise SamplingRefused(f"there were {self.max_calls} model calls in this response already")
        most = min(asked.max_tokens, self.max_tokens, self.max_tokens if tokens_left is None else tokens_left)
        if most < 1:
            raise SamplingRefused("the response may generate no more tokens")
        shown = upstream_model
        try:
            if self.model and self.resolve is not None:
                resolved = await self.resolve(self.model)
                provider, upstream_model, shown = resolved.provider, resolved.upstream_model, self.model
            answer = await answer_to(provider, upstream_model, _call(asked, upstream_model, most))
        except AntiphonError as error:
            return Made(shown, problem=f"the model could not be asked: {error.message}")
        if answer.problem is not None:
            return Made(shown, problem=f"the model was asked, and {answer.problem}", usage=answer.usage)
        ended = "maxTokens" if answer.was_cut_off else "endTurn"
        stop = answer.done.stop_sequence if answer.done is not None else None
        return Made(shown, answer.text, "stopSequence" if stop else ended, usage=answer.usage)


def _call(asked: Sampling, upstream_model: str, max_tokens: int) -> CallModel:
    request = ResponseRequest(
        model=upstream_model, store=False, temperature=asked.temperature, stop=list(asked.stop) or None
    )
    transcript = Transcript(asked.system_prompt, (), tuple(_message(*one) for one in asked.messages))
    return CallModel(request, transcript, "none", max_output_tokens=max_tokens, stream=False)


def _message(role: str, text: str) -> Message:
    if role == "assistant":
        return Message(role="assistant", content=[OutputText(text=text, annotations=[], logprobs=[])])
    return Message(role="user", content=[InputText(text=text)])
