"""Items and content parts: the unit of content, exactly the wire items of the Responses API.

Source of the shapes: `ItemParam`, `InputItem`, `ItemResource` and `OutputItem` of the official OpenAPI. One
struct stands for a `type` in all its roles (request, response, stored): what can be output can be sent back.
Here are the items that run today; the others are in `hosted_items`.
"""

from typing import Annotated, Literal

from msgspec import Meta

from antiphon.core.wire import UNSET, UnsetType, Wire

ItemStatus = Literal["in_progress", "completed", "incomplete"]
Role = Literal["user", "assistant", "system", "developer"]
ImageDetail = Literal["low", "high", "auto", "original"]
MAX_TEXT = 10 * 1024 * 1024
MAX_IMAGE_URL = 20 * 1024 * 1024
MAX_FILE_DATA = 70 * 1024 * 1024
MAX_PARTS = 10_000

# Wider than OpenAI's 64 characters: ids that upstreams mint must be able to come back.
Id = Annotated[str, Meta(max_length=1024)]
CallId = Annotated[str, Meta(min_length=1, max_length=1024)]
Text = Annotated[str, Meta(max_length=MAX_TEXT)]


class CacheBreakpoint(Wire):
    """Marks the end of a prefix that is worth caching."""

    mode: Literal["explicit"]


class InputText(Wire, tag="input_text"):
    text: Text
    prompt_cache_breakpoint: CacheBreakpoint | UnsetType | None = UNSET


class InputImage(Wire, tag="input_image"):
    image_url: Annotated[str, Meta(max_length=MAX_IMAGE_URL)] | UnsetType | None = UNSET
    file_id: str | UnsetType | None = UNSET
    detail: ImageDetail | UnsetType | None = UNSET
    prompt_cache_breakpoint: CacheBreakpoint | UnsetType | None = UNSET


class InputFile(Wire, tag="input_file"):
    file_id: str | UnsetType | None = UNSET
    filename: str | UnsetType | None = UNSET
    file_data: Annotated[str, Meta(max_length=MAX_FILE_DATA)] | UnsetType | None = UNSET
    file_url: str | UnsetType | None = UNSET
    detail: Literal["auto", "low", "high"] | UnsetType = UNSET
    prompt_cache_breakpoint: CacheBreakpoint | UnsetType | None = UNSET


class FileCitation(Wire, tag="file_citation"):
    """`index` is the position in the part's text where the cited file's marker stood."""

    file_id: str
    filename: str
    index: int


class UrlCitation(Wire, tag="url_citation"):
    """The offsets count characters of the part's text."""

    url: str
    title: str
    start_index: int
    end_index: int


class ContainerFileCitation(Wire, tag="container_file_citation"):
    container_id: str
    file_id: str
    filename: str
    start_index: int
    end_index: int


class FilePath(Wire, tag="file_path"):
    file_id: str
    index: int


Annotation = FileCitation | UrlCitation | ContainerFileCitation | FilePath


class TopLogprob(Wire):
    token: str
    logprob: float
    bytes: list[int]


class Logprob(Wire):
    token: str
    logprob: float
    bytes: list[int]
    top_logprobs: list[TopLogprob]


class OutputText(Wire, tag="output_text"):
    text: Text
    annotations: list[Annotation] = []
    logprobs: list[Logprob] | UnsetType = UNSET


class Refusal(Wire, tag="refusal"):
    refusal: Text


class ReasoningText(Wire, tag="reasoning_text"):
    text: Text


class SummaryText(Wire, tag="summary_text"):
    text: Text


MessagePart = InputText | InputImage | InputFile | OutputText | Refusal
ToolOutputPart = InputText | InputImage | InputFile


class DirectCaller(Wire, tag="direct"):
    pass


class ProgramCaller(Wire, tag="program"):
    caller_id: CallId


Caller = DirectCaller | ProgramCaller


class Message(Wire, tag="message"):
    """A message of any role. `content` as a plain string is the "easy" form of a request."""

    role: Role
    content: Text | Annotated[list[MessagePart], Meta(max_length=MAX_PARTS)]
    id: Id | UnsetType = UNSET
    status: ItemStatus | UnsetType = UNSET
    phase: Literal["commentary", "final_answer"] | UnsetType | None = UNSET


class Reasoning(Wire, tag="reasoning"):
    id: Id | UnsetType = UNSET
    summary: list[SummaryText] = []
    content: list[ReasoningText] | UnsetType = UNSET
    encrypted_content: str | UnsetType | None = UNSET
    status: ItemStatus | UnsetType = UNSET


class FunctionCall(Wire, tag="function_call"):
    """`arguments` is JSON text, as the model wrote it."""

    call_id: CallId
    name: str
    arguments: Text
    id: Id | UnsetType = UNSET
    status: ItemStatus | UnsetType = UNSET
    namespace: str | UnsetType = UNSET
    caller: Caller | UnsetType | None = UNSET
    created_by: str | UnsetType = UNSET


class FunctionCallOutput(Wire, tag="function_call_output"):
    call_id: CallId
    output: Text | Annotated[list[ToolOutputPart], Meta(max_length=MAX_PARTS)]
    id: Id | UnsetType | None = UNSET
    status: ItemStatus | UnsetType | None = UNSET
    name: str | UnsetType | None = UNSET
    namespace: str | UnsetType | None = UNSET
    caller: Caller | UnsetType | None = UNSET
    created_by: str | UnsetType = UNSET


class CustomToolCall(Wire, tag="custom_tool_call"):
    """`input` is free text, not JSON."""

    call_id: CallId
    name: str
    input: Text
    id: Id | UnsetType = UNSET
    status: ItemStatus | UnsetType = UNSET
    namespace: str | UnsetType = UNSET
    caller: Caller | UnsetType | None = UNSET
    created_by: str | UnsetType = UNSET


class CustomToolCallOutput(Wire, tag="custom_tool_call_output"):
    call_id: CallId
    output: Text | Annotated[list[ToolOutputPart], Meta(max_length=MAX_PARTS)]
    id: Id | UnsetType = UNSET
    status: ItemStatus | UnsetType = UNSET
    caller: Caller | UnsetType | None = UNSET
    created_by: str | UnsetType = UNSET


Call = FunctionCall | CustomToolCall
"""A call that the client answers with the output item of the same kind."""
CallOutput = FunctionCallOutput | CustomToolCallOutput


class ItemReference(Wire, tag="item_reference"):
    id: Id
