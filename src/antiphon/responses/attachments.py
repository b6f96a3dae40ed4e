"""Images and files of requests: what is stored keeps the reference, what the model sees is what it refers to.

`Attachments` is the server's, `Given` that of one request. Of the request itself a file that is not there, or cannot
be read, is an error that names it; of what the request continues it is a sentence in its place, so that a conversation
outlives its files.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import msgspec

from antiphon.core.attachments import (
    Attachment,
    Reference,
    check_one_source,
    hold_attachments,
    placed,
    reference_of,
    references_in,
    replaced,
)
from antiphon.core.commands import CallModel
from antiphon.core.errors import FetchRefused, InvalidRequest, NotFound
from antiphon.core.items import InputFile, InputImage, InputText, MessagePart
from antiphon.core.request import ResponseRequest
from antiphon.core.seen import TranscriptItem
from antiphon.core.transcript import PastTurn, Transcript
from antiphon.core.wire import UNSET, encode
from antiphon.files.service import FileService
from antiphon.ports import Intake, Owner
from antiphon.ports.files import Fetched, Fetcher, StoredFile
from antiphon.ports.knowledge import Extractor, Unreadable
from antiphon.responses import media
from antiphon.responses.kept import Kept

MAX_TOTAL_BYTES = 64 * 1024 * 1024
"""Of what is put into one request: images and files. Texts are the model's matter."""
AT_ONCE = 4
Maker = Callable[[Attachment], MessagePart]

_TURNS_BYTES = 32 * 1024 * 1024
_TEXTS_BYTES = 32 * 1024 * 1024
_URLS_BYTES = 16 * 1024 * 1024
_REFERENCES_BYTES = 4 * 1024 * 1024


class TooMuch(InvalidRequest):
    """The images and files of a context are more than a request may hold: of those that came before, too."""

    def __init__(self) -> None:
        super().__init__(
            f"`input`: the images and files of this context have more than {MAX_TOTAL_BYTES} bytes together; put"
            " documents into a vector store, and offer file_search.",
            param="input",
        )


class Attachments:
    """One per server. What it keeps is in memory and bounded; every key holds whose it is."""

    def __init__(self, files: FileService, fetcher: Fetcher, extractor: Extractor) -> None:
        self.files = files
        self.fetcher = fetcher
        self._extractor = extractor
        self.turns: Kept[tuple[object, ...], PastTurn] = Kept(_TURNS_BYTES)
        self.urls: Kept[tuple[Owner, str], Fetched] = Kept(_URLS_BYTES)
        self._texts: Kept[tuple[str, str, str], str] = Kept(_TEXTS_BYTES)
        self._references: Kept[str, tuple[Reference, ...]] = Kept(_REFERENCES_BYTES)

    async def given(self, owner: Owner, request: ResponseRequest, transcript: Transcript) -> "Given | None":
        """The attachments of a request and of what it continues. None where there are none.

        Raises NotFound for a file of the request that is not the owner's, InvalidRequest for a part that points
        nowhere, or to several things.
        """
        for turn in transcript.history:
            if turn.may_attach:
                break
        else:
            if not hold_attachments(transcript.items):
                return None
        return await self.named(owner, _paths(_own_parts(request)))

    async def named(self, owner: Owner, paths: Mapping[Reference, str]) -> "Given":
        """For attachments that stand at these paths of a body. Raises NotFound."""
        given = Given(self, owner, paths)
        await given.check()
        return given

    async def check(self, owner: Owner, items: Iterable[object], field: str) -> None:
        """Raises NotFound for items that refer to files which are not the owner's, and as `given` does."""
        if paths := _paths(placed(items, field)):
            await self.named(owner, paths)

    def references(self, turn: PastTurn) -> tuple[Reference, ...]:
        """What items of a turn refer to; a turn never changes."""
        found = self._references.get(turn.id)
        if found is None:
            found = tuple(dict.fromkeys(references_in(turn.items())))
            self._references.put(turn.id, found, sum(len(one.value) for one in found))
        return found

    def known_text(self, owner: Owner, digest: str, filename: str) -> str | None:
        return self._texts.get((owner.tenant, digest, filename))

    async def text(self, owner: Owner, content: Fetched, media_type: str) -> str:
        """The text of a document, read once. Raises Unreadable, and InvalidRequest for none or too much of it."""
        digest = await asyncio.to_thread(_digest, content.content)
        known = self.known_text(owner, digest, content.filename)
        if known is not None:
            return known
        document = await self._extractor.extract(media.pieces(content.content), content.filename, media_type)
        text = document.text
        if not text.strip():
            raise InvalidRequest("it holds no text; send scanned pages as images")
        if len(text) > media.MAX_CHARACTERS:
            raise InvalidRequest(
                f"its text has {len(text)} characters, and {media.MAX_CHARACTERS} are the most that is put into a"
                " request; put it into a vector store, and offer file_search"
            )
        self._texts.put((owner.tenant, digest, content.filename), text, 4 * len(text))
        return text


class Given:
    """Those of one request. What was looked up once is looked up no more."""

    def __init__(self, service: Attachments, owner: Owner, paths: Mapping[Reference, str]) -> None:
        self._service = service
        self._owner = owner
        self._paths = paths
        self._rows: dict[str, StoredFile | None] = {}
        self._fetches: dict[Reference, Fetched] = {}
        self._makers: dict[tuple[Reference, Intake], Maker] = {}
        self._unfetched: set[Reference] = set()
        self._totals: Counter[Intake] = Counter()
        self._at_once = asyncio.Semaphore(AT_ONCE)

    async def check(self) -> None:
        """Raises NotFound for a file of the request that is not there."""
        await self._find(self._paths)
        for reference in self._paths:
            if reference.source == "file_id":
                self._row(reference)

    async def shown(self, call: CallModel, intake: Intake) -> CallModel:
        """The call as a model of this intake is to see it.

        Raises NotFound, FetchRefused, InvalidRequest for an attachment of the request that cannot be had.
        """
        before = call.transcript
        turns = {turn.id: self._service.references(turn) for turn in before.history if turn.may_attach}
        await self._find([*(one for found in turns.values() for one in found), *references_in(before.items)])
        history = [
            await self._turn(turn, turns[turn.id], intake) if turns.get(turn.id) else turn
            for turn in before.history
        ]
        items = await self._items(before.items, intake)
        return replace(call, transcript=replace(before, history=tuple(history), items=items))

    async def readable(self, items: Sequence[TranscriptItem]) -> Sequence[TranscriptItem]:
        """Items with their files as texts, and their images where they can be looked at. Raises as `shown` does."""
        await self._find(references_in(items))
        return await self._items(tuple(items), Intake())

    async def parts(self, parts: Sequence[Attachment], intake: Intake) -> list[MessagePart]:
        """The same for parts that stand in no item."""
        references = [reference_of(part) for part in parts]
        there = [one for one in dict.fromkeys(references) if one is not None]
        await self._find(there)
        makers = await self._made([one for one in there if _is_needed(one, intake)], intake)
        return [
            makers[reference](part) if reference in makers else part
            for part, reference in zip(parts, references, strict=True)
        ]

    # --- items and turns ------------------------------------------------------------------------------------
    async def _items(self, items: Sequence[TranscriptItem], intake: Intake) -> tuple[TranscriptItem, ...]:
        wanted = [one for one in dict.fromkeys(references_in(items)) if _is_needed(one, intake)]
        makers = await self._made(wanted, intake)
        return tuple(replaced(item, makers) for item in items) if makers else tuple(items)

    async def _turn(self, turn: PastTurn, references: Sequence[Reference], intake: Intake) -> PastTurn:
        """The turn with what it refers to; its id tells the content, as adapters keep what they rendered by it."""
        wanted = [one for one in references if _is_needed(one, intake)]
        if not wanted:
            return turn
        states = tuple(self._state(one) for one in wanted)
        key = (self._owner, turn.id, turn.by_hand, turn.unanswered, intake, states)
        known = self._service.turns.get(key)
        if known is not None:
            return known
        makers = await self._made(wanted, intake)
        shown = encode([replaced(item, makers) for item in turn.items()])
        digest = await asyncio.to_thread(_digest, shown)
        made = PastTurn(
            f"{turn.id}+{digest}", shown, b"[]", turn.served_by, (), turn.by_hand, turn.unanswered
        )
        if self._unfetched.isdisjoint(wanted):
            self._service.turns.put(key, made, len(shown))
        return made

    def _state(self, reference: Reference) -> str:
        """What can change of what a reference stands for."""
        row = self._rows.get(reference.value) if reference.source == "file_id" else None
        return row.sha256 if row is not None else ""

    # --- resolving ------------------------------------------------------------------------------------------
    async def _made(self, wanted: Sequence[Reference], intake: Intake) -> dict[Reference, Maker]:
        missing = [one for one in wanted if (one, intake) not in self._makers]
        try:
            async with asyncio.TaskGroup() as group:
                for one in missing:
                    group.create_task(self._make(one, intake))
        except BaseExceptionGroup as errors:
            raise _first(errors) from None
        return {one: self._makers[one, intake] for one in wanted}

    async def _make(self, reference: Reference, intake: Intake) -> None:
        async with self._at_once:
            try:
                maker = await self._maker(reference, intake)
            except (NotFound, InvalidRequest) as error:
                if reference in self._paths or isinstance(error, TooMuch):
                    raise
                if isinstance(error, FetchRefused):
                    self._unfetched.add(reference)
                maker = _note(reference, error)
        self._makers[reference, intake] = maker

    async def _maker(self, reference: Reference, intake: Intake) -> Maker:
        param = self._param(reference)
        if reference.image:
            content = await self._content(reference)
            kind = media.image_type(content.content)
            if kind is None:
                raise InvalidRequest(
                    f"`{param}`: this is no image that models take; send a PNG, JPEG, WebP or GIF.",
                    param=param,
                )
            return _image(self._inlined(kind, content, intake))
        if reference.source == "file_id" and intake.files == "none":  # then what was read is not read again
            row = self._row(reference)
            known = self._service.known_text(self._owner, row.sha256, reference.filename or row.filename)
            if known is not None:
                return _text(known, reference.filename or row.filename)
        return await self._file(reference, await self._content(reference), intake)

    async def _file(self, reference: Reference, content: Fetched, intake: Intake) -> Maker:
        param, name = self._param(reference), content.filename
        image = media.image_type(content.content)
        if image is not None:
            self._check_image_size(reference, len(content.content))
            return _image(self._inlined(image, content, intake))
        kind = media.file_type(content.content, content.media_type, name)
        if intake.files == "all" or (intake.files == "pdf" and kind == media.PDF):
            if reference.source == "data":
                return _as_it_is
            return _whole(self._inlined(kind, content, intake), name)
        try:
            text = await self._service.text(self._owner, content, kind)
        except Unreadable as error:
            raise media.unreadable(error, param) from None
        except InvalidRequest as error:
            raise InvalidRequest(f"`{param}`: {error.message}.", param=param) from None
        return _text(text, name)

    def _inlined(self, media_type: str, content: Fetched, intake: Intake) -> str:
        """As it is put into the request for a model of this intake. Raises TooMuch."""
        self._totals[intake] += len(content.content)
        if self._totals[intake] > MAX_TOTAL_BYTES:
            raise TooMuch
        return media.data_url(media_type, content.content)

    async def _content(self, reference: Reference) -> Fetched:
        param = self._param(reference)
        match reference.source:
            case "file_id":
                row = self._row(reference)
                self._check_size(reference, row.bytes)
                content = await self._service.files.read(row, row.bytes)
                return Fetched(content, row.media_type, reference.filename or row.filename)
            case "url":
                return await self._fetched(reference, param)
            case "data":
                if len(reference.value) < 100_000:
                    return media.from_data(reference.value, reference.filename, param)
                return await asyncio.to_thread(media.from_data, reference.value, reference.filename, param)

    async def _fetched(self, reference: Reference, param: str) -> Fetched:
        """What the request names is fetched now; what earlier turns named, only where it is not kept."""
        key = (self._owner, reference.value)
        found = self._fetches.get(reference)
        if found is None and reference not in self._paths:
            found = self._service.urls.get(key)
        if found is None:
            limit = media.MAX_IMAGE_BYTES if reference.image else media.MAX_FILE_BYTES
            found = await self._service.fetcher.fetch(reference.value, param, max_bytes=limit)
            self._service.urls.put(key, found, len(found.content))
        self._fetches[reference] = found
        if not found.content:
            raise InvalidRequest(f"`{param}`: the URL holds nothing.", param=param)
        return replace(found, filename=reference.filename or found.filename)

    async def _find(self, references: Iterable[Reference]) -> None:
        """Look up the files that are not known yet, by one query."""
        ids = [one.value for one in references if one.source == "file_id" and one.value not in self._rows]
        if ids:
            found = await self._service.files.find(self._owner, list(dict.fromkeys(ids)))
            self._rows |= {file_id: found.get(file_id) for file_id in ids}

    def _row(self, reference: Reference) -> StoredFile:
        row = self._rows.get(reference.value)
        if row is None:
            param = self._param(reference)
            raise NotFound(
                f'`{param}`: there is no file "{reference.value[:200]}"; it may have been deleted, or have expired.'
                " GET /v1/files lists those there are.",
                param=param,
            )
        return row

    def _check_size(self, reference: Reference, size: int) -> None:
        if reference.image:
            self._check_image_size(reference, size)
        elif size > media.MAX_FILE_BYTES:
            self._refuse_size(reference, size, media.MAX_FILE_BYTES)

    def _check_image_size(self, reference: Reference, size: int) -> None:
        if size > media.MAX_IMAGE_BYTES:
            self._refuse_size(reference, size, media.MAX_IMAGE_BYTES)

    def _refuse_size(self, reference: Reference, size: int, limit: int) -> None:
        param = self._param(reference)
        raise InvalidRequest(
            f"`{param}`: it has {size} bytes, and {limit} are the most that is put into a request.",
            param=param,
        )

    def _param(self, reference: Reference) -> str:
        return self._paths.get(reference, "input")


def _paths(parts: Iterable[tuple[str, Attachment]]) -> dict[Reference, str]:
    """What parts refer to, and the field that says so. Raises InvalidRequest."""
    paths: dict[Reference, str] = {}
    for path, part in parts:
        check_one_source(part, path)
        reference = reference_of(part)
        if reference is not None:
            paths.setdefault(reference, f"{path}.{reference.field}")
    return paths


def _own_parts(request: ResponseRequest) -> Iterable[tuple[str, Attachment]]:
    if isinstance(request.input, list):
        yield from placed(request.input, "input")
    if request.prompt is not None:
        for name, value in (request.prompt.variables or {}).items():
            if isinstance(value, InputImage | InputFile):
                yield f"prompt.variables.{name[:100]}", value


def _is_needed(reference: Reference, intake: Intake) -> bool:
    match reference.source:
        case "file_id":
            return True
        case "url":
            return not (reference.image and intake.image_urls)
        case "data":
            return intake.files != "all"


def _as_it_is(part: Attachment) -> MessagePart:
    return part


def _image(url: str) -> Maker:
    def make(part: Attachment) -> MessagePart:
        if isinstance(part, InputImage):
            return msgspec.structs.replace(part, image_url=url, file_id=UNSET)
        return InputImage(image_url=url, detail="auto", prompt_cache_breakpoint=part.prompt_cache_breakpoint)

    return make


def _whole(url: str, name: str) -> Maker:
    def make(part: Attachment) -> MessagePart:
        detail = part.detail if isinstance(part, InputFile) else UNSET
        mark = part.prompt_cache_breakpoint
        return InputFile(filename=name or "file", file_data=url, detail=detail, prompt_cache_breakpoint=mark)

    return make


def _text(text: str, name: str) -> Maker:
    shown = media.as_document(name, text)
    return lambda part: InputText(text=shown, prompt_cache_breakpoint=part.prompt_cache_breakpoint)


def _note(reference: Reference, error: NotFound | InvalidRequest) -> Maker:
    """What stands in the place of something that earlier turns showed and that cannot be had any more."""
    what = "image" if reference.image else "file"
    where = {"file_id": f' "{reference.value[:200]}"', "url": f" at {reference.value[:200]}", "data": ""}
    why = "cannot be shown"
    if isinstance(error, NotFound):
        why = "is not there any more"
    elif isinstance(error, FetchRefused):
        why = "could not be fetched again"
    note = InputText(text=f"[The {what}{where[reference.source]} {why}.]")
    return lambda _: note


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error of a task; groups within groups are not made here."""
    return errors.exceptions[0]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
