"""What chat and text completions answer (`CreateChatCompletionResponse` and its kin of the official OpenAPI).

Answers are passed through, so these shapes describe them for `/openapi.json`; nothing is decoded by them.
"""

from typing import Literal

import msgspec

from antiphon.core.wire import JsonObject

Finish = Literal["stop", "length", "tool_calls", "content_filter", "function_call"]


class ChatUsage(msgspec.Struct, kw_only=True):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: JsonObject | None = None
    completion_tokens_details: JsonObject | None = None


class CalledFunction(msgspec.Struct, kw_only=True):
    name: str
    arguments: str


class ToolCall(msgspec.Struct, kw_only=True):
    id: str
    type: Literal["function"]
    function: CalledFunction


class AssistantMessage(msgspec.Struct, kw_only=True):
    role: Literal["assistant"]
    content: str | None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None


class ChatChoice(msgspec.Struct, kw_only=True):
    index: int
    message: AssistantMessage
    finish_reason: Finish
    logprobs: JsonObject | None = None


class ChatCompletion(msgspec.Struct, kw_only=True):
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: ChatUsage | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None


class ChunkChoice(msgspec.Struct, kw_only=True):
    index: int
    delta: JsonObject
    finish_reason: Finish | None
    logprobs: JsonObject | None = None


class ChatCompletionChunk(msgspec.Struct, kw_only=True):
    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: ChatUsage | None = None


class CompletionChoice(msgspec.Struct, kw_only=True):
    index: int
    text: str
    finish_reason: Literal["stop", "length", "content_filter"] | None
    logprobs: JsonObject | None = None


class Completion(msgspec.Struct, kw_only=True):
    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: ChatUsage | None = None
