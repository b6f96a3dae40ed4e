"""`ResponseRequest`: the one request object, from the handler to the provider."""

from typing import Literal

from antiphon.core.errors import InvalidRequest
from antiphon.core.items import FunctionCall, FunctionCallOutput, ItemReference, Message, Reasoning
from antiphon.core.tools import Tool, ToolChoice
from antiphon.core.wire import UNSET, JsonObject, UnsetType, Wire

InputItem = Message | Reasoning | FunctionCall | FunctionCallOutput | ItemReference


class FormatText(Wire, tag="text"):
    pass


class FormatJsonObject(Wire, tag="json_object"):
    pass


class FormatJsonSchema(Wire, tag="json_schema"):
    name: str
    schema: JsonObject
    description: str | UnsetType = UNSET
    strict: bool | None | UnsetType = UNSET


class TextConfig(Wire):
    format: FormatText | FormatJsonObject | FormatJsonSchema | UnsetType = UNSET
    verbosity: Literal["low", "medium", "high"] | None | UnsetType = UNSET


class ReasoningConfig(Wire):
    effort: str | None | UnsetType = UNSET
    summary: Literal["auto", "concise", "detailed"] | None | UnsetType = UNSET
    generate_summary: Literal["auto", "concise", "detailed"] | None | UnsetType = UNSET
    mode: str | None | UnsetType = UNSET
    context: str | None | UnsetType = UNSET


class StreamOptions(Wire):
    include_obfuscation: bool | None | UnsetType = UNSET


class ResponseRequest(Wire):
    """A checked `POST /v1/responses` body (`CreateResponse`). An explicit null counts as left out (UNSET or None).

    Use `parse`; it is the only way in.
    """

    model: str = ""
    input: str | list[InputItem] | None = None
    instructions: str | None = None
    previous_response_id: str | None = None
    store: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    background: bool | None = None
    metadata: dict[str, str] | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    max_output_tokens: int | None = None
    max_tool_calls: int | None = None
    max_infer_iters: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    top_logprobs: int | None = None
    include: list[str] | None = None
    text: TextConfig | None = None
    reasoning: ReasoningConfig | None = None
    truncation: Literal["auto", "disabled"] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    service_tier: str | None = None
    client_metadata: JsonObject | None = None

    @classmethod
    def parse(cls, body: bytes) -> "ResponseRequest":
        """The request in `body`. Raises InvalidRequest or UnsupportedParameter, naming the field in `param`."""
        raise InvalidRequest("being written")
