"""What of a stored item is shown: everything is stored, `include` decides when it is read.

Items are stored in their inner form, so the `encrypted_content` of a reasoning or a compaction item never leaves as
it is.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from antiphon.core.errors import InvalidRequest
from antiphon.core.file_search import shown_item
from antiphon.core.hosted_items import Compaction, FileSearchCall, McpApprovalResponse, McpListTools
from antiphon.core.items import InputImage, Message, MessagePart, OutputText, Reasoning
from antiphon.core.machine_items import ComputerCallOutput
from antiphon.core.mcp import shown_list
from antiphon.core.support import INCLUDES
from antiphon.core.transcript import StoredItem
from antiphon.core.wire import UNSET, encode
from antiphon.runs.compactions import Compactions
from antiphon.runs.thoughts import Thoughts

_ITEMS = msgspec.json.Decoder(list[StoredItem])
_LOGPROBS = "message.output_text.logprobs"
_IMAGE_URL = "message.input_image.image_url"
_SCREENSHOT = "computer_call_output.output.image_url"
_ENCRYPTED = "reasoning.encrypted_content"
_RESULTS = "file_search_call.results"
_DECODED = tuple(
    b'"type":"%b"' % kind
    for kind in (b"compaction", b"file_search_call", b"mcp_list_tools", b"mcp_approval_response")
)
"""Items that never leave as they are stored."""


@dataclass(frozen=True, slots=True)
class Visible:
    """Which optional parts of items a caller asked for."""

    logprobs: bool = True
    image_urls: bool = True
    screenshots: bool = True
    encrypted: bool = False
    results: bool = False

    @classmethod
    def of(cls, include: Iterable[str]) -> "Visible":
        """From the values of an `include` query. Raises InvalidRequest for one that does not exist."""
        asked = set(include)
        for value in asked:
            if value not in INCLUDES:
                known = ", ".join(sorted(INCLUDES))
                raise InvalidRequest(
                    f'"{value}" is not a value of include; there are: {known}.', param="include"
                )
        return cls(
            _LOGPROBS in asked,
            _IMAGE_URL in asked,
            _SCREENSHOT in asked,
            _ENCRYPTED in asked,
            _RESULTS in asked,
        )


def render_items(stored: bytes, visible: Visible, thoughts: Thoughts) -> bytes:
    """A stored array as the caller sees it; decoded only where something must be taken out or put in."""
    touches_logprobs = not visible.logprobs and b'"logprobs":[{' in stored
    reasoned = b'"reasoning"' if visible.encrypted else b'"encrypted_content":'
    if not touches_logprobs and reasoned not in stored and not any(one in stored for one in _DECODED):
        return stored
    return encode([render_item(item, visible, thoughts) for item in _ITEMS.decode(stored)])


def render_item(item: StoredItem, visible: Visible, thoughts: Thoughts) -> StoredItem:
    if isinstance(item, Reasoning):
        if visible.encrypted:
            return thoughts.sealed(item)
        return msgspec.structs.replace(item, encrypted_content=UNSET)
    if isinstance(item, Compaction):
        return Compactions(thoughts.sealer, thoughts.tenant).sealed(item)
    if isinstance(item, FileSearchCall):
        return shown_item(item, with_results=visible.results)
    if isinstance(item, McpListTools):
        return shown_list(item)
    if isinstance(item, McpApprovalResponse):
        # The stored form has it in the official document (`MCPApprovalResponseResource`), which says of it no more.
        return msgspec.structs.replace(item, asked=UNSET, request_id=item.approval_request_id)
    if isinstance(item, ComputerCallOutput) and not visible.screenshots:
        return msgspec.structs.replace(item, output=msgspec.structs.replace(item.output, image_url=UNSET))
    if not isinstance(item, Message) or isinstance(item.content, str):
        return item
    content = [_render_part(part, visible) for part in item.content]
    return msgspec.structs.replace(item, content=content)


def _render_part(part: MessagePart, visible: Visible) -> MessagePart:
    if isinstance(part, OutputText) and part.logprobs and not visible.logprobs:
        return msgspec.structs.replace(part, logprobs=[])
    if isinstance(part, InputImage) and part.image_url and not visible.image_urls:
        return msgspec.structs.replace(part, image_url=UNSET)
    return part
