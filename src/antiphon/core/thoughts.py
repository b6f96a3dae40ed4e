"""What a reasoning item keeps hidden: the upstream's own encrypted content and the text of its thoughts.

Inside the server `encrypted_content` is the upstream's blob behind the id of the provider that made it, since no
other can read it. Outside it is our sealed blob, which holds both and so brings everything back when a client that
stores nothing here sends the item again (`ReasoningItem` of the official OpenAPI).
"""

import msgspec

from antiphon.core.items import Reasoning, ReasoningText
from antiphon.core.wire import UNSET

PURPOSE = "reasoning"


class _Hidden(msgspec.Struct, array_like=True, frozen=True):
    texts: list[str]
    upstream: str | None = None


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Hidden)


def marked(provider_id: str, blob: str) -> str:
    """An upstream's blob with its origin. Provider ids hold no colon."""
    return f"{provider_id}:{blob}"


def upstream_blob(provider_id: str, item: Reasoning) -> str | None:
    """The blob of this item, if this provider made it."""
    content = item.encrypted_content
    return blob_of(provider_id, content) if isinstance(content, str) else None


def blob_of(provider_id: str, content: str) -> str | None:
    """The blob behind a mark of this provider."""
    return content[len(provider_id) + 1 :] if content.startswith(f"{provider_id}:") else None


def made_by(item: Reasoning) -> str | None:
    """The id of the provider whose blob this item carries; None where it carries none."""
    content = item.encrypted_content
    return content.partition(":")[0] if isinstance(content, str) and ":" in content else None


def hidden(item: Reasoning) -> bytes:
    """What is to be sealed of an item in its inner form."""
    texts = [part.text for part in item.content] if item.content is not UNSET else []
    upstream = item.encrypted_content if isinstance(item.encrypted_content, str) else None
    return _ENCODER.encode(_Hidden(texts, upstream))


def restored(item: Reasoning, payload: bytes) -> Reasoning:
    """The item in its inner form again. Raises ValueError for a payload that is not one of ours."""
    found = _DECODER.decode(payload)
    content = [ReasoningText(text=text) for text in found.texts]
    return msgspec.structs.replace(
        item,
        content=content or item.content,
        encrypted_content=found.upstream if found.upstream is not None else UNSET,
    )
