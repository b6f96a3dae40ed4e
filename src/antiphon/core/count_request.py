"""The body of `POST /responses/input_tokens` (`TokenCountsBody` of the official OpenAPI), as a request to count."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from antiphon.core import parse, request_rules, support
from antiphon.core.body import (
    MAX_ITEMS,
    MAX_TOOLS,
    ConversationRef,
    InputItem,
    Prompt,
    ReasoningConfig,
    TextConfig,
)
from antiphon.core.items import Id, Text
from antiphon.core.request import ResponseRequest
from antiphon.core.tools import Tool, ToolChoice
from antiphon.core.wire import Json, Wire


class CountBody(Wire, omit_defaults=True):
    """A top-level null counts as left out."""

    model: str | None = None
    input: Text | Annotated[list[InputItem], Meta(max_length=MAX_ITEMS)] | None = None
    instructions: Text | None = None
    previous_response_id: Id | None = None
    conversation: Id | ConversationRef | None = None
    prompt: Prompt | None = None
    tools: Annotated[list[Tool], Meta(max_length=MAX_TOOLS)] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    text: TextConfig | None = None
    reasoning: ReasoningConfig | None = None
    truncation: Literal["auto", "disabled"] | None = None
    personality: Annotated[str, Meta(max_length=64)] | None = None
    agent: Json = None


def read_count(body: bytes, *, lenient: bool = False) -> tuple[ResponseRequest, list[str]]:
    """The request whose input is to be counted, and the top-level fields that a lenient server left out.

    Raises InvalidRequest or UnsupportedParameter, naming the field.
    """
    asked, left_out = parse.read(body, _DECODER, CountBody, refuse=support.refuse_json, lenient=lenient)
    return _checked(asked), left_out


def _checked(asked: CountBody) -> ResponseRequest:
    support.refuse_parameter("personality", asked.personality)
    fields: Mapping[str, Any] = {
        name: getattr(asked, name)
        for name in CountBody.__struct_fields__
        if name not in ("model", "personality")
    }
    request = ResponseRequest(model=asked.model or "", **fields)
    request_rules.check_identity(request)
    request_rules.check_contents(request)
    return request


_DECODER = msgspec.json.Decoder(CountBody)
