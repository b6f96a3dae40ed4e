"""What a tool returned, as the text that a model reads, and the files that keep what is no text or too much of it."""

import logging
import mimetypes
import re
import unicodedata
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, assert_never

from antiphon.core.errors import AntiphonError
from antiphon.core.wire import JsonObject, encode
from antiphon.mcp_tools.texts import Scrubber
from antiphon.ports import Owner
from antiphon.ports.files import StoredFile
from antiphon.ports.mcp import BinaryContent, CallResult, Content, LinkContent, TextContent

log = logging.getLogger("antiphon.tools")
PURPOSE: Final = "assistants_output"
KEPT_FOR_S: Final = 30 * 86_400
MAX_FILES: Final = 32
"""Of one call; what is more is said to have been left out."""
_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}\Z")
_PIECE = 256 * 1024


class Files(Protocol):
    """Where files are kept: `files.service.FileService`."""

    async def create(
        self,
        owner: Owner,
        filename: str,
        purpose: str,
        media_type: str,
        content: AsyncIterator[bytes],
        expires_after_s: int | None = None,
    ) -> StoredFile: ...


@dataclass(slots=True)
class Keeping:
    """Where the files of one call go. `keeps` is false for a run that may leave nothing behind."""

    files: Files
    owner: Owner
    tool: str
    keeps: bool
    made: int = field(default=0, init=False)

    async def keep(self, data: bytes, media_type: str, name: str = "") -> str:
        """Keep bytes as a file. What to say of it, in a note: its id, or why there is none."""
        if not data:
            return "empty"
        if not self.keeps:
            return "not kept, since this response is not stored"
        if self.made >= MAX_FILES:
            return f"not kept, since {MAX_FILES} files of this call were"
        self.made += 1
        filename = name or f"{_NAME.sub('_', self.tool)[:64]}-{self.made}{_suffix(media_type)}"
        try:
            file = await self.files.create(
                self.owner, filename, PURPOSE, media_type, _pieces(data), expires_after_s=KEPT_FOR_S
            )
        except AntiphonError as error:
            log.warning("what a tool returned could not be kept: %s", error.message)
            return "not kept, since files cannot be kept now"
        return f'file {file.id} ("{file.filename}")'


async def text_of(result: CallResult, scrub: Scrubber, keeping: Keeping, limit: int) -> str:
    """All that the model reads: texts and notes in their order, a blank line between them. At most `limit` characters
    and a note; the whole is kept as a file then.
    """
    parts = [await _part(one, scrub, keeping) for one in result.content]
    if result.structured is not None and not any(isinstance(one, TextContent) for one in result.content):
        parts.append(await _structured(result.structured, scrub))
    text = "\n\n".join(part for part in parts if part)
    if len(text) <= limit:
        return text
    kept = await keeping.keep(text.encode(), "text/plain")
    return f"{text[:limit]}\n\n[cut here: {limit} of {len(text)} characters; the whole: {kept}]"


async def _structured(structured: JsonObject, scrub: Scrubber) -> str:
    """As JSON, whose escapes do as well as a replaced character; what cannot be encoded is cleaned value by value."""
    try:
        try:
            text = encode(structured).decode()
        except UnicodeEncodeError:  # a lone surrogate
            text = encode(scrub.value(structured)).decode()
    except RecursionError:
        return "[structured content, nested too deep to be shown]"
    return await scrub.whole(text)


async def _part(content: Content, scrub: Scrubber, keeping: Keeping) -> str:
    match content:
        case TextContent(text=text, uri=uri):
            said = await scrub.whole(text)
            return f"[resource {scrub.line(uri)}]\n{said}" if uri else said
        case BinaryContent():
            return await _binary(content, scrub, keeping)
        case LinkContent():
            return _link(content, scrub)
        case _:
            assert_never(content)


async def _binary(content: BinaryContent, scrub: Scrubber, keeping: Keeping) -> str:
    media_type = _known_type(content.media_type)
    kept = await keeping.keep(scrub.blackened(content.data), media_type, _name_of(scrub.line(content.uri)))
    where = f" {scrub.line(content.uri)}" if content.uri else ""
    return f"[{content.kind}{where}: {media_type}, {len(content.data)} bytes; {kept}]"


def _link(content: LinkContent, scrub: Scrubber) -> str:
    about = [scrub.line(one) for one in (content.name, content.media_type, content.description) if one]
    return f"[resource link {scrub.line(content.uri, 2000)}{': ' if about else ''}{'; '.join(about)}]"


def _known_type(media_type: str) -> str:
    lower = media_type.strip().lower()
    return lower if _MEDIA_TYPE.match(lower) else "application/octet-stream"


def _suffix(media_type: str) -> str:
    return mimetypes.guess_extension(media_type) or ".bin"


def _name_of(uri: str) -> str:
    """A file's name from the end of its URI; "" where that has none."""
    last = re.split(r"[?#]", uri, maxsplit=1)[0].rstrip("/").rpartition("/")[2]
    plain = _NAME.sub("_", unicodedata.normalize("NFC", last)).strip("._")
    return plain[:100]


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(data), _PIECE):
        yield data[at : at + _PIECE]


def cleaned(result: CallResult, scrub: Scrubber) -> CallResult:
    """The result for who passes it on: its texts cleaned, structured content that is nested too deep left out."""
    try:
        structured = scrub.value(result.structured)
    except RecursionError:
        structured = None
    return CallResult([_cleaned(one, scrub) for one in result.content], structured, result.is_error)


def _cleaned(content: Content, scrub: Scrubber) -> Content:
    match content:
        case TextContent(text=text, uri=uri):
            return TextContent(scrub.text(text), scrub.text(uri))
        case BinaryContent(media_type=media_type, uri=uri):
            data = scrub.blackened(content.data)
            return replace(content, media_type=_known_type(media_type), data=data, uri=scrub.text(uri))
        case LinkContent():
            about = (content.uri, content.name, content.description, content.media_type)
            return LinkContent(*(scrub.text(one) for one in about))
        case _:
            assert_never(content)


def error_content(text: str) -> Sequence[dict[str, str]]:
    """What a tool that failed says, as MCP writes content."""
    return _texts([text] if text else [])


def _texts(texts: Iterable[str]) -> list[dict[str, str]]:
    return [{"type": "text", "text": one} for one in texts]
