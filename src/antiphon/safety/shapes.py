"""The bodies of `/v1/shields` and `/v1/safety/run-shield`, in the forms that clients of Llama Stack 0.2 to 0.7 send.

A message may be Llama Stack's own (interleaved content, `CompletionMessage`) or one of OpenAI's chat completions.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta

from antiphon.config.safety_settings import ShieldId
from antiphon.core.shields import Violation
from antiphon.core.wire import UNSET, JsonObject, UnsetType, Wire

MAX_TEXT = 10 * 1024 * 1024
MAX_MESSAGES = 1000
MAX_PARTS = 1000

ProviderName = Annotated[str, Meta(min_length=1, max_length=256)]
Text = Annotated[str, Meta(max_length=MAX_TEXT)]
Uri = Annotated[str, Meta(min_length=1, max_length=2 * MAX_TEXT)]


# --- shields --------------------------------------------------------------------------------------------------
class ShieldObject(Wire):
    identifier: str
    provider_id: str
    provider_resource_id: str
    type: Literal["shield"] = "shield"
    params: JsonObject = {}


class ShieldList(Wire):
    data: list[ShieldObject]


class RegisterShield(Wire):
    """`provider_shield_id` is the provider's own name: a rule set, a model."""

    shield_id: ShieldId
    provider_id: ProviderName | UnsetType | None = UNSET
    provider_shield_id: ProviderName | UnsetType | None = UNSET
    params: JsonObject | UnsetType | None = UNSET


# --- content --------------------------------------------------------------------------------------------------
class TextPart(Wire, tag="text"):
    text: Text


class Address(Wire):
    uri: Uri


class ImageSource(Wire):
    """One of both."""

    url: Address | UnsetType | None = UNSET
    data: Uri | UnsetType | None = UNSET


class ImagePart(Wire, tag="image"):
    image: ImageSource


class ImageUrl(Wire):
    url: Uri
    detail: str | UnsetType | None = UNSET


class ImageUrlPart(Wire, tag="image_url"):
    image_url: ImageUrl


class FilePart(Wire, tag="file"):
    """Read so that it can be refused by name."""

    file: Any


Part = TextPart | ImagePart | ImageUrlPart | FilePart
Content = (
    Text
    | TextPart
    | ImagePart
    | ImageUrlPart
    | FilePart
    | Annotated[list[TextPart | ImagePart | ImageUrlPart | FilePart], Meta(max_length=MAX_PARTS)]
)


# --- messages -------------------------------------------------------------------------------------------------
class FunctionPart(Wire):
    name: str | UnsetType | None = UNSET
    arguments: Text | UnsetType | None = UNSET


class ShieldToolCall(Wire):
    """Of a `CompletionMessage` (`call_id`, `tool_name`, `arguments`), or of OpenAI (`function`)."""

    call_id: str | UnsetType | None = UNSET
    tool_name: str | UnsetType | None = UNSET
    arguments: Text | JsonObject | UnsetType | None = UNSET
    arguments_json: Text | UnsetType | None = UNSET
    id: str | UnsetType | None = UNSET
    type: str | UnsetType | None = UNSET
    index: int | UnsetType | None = UNSET
    function: FunctionPart | UnsetType | None = UNSET


class UserMessage(Wire, tag_field="role", tag="user"):
    content: Content
    context: Content | UnsetType | None = UNSET
    name: str | UnsetType | None = UNSET


class SystemMessage(Wire, tag_field="role", tag="system"):
    content: Content
    name: str | UnsetType | None = UNSET


class DeveloperMessage(Wire, tag_field="role", tag="developer"):
    content: Content
    name: str | UnsetType | None = UNSET


class ToolMessage(Wire, tag_field="role", tag="tool"):
    content: Content
    call_id: str | UnsetType | None = UNSET
    tool_call_id: str | UnsetType | None = UNSET
    tool_name: str | UnsetType | None = UNSET


class AssistantMessage(Wire, tag_field="role", tag="assistant"):
    content: Content | UnsetType | None = UNSET
    stop_reason: str | UnsetType | None = UNSET
    tool_calls: Annotated[list[ShieldToolCall], Meta(max_length=MAX_PARTS)] | UnsetType | None = UNSET
    name: str | UnsetType | None = UNSET
    refusal: Text | UnsetType | None = UNSET


AnyMessage = UserMessage | SystemMessage | DeveloperMessage | ToolMessage | AssistantMessage


class RunShield(Wire):
    """`params` come on top of the shield's own, for this run."""

    shield_id: Annotated[str, Meta(min_length=1, max_length=256)]
    messages: Annotated[
        list[UserMessage | SystemMessage | DeveloperMessage | ToolMessage | AssistantMessage],
        Meta(min_length=1, max_length=MAX_MESSAGES),
    ]
    params: JsonObject | UnsetType | None = UNSET


class ShieldAnswer(Wire):
    violation: Violation | None


TYPES: dict[str, Any] = {
    "RegisterShield": RegisterShield,
    "RunShield": RunShield,
    "Shield": ShieldObject,
    "ShieldAnswer": ShieldAnswer,
    "ShieldList": ShieldList,
}
"""The names that the routes use for the types of their bodies, for `/openapi.json`."""
