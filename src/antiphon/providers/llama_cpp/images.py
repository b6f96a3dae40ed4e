"""Images for a model that runs here have to come with the request.

llama.cpp fetches what an image's URL names, from wherever this machine can reach: a caller could have it ask the
private network. Only what a `data:` URL holds gets through.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import msgspec

from antiphon.core.errors import UnsupportedParameter
from antiphon.core.items import InputImage
from antiphon.core.transcript import TranscriptItem

_BODY = msgspec.json.Decoder(dict[str, Any])


def refuse_remote(items: Iterable[TranscriptItem]) -> None:
    """Raises UnsupportedParameter for an image of the transcript that is to be fetched."""
    for item in items:
        for parts in (getattr(item, "content", None), getattr(item, "output", None)):
            for part in cast("Sequence[object]", parts) if isinstance(parts, list) else ():
                if isinstance(part, InputImage) and isinstance(part.image_url, str):
                    _check(part.image_url, "input")


def refuse_remote_in(body: bytes) -> None:
    """The same for a body that is passed on. One that is no JSON is the engine's to refuse."""
    try:
        left: list[Any] = [_BODY.decode(body).get("messages")]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    while left:
        value = left.pop()
        if isinstance(value, dict):
            members = cast("Mapping[str, Any]", value)
            left.extend(members.values())
            for key, member in members.items():
                if isinstance(member, str) and (key == "url" or key.endswith("_url")):
                    _check(member, "messages")
        elif isinstance(value, list):
            left.extend(cast("Sequence[Any]", value))


def _check(url: str, param: str) -> None:
    if not url.startswith("data:"):
        raise UnsupportedParameter(
            f'`{param}` names the image "{url[:80]}": a model that runs here takes images as data: URLs only,'
            " and nothing is fetched for it. Send the image itself, in base64.",
            param=param,
        )
