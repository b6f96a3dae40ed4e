"""Documents as Llama Stack's clients give them: by a URL, or as they are; and what is read from them."""

import asyncio
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from antiphon.core.documents import Document
from antiphon.core.errors import InvalidRequest
from antiphon.ports.files import Fetched, Fetcher
from antiphon.ports.knowledge import Extractor, Unreadable
from antiphon.responses import media

_URL: Final = re.compile(r"(?:https?|file|data):\S*\Z", re.IGNORECASE)
_DATA: Final = re.compile(r"data:([^;,]*)((?:;[^;,]*)*),", re.IGNORECASE)
_LONG: Final = 100_000
"""Characters of a `data:` URL that is decoded beside the event loop."""


def is_url(text: str) -> bool:
    """Whether a text is a URL and nothing else."""
    return _URL.match(text) is not None


@dataclass(frozen=True, slots=True)
class DocumentReader:
    fetcher: Fetcher
    extractor: Extractor

    async def content(self, url: str, param: str, *, max_bytes: int | None = None) -> Fetched:
        """What a URL holds, `data:` ones too. Raises FetchRefused and InvalidRequest, with this `param`."""
        if url[:5].lower() != "data:":
            return await self.fetcher.fetch(url, param, max_bytes=max_bytes)
        if len(url) < _LONG:
            return from_data_url(url, param)
        return await asyncio.to_thread(from_data_url, url, param)

    async def document(self, content: Fetched, media_type: str, param: str) -> Document:
        """What is to be read there; `media_type` is what the caller says of it. Raises InvalidRequest with this
        `param`, and BlobsUnavailable when nothing can be read just now.
        """
        kind = media_type or content.media_type
        try:
            return await self.extractor.extract(media.pieces(content.content), content.filename, kind)
        except Unreadable as error:
            raise media.unreadable(error, param, "document") from None


def from_data_url(url: str, param: str) -> Fetched:
    """What a `data:` URL (RFC 2397) holds, in base64 or percent-encoded. Raises InvalidRequest, with this `param`."""
    head = _DATA.match(url)
    if head is None:
        raise InvalidRequest(
            f"`{param}`: expected a data: URL: data:MEDIA_TYPE;base64,CONTENT, or data:MEDIA_TYPE,CONTENT.",
            param=param,
        )
    if head[2].lower().endswith(";base64"):
        return media.from_data(url, "", param)
    content = unquote_to_bytes(url[head.end() :])
    if not content:
        raise InvalidRequest(f"`{param}`: the document is empty.", param=param)
    return Fetched(content, head[1].strip().lower() or "text/plain", "")
