"""The types of Llama Stack's Agents API, of both generations of its clients (0.2 and 0.3), as they go over the wire.

Source: `agents.py` and its neighbours of Llama Stack 0.2 and 0.3, and the types of llama-stack-client 0.2.23 and 0.3.5.
Times are ISO 8601 in UTC with microseconds. Ids are bare UUID4 strings.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta

from antiphon.core.shields import Violation
from antiphon.core.wire import UNSET, JsonObject, UnsetType, Wire

MAX_TEXT = 10 * 1024 * 1024
MAX_MESSAGES = 1000
MAX_DOCUMENTS = 100
MAX_GROUPS = 64
MAX_CLIENT_TOOLS = 512
MAX_SHIELDS = 16

Name = Annotated[str, Meta(min_length=1, max_length=256)]
Text = Annotated[str, Meta(max_length=MAX_TEXT)]
StopReason = Literal["end_of_turn", "end_of_message", "out_of_tokens"]
StepType = Literal["inference", "tool_execution", "shield_call", "memory_retrieval"]
TurnStatus = Literal["in_progress", "awaiting_input", "completed", "failed", "cancelled", "interrupted"]


# --- content --------------------------------------------------------------------------------------------------
class Url(Wire):
    """`type` is what older guides write beside it."""

    uri: Annotated[str, Meta(max_length=MAX_TEXT)]
    type: Literal["url"] | UnsetType = UNSET


class ImageSource(Wire):
    """One of both: where it is (a `data:` URL too), or its bytes in base64."""

    url: Url | UnsetType | None = UNSET
    data: str | UnsetType | None = UNSET


class ImageItem(Wire, tag="image"):
    image: ImageSource


class TextItem(Wire, tag="text"):
    text: Text


ContentItem = TextItem | ImageItem
Content = Text | TextItem | ImageItem | Annotated[list[TextItem | ImageItem], Meta(max_length=MAX_MESSAGES)]
"""`InterleavedContent`."""


class Attachment(Wire):
    """A document of a turn, or what a turn gave out. `content` is a `Content`, or a `Url`: `{"uri": …}`.

    `document_id`, its name, and `metadata` are those of documents of the RAG tool, which clients send here too.
    """

    content: Any
    mime_type: Annotated[str, Meta(max_length=127)]
    document_id: Annotated[str, Meta(max_length=512)] | UnsetType | None = UNSET
    metadata: JsonObject | UnsetType | None = UNSET


# --- tools ----------------------------------------------------------------------------------------------------
class ToolCall(Wire):
    """`arguments`: an object in 0.2, JSON text in 0.3; kept as text. `arguments_json` is that text, in 0.2."""

    call_id: str
    tool_name: str
    arguments: str | JsonObject
    arguments_json: str | UnsetType | None = UNSET


class ToolResponse(Wire):
    """Stored turns have them too, with whatever name a model made up: with limits here, such a turn could not be read
    again. Those of a client have to have the ids of calls that wait.
    """

    call_id: str
    tool_name: str
    content: Content
    metadata: JsonObject | UnsetType | None = UNSET


class ToolParameter(Wire, kw_only=True):
    """`parameter_type`: a type of JSON Schema, or of Python (`str`, `int`, `list` …), as clients write it."""

    name: Name
    parameter_type: str
    description: str | None = None
    required: bool | None = True
    default: Any = None
    items: JsonObject | UnsetType | None = UNSET
    title: str | UnsetType | None = UNSET


class ToolDef(Wire):
    """A tool that the client runs: `parameters` in 0.2, `input_schema` in 0.3."""

    name: Name
    description: str | UnsetType | None = UNSET
    parameters: list[ToolParameter] | UnsetType | None = UNSET
    input_schema: JsonObject | UnsetType | None = UNSET
    output_schema: JsonObject | UnsetType | None = UNSET
    metadata: JsonObject | UnsetType | None = UNSET
    toolgroup_id: str | UnsetType | None = UNSET
    tool_prompt_format: str | UnsetType | None = UNSET
    """Sent with each tool by clients of 0.2; that of `ToolConfig` counts."""


class GroupWithArgs(Wire):
    name: Name
    args: JsonObject = {}


ToolGroup = Name | GroupWithArgs
"""`group`, `group/tool`, or either with arguments that win over the model's."""
ToolPromptFormat = Literal["json", "function_tag", "python_list"]


class ToolConfig(Wire):
    """`tool_choice`: `auto`, `required`, `none`, or the name of a tool."""

    tool_choice: Name | UnsetType | None = UNSET
    tool_prompt_format: ToolPromptFormat | UnsetType | None = UNSET
    system_message_behavior: Literal["append", "replace"] | UnsetType | None = UNSET


# --- how an agent's model is asked ----------------------------------------------------------------------------
class Greedy(Wire, tag="greedy"):
    pass


class TopP(Wire, tag="top_p"):
    temperature: Annotated[float, Meta(gt=0, le=2)] | UnsetType | None = UNSET
    top_p: Annotated[float, Meta(ge=0, le=1)] | UnsetType | None = UNSET


class TopK(Wire, tag="top_k"):
    top_k: Annotated[int, Meta(ge=1, le=2**31 - 1)]


class SamplingParams(Wire):
    """`max_tokens` of each model call; 0: as many as the model gives."""

    strategy: Greedy | TopP | TopK = Greedy()
    max_tokens: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = 0
    repetition_penalty: Annotated[float, Meta(gt=0, le=10)] | None = 1.0
    stop: Annotated[list[str], Meta(max_length=16)] | None = None


class JsonSchemaFormat(Wire, tag="json_schema"):
    json_schema: JsonObject


class GrammarFormat(Wire, tag="grammar"):
    bnf: JsonObject


class AgentConfig(Wire):
    """What an agent is. What was left out has the defaults that are written here; null counts as left out, but for
    `sampling_params`: null leaves sampling to the model, and without it the model is asked greedily.
    """

    model: Name
    instructions: Text
    name: Name | None = None
    enable_session_persistence: bool | UnsetType | None = UNSET
    response_format: JsonSchemaFormat | GrammarFormat | None = None
    sampling_params: SamplingParams | None = SamplingParams()
    input_shields: Annotated[list[Name], Meta(max_length=MAX_SHIELDS)] | None = None
    output_shields: Annotated[list[Name], Meta(max_length=MAX_SHIELDS)] | None = None
    toolgroups: Annotated[list[ToolGroup], Meta(max_length=MAX_GROUPS)] | None = None
    client_tools: Annotated[list[ToolDef], Meta(max_length=MAX_CLIENT_TOOLS)] | None = None
    tool_choice: Literal["auto", "required", "none"] | None = None
    tool_prompt_format: ToolPromptFormat | None = None
    tool_config: ToolConfig | None = None
    max_infer_iters: Annotated[int, Meta(ge=1, le=1000)] | None = 10


class CreateAgent(Wire):
    agent_config: AgentConfig


class AgentCreated(Wire):
    agent_id: str


class Agent(Wire):
    agent_id: str
    agent_config: AgentConfig
    created_at: str


# --- messages -------------------------------------------------------------------------------------------------
class UserMessage(Wire, tag_field="role", tag="user"):
    """`context` is for the model in this turn alone: later turns do not see it."""

    content: Content
    context: Content | UnsetType | None = UNSET


class ToolResponseMessage(Wire, tag_field="role", tag="tool"):
    call_id: Annotated[str, Meta(min_length=1, max_length=512)]
    content: Content
    tool_name: str | UnsetType | None = UNSET


TurnMessage = UserMessage | ToolResponseMessage


class CompletionMessage(Wire, kw_only=True):
    role: Literal["assistant"] = "assistant"
    content: str | TextItem | ImageItem | list[TextItem | ImageItem]  # of stored turns: no limits here
    stop_reason: StopReason
    tool_calls: list[ToolCall] = []


# --- steps ----------------------------------------------------------------------------------------------------
class InferenceStep(Wire, tag_field="step_type", tag="inference", kw_only=True):
    turn_id: str
    step_id: str
    started_at: str | None = None
    completed_at: str | None = None
    model_response: CompletionMessage


class ToolExecutionStep(Wire, tag_field="step_type", tag="tool_execution", kw_only=True):
    turn_id: str
    step_id: str
    started_at: str | None = None
    completed_at: str | None = None
    tool_calls: list[ToolCall]
    tool_responses: list[ToolResponse]


class ShieldCallStep(Wire, tag_field="step_type", tag="shield_call", kw_only=True):
    turn_id: str
    step_id: str
    started_at: str | None = None
    completed_at: str | None = None
    violation: Violation | None


class MemoryRetrievalStep(Wire, tag_field="step_type", tag="memory_retrieval", kw_only=True):
    """`vector_db_ids`: the ids, with commas between them."""

    turn_id: str
    step_id: str
    started_at: str | None = None
    completed_at: str | None = None
    vector_db_ids: str
    inserted_context: Content


Step = InferenceStep | ToolExecutionStep | ShieldCallStep | MemoryRetrievalStep


class StepAnswer(Wire):
    step: Step


# --- turns and sessions ---------------------------------------------------------------------------------------
class Turn(Wire, kw_only=True):
    """`status`, `response_ids` and `error` are ours: how it ended, the responses that its runs are, oldest first, and
    why it failed.
    """

    turn_id: str
    session_id: str
    input_messages: list[TurnMessage]
    steps: list[Step]
    output_message: CompletionMessage
    output_attachments: list[Attachment] = []
    started_at: str
    completed_at: str | None = None
    status: TurnStatus
    response_ids: list[str] = []
    error: JsonObject | None = None


class CreateSession(Wire):
    """`vector_db_ids` is ours: vector stores that every turn of the session may be answered from."""

    session_name: Annotated[str, Meta(max_length=1024)]
    vector_db_ids: Annotated[list[Name], Meta(max_length=16)] | UnsetType | None = UNSET


class SessionCreated(Wire):
    session_id: str


class Session(Wire):
    session_id: str
    session_name: str
    turns: list[Turn]
    started_at: str


class CreateTurn(Wire):
    """`toolgroups` come on top of the agent's; `tool_config` and what of `AgentConfig` is here stand in for it."""

    messages: Annotated[list[TurnMessage], Meta(min_length=1, max_length=MAX_MESSAGES)]
    stream: bool | None = False
    documents: Annotated[list[Attachment], Meta(max_length=MAX_DOCUMENTS)] | None = None
    toolgroups: Annotated[list[ToolGroup], Meta(max_length=MAX_GROUPS)] | None = None
    tool_config: ToolConfig | None = None
    instructions: Text | None = None
    sampling_params: SamplingParams | UnsetType | None = UNSET
    input_shields: Annotated[list[Name], Meta(max_length=MAX_SHIELDS)] | None = None
    output_shields: Annotated[list[Name], Meta(max_length=MAX_SHIELDS)] | None = None
    client_tools: Annotated[list[ToolDef], Meta(max_length=MAX_CLIENT_TOOLS)] | None = None
    tool_choice: Literal["auto", "required", "none"] | None = None
    tool_prompt_format: ToolPromptFormat | None = None
    max_infer_iters: Annotated[int, Meta(ge=1, le=1000)] | None = None
    agent_id: str | UnsetType | None = UNSET
    session_id: str | UnsetType | None = UNSET


class ResumeTurn(Wire):
    tool_responses: Annotated[list[ToolResponse], Meta(min_length=1, max_length=MAX_MESSAGES)]
    stream: bool | None = False
    agent_id: str | UnsetType | None = UNSET
    session_id: str | UnsetType | None = UNSET
    turn_id: str | UnsetType | None = UNSET


class Page(Wire):
    """`PaginatedResponse`. `url` is the path of the route."""

    data: list[Any]
    has_more: bool
    url: str


# --- what is streamed -----------------------------------------------------------------------------------------
class TextDelta(Wire, tag="text"):
    text: str


class ToolCallDelta(Wire, tag="tool_call"):
    """`tool_call`: a piece of text while `in_progress`, the whole call when it `succeeded`."""

    tool_call: str | ToolCall
    parse_status: Literal["started", "in_progress", "failed", "succeeded"]


Delta = TextDelta | ToolCallDelta


class TurnStart(Wire, tag_field="event_type", tag="turn_start"):
    turn_id: str


class StepStart(Wire, tag_field="event_type", tag="step_start"):
    step_type: StepType
    step_id: str
    metadata: JsonObject = {}


class StepProgress(Wire, tag_field="event_type", tag="step_progress"):
    step_type: StepType
    step_id: str
    delta: Delta


class StepComplete(Wire, tag_field="event_type", tag="step_complete"):
    step_type: StepType
    step_id: str
    step_details: Step


class TurnComplete(Wire, tag_field="event_type", tag="turn_complete"):
    turn: Turn


class TurnAwaitingInput(Wire, tag_field="event_type", tag="turn_awaiting_input"):
    turn: Turn


Payload = TurnStart | StepStart | StepProgress | StepComplete | TurnComplete | TurnAwaitingInput


class TurnEvent(Wire):
    payload: Payload


class TurnChunk(Wire):
    """`AgentTurnResponseStreamChunk`: one `data:` line."""

    event: TurnEvent
