"""The part of chat completion answers that we read: every field optional, unknown ones skipped by the
decoder.

Sources: `CreateChatCompletionStreamResponse` and `CreateChatCompletionResponse` of the official OpenAPI, and
the recorded traffic listed in `docs/reference/recordings.md`.
"""

from contextlib import suppress
from typing import Any, Literal

import msgspec

from antiphon.core.items import Logprob, TopLogprob, UrlCitation
from antiphon.core.json_values import is_array, is_object
from antiphon.core.signals import FinishReason
from antiphon.core.usage import InputDetails, OutputDetails, Usage


class Function(msgspec.Struct):
    name: str | None = None
    arguments: str | dict[str, Any] | list[Any] | None = None


class Custom(msgspec.Struct):
    """The call of a custom tool."""

    name: str | None = None
    input: str | None = None

    @property
    def function(self) -> Function:
        return Function(self.name, self.input)


class ToolCall(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: Function | None = None
    custom: Custom | None = None


class Delta(msgspec.Struct):
    """A `delta`, and also a whole `message`: they differ in nothing that we read."""

    content: str | list[Any] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[Any] | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: Function | None = None
    annotations: list[Any] | None = None

    @property
    def holds_more(self) -> bool:
        """Whether there is anything besides `content`."""
        return bool(
            self.tool_calls
            or self.reasoning_content
            or self.reasoning
            or self.reasoning_details
            or self.refusal
            or self.function_call
            or self.annotations
        )


class RawTopLogprob(msgspec.Struct):
    token: str = ""
    logprob: float | None = None
    bytes: list[int] | None = None


class RawLogprob(msgspec.Struct):
    token: str = ""
    logprob: float | None = None
    bytes: list[int] | None = None
    top_logprobs: list[RawTopLogprob] | None = None


class Logprobs(msgspec.Struct):
    content: list[RawLogprob] | None = None


class Choice(msgspec.Struct):
    index: int | None = 0
    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: str | None = None
    logprobs: Logprobs | None = None
    stop_reason: Any = None
    """vLLM: the stop string that was met, or the number of a token."""
    matched_stop: Any = None
    """The same of SGLang."""

    @property
    def stop_sequence(self) -> str | None:
        for met in (self.stop_reason, self.matched_stop):
            if isinstance(met, str):
                return met
        return None


class PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class CompletionDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class RawUsage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None
    prompt_cache_hit_tokens: int | None = None
    """DeepSeek's name for cached tokens."""


class RawUrlCitation(msgspec.Struct):
    url: str
    title: str = ""
    start_index: int = 0
    end_index: int = 0

    def annotation(self) -> UrlCitation:
        return UrlCitation(
            url=self.url, title=self.title, start_index=self.start_index, end_index=self.end_index
        )


class RawAnnotation(msgspec.Struct):
    """The one annotation that chat completions have."""

    url_citation: RawUrlCitation


class Chunk(msgspec.Struct):
    """One chunk of a stream, or a whole answer."""

    choices: list[Choice] | None = None
    usage: RawUsage | None = None
    service_tier: str | None = None
    error: Any = None
    object: str | None = None
    message: Any = None
    """With `object: "error"`, the way vLLM wrote errors until 2025."""
    code: Any = None


FINISH_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "complete": "stop",
    "length": "length",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_length": "length",
    "model_context_window_exceeded": "length",
    "tool_calls": "tool_calls",
    "tool_call": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "safety": "content_filter",
    "recitation": "content_filter",
    "blocklist": "content_filter",
    "prohibited_content": "content_filter",
    "refusal": "content_filter",
    "sensitive": "content_filter",
}
"""What upstreams write as `finish_reason`, lower-cased, and what it means here. A word not listed counts as
`stop`.
"""

BROKEN_REASONS = frozenset({"error", "abort", "insufficient_system_resource", "network_error"})
"""Finish reasons that say the upstream gave up: an error, not an end."""


def usage_of(raw: RawUsage) -> Usage:
    prompt, completion = raw.prompt_tokens or 0, raw.completion_tokens or 0
    details, out = raw.prompt_tokens_details, raw.completion_tokens_details
    cached = (details.cached_tokens if details else None) or raw.prompt_cache_hit_tokens or 0
    return Usage(
        input_tokens=prompt,
        input_tokens_details=InputDetails(
            cached_tokens=cached, cache_write_tokens=(details.cache_write_tokens if details else None) or 0
        ),
        output_tokens=completion,
        output_tokens_details=OutputDetails(reasoning_tokens=(out.reasoning_tokens if out else None) or 0),
        total_tokens=raw.total_tokens or prompt + completion,
    )


NO_LOGPROB = -9999.0
"""What OpenAI writes for a token that is very unlikely; stands for null here."""


def logprobs_of(raw: Logprobs) -> tuple[Logprob, ...]:
    return tuple(
        Logprob(
            token=one.token,
            logprob=NO_LOGPROB if one.logprob is None else one.logprob,
            bytes=_bytes(one),
            top_logprobs=[
                TopLogprob(
                    token=top.token,
                    logprob=NO_LOGPROB if top.logprob is None else top.logprob,
                    bytes=_bytes(top),
                )
                for top in one.top_logprobs or ()
            ],
        )
        for one in raw.content or ()
    )


def _bytes(raw: RawLogprob | RawTopLogprob) -> list[int]:
    return list(raw.token.encode("utf-8", "surrogatepass")) if raw.bytes is None else raw.bytes


def detailed_reasoning(delta: Delta) -> str:
    """OpenRouter's `reasoning_details`, where nothing simpler came beside it."""
    if not delta.reasoning_details:
        return ""
    texts = [one.get("text") or one.get("summary") for one in delta.reasoning_details if is_object(one)]
    return "".join(text for text in texts if isinstance(text, str))


def parts_of(content: list[Any]) -> list[tuple[Literal["text", "thinking"], str]]:
    """Content as a list of parts (Mistral): what each is, and its text."""
    found: list[tuple[Literal["text", "thinking"], str]] = []
    for part in content:
        if isinstance(part, str):
            found.append(("text", part))
        elif is_object(part):
            thinks = part.get("type") == "thinking"
            inner: Any = part.get("thinking" if thinks else "text")
            if is_array(inner):
                inner = "".join(text for _, text in parts_of(inner))
            if isinstance(inner, str) and inner:
                found.append(("thinking" if thinks else "text", inner))
    return found


def citations_of(raw: list[Any]) -> list[UrlCitation]:
    """Chat `url_citation`s as the Responses annotations of that name; others are left out."""
    found: list[UrlCitation] = []
    for one in raw:
        with suppress(msgspec.ValidationError):
            found.append(msgspec.convert(one, RawAnnotation).url_citation.annotation())
    return found
