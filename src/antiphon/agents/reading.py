"""The documents of a turn: what each one is, had from wherever it is, and read.

All of them or none: the first that cannot be had ends the others, and is an error that names it.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from antiphon.agents.content import has_images, image_part, parts_of, text_of
from antiphon.agents.shapes import Attachment, Content, Url
from antiphon.core import parse
from antiphon.core.attachments import is_remote
from antiphon.core.chunk_tokens import count_tokens
from antiphon.core.documents import Document
from antiphon.core.errors import InvalidRequest
from antiphon.core.items import InputImage
from antiphon.core.json_values import is_object
from antiphon.core.wire import JsonObject, Wire
from antiphon.embeddings.at_once import at_once
from antiphon.ports.files import Fetched
from antiphon.responses import media
from antiphon.vector_io.cutting import check_metadata
from antiphon.vector_io.reading import DocumentReader, is_url

AT_ONCE: Final = 4
READ_S: Final = 120.0
"""Until all documents of a turn are read."""
MAX_TOTAL_BYTES: Final = 64 * 1024 * 1024
"""Of the documents of a turn, as they came."""
MAX_TOTAL_CHARACTERS: Final = 8_000_000
"""Of their texts."""
_LONG: Final = 50_000
"""Characters of a text that is looked at beside the event loop."""
_MEDIA_TYPE: Final = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+\Z")
_NOT_READ: Final = ("audio/", "video/", "font/", "model/")
_AS_IT_IS: Final = frozenset({"", "text/plain", "text/csv", "application/json", "application/yaml"})
"""Texts that nothing has to be taken out of."""
_TEXT: Final = re.compile(
    r"text/|message/rfc822|application/(?:\S+\+)?(?:x-)?(?:json|xml|yaml|toml|javascript|ndjson|jsonl|sql|xhtml|sh)"
)
"""What may stand in a body as a text."""


class _Text(Wire):
    content: Content


class _Place(Wire):
    content: Url


@dataclass(frozen=True, slots=True)
class ReadDocument:
    """`document` is None where there are images alone. `tokens` is an estimate, `source` where it was fetched."""

    name: str
    media_type: str
    source: str = ""
    document: Document | None = None
    tokens: int = 0
    images: tuple[InputImage, ...] = ()
    metadata: JsonObject = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class _Source:
    """A document whose shape is right. `url` is None where it stands in the body itself."""

    number: int
    param: str
    media_type: str
    name: str
    url: str | None
    content: Content = ""
    metadata: JsonObject = field(default_factory=dict[str, Any])


@dataclass(slots=True)
class _Room:
    """What documents may still hold together."""

    bytes: int
    characters: int

    def take(self, size: int, param: str) -> None:
        self.bytes -= size
        if self.bytes < 0:
            raise InvalidRequest(
                f"`{param}`: with it the documents of this turn have more than {MAX_TOTAL_BYTES} bytes; put large ones"
                " into a vector store, and name that when the session is made (`vector_db_ids`).",
                param=param,
            )

    def take_text(self, text: str, param: str) -> None:
        self.characters -= len(text)
        if self.characters < 0 or len(text) > media.MAX_CHARACTERS:
            raise InvalidRequest(
                f"`{param}`: {media.MAX_CHARACTERS} characters of text are the most that a document of a turn may have,"
                f" and {MAX_TOTAL_CHARACTERS} all of them; put large ones into a vector store, and name that when the"
                " session is made (`vector_db_ids`).",
                param=param,
            )


@dataclass(frozen=True, slots=True)
class TurnReader:
    reader: DocumentReader

    async def read(self, documents: Sequence[Attachment], field: str) -> list[ReadDocument]:
        """In their order. Nothing is fetched before the shape of all of them was looked at.

        Raises InvalidRequest, FetchRefused, and BlobsUnavailable when documents cannot be read just now; `param` is
        the `content` (or `mime_type`) of the document.
        """
        sources = [_source(one, at, f"{field}[{at}]") for at, one in enumerate(documents)]
        places, room = asyncio.Semaphore(AT_ONCE), _Room(MAX_TOTAL_BYTES, MAX_TOTAL_CHARACTERS)

        async def one(source: _Source) -> ReadDocument:
            async with places:
                return await self._read(source, room)

        try:
            async with asyncio.timeout(READ_S):
                return await at_once(one(source) for source in sources)
        except TimeoutError:
            raise InvalidRequest(
                f"`{field}`: they were not read within {READ_S:g} s; send fewer, or smaller ones.",
                param=field,
            ) from None

    async def _read(self, source: _Source, room: _Room) -> ReadDocument:
        if source.url is None:
            return await self._inline(source, room)
        limit = min(media.MAX_FILE_BYTES, max(1, room.bytes))
        found = await self.reader.content(source.url, source.param, max_bytes=limit)
        return await self._fetched(source, found, room)

    async def _inline(self, source: _Source, room: _Room) -> ReadDocument:
        text, kind = text_of(source.content), source.media_type
        room.take(len(text), source.param)
        if kind.startswith("image/") and text and not has_images(source.content):
            return await self._fetched(source, media.from_data(text, "", source.param), room)
        images = tuple(one for one in parts_of(source.content, source.param) if isinstance(one, InputImage))
        for one in images:
            room.take(len(one.image_url or ""), source.param)
        if not text.strip():
            if not images:
                raise InvalidRequest(f"`{source.param}`: holds no text.", param=source.param)
            return ReadDocument(_name(source, "", ""), kind, images=images)
        if kind in _AS_IT_IS:
            return await _measured(source, kind, Document(text), room, images=images)
        if _TEXT.match(kind) is None:
            raise InvalidRequest(
                f"`{source.param}`: a text is no document of type {kind}; send its bytes as a data: URL, or say"
                " `mime_type` text/plain.",
                param=source.param,
            )
        content = Fetched(text.encode("utf-8", "replace"), kind, "")
        document = await self._document(source, content)
        return await _measured(source, kind, document, room, images=images)

    async def _fetched(self, source: _Source, content: Fetched, room: _Room) -> ReadDocument:
        room.take(len(content.content), source.param)
        said = source.media_type or content.media_type
        where = source.url if source.url is not None and is_remote(source.url) else ""
        kind = media.image_type(content.content)
        if kind is not None or said.startswith("image/"):
            image = image_part(content.content, source.param)
            return ReadDocument(_name(source, content.filename, ""), kind or said, where, images=(image,))
        document = await self._document(source, content)
        return await _measured(source, said, document, room, filename=content.filename, where=where)

    async def _document(self, source: _Source, content: Fetched) -> Document:
        _check_kind(source, content)
        document = await self.reader.document(content, source.media_type, source.param)
        if not document.text.strip():
            raise InvalidRequest(
                f"`{source.param}`: it holds no text; send scanned pages as images.", param=source.param
            )
        return document


async def _measured(
    source: _Source,
    kind: str,
    document: Document,
    room: _Room,
    *,
    filename: str = "",
    where: str = "",
    images: tuple[InputImage, ...] = (),
) -> ReadDocument:
    room.take_text(document.text, source.param)
    if len(document.text) < _LONG:
        tokens = count_tokens(document.text)
    else:
        tokens = await asyncio.to_thread(count_tokens, document.text)
    name = _name(source, filename, document.title)
    return ReadDocument(name, kind, where, document, tokens, images, source.metadata)


def _source(given: Attachment, at: int, path: str) -> _Source:
    """Raises InvalidRequest for a shape that is none, and a media type that is not read."""
    param = f"{path}.content"
    content = _content(given.content, path)
    kind = given.mime_type.partition(";")[0].strip().lower()
    if kind and _MEDIA_TYPE.match(kind) is None:
        raise InvalidRequest(
            f"`{path}.mime_type`: expected a media type, like text/plain or application/pdf.",
            param=f"{path}.mime_type",
        )
    if kind.startswith(_NOT_READ):
        raise InvalidRequest(
            f"`{param}`: documents of type {kind} are not read; send texts, PDF, Office files, web pages or images.",
            param=param,
        )
    name, metadata = " ".join((given.document_id or "").split()), given.metadata or {}
    check_metadata(metadata, f"{path}.metadata")
    if isinstance(content, Url):
        return _Source(at + 1, param, kind, name, content.uri, metadata=metadata)
    if isinstance(content, str) and is_url(content):
        return _Source(at + 1, param, kind, name, content, metadata=metadata)
    return _Source(at + 1, param, kind, name, None, content, metadata)


def _content(given: Any, path: str) -> Content | Url:
    holder: dict[str, Any] = {"content": given}
    try:
        if is_object(given) and "uri" in given:
            return parse.convert(holder, _Place).content
        return parse.convert(holder, _Text).content
    except InvalidRequest as error:
        error.param = f"{path}.{error.param or 'content'}"
        error.message = error.message.replace("`content", f"`{path}.content")
        raise


def _check_kind(source: _Source, content: Fetched) -> None:
    """What was sent is what was said. Raises InvalidRequest; a page that asks to sign in is no report, say."""
    kind, found = source.media_type, content.content
    if kind == media.PDF:
        fits, what = b"%PDF-" in found[:1024], "a PDF"
    elif kind.startswith("application/vnd.openxmlformats"):
        fits, what = found.startswith(b"PK"), "an Office file"
    else:
        return
    if not fits:
        raise InvalidRequest(
            f"`{source.param}`: was to be {what} ({kind}), and is none"
            f"{f'; what was there is {content.media_type}' if content.media_type not in ('', kind) else ''}.",
            param=source.param,
        )


def _name(source: _Source, filename: str, title: str) -> str:
    return source.name or filename or " ".join(title.split())[:100] or f"document {source.number}"
