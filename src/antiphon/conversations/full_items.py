"""What the official form of a conversation's items must have and a client may have left out when it sent them."""

import msgspec

from antiphon.core.items import (
    FunctionCall,
    FunctionCallOutput,
    InputImage,
    Message,
    MessagePart,
    OutputText,
)
from antiphon.core.transcript import StoredItem
from antiphon.core.wire import UNSET


def in_full(item: StoredItem) -> StoredItem:
    """`ConversationItem` of the official OpenAPI: calls have a status, texts their logprobs, images a detail."""
    if isinstance(item, FunctionCall | FunctionCallOutput) and not item.status:
        return msgspec.structs.replace(item, status="completed")
    if isinstance(item, Message) and not isinstance(item.content, str):
        return msgspec.structs.replace(item, content=[_part_in_full(part) for part in item.content])
    return item


def _part_in_full(part: MessagePart) -> MessagePart:
    if isinstance(part, OutputText) and part.logprobs is UNSET:
        return msgspec.structs.replace(part, logprobs=[])
    if isinstance(part, InputImage) and not part.detail:
        return msgspec.structs.replace(part, detail="auto")
    return part
