"""The parts of a request body, and `CreateResponse`, the whole of it over some set of items and tools."""

from typing import Annotated, Generic, Literal, TypeVar

from msgspec import Meta

from antiphon.core.hosted_items import Compaction, CompactionTrigger, ToolItem
from antiphon.core.items import (
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    Id,
    InputFile,
    InputImage,
    InputText,
    ItemReference,
    Message,
    Reasoning,
    Text,
)
from antiphon.core.tools import MAX_GRAMMAR, Tool, ToolChoice
from antiphon.core.wire import UNSET, Json, JsonObject, UnsetType, Wire

InputItem = (
    Message
    | Reasoning
    | FunctionCall
    | FunctionCallOutput
    | CustomToolCall
    | CustomToolCallOutput
    | ToolItem
    | Compaction
    | CompactionTrigger
    | ItemReference
)

MAX_ITEMS = 10_000
MAX_TOOLS = 512

Metadata = Annotated[
    dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]], Meta(max_length=16)
]
Penalty = Annotated[float, Meta(ge=-2, le=2)]


class FormatText(Wire, tag="text"):
    pass


class FormatJsonObject(Wire, tag="json_object"):
    pass


class FormatJsonSchema(Wire, tag="json_schema"):
    name: Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[a-zA-Z0-9_-]+\Z")]
    schema: JsonObject
    description: str | UnsetType = UNSET
    strict: bool | UnsetType | None = UNSET


class FormatGrammar(Wire, tag="grammar"):
    """Ours: the whole answer matches. The dialects are those of custom tools (`tools.GrammarFormat`)."""

    syntax: Literal["lark", "regex"]
    definition: Annotated[str, Meta(max_length=MAX_GRAMMAR)]


class TextConfig(Wire):
    format: FormatText | FormatJsonObject | FormatJsonSchema | FormatGrammar | UnsetType = UNSET
    verbosity: Literal["low", "medium", "high"] | UnsetType | None = UNSET


class ReasoningConfig(Wire):
    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | UnsetType | None = UNSET
    summary: Literal["auto", "concise", "detailed"] | UnsetType | None = UNSET
    generate_summary: Literal["auto", "concise", "detailed"] | UnsetType | None = UNSET
    mode: str | UnsetType = UNSET
    context: Literal["auto", "current_turn", "all_turns"] | UnsetType | None = UNSET


class StreamOptions(Wire):
    include_obfuscation: bool | UnsetType = UNSET


class ConversationRef(Wire):
    id: Id


class Prompt(Wire):
    """A stored template. Its id may stand for the model and the input as well."""

    id: Id
    version: str | UnsetType | None = UNSET
    variables: dict[str, str | InputText | InputImage | InputFile] | UnsetType | None = UNSET


class ContextManagement(Wire):
    type: str
    compact_threshold: Annotated[int, Meta(ge=1000)] | UnsetType | None = UNSET


class ModerationConfig(Wire):
    mode: Literal["score", "block"]


class ModerationPolicy(Wire):
    input: ModerationConfig | UnsetType | None = UNSET
    output: ModerationConfig | UnsetType | None = UNSET


class ModerationRequest(Wire):
    model: str
    policy: ModerationPolicy | UnsetType | None = UNSET


class PromptCacheOptions(Wire):
    mode: Literal["implicit", "explicit"] | UnsetType = UNSET
    ttl: Literal["30m"] | UnsetType = UNSET


ServiceTier = Literal["auto", "default", "flex", "scale", "priority", "fast", "ultrafast"]
ItemT = TypeVar("ItemT")
ToolT = TypeVar("ToolT")
ChoiceT = TypeVar("ChoiceT")


class CreateResponse(Wire, Generic[ItemT, ToolT, ChoiceT], omit_defaults=True):
    """The body of `POST /responses` over some set of items and tools. A top-level null counts as left out.

    After the fields of the official `CreateResponse` come the extensions of Open Responses, OGX and vLLM;
    `support` says of each whether it is honoured.
    """

    model: str = ""
    input: Text | Annotated[list[ItemT], Meta(max_length=MAX_ITEMS)] | None = None
    instructions: Text | None = None
    previous_response_id: Id | None = None
    conversation: Id | ConversationRef | None = None
    prompt: Prompt | None = None
    store: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    background: bool | None = None
    metadata: Metadata | None = None
    tools: Annotated[list[ToolT], Meta(max_length=MAX_TOOLS)] | None = None
    tool_choice: ChoiceT | None = None
    parallel_tool_calls: bool | None = None
    max_output_tokens: Annotated[int, Meta(ge=16, le=2**31 - 1)] | None = None
    max_tool_calls: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    include: Annotated[list[str], Meta(max_length=64)] | None = None
    text: TextConfig | None = None
    reasoning: ReasoningConfig | None = None
    truncation: Literal["auto", "disabled"] | None = None
    context_management: Annotated[list[ContextManagement], Meta(max_length=16)] | None = None
    moderation: ModerationRequest | None = None
    user: Annotated[str, Meta(max_length=1024)] | None = None
    safety_identifier: Annotated[str, Meta(max_length=64)] | None = None
    prompt_cache_key: Annotated[str, Meta(max_length=64)] | None = None
    prompt_cache_retention: Literal["in_memory", "24h"] | None = None
    prompt_cache_options: PromptCacheOptions | None = None
    service_tier: ServiceTier | None = None
    # extensions
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    max_infer_iters: Annotated[int, Meta(ge=1, le=100)] | None = None
    client_metadata: JsonObject | None = None
    guardrails: Json = None
    agent: Json = None
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    stop: str | Annotated[list[str], Meta(max_length=16)] | None = None
    top_k: Annotated[int, Meta(ge=-1, le=2**31 - 1)] | None = None
    min_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    chat_template_kwargs: JsonObject | None = None
    repetition_penalty: Annotated[float, Meta(gt=0, le=10)] | None = None

    @property
    def conversation_id(self) -> str | None:
        """The conversation that the response is to be made in, however it was named."""
        named = self.conversation
        return named.id if isinstance(named, ConversationRef) else named


Runnable = CreateResponse[InputItem, Tool, ToolChoice]
