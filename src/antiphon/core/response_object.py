"""The whole response object, and the other bodies that the `/responses` routes take and give.

Keys: `Response` of the official OpenAPI and `ResponseResource` of Open Responses, their union. What the
official document requires has no default here; the rest may be left out.
"""

from typing import Annotated, Literal

from msgspec import Meta

from antiphon.core.body import (
    ConversationRef,
    CreateResponse,
    Metadata,
    Prompt,
    PromptCacheOptions,
    ReasoningConfig,
    ServiceTier,
    TextConfig,
)
from antiphon.core.hosted_items import AnyInputItem, AnyOutputItem, CompactedItem
from antiphon.core.hosted_tools import AnyTool, AnyToolChoice
from antiphon.core.items import Id, Text
from antiphon.core.usage import Usage
from antiphon.core.wire import UNSET, UnsetType, Wire

Status = Literal["completed", "failed", "in_progress", "cancelled", "queued", "incomplete"]
ErrorCode = Literal[
    "server_error",
    "rate_limit_exceeded",
    "invalid_prompt",
    "data_residency_mismatch",
    "bio_policy",
    "vector_store_timeout",
    "invalid_image",
    "invalid_image_format",
    "invalid_base64_image",
    "invalid_image_url",
    "image_too_large",
    "image_too_small",
    "image_parse_error",
    "image_content_policy_violation",
    "invalid_image_mode",
    "image_file_too_large",
    "unsupported_image_media_type",
    "empty_image_file",
    "failed_to_download_image",
    "image_file_not_found",
]


class ResponseError(Wire):
    code: ErrorCode
    message: str


class IncompleteDetails(Wire):
    reason: Literal["max_output_tokens", "content_filter"] | UnsetType = UNSET


class ModerationResult(Wire, tag="moderation_result"):
    model: str
    flagged: bool
    categories: dict[str, bool]
    category_scores: dict[str, float]
    category_applied_input_types: dict[str, list[Literal["text", "image"]]]


class ModerationError(Wire, tag="error"):
    code: str
    message: str


class Moderation(Wire):
    input: ModerationResult | ModerationError
    output: ModerationResult | ModerationError


class Response(Wire):
    """`created_at` and `completed_at` are Unix seconds: we write integers, OpenAI may write fractions."""

    id: str
    created_at: int | float
    error: ResponseError | None
    incomplete_details: IncompleteDetails | None
    instructions: str | list[AnyInputItem] | None
    model: str
    tools: list[AnyTool]
    output: list[AnyOutputItem]
    parallel_tool_calls: bool
    metadata: Metadata | None
    tool_choice: AnyToolChoice
    temperature: float | None
    top_p: float | None
    object: Literal["response"]
    status: Status | UnsetType = UNSET
    completed_at: int | float | UnsetType | None = UNSET
    usage: Usage | UnsetType | None = UNSET
    previous_response_id: str | UnsetType | None = UNSET
    conversation: ConversationRef | UnsetType | None = UNSET
    prompt: Prompt | UnsetType | None = UNSET
    max_output_tokens: int | UnsetType | None = UNSET
    max_tool_calls: int | UnsetType | None = UNSET
    presence_penalty: float | UnsetType | None = UNSET
    frequency_penalty: float | UnsetType | None = UNSET
    top_logprobs: int | UnsetType | None = UNSET
    reasoning: ReasoningConfig | UnsetType | None = UNSET
    text: TextConfig | UnsetType = UNSET
    truncation: Literal["auto", "disabled"] | UnsetType | None = UNSET
    store: bool | UnsetType = UNSET
    background: bool | UnsetType | None = UNSET
    service_tier: ServiceTier | UnsetType | None = UNSET
    user: str | UnsetType = UNSET
    safety_identifier: str | UnsetType | None = UNSET
    prompt_cache_key: str | UnsetType | None = UNSET
    prompt_cache_retention: Literal["in_memory", "24h"] | UnsetType | None = UNSET
    prompt_cache_options: PromptCacheOptions | UnsetType = UNSET
    moderation: Moderation | UnsetType | None = UNSET
    output_text: str | UnsetType | None = UNSET


AnyRequest = CreateResponse[AnyInputItem, AnyTool, AnyToolChoice]
"""A `POST /responses` body in the whole of the specification, runnable here or not."""


class InputItemList(Wire):
    """A page of `GET /responses/{id}/input_items`. The ids are null when it is empty."""

    data: list[AnyOutputItem]
    has_more: bool
    first_id: str | None
    last_id: str | None
    object: Literal["list"]


class CompactRequest(Wire):
    model: str | None
    input: Text | list[AnyInputItem] | UnsetType | None = UNSET
    previous_response_id: Id | UnsetType | None = UNSET
    instructions: Text | UnsetType | None = UNSET
    prompt_cache_key: Annotated[str, Meta(max_length=64)] | UnsetType | None = UNSET
    prompt_cache_retention: Literal["in_memory", "24h"] | UnsetType | None = UNSET
    prompt_cache_options: PromptCacheOptions | UnsetType | None = UNSET
    service_tier: Literal["auto", "default", "fast", "flex", "priority"] | UnsetType | None = UNSET


class Compacted(Wire):
    """Continue with `output` as `input`, not with the id."""

    id: str
    output: list[CompactedItem]
    created_at: int
    usage: Usage
    object: Literal["response.compaction"]


class TokenCountRequest(Wire):
    model: str | UnsetType | None = UNSET
    input: Text | list[AnyInputItem] | UnsetType | None = UNSET
    previous_response_id: Id | UnsetType | None = UNSET
    conversation: Id | ConversationRef | UnsetType | None = UNSET
    instructions: Text | UnsetType | None = UNSET
    tools: list[AnyTool] | UnsetType | None = UNSET
    tool_choice: AnyToolChoice | UnsetType | None = UNSET
    text: TextConfig | UnsetType | None = UNSET
    reasoning: ReasoningConfig | UnsetType | None = UNSET
    truncation: Literal["auto", "disabled"] | UnsetType = UNSET
    parallel_tool_calls: bool | UnsetType | None = UNSET
    personality: str | UnsetType = UNSET


class TokenCount(Wire):
    input_tokens: int
    object: Literal["response.input_tokens"]


class ErrorBody(Wire):
    """What is under `error` when a route fails."""

    message: str
    type: str
    param: str | None
    code: str | None
