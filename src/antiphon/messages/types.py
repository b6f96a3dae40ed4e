"""The body of `POST /v1/messages` as far as it runs here (`MessageCreateParams` of Anthropic's reference).

What the API has and this server has not stands in `refused`, by name. A null counts as left out.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta

from antiphon.core.body import MAX_TOOLS
from antiphon.core.items import MAX_FILE_DATA, MAX_PARTS, CallId
from antiphon.core.items import Text as Words
from antiphon.core.wire import Json, JsonObject, Wire

MAX_MESSAGES = 100_000


class CacheControl(Wire):
    """The end of a prefix that is worth caching. How long it is kept is the model server's to say."""

    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] | None = None
    scope: str | None = None


class Citations(Wire):
    enabled: bool | None = None


class Base64Source(Wire, tag="base64"):
    media_type: Annotated[str, Meta(max_length=128)]
    data: Annotated[str, Meta(max_length=MAX_FILE_DATA)]


class UrlSource(Wire, tag="url"):
    url: Annotated[str, Meta(max_length=MAX_FILE_DATA)]


class FileSource(Wire, tag="file"):
    """A file of `/v1/files`."""

    file_id: Annotated[str, Meta(min_length=1, max_length=1024)]


class TextSource(Wire, tag="text"):
    media_type: Literal["text/plain"]
    data: Words


class TextBlock(Wire, tag="text"):
    """`citations` are those of an answer that is sent back; the model does not see them."""

    text: Words
    cache_control: CacheControl | None = None
    citations: list[Any] | None = None


class ImageBlock(Wire, tag="image"):
    source: Base64Source | UrlSource | FileSource
    cache_control: CacheControl | None = None
    transformations: JsonObject | None = None


class ContentSource(Wire, tag="content"):
    content: Words | Annotated[list[TextBlock | ImageBlock], Meta(max_length=MAX_PARTS)]


class DocumentBlock(Wire, tag="document"):
    source: Base64Source | TextSource | UrlSource | FileSource | ContentSource
    title: str | None = None
    context: str | None = None
    citations: Citations | None = None
    cache_control: CacheControl | None = None


class SearchResultBlock(Wire, tag="search_result"):
    """What a search of the client's own found."""

    source: str
    title: str
    content: Annotated[list[TextBlock], Meta(max_length=MAX_PARTS)]
    citations: Citations | None = None
    cache_control: CacheControl | None = None


class ThinkingBlock(Wire, tag="thinking"):
    """`signature` is a sealed blob of this server, which holds the thought itself."""

    thinking: Words
    signature: str | None = None


class RedactedThinkingBlock(Wire, tag="redacted_thinking"):
    data: str


class ToolUseBlock(Wire, tag="tool_use"):
    id: CallId
    name: Annotated[str, Meta(min_length=1, max_length=128)]
    input: JsonObject
    cache_control: CacheControl | None = None
    caller: JsonObject | None = None
    toolset_name: str | None = None


ResultBlock = TextBlock | ImageBlock | DocumentBlock | SearchResultBlock


class ToolResultBlock(Wire, tag="tool_result"):
    tool_use_id: CallId
    content: Words | Annotated[list[ResultBlock], Meta(max_length=MAX_PARTS)] | None = None
    is_error: bool | None = None
    cache_control: CacheControl | None = None
    toolset_name: str | None = None


Block = (
    TextBlock
    | ImageBlock
    | DocumentBlock
    | SearchResultBlock
    | ThinkingBlock
    | RedactedThinkingBlock
    | ToolUseBlock
    | ToolResultBlock
)


class Turn(Wire):
    role: Literal["user", "assistant", "system"]
    content: Words | Annotated[list[Block], Meta(max_length=MAX_PARTS)]


class Tool(Wire):
    """A tool of any `type`: the client's own (`custom`, or none), or one that Anthropic has described."""

    name: Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[a-zA-Z0-9_-]+\Z")]
    type: str | None = None
    description: str | None = None
    input_schema: JsonObject | None = None
    strict: bool | None = None
    input_examples: Annotated[list[JsonObject], Meta(max_length=64)] | None = None
    max_characters: Annotated[int, Meta(ge=1)] | None = None
    cache_control: CacheControl | None = None
    eager_input_streaming: bool | None = None
    allowed_callers: list[str] | None = None
    defer_loading: bool | None = None


class ChooseAuto(Wire, tag="auto"):
    disable_parallel_tool_use: bool | None = None


class ChooseAny(Wire, tag="any"):
    disable_parallel_tool_use: bool | None = None


class ChooseTool(Wire, tag="tool"):
    name: str
    disable_parallel_tool_use: bool | None = None


class ChooseNone(Wire, tag="none"):
    pass


ToolChoice = ChooseAuto | ChooseAny | ChooseTool | ChooseNone
Display = Literal["summarized", "omitted"]


class ThinkingEnabled(Wire, tag="enabled"):
    budget_tokens: Annotated[int, Meta(ge=1024, le=2**31 - 1)]
    display: Display | None = None


class ThinkingAdaptive(Wire, tag="adaptive"):
    display: Display | None = None


class ThinkingDisabled(Wire, tag="disabled"):
    pass


class ThinkingBetweenTools(Wire, tag="between_tools"):
    """Thinking is off; word between two calls comes as text here."""


ThinkingConfig = ThinkingEnabled | ThinkingAdaptive | ThinkingDisabled | ThinkingBetweenTools


class JsonFormat(Wire, tag="json_schema"):
    schema: JsonObject
    name: str | None = None


class OutputConfig(Wire):
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: JsonFormat | None = None


class Metadata(Wire):
    user_id: Annotated[str, Meta(max_length=4096)] | None = None


class KeepTurns(Wire, tag="thinking_turns"):
    value: Annotated[int, Meta(ge=1)]


class KeepAll(Wire, tag="all"):
    pass


class ClearThinking(Wire, tag="clear_thinking_20251015"):
    """Which thoughts of earlier turns the model still sees."""

    keep: Literal["all"] | KeepTurns | KeepAll | None = None


class ContextEdits(Wire):
    edits: Annotated[list[ClearThinking], Meta(max_length=16)] | None = None


class Prompt(Wire):
    """What the model is given: the body of `POST /v1/messages/count_tokens`."""

    model: Annotated[str, Meta(min_length=1)]
    messages: Annotated[list[Turn], Meta(min_length=1, max_length=MAX_MESSAGES)]
    system: Words | Annotated[list[TextBlock], Meta(max_length=MAX_PARTS)] | None = None
    tools: Annotated[list[Tool], Meta(max_length=MAX_TOOLS)] | None = None
    tool_choice: ToolChoice | None = None
    thinking: ThinkingConfig | None = None
    output_config: OutputConfig | None = None
    output_format: JsonFormat | None = None
    context_management: ContextEdits | None = None
    cache_control: CacheControl | None = None
    speed: Literal["standard", "fast"] | None = None
    betas: list[str] | None = None
    mcp_servers: Json = None
    user_profile_id: Json = None


class CountRequest(Prompt):
    """The body of `POST /v1/messages/count_tokens`."""


class MessagesRequest(Prompt, kw_only=True):
    """The body of `POST /v1/messages`."""

    max_tokens: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    stream: bool | None = None
    stop_sequences: Annotated[list[str], Meta(max_length=16)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None
    metadata: Metadata | None = None
    service_tier: Literal["auto", "standard_only"] | None = None
    container: Json = None
    diagnostics: Json = None
    inference_geo: Json = None
    compaction: Json = None
    fallbacks: Json = None
    fallback_credit_token: Json = None
    billing_policy: Json = None
    thread: Json = None
