"""What is checked of a chat or text completion before it goes to the model's server.

Known parameters (`CreateChatCompletionRequest`, `CreateCompletionRequest` of the official OpenAPI) are checked for
type and range; others are the upstream's to judge and travel with the body as they came.
"""

from collections.abc import Container
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from antiphon.core.body import Metadata
from antiphon.core.errors import InvalidRequest
from antiphon.core.wire import JsonObject

Penalty = Annotated[float, Meta(ge=-2, le=2)] | None
Count = Annotated[int, Meta(ge=1, le=2**31 - 1)] | None
Temperature = Annotated[float, Meta(ge=0, le=2)] | None
Share = Annotated[float, Meta(ge=0, le=1)] | None


class ChatMessage(msgspec.Struct, frozen=True):
    """A message; the rest of it depends on the role and is the upstream's to judge."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[JsonObject] | None = None
    tool_calls: list[JsonObject] | None = None
    tool_call_id: str | None = None
    name: str | None = None


class _Sampling(msgspec.Struct, frozen=True, kw_only=True):
    model: Annotated[str, Meta(min_length=1)]
    stream: bool | None = None
    stream_options: JsonObject | None = None
    temperature: Temperature = None
    top_p: Share = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    max_tokens: Count = None
    presence_penalty: Penalty = None
    frequency_penalty: Penalty = None
    logit_bias: dict[str, float] | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    user: str | None = None


class ChatRequest(_Sampling, frozen=True, kw_only=True):
    messages: Annotated[list[ChatMessage], Meta(min_length=1, max_length=100_000)]
    audio: JsonObject | None = None
    function_call: str | JsonObject | None = None
    functions: list[JsonObject] | None = None
    logprobs: bool | None = None
    max_completion_tokens: Count = None
    metadata: Metadata | None = None
    modalities: list[str] | None = None
    parallel_tool_calls: bool | None = None
    prediction: JsonObject | None = None
    prompt_cache_key: str | None = None
    reasoning_effort: str | None = None
    response_format: JsonObject | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None
    store: bool | None = None
    tool_choice: str | JsonObject | None = None
    tools: list[JsonObject] | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    verbosity: str | None = None
    web_search_options: JsonObject | None = None


class CompletionRequest(_Sampling, frozen=True, kw_only=True):
    prompt: str | list[str | int | list[int]]
    best_of: Annotated[int, Meta(ge=0, le=20)] | None = None
    echo: bool | None = None
    logprobs: Annotated[int, Meta(ge=0, le=5)] | None = None
    suffix: str | None = None


RequestT = TypeVar("RequestT", ChatRequest, CompletionRequest)
_CHAT = msgspec.json.Decoder(ChatRequest)
_COMPLETION = msgspec.json.Decoder(CompletionRequest)


def parse_chat(body: bytes) -> ChatRequest:
    """Raises InvalidRequest, with `param`."""
    request = _decode(_CHAT, body)
    if request.stream_options is not None and not request.stream:
        raise InvalidRequest("stream_options is only allowed with `stream: true`.", param="stream_options")
    return request


def parse_completion(body: bytes) -> CompletionRequest:
    """Raises InvalidRequest, with `param`."""
    return _decode(_COMPLETION, body)


def _decode(decoder: msgspec.json.Decoder[RequestT], body: bytes) -> RequestT:
    try:
        body.decode()  # what is not known here is passed on undecoded, so nothing else looks at its bytes
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        told = str(error).replace(" - at `key` in `$", " as a key - at `$")
        problem, _, place = told.partition(" - at `$")
        raise InvalidRequest(f"{problem}.", param=_param(problem, place)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"the body is not JSON: {error}.") from None
    except RecursionError:
        raise InvalidRequest("the body is nested too deep; the limit is about 1,000 levels.") from None


def _param(problem: str, place: str) -> str | None:
    """`Object missing required field `x`` at `$.a[0]` is about `a[0].x`."""
    path = place.rstrip("`").lstrip(".").replace("[...]", "[]")
    if "missing required field" in problem:
        name = problem.rpartition("field `")[2].rstrip("`")
        path = f"{path}.{name}" if path else name
    return path or None


def with_model(body: bytes, model: str, *, without: Container[str] = ()) -> bytes:
    """The body with `model` replaced and some fields left out, everything else as it came."""
    given = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    fields: dict[str, Any] = {name: value for name, value in given.items() if name not in without}
    fields["model"] = model
    return msgspec.json.encode(fields)
