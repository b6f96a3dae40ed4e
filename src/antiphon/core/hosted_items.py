"""Items of hosted tools, tool search, compaction and approvals, typed in full; `body.InputItem` says which are taken.

Source of the shapes: `Item`, `ItemResource`, `OutputItem` and `ItemField` of the official OpenAPI. What the
request form leaves open and the stored form requires is optional, as everywhere: one struct serves all roles.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta

from antiphon.core.hosted_tools import AnyTool
from antiphon.core.items import (
    Caller,
    CallId,
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    Id,
    InputFile,
    InputImage,
    InputText,
    ItemReference,
    ItemStatus,
    Message,
    OutputText,
    Reasoning,
    ReasoningText,
    Refusal,
    SummaryText,
    Text,
    ToolOutputPart,
)
from antiphon.core.machine_items import CodeInterpreterCall, MachineItem, Screenshot
from antiphon.core.wire import UNSET, JsonObject, UnsetType, Wire

Execution = Literal["server", "client"]
StoredRole = Literal["unknown", "user", "assistant", "system", "critic", "discriminator", "developer", "tool"]


class NamedCallOutput(Wire, tag="function_call_output"):
    """`FunctionCallOutput` as the specification has it: a tool's name may stand in for the call id."""

    output: Text | list[ToolOutputPart]
    call_id: CallId | UnsetType | None = UNSET
    id: Id | UnsetType | None = UNSET
    status: ItemStatus | UnsetType | None = UNSET
    name: str | UnsetType | None = UNSET
    namespace: str | UnsetType | None = UNSET
    caller: Caller | UnsetType | None = UNSET
    created_by: str | UnsetType = UNSET


class FileSearchResult(Wire):
    """`score` is 0 to 1. `number`, which stays inside, is what the model cites it by."""

    number: int | UnsetType = UNSET
    file_id: str | UnsetType = UNSET
    text: str | UnsetType = UNSET
    filename: str | UnsetType = UNSET
    attributes: dict[str, str | int | float | bool] | UnsetType | None = UNSET
    score: float | UnsetType = UNSET


class FileSearchCall(Wire, tag="file_search_call"):
    """`results` is null unless it was asked for by `include`."""

    id: Id
    status: Literal["in_progress", "searching", "completed", "incomplete", "failed"]
    queries: list[str]
    results: list[FileSearchResult] | UnsetType | None = UNSET


class WebSource(Wire, tag="url"):
    url: str


class WebSearch(Wire, tag="search"):
    query: str | UnsetType = UNSET
    queries: list[str] | UnsetType = UNSET
    sources: list[WebSource] | UnsetType = UNSET


class WebOpenPage(Wire, tag="open_page"):
    url: str | UnsetType | None = UNSET


class WebFindInPage(Wire, tag="find_in_page"):
    url: str
    pattern: str


class WebSearchCall(Wire, tag="web_search_call"):
    id: Id
    status: Literal["in_progress", "searching", "completed", "failed"]
    action: WebSearch | WebOpenPage | WebFindInPage


class ImageGenerationCall(Wire, tag="image_generation_call"):
    """`result` is the image in base64."""

    id: Id
    status: Literal["in_progress", "completed", "generating", "failed"]
    result: str | None


class McpListedTool(Wire):
    name: str
    input_schema: JsonObject
    description: str | UnsetType | None = UNSET
    annotations: JsonObject | UnsetType | None = UNSET


class McpListTools(Wire, tag="mcp_list_tools"):
    """The tools of a server that the request allows. `server`, which stays inside, is the digest of where they come
    from and of what was allowed; `changed`, inside too, names those that the conversation had seen otherwise.
    """

    id: Id
    server_label: str
    tools: list[McpListedTool]
    error: str | UnsetType | None = UNSET
    server: str | UnsetType = UNSET
    changed: list[str] | UnsetType = UNSET


class McpApprovalRequest(Wire, tag="mcp_approval_request"):
    """`arguments` is JSON text; the call waits for an `mcp_approval_response`."""

    id: Id
    server_label: str
    name: str
    arguments: str


class McpApprovalResponse(Wire, tag="mcp_approval_response"):
    """`request_id` is listed as required by the specification, described by nobody and sent by nobody. `asked`, which
    stays inside, is the request that it answers.
    """

    approval_request_id: Id
    approve: bool
    id: Id | UnsetType | None = UNSET
    reason: str | UnsetType | None = UNSET
    request_id: str | UnsetType = UNSET
    asked: McpApprovalRequest | UnsetType = UNSET


class McpProtocolError(Wire, tag="mcp_protocol_error"):
    code: int
    message: str


class McpToolExecutionError(Wire, tag="mcp_tool_execution_error"):
    content: Any


class McpHttpError(Wire, tag="http_error"):
    code: int
    message: str


class McpCall(Wire, tag="mcp_call"):
    id: Id
    server_label: str
    name: str
    arguments: str
    output: str | UnsetType | None = UNSET
    error: McpProtocolError | McpToolExecutionError | McpHttpError | UnsetType | None = UNSET
    status: Literal["in_progress", "completed", "incomplete", "calling", "failed"] | UnsetType = UNSET
    approval_request_id: str | UnsetType | None = UNSET


ElicitationAction = Literal["accept", "decline", "cancel"]


class McpElicitationRequest(Wire, tag="antiphon:mcp_elicitation_request"):
    """A question that a server has for the user in the middle of a call; an `antiphon:mcp_elicitation_response` answers
    it, and the call goes on. `mode` "form": `requested_schema` is the JSON Schema of the content; "url": the user is to
    visit `url`. `expires_at` is in Unix seconds. `encrypted_content` is sealed: what the call needs to go on.
    """

    id: Id
    server_label: str
    name: str
    arguments: str
    message: str
    expires_at: int
    mode: Literal["form", "url"] = "form"
    requested_schema: JsonObject | UnsetType | None = UNSET
    url: str | UnsetType | None = UNSET
    encrypted_content: Annotated[str, Meta(max_length=1024 * 1024)] = ""
    status: ItemStatus | UnsetType = UNSET


class McpElicitationResponse(Wire, tag="antiphon:mcp_elicitation_response"):
    """`content` goes with "accept" alone: an object that follows the schema of the request."""

    elicitation_request_id: Id
    action: ElicitationAction
    content: JsonObject | UnsetType | None = UNSET
    id: Id | UnsetType | None = UNSET
    status: ItemStatus | UnsetType | None = UNSET


class McpAuthorizationRequest(Wire, tag="antiphon:mcp_authorization_request"):
    """The user has to authorise this server to use a connector, at `url`, before `expires_at` (Unix seconds). The next
    response that continues from here goes on with it.
    """

    id: Id
    server_label: str
    url: str
    expires_at: int
    connector_id: str | UnsetType | None = UNSET
    status: ItemStatus | UnsetType = UNSET


class McpSamplingCall(Wire, tag="antiphon:mcp_sampling_call"):
    """A model call that a server asked for in the middle of a call of its tool `name`. `output` is the model's text."""

    id: Id
    server_label: str
    name: str
    model: str
    output: str | UnsetType | None = UNSET
    error: str | UnsetType | None = UNSET
    usage: JsonObject | UnsetType | None = UNSET
    status: Literal["in_progress", "completed", "incomplete", "failed"] | UnsetType = UNSET


McpItem = (
    McpListTools
    | McpApprovalRequest
    | McpApprovalResponse
    | McpCall
    | McpElicitationRequest
    | McpElicitationResponse
    | McpAuthorizationRequest
    | McpSamplingCall
)


class ToolSearchCall(Wire, tag="tool_search_call"):
    arguments: Any
    id: Id | UnsetType | None = UNSET
    call_id: CallId | UnsetType | None = UNSET
    execution: Execution | UnsetType = UNSET
    status: ItemStatus | UnsetType | None = UNSET
    created_by: str | UnsetType = UNSET


class ToolSearchOutput(Wire, tag="tool_search_output"):
    tools: list[AnyTool]
    id: Id | UnsetType | None = UNSET
    call_id: CallId | UnsetType | None = UNSET
    execution: Execution | UnsetType = UNSET
    status: ItemStatus | UnsetType | None = UNSET
    created_by: str | UnsetType = UNSET


class AdditionalTools(Wire, tag="additional_tools"):
    """Tools that join the conversation from here on. Requests may only say role developer."""

    role: StoredRole
    tools: list[AnyTool]
    id: Id | UnsetType | None = UNSET


class Program(Wire, tag="program"):
    """JavaScript that the model wrote to call tools with."""

    id: Id
    call_id: CallId
    code: Text
    fingerprint: Text


class ProgramOutput(Wire, tag="program_output"):
    id: Id
    call_id: CallId
    result: Text
    status: Literal["completed", "incomplete"]


class Compaction(Wire, tag="compaction"):
    """What an earlier stretch of the conversation became; opaque and sealed, at most 20 MiB."""

    encrypted_content: Annotated[str, Meta(max_length=20 * 1024 * 1024)]
    id: Id | UnsetType | None = UNSET
    created_by: str | UnsetType = UNSET


class CompactionTrigger(Wire, tag="compaction_trigger"):
    pass


class PlainText(Wire, tag="text"):
    text: str


StoredPart = (
    InputText
    | InputImage
    | InputFile
    | OutputText
    | Refusal
    | ReasoningText
    | SummaryText
    | PlainText
    | Screenshot
)


class StoredMessage(Wire, tag="message"):
    """A message as compaction returns it: more roles and kinds of parts than a request or a model has."""

    id: Id
    status: ItemStatus
    role: StoredRole
    content: list[StoredPart]
    phase: Literal["commentary", "final_answer"] | UnsetType | None = UNSET


ToolItem = MachineItem | ToolSearchCall | ToolSearchOutput | AdditionalTools | FileSearchCall | McpItem
"""Items of tools that the client or this server runs, and of what finds and brings tools."""
HostedItem = (
    CustomToolCall
    | CustomToolCallOutput
    | FileSearchCall
    | WebSearchCall
    | ImageGenerationCall
    | CodeInterpreterCall
    | MachineItem
    | McpItem
    | ToolSearchCall
    | ToolSearchOutput
    | AdditionalTools
    | Program
    | ProgramOutput
    | Compaction
)
AnyOutputItem = Message | Reasoning | FunctionCall | NamedCallOutput | HostedItem
"""Whatever a response's `output` or a list of stored items may hold."""
AnyInputItem = AnyOutputItem | ItemReference | CompactionTrigger
"""Whatever a request's `input` may hold."""
CompactedItem = StoredMessage | Reasoning | FunctionCall | NamedCallOutput | HostedItem
"""Whatever `POST /responses/compact` may return."""
