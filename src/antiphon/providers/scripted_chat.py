"""Chat and text completions of scripted models: bodies in, signals out again as bodies and chunks.

Shapes: `CreateChatCompletionResponse`, `CreateChatCompletionStreamResponse` and `CreateCompletionResponse` of
the official OpenAPI.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import msgspec

from antiphon.core import signals
from antiphon.core.body import FormatJsonObject, FormatJsonSchema, TextConfig
from antiphon.core.commands import CallModel
from antiphon.core.items import (
    FunctionCall,
    FunctionCallOutput,
    Logprob,
    Message,
    OutputText,
    Reasoning,
    Refusal,
)
from antiphon.core.request import ResponseRequest
from antiphon.core.signals import ModelSignal, StepDone
from antiphon.core.tools import ChooseFunction, FunctionTool, ToolChoice
from antiphon.core.transcript import Transcript, TranscriptItem
from antiphon.core.usage import Usage
from antiphon.core.wire import JsonObject, encode


class _Function(msgspec.Struct, frozen=True):
    name: str
    arguments: str = ""
    parameters: JsonObject | None = None


class _Named(msgspec.Struct, frozen=True):
    """A tool, a tool call or a tool choice: they differ in nothing that is read here."""

    function: _Function
    id: str = ""


class _ChatMessage(msgspec.Struct, frozen=True):
    role: str
    content: str | list[JsonObject] | None = None
    tool_calls: list[_Named] | None = None
    tool_call_id: str = ""


class _Format(msgspec.Struct, frozen=True):
    type: str
    json_schema: JsonObject | None = None


class _StreamOptions(msgspec.Struct, frozen=True):
    include_usage: bool | None = None


class ChatBody(msgspec.Struct, frozen=True):
    """What a scripted model looks at in the body of a chat or text completion."""

    messages: list[_ChatMessage] = []
    prompt: str | list[Any] | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    tools: list[_Named] | None = None
    tool_choice: str | _Named | None = None
    parallel_tool_calls: bool | None = None
    response_format: _Format | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    logprobs: bool | int | None = None
    top_logprobs: int | None = None
    n: int | None = None
    echo: bool | None = None
    stop: str | list[str] | None = None

    def call(self) -> CallModel:
        """The same request as a model call of ours."""
        request = ResponseRequest(
            tools=[
                FunctionTool(name=one.function.name, parameters=one.function.parameters) for one in self.tools
            ]
            if self.tools
            else None,
            parallel_tool_calls=self.parallel_tool_calls,
            text=self._text(),
            top_logprobs=self.top_logprobs,
            include=["message.output_text.logprobs"] if self.logprobs else None,
            stop=self.stop,
        )
        limit = self.max_completion_tokens or self.max_tokens
        transcript = Transcript(items=tuple(self._items()))
        return CallModel(request, transcript, self._tool_choice(), limit, stream=True)

    def prompt_text(self) -> str:
        """The text completion's prompt; tokens given as numbers mean nothing to a scripted model."""
        if isinstance(self.prompt, list):
            return "\n".join(part for part in self.prompt if isinstance(part, str))
        return self.prompt or ""

    def _items(self) -> Iterator[TranscriptItem]:
        if self.prompt is not None:
            yield Message(role="user", content=self.prompt_text())
        for message in self.messages:
            text = _text(message.content)
            match message.role:
                case "tool" | "function":
                    yield FunctionCallOutput(call_id=message.tool_call_id or "call", output=text)
                case "assistant":
                    if text:
                        yield Message(role="assistant", content=text)
                    for one in message.tool_calls or ():
                        yield FunctionCall(
                            call_id=one.id, name=one.function.name, arguments=one.function.arguments
                        )
                case "user":
                    yield Message(role="user", content=text)
                case _:
                    yield Message(role="system", content=text)

    def _tool_choice(self) -> ToolChoice:
        if isinstance(self.tool_choice, _Named):
            return ChooseFunction(name=self.tool_choice.function.name)
        if self.tool_choice == "required":
            return "required"
        return "none" if self.tool_choice == "none" else "auto"

    def _text(self) -> TextConfig | None:
        if self.response_format is None or self.response_format.type == "text":
            return None
        wanted = self.response_format.json_schema
        if wanted is None:
            return TextConfig(format=FormatJsonObject())
        return TextConfig(
            format=FormatJsonSchema(name=wanted.get("name", "answer"), schema=wanted.get("schema", {}))
        )


@dataclass(slots=True)
class ScriptedReply:
    """An `UpstreamReply` whose body is made here. `batches` has already given its head."""

    batches: AsyncGenerator[Sequence[ModelSignal], None]
    shape: "Shape"

    async def read(self) -> bytes:
        """The whole body."""
        if self.shape.body.stream:
            return b"".join([chunk async for chunk in self])
        async for batch in self.batches:
            for signal in batch:
                self.shape.take(signal)
        return encode(self.shape.whole())

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The event stream, in chunks of whole events; the one body when no stream was asked for."""
        if not self.shape.body.stream:
            yield await self.read()
            return
        async for batch in self.batches:
            events = b"".join(_event(chunk) for signal in batch for chunk in self.shape.chunks(signal))
            if events:
                yield events
        yield b"data: [DONE]\n\n"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.batches.aclose()


@dataclass(slots=True)
class Shape:
    """The answer so far, as the two kinds of completion show it. Each of `n` choices is the same."""

    id: str
    created: int
    model: str
    body: ChatBody
    text: bool
    """A text completion, not a chat."""
    finish: str = "stop"
    usage: Usage = field(default_factory=Usage)
    _begun: bool = False
    _calls: dict[int, int] = field(default_factory=dict[int, int])
    _items: list[signals.ModelItem] = field(default_factory=list[signals.ModelItem])

    def take(self, signal: ModelSignal) -> None:
        if isinstance(signal, signals.ItemDone):
            self._items.append(signal.item)
        elif isinstance(signal, StepDone):
            self.finish, self.usage = signal.finish, signal.usage or Usage()

    def whole(self) -> JsonObject:
        choices = [self._choice(index) for index in range(self.body.n or 1)]
        return {
            **self._frame("text_completion" if self.text else "chat.completion", choices),
            "usage": self._usage(),
        }

    def chunks(self, signal: ModelSignal) -> Iterator[JsonObject]:
        """The chunks that show a signal."""
        self.take(signal)
        if self.text:
            yield from self._text_chunks(signal)
            return
        if not self._begun:
            self._begun = True
            yield self._delta({"role": "assistant", "content": ""})
        match signal:
            case signals.TextDelta(text=text, logprobs=logprobs):
                yield self._delta({"content": text}, logprobs=_logprobs(logprobs))
            case signals.RefusalDelta(text=text):
                yield self._delta({"refusal": text})
            case signals.ReasoningDelta(text=text):
                yield self._delta({"reasoning_content": text})
            case signals.ItemStarted(slot=slot, item=FunctionCall() as call):
                index = self._calls.setdefault(slot, len(self._calls))
                yield self._delta({"tool_calls": [{"index": index, **_tool_call(call)}]})
            case signals.ArgumentsDelta(slot=slot, text=text):
                yield self._delta(
                    {"tool_calls": [{"index": self._calls[slot], "function": {"arguments": text}}]}
                )
            case StepDone():
                yield self._delta({}, finish=self.finish)
                yield from self._last_chunk("chat.completion.chunk")
            case _:
                return

    def _text_chunks(self, signal: ModelSignal) -> Iterator[JsonObject]:
        if isinstance(signal, signals.TextDelta):
            said = signal.text
            if self.body.echo and not self._begun:
                said = self.body.prompt_text() + said
            self._begun = True
            choices = [self._text_choice(index, said, None) for index in range(self.body.n or 1)]
            yield self._frame("text_completion", choices)
        elif isinstance(signal, StepDone):
            choices = [self._text_choice(index, "", self.finish) for index in range(self.body.n or 1)]
            yield self._frame("text_completion", choices)
            yield from self._last_chunk("text_completion")

    def _last_chunk(self, kind: str) -> Iterator[JsonObject]:
        if self.body.stream_options is not None and self.body.stream_options.include_usage:
            yield {**self._frame(kind, []), "usage": self._usage()}

    def _delta(
        self, delta: JsonObject, *, finish: str | None = None, logprobs: JsonObject | None = None
    ) -> JsonObject:
        choices = [
            {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
            for index in range(self.body.n or 1)
        ]
        return self._frame("chat.completion.chunk", choices)

    def _frame(self, kind: str, choices: list[JsonObject]) -> JsonObject:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "choices": choices,
        }

    def _choice(self, index: int) -> JsonObject:
        parts = [part for item in self._items if isinstance(item, Message) for part in item.content]
        said = "".join(part.text for part in parts if isinstance(part, OutputText))
        if self.text:
            return self._text_choice(
                index, (self.body.prompt_text() if self.body.echo else "") + said, self.finish
            )
        refused = "".join(part.refusal for part in parts if isinstance(part, Refusal))
        calls = [_tool_call(item) for item in self._items if isinstance(item, FunctionCall)]
        message: JsonObject = {"role": "assistant", "content": said or None, "refusal": refused or None}
        if calls:
            message["tool_calls"] = calls
        thoughts = [item.content for item in self._items if isinstance(item, Reasoning) and item.content]
        if thoughts:
            message["reasoning_content"] = "".join(part.text for content in thoughts for part in content)
        logprobs = [one for part in parts if isinstance(part, OutputText) for one in part.logprobs or ()]
        return {
            "index": index,
            "message": message,
            "logprobs": _logprobs(logprobs),
            "finish_reason": self.finish,
        }

    @staticmethod
    def _text_choice(index: int, text: str, finish: str | None) -> JsonObject:
        return {"index": index, "text": text, "logprobs": None, "finish_reason": finish}

    def _usage(self) -> JsonObject:
        return {
            "prompt_tokens": self.usage.input_tokens,
            "completion_tokens": self.usage.output_tokens,
            "total_tokens": self.usage.total_tokens,
            "prompt_tokens_details": {"cached_tokens": self.usage.input_tokens_details.cached_tokens},
            "completion_tokens_details": {
                "reasoning_tokens": self.usage.output_tokens_details.reasoning_tokens
            },
        }


def _text(content: str | list[JsonObject] | None) -> str:
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content)
    return content or ""


def _tool_call(call: FunctionCall) -> JsonObject:
    return {
        "id": call.call_id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }


def _logprobs(logprobs: Sequence[Logprob]) -> JsonObject | None:
    return {"content": list(logprobs), "refusal": None} if logprobs else None


def _event(chunk: JsonObject) -> bytes:
    return b"data: %b\n\n" % encode(chunk)
