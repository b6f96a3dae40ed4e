"""The body of `POST /responses/compact` (`CompactResponseMethodPublicBody` of the official OpenAPI), and Codex's own.

`tools`, `parallel_tool_calls` and `text` are those of the request that Codex would have made: they are checked, and
then have no part in a summary.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from antiphon.core import parse, request_rules, support
from antiphon.core.body import (
    MAX_ITEMS,
    MAX_TOOLS,
    InputItem,
    PromptCacheOptions,
    ReasoningConfig,
    ServiceTier,
    TextConfig,
)
from antiphon.core.errors import InvalidRequest
from antiphon.core.hosted_items import CompactionTrigger
from antiphon.core.items import Id, Text
from antiphon.core.request import ResponseRequest
from antiphon.core.tools import Tool
from antiphon.core.wire import Json, Wire


class CompactBody(Wire, omit_defaults=True):
    """A top-level null counts as left out."""

    model: str | None = None
    input: Text | Annotated[list[InputItem], Meta(max_length=MAX_ITEMS)] | None = None
    previous_response_id: Id | None = None
    instructions: Text | None = None
    prompt_cache_key: Annotated[str, Meta(max_length=64)] | None = None
    prompt_cache_retention: Literal["in_memory", "24h"] | None = None
    prompt_cache_options: PromptCacheOptions | None = None
    service_tier: ServiceTier | None = None
    # what Codex sends besides, of the request that it would have made
    reasoning: ReasoningConfig | None = None
    tools: Annotated[list[Tool], Meta(max_length=MAX_TOOLS)] | None = None
    parallel_tool_calls: bool | None = None
    text: TextConfig | None = None
    agent: Json = None


def read_compact(body: bytes, *, lenient: bool = False) -> tuple[ResponseRequest, list[str]]:
    """The request whose context is to be compacted, and the top-level fields that a lenient server left out.

    Raises InvalidRequest or UnsupportedParameter, naming the field.
    """
    asked, left_out = parse.read(body, _DECODER, CompactBody, refuse=support.refuse_json, lenient=lenient)
    return _checked(asked), left_out


def _checked(asked: CompactBody) -> ResponseRequest:
    fields: Mapping[str, Any] = {
        name: getattr(asked, name) for name in CompactBody.__struct_fields__ if name not in ("model", "text")
    }
    request = ResponseRequest(model=asked.model or "", **fields)
    request_rules.check_identity(request)
    request_rules.check_contents(request)
    if not request.input and request.previous_response_id is None:
        raise InvalidRequest(
            "`input`: there is nothing to compact; send items, or a `previous_response_id`.", param="input"
        )
    if isinstance(request.input, list) and isinstance(request.input[-1], CompactionTrigger):
        path = f"input[{len(request.input) - 1}]"
        raise InvalidRequest(
            f"`{path}`: a compaction_trigger has no place here: this route compacts anyway.", param=path
        )
    return request


_DECODER = msgspec.json.Decoder(CompactBody)
