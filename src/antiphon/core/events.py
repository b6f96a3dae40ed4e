"""The event vocabulary: every event of a response stream, exactly as on the wire (`ResponseStreamEvent`).

`sequence_number` counts the events of one response from 0. `output_index` is the item's place in the final
`output`. `obfuscation` is padding that a client may ask for (`stream_options`). The names are the wire types
without their dots: `response.output_text.delta` is `OutputTextDelta`.
"""

from typing import Literal

import msgspec

from antiphon.core.hosted_items import AnyOutputItem
from antiphon.core.items import Annotation, OutputText, ReasoningText, Refusal, SummaryText
from antiphon.core.machine_items import ShellOutput
from antiphon.core.response_object import Response
from antiphon.core.wire import UNSET, UnsetType, Wire


class _Event(Wire):
    sequence_number: int


class _OfItem(_Event):
    item_id: str
    output_index: int


class _OfPart(_OfItem):
    content_index: int


class _OfSummary(_OfItem):
    summary_index: int


class _OfResponse(_Event):
    """Holds the whole response as it is then."""

    response: Response


class _OfCommand(_Event):
    """Shell commands have no item id in the specification."""

    output_index: int
    command_index: int


class ChosenToken(Wire):
    """A log probability in an event: unlike the one of a finished part it has no bytes."""

    token: str | UnsetType = UNSET
    logprob: float | UnsetType = UNSET


class TokenLogprob(Wire):
    token: str
    logprob: float
    top_logprobs: list[ChosenToken] | UnsetType = UNSET


class ResponseCreated(_OfResponse, tag="response.created"):
    pass


class ResponseQueued(_OfResponse, tag="response.queued"):
    pass


class ResponseInProgress(_OfResponse, tag="response.in_progress"):
    pass


class ResponseCompleted(_OfResponse, tag="response.completed"):
    pass


class ResponseIncomplete(_OfResponse, tag="response.incomplete"):
    pass


class ResponseFailed(_OfResponse, tag="response.failed"):
    pass


class ErrorEvent(_Event, tag="error"):
    """Flat, as OpenAI has it; a `response.failed` follows."""

    message: str
    code: str | None = None
    param: str | None = None


class OutputItemAdded(_Event, tag="response.output_item.added"):
    output_index: int
    item: AnyOutputItem


class OutputItemDone(_Event, tag="response.output_item.done"):
    output_index: int
    item: AnyOutputItem


class ContentPartAdded(_OfPart, tag="response.content_part.added"):
    part: OutputText | Refusal | ReasoningText


class ContentPartDone(_OfPart, tag="response.content_part.done"):
    part: OutputText | Refusal | ReasoningText


class OutputTextDelta(_OfPart, tag="response.output_text.delta"):
    delta: str
    logprobs: list[TokenLogprob] = []
    obfuscation: str | UnsetType = UNSET


class OutputTextDone(_OfPart, tag="response.output_text.done"):
    text: str
    logprobs: list[TokenLogprob] = []


class OutputTextAnnotationAdded(_OfPart, tag="response.output_text.annotation.added"):
    annotation_index: int
    annotation: Annotation | None


class RefusalDelta(_OfPart, tag="response.refusal.delta"):
    delta: str
    obfuscation: str | UnsetType = UNSET


class RefusalDone(_OfPart, tag="response.refusal.done"):
    refusal: str


class ReasoningTextDelta(_OfPart, tag="response.reasoning_text.delta"):
    delta: str
    obfuscation: str | UnsetType = UNSET


class ReasoningTextDone(_OfPart, tag="response.reasoning_text.done"):
    text: str


class ReasoningSummaryPartAdded(_OfSummary, tag="response.reasoning_summary_part.added"):
    part: SummaryText


class ReasoningSummaryPartDone(_OfSummary, tag="response.reasoning_summary_part.done"):
    part: SummaryText
    status: Literal["incomplete"] | UnsetType = UNSET


class ReasoningSummaryTextDelta(_OfSummary, tag="response.reasoning_summary_text.delta"):
    delta: str
    obfuscation: str | UnsetType = UNSET


class ReasoningSummaryTextDone(_OfSummary, tag="response.reasoning_summary_text.done"):
    text: str


class FunctionCallArgumentsDelta(_OfItem, tag="response.function_call_arguments.delta"):
    delta: str
    obfuscation: str | UnsetType = UNSET


class FunctionCallArgumentsDone(_OfItem, tag="response.function_call_arguments.done"):
    name: str
    arguments: str


class CustomToolCallInputDelta(_OfItem, tag="response.custom_tool_call_input.delta"):
    delta: str
    obfuscation: str | UnsetType = UNSET


class CustomToolCallInputDone(_OfItem, tag="response.custom_tool_call_input.done"):
    input: str


class FileSearchCallInProgress(_OfItem, tag="response.file_search_call.in_progress"):
    pass


class FileSearchCallSearching(_OfItem, tag="response.file_search_call.searching"):
    pass


class FileSearchCallCompleted(_OfItem, tag="response.file_search_call.completed"):
    pass


class WebSearchCallInProgress(_OfItem, tag="response.web_search_call.in_progress"):
    pass


class WebSearchCallSearching(_OfItem, tag="response.web_search_call.searching"):
    pass


class WebSearchCallCompleted(_OfItem, tag="response.web_search_call.completed"):
    pass


class McpListToolsInProgress(_OfItem, tag="response.mcp_list_tools.in_progress"):
    pass


class McpListToolsCompleted(_OfItem, tag="response.mcp_list_tools.completed"):
    pass


class McpListToolsFailed(_OfItem, tag="response.mcp_list_tools.failed"):
    pass


class McpCallInProgress(_OfItem, tag="response.mcp_call.in_progress"):
    pass


class McpCallCompleted(_OfItem, tag="response.mcp_call.completed"):
    pass


class McpCallFailed(_OfItem, tag="response.mcp_call.failed"):
    pass


class McpCallArgumentsDelta(_OfItem, tag="response.mcp_call_arguments.delta"):
    delta: str
    obfuscation: str | UnsetType = UNSET


class McpCallArgumentsDone(_OfItem, tag="response.mcp_call_arguments.done"):
    arguments: str


class CodeInterpreterCallInProgress(_OfItem, tag="response.code_interpreter_call.in_progress"):
    pass


class CodeInterpreterCallInterpreting(_OfItem, tag="response.code_interpreter_call.interpreting"):
    pass


class CodeInterpreterCallCompleted(_OfItem, tag="response.code_interpreter_call.completed"):
    pass


class CodeInterpreterCallCodeDelta(_OfItem, tag="response.code_interpreter_call_code.delta"):
    delta: str
    obfuscation: str | UnsetType = UNSET


class CodeInterpreterCallCodeDone(_OfItem, tag="response.code_interpreter_call_code.done"):
    code: str


class ImageGenerationCallInProgress(_OfItem, tag="response.image_generation_call.in_progress"):
    pass


class ImageGenerationCallGenerating(_OfItem, tag="response.image_generation_call.generating"):
    pass


class ImageGenerationCallCompleted(_OfItem, tag="response.image_generation_call.completed"):
    pass


class ImageGenerationCallPartialImage(_OfItem, tag="response.image_generation_call.partial_image"):
    partial_image_index: int
    partial_image_b64: str
    size: str | UnsetType = UNSET
    quality: str | UnsetType = UNSET
    background: str | UnsetType = UNSET
    output_format: str | UnsetType = UNSET


class ShellCallCommandAdded(_OfCommand, tag="response.shell_call_command.added"):
    command: str


class ShellCallCommandDelta(_OfCommand, tag="response.shell_call_command.delta"):
    delta: str
    obfuscation: str | UnsetType = UNSET


class ShellCallCommandDone(_OfCommand, tag="response.shell_call_command.done"):
    command: str


class ShellOutputDelta(Wire):
    stdout: str | UnsetType = UNSET
    stderr: str | UnsetType = UNSET


class ShellCallOutputContentDelta(_OfItem, tag="response.shell_call_output_content.delta"):
    command_index: int
    delta: ShellOutputDelta


class ShellCallOutputContentDone(_OfItem, tag="response.shell_call_output_content.done"):
    command_index: int
    output: list[ShellOutput]


class AudioDelta(_Event, tag="response.audio.delta"):
    delta: str


class AudioDone(_Event, tag="response.audio.done"):
    response_id: str


class AudioTranscriptDelta(_Event, tag="response.audio.transcript.delta"):
    delta: str
    response_id: str


class AudioTranscriptDone(_Event, tag="response.audio.transcript.done"):
    response_id: str


Event = (
    ResponseCreated
    | ResponseQueued
    | ResponseInProgress
    | ResponseCompleted
    | ResponseIncomplete
    | ResponseFailed
    | ErrorEvent
    | OutputItemAdded
    | OutputItemDone
    | ContentPartAdded
    | ContentPartDone
    | OutputTextDelta
    | OutputTextDone
    | OutputTextAnnotationAdded
    | RefusalDelta
    | RefusalDone
    | ReasoningTextDelta
    | ReasoningTextDone
    | ReasoningSummaryPartAdded
    | ReasoningSummaryPartDone
    | ReasoningSummaryTextDelta
    | ReasoningSummaryTextDone
    | FunctionCallArgumentsDelta
    | FunctionCallArgumentsDone
    | CustomToolCallInputDelta
    | CustomToolCallInputDone
    | FileSearchCallInProgress
    | FileSearchCallSearching
    | FileSearchCallCompleted
    | WebSearchCallInProgress
    | WebSearchCallSearching
    | WebSearchCallCompleted
    | McpListToolsInProgress
    | McpListToolsCompleted
    | McpListToolsFailed
    | McpCallInProgress
    | McpCallCompleted
    | McpCallFailed
    | McpCallArgumentsDelta
    | McpCallArgumentsDone
    | CodeInterpreterCallInProgress
    | CodeInterpreterCallInterpreting
    | CodeInterpreterCallCompleted
    | CodeInterpreterCallCodeDelta
    | CodeInterpreterCallCodeDone
    | ImageGenerationCallInProgress
    | ImageGenerationCallGenerating
    | ImageGenerationCallCompleted
    | ImageGenerationCallPartialImage
    | ShellCallCommandAdded
    | ShellCallCommandDelta
    | ShellCallCommandDone
    | ShellCallOutputContentDelta
    | ShellCallOutputContentDone
    | AudioDelta
    | AudioDone
    | AudioTranscriptDelta
    | AudioTranscriptDone
)

_DECODER: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


def decode_event(data: bytes | str) -> Event:
    """One event from its JSON. Raises `msgspec.ValidationError` for anything that is not exactly an event."""
    return _DECODER.decode(data)
