"""What the routes of conversations take and give.

Source: `CreateConversationBody`, `ConversationResource` and `ConversationItemList` of the official OpenAPI.
"""

from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from antiphon.core import parse, support, tool_rules
from antiphon.core.body import InputItem, Metadata
from antiphon.core.errors import InvalidRequest
from antiphon.core.hosted_items import AnyOutputItem
from antiphon.core.wire import Wire

MAX_ADDED = 20
"""Items that one request may bring."""

_Items = Annotated[list[InputItem], Meta(max_length=MAX_ADDED)]
BodyT = TypeVar("BodyT", bound="NewConversation | MoreItems")


class NewConversation(Wire):
    metadata: Metadata | None = None
    items: _Items | None = None


class ChangedConversation(Wire):
    """`metadata` takes the place of what was there; null empties it."""

    metadata: Metadata | None


class MoreItems(Wire):
    items: _Items


class Conversation(Wire):
    """`created_at` is in Unix seconds."""

    id: str
    metadata: Metadata
    created_at: int
    object: Literal["conversation"] = "conversation"


class DeletedConversation(Wire):
    id: str
    deleted: bool = True
    object: Literal["conversation.deleted"] = "conversation.deleted"


class ConversationItemList(Wire):
    """A page of items. The ids are empty when it is."""

    data: list[AnyOutputItem]
    has_more: bool
    first_id: str
    last_id: str
    object: Literal["list"] = "list"


def parse_items(body: bytes, wanted: type[BodyT]) -> BodyT:
    """A body that may bring items. Raises InvalidRequest or UnsupportedParameter, with the field in `param`."""
    try:
        parsed = msgspec.json.decode(body, type=wanted)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        parsed = parse.load(body, wanted, refuse=lambda value: support.refuse_json_items(value, "items"))
    items = parsed.items or []
    for at, item in enumerate(items):
        if item.__struct_config__.tag == "compaction_trigger":
            raise InvalidRequest(
                f"`items[{at}]`: only a response can be asked to compact; send it in the `input` of one.",
                param=f"items[{at}]",
            )
    tool_rules.check_items(items, "items")
    return parsed
