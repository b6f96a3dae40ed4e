"""What the rules of a route look at in a request, and the estimate of its input tokens.

The estimate is `core.token_estimate`. No tokenizer is asked: candidates have different ones, and a rule needs the
size, not the number.
"""

from dataclasses import dataclass
from typing import Any

import msgspec

from antiphon.core.body import FormatJsonSchema
from antiphon.core.commands import CallModel
from antiphon.core.json_values import is_object
from antiphon.core.request import ResponseRequest
from antiphon.core.token_estimate import FILE_MARKS, IMAGE_MARKS, estimate, estimate_json, holds
from antiphon.core.wire import encode
from antiphon.models.route import When

_NO_EFFORT = (None, msgspec.UNSET, "none")


@dataclass(frozen=True, slots=True)
class Traits:
    """`input_tokens` is 0 where no rule asks for it."""

    input_tokens: int
    tools: bool
    images: bool
    files: bool
    json_schema: bool
    reasoning: bool
    stream: bool

    def unmet(self, when: When) -> str | None:
        """The first condition that this request does not meet, as it is written; None when it meets all."""
        if when.min_input_tokens is not None and self.input_tokens < when.min_input_tokens:
            return f"min_input_tokens: {when.min_input_tokens}"
        if when.max_input_tokens is not None and self.input_tokens > when.max_input_tokens:
            return f"max_input_tokens: {when.max_input_tokens}"
        for name in ("tools", "images", "files", "json_schema", "reasoning", "stream"):
            wanted: bool | None = getattr(when, name)
            if wanted is not None and wanted != getattr(self, name):
                return f"{name}: {str(wanted).lower()}"
        return None


def traits_of(call: CallModel, *, count: bool) -> Traits:
    """The traits of a model call, the history of its chain included. `count`: whether to estimate tokens."""
    request, transcript = call.request, call.transcript
    turns = [array for turn in transcript.history for array in (turn.input, turn.output)]
    arrays = [*turns, encode(transcript.items)]
    return Traits(
        input_tokens=estimate(request, transcript) if count else 0,
        tools=bool(request.tools),
        images=holds(arrays, IMAGE_MARKS),
        files=holds(arrays, FILE_MARKS),
        json_schema=_wants_schema(request),
        reasoning=request.reasoning is not None and request.reasoning.effort not in _NO_EFFORT,
        stream=call.stream,
    )


def traits_of_body(body: bytes, *, count: bool) -> Traits:
    """The traits of a body that is passed on: a chat or text completion, embeddings, a rerank."""
    fields = msgspec.json.decode(body, type=dict[str, Any])
    compact = encode(fields)
    response_format = fields.get("response_format")
    reasoning = fields.get("reasoning")
    effort = reasoning.get("effort") if is_object(reasoning) else fields.get("reasoning_effort")
    return Traits(
        input_tokens=estimate_json(compact) if count else 0,
        tools=bool(fields.get("tools") or fields.get("functions")),
        images=holds([compact], IMAGE_MARKS),
        files=holds([compact], FILE_MARKS),
        json_schema=is_object(response_format) and response_format.get("type") == "json_schema",
        reasoning=effort not in _NO_EFFORT,
        stream=fields.get("stream") is True,
    )


def _wants_schema(request: ResponseRequest) -> bool:
    return request.text is not None and isinstance(request.text.format, FormatJsonSchema)
