"""Images and files as a model takes them: what bytes are, `data:` URLs, and a document's text as a part."""

import base64
import binascii
import re
from collections.abc import AsyncIterator
from mimetypes import guess_type

from antiphon.core.errors import AntiphonError, BlobsUnavailable, InvalidRequest
from antiphon.ports.files import Fetched
from antiphon.ports.knowledge import Unreadable

MAX_IMAGE_BYTES = 15_000_000
"""As base64 it is just what `image_url` may hold (20 MiB)."""
MAX_FILE_BYTES = 50 * 1024 * 1024
MAX_CHARACTERS = 4_000_000
"""Of the text of one file: about a million tokens."""
PDF = "application/pdf"

_DATA_URL = re.compile(r"data:([^;,]*)(?:;[^;,]*)*?;base64,", re.IGNORECASE)
_CLOSING = re.compile(r"</(?=document\b)", re.IGNORECASE)


def image_type(content: bytes) -> str | None:
    """The media type of an image of the four kinds that models take, told from its first bytes."""
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if content.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return None


async def pieces(content: bytes) -> AsyncIterator[bytes]:
    """What is here whole, for who takes it as it comes."""
    yield content


def unreadable(error: Unreadable, param: str, what: str = "file") -> AntiphonError:
    """The error of a request whose document cannot be read."""
    if error.code == "server_error":
        return BlobsUnavailable(f"`{param}`: {error.message}")
    return InvalidRequest(f"`{param}`: the {what} cannot be read: {error.message}", param=param)


def file_type(content: bytes, said: str, filename: str) -> str:
    """A PDF by its content; else what was said of it, or what its name says."""
    if content.lstrip()[:5] == b"%PDF-":
        return PDF
    if said and said != "application/octet-stream":
        return said
    return guess_type(filename, strict=False)[0] or "application/octet-stream"


def data_url(media_type: str, content: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def from_data(text: str, filename: str, param: str) -> Fetched:
    """What a `data:` URL in base64, or bare base64, holds. Raises InvalidRequest, with this `param`."""
    head = _DATA_URL.match(text)
    said = head[1].strip().lower() if head is not None else ""
    try:
        content = base64.b64decode(text[head.end() :] if head is not None else text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest(
            f"`{param}`: expected base64, as it is or as a URL: data:application/pdf;base64,….", param=param
        ) from None
    if not content:
        raise InvalidRequest(f"`{param}`: the file is empty.", param=param)
    return Fetched(content, said, filename)


def as_document(name: str, text: str, **about: str) -> str:
    """A file's text between marks that it cannot close itself, with its name and what else is known of it."""
    told = {"name": quotable(name) or "file", **{key: quotable(value) for key, value in about.items()}}
    attributes = " ".join(f'{key}="{value}"' for key, value in told.items() if value)
    inner = _CLOSING.sub(r"<\\/", text)
    return f"<document {attributes}>\n{inner}\n</document>"


def quotable(text: str) -> str:
    """A name or an address that somebody else chose, where it cannot be taken for more."""
    return re.sub(r'[\x00-\x1f"<>]', "", text)[:255]
