"""The answers of the Messages API as types, for `/openapi.json`; nothing is decoded by them."""

from typing import Literal

import msgspec

from antiphon.core.wire import JsonObject
from antiphon.messages.types import RedactedThinkingBlock, TextBlock, ThinkingBlock, ToolUseBlock

AnswerBlock = TextBlock | ThinkingBlock | RedactedThinkingBlock | ToolUseBlock
StopReason = Literal["end_turn", "max_tokens", "stop_sequence", "tool_use", "refusal"]


class ThinkingTokens(msgspec.Struct, kw_only=True):
    thinking_tokens: int


class MessageUsage(msgspec.Struct, kw_only=True):
    """`input_tokens` are those that were neither read from the cache nor written to it."""

    input_tokens: int
    cache_creation_input_tokens: int
    cache_read_input_tokens: int
    output_tokens: int
    output_tokens_details: ThinkingTokens


class RefusalDetails(msgspec.Struct, tag_field="type", tag="refusal", kw_only=True):
    explanation: str | None
    category: str | None = None


class AnswerMessage(msgspec.Struct, tag_field="type", tag="message", kw_only=True):
    id: str
    role: Literal["assistant"]
    model: str
    content: list[AnswerBlock]
    stop_reason: StopReason | None
    stop_sequence: str | None
    usage: MessageUsage
    stop_details: RefusalDetails | None = None


class MessageStart(msgspec.Struct, tag_field="type", tag="message_start", kw_only=True):
    message: AnswerMessage


class ContentBlockStart(msgspec.Struct, tag_field="type", tag="content_block_start", kw_only=True):
    index: int
    content_block: AnswerBlock


class TextPiece(msgspec.Struct, tag_field="type", tag="text_delta", kw_only=True):
    text: str


class ThinkingPiece(msgspec.Struct, tag_field="type", tag="thinking_delta", kw_only=True):
    thinking: str


class SignaturePiece(msgspec.Struct, tag_field="type", tag="signature_delta", kw_only=True):
    signature: str


class InputPiece(msgspec.Struct, tag_field="type", tag="input_json_delta", kw_only=True):
    partial_json: str


class ContentBlockDelta(msgspec.Struct, tag_field="type", tag="content_block_delta", kw_only=True):
    index: int
    delta: TextPiece | ThinkingPiece | SignaturePiece | InputPiece


class ContentBlockStop(msgspec.Struct, tag_field="type", tag="content_block_stop", kw_only=True):
    index: int


class StopDelta(msgspec.Struct, kw_only=True):
    stop_reason: StopReason
    stop_sequence: str | None
    stop_details: RefusalDetails | None = None


class MessageDelta(msgspec.Struct, tag_field="type", tag="message_delta", kw_only=True):
    delta: StopDelta
    usage: MessageUsage


class MessageStop(msgspec.Struct, tag_field="type", tag="message_stop", kw_only=True):
    pass


class Ping(msgspec.Struct, tag_field="type", tag="ping", kw_only=True):
    pass


class MessagesError(msgspec.Struct, kw_only=True):
    type: str
    message: str


class MessagesErrorEnvelope(msgspec.Struct, tag_field="type", tag="error", kw_only=True):
    """An error answer, and the last event of a stream that broke off."""

    error: MessagesError
    request_id: str


MessageEvent = (
    MessageStart
    | ContentBlockStart
    | ContentBlockDelta
    | ContentBlockStop
    | MessageDelta
    | MessageStop
    | Ping
    | MessagesErrorEnvelope
)


class InputTokens(msgspec.Struct, kw_only=True):
    input_tokens: int


TYPES: JsonObject = {
    "AnswerMessage": AnswerMessage,
    "MessageEvent": MessageEvent,
    "MessageTokens": InputTokens,
    "MessagesErrorEnvelope": MessagesErrorEnvelope,
}
