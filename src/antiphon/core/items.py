"""Items and content parts: the unit of content, exactly the wire items of the Responses API.

Source of the shapes: `ItemParam`, `InputItem`, `ItemResource` and `OutputItem` of the official OpenAPI. One struct
stands for a `type` in all its roles (request, response, stored), so any item that can be output can be sent back.
"""

from typing import Annotated, Literal

from msgspec import Meta

from antiphon.core.wire import UNSET, Json, JsonObject, UnsetType, Wire

ItemStatus = Literal["in_progress", "completed", "incomplete"]
Role = Literal["user", "assistant", "system", "developer"]
MAX_TEXT = 10 * 1024 * 1024


# --- content parts -------------------------------------------------------------------------------------------
class InputText(Wire, tag="input_text"):
    text: Annotated[str, Meta(max_length=MAX_TEXT)]
    prompt_cache_breakpoint: JsonObject | None | UnsetType = UNSET


class InputImage(Wire, tag="input_image"):
    image_url: str | None | UnsetType = UNSET
    file_id: str | None | UnsetType = UNSET
    detail: Literal["low", "high", "auto", "original"] | None | UnsetType = UNSET
    prompt_cache_breakpoint: JsonObject | None | UnsetType = UNSET


class InputFile(Wire, tag="input_file"):
    file_id: str | None | UnsetType = UNSET
    filename: str | None | UnsetType = UNSET
    file_data: str | None | UnsetType = UNSET
    file_url: str | None | UnsetType = UNSET
    detail: str | None | UnsetType = UNSET
    prompt_cache_breakpoint: JsonObject | None | UnsetType = UNSET


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
    text: str
    annotations: list[JsonObject] = []
    logprobs: list[Logprob] | UnsetType = UNSET


class Refusal(Wire, tag="refusal"):
    refusal: str


class ReasoningText(Wire, tag="reasoning_text"):
    text: str


class SummaryText(Wire, tag="summary_text"):
    text: str


MessagePart = InputText | InputImage | InputFile | OutputText | Refusal


# --- items ---------------------------------------------------------------------------------------------------
class Message(Wire, tag="message"):
    """A message of any role. `content` as a plain string is the "easy" form of a request."""

    role: Role
    content: str | list[MessagePart]
    id: str | UnsetType = UNSET
    status: ItemStatus | UnsetType = UNSET
    phase: Literal["commentary", "final_answer"] | None | UnsetType = UNSET


class Reasoning(Wire, tag="reasoning"):
    id: str | UnsetType = UNSET
    summary: list[SummaryText] = []
    content: list[ReasoningText] | UnsetType = UNSET
    encrypted_content: str | None | UnsetType = UNSET
    status: ItemStatus | UnsetType = UNSET


class FunctionCall(Wire, tag="function_call"):
    """`arguments` is JSON text, as the model wrote it."""

    call_id: str
    name: str
    arguments: str
    id: str | UnsetType = UNSET
    status: ItemStatus | UnsetType = UNSET
    namespace: str | UnsetType = UNSET
    caller: JsonObject | None | UnsetType = UNSET


class FunctionCallOutput(Wire, tag="function_call_output"):
    call_id: str
    output: str | list[InputText | InputImage | InputFile]
    id: str | None | UnsetType = UNSET
    status: ItemStatus | None | UnsetType = UNSET


class ItemReference(Wire, tag="item_reference"):
    id: str
