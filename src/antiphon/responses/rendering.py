"""What of a stored item is shown: everything is stored, `include` decides when it is read."""

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from antiphon.core.errors import InvalidRequest
from antiphon.core.items import InputImage, Message, MessagePart, OutputText
from antiphon.core.support import INCLUDES
from antiphon.core.transcript import TranscriptItem
from antiphon.core.wire import UNSET, encode

_ITEMS = msgspec.json.Decoder(list[TranscriptItem])
_LOGPROBS = "message.output_text.logprobs"
_IMAGE_URL = "message.input_image.image_url"


@dataclass(frozen=True, slots=True)
class Visible:
    """Which optional parts of items a caller asked for."""

    logprobs: bool = True
    image_urls: bool = True

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
        return cls(_LOGPROBS in asked, _IMAGE_URL in asked)


def render_items(stored: bytes, visible: Visible) -> bytes:
    """A stored array as the caller sees it; decoded only where something must be taken out."""
    if visible.logprobs or b'"logprobs":[{' not in stored:
        return stored
    return encode([render_item(item, visible) for item in _ITEMS.decode(stored)])


def render_item(item: TranscriptItem, visible: Visible) -> TranscriptItem:
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
