"""Images and files in items: where they stand, what they refer to, and putting something else in their place. Pure.

Items keep what the caller sent. What the model is shown instead of a reference is put in on the way to it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar, cast

import msgspec

from antiphon.core.errors import InvalidRequest
from antiphon.core.items import (
    CallOutput,
    CustomToolCallOutput,
    FunctionCallOutput,
    InputFile,
    InputImage,
    Message,
    MessagePart,
)
from antiphon.core.machine_items import ComputerCallOutput
from antiphon.core.seen import TranscriptItem

Attachment = InputImage | InputFile
_ATTACHMENTS = frozenset((InputImage, InputFile))
_OUTPUTS = frozenset((FunctionCallOutput, CustomToolCallOutput))
Source = Literal["file_id", "url", "data"]
ItemT = TypeVar("ItemT", bound=TranscriptItem)


@dataclass(frozen=True, slots=True)
class Reference:
    """What a part points to. `value` is an id, a URL, or base64 (as a `data:` URL or bare)."""

    source: Source
    value: str
    image: bool
    filename: str = ""

    @property
    def field(self) -> str:
        """The field of the part that holds it."""
        if self.source == "url":
            return "image_url" if self.image else "file_url"
        return "file_id" if self.source == "file_id" else "file_data"


def reference_of(part: object) -> Reference | None:
    """None for what is no attachment, for one that points nowhere, and for an image that stands in the part itself."""
    match part:
        case InputImage(file_id=str(file_id)) if file_id:
            return Reference("file_id", file_id, image=True)
        case InputImage(image_url=str(url)) if is_remote(url):
            return Reference("url", url, image=True)
        case InputFile():
            name = part.filename if isinstance(part.filename, str) else ""
            for source, value in (
                ("file_id", part.file_id),
                ("url", part.file_url),
                ("data", part.file_data),
            ):
                if isinstance(value, str) and value:
                    return Reference(cast("Source", source), value, image=False, filename=name)
            return None
        case _:
            return None


def is_remote(url: str) -> bool:
    return url[:8].lower().startswith(("http://", "https://"))


def hold_attachments(items: Iterable[TranscriptItem]) -> bool:
    """Whether an image or a file is in them. Asked of each request, so it is told by types alone."""
    for item in items:
        kind = type(item)
        content: object
        if kind is Message:
            content = cast("Message", item).content
        elif kind in _OUTPUTS:
            content = cast("CallOutput", item).output
        else:
            continue
        if isinstance(content, list):
            for part in cast("list[object]", content):
                if type(part) in _ATTACHMENTS:
                    return True
    return False


def parts_of(item: object) -> Sequence[object]:
    """The content parts of an item, be it a message or the output of a call; none where it is plain text."""
    content: object = ()
    match item:
        case Message(content=content):
            pass
        case _ if isinstance(item, CallOutput):
            content = item.output
        case _:
            pass
    return cast("Sequence[object]", content) if isinstance(content, list) else ()


def placed(items: Iterable[object], field: str) -> Iterator[tuple[str, Attachment]]:
    """Each attachment of a request's items with its path: `input[0].content[1]`."""
    for at, item in enumerate(items):
        if isinstance(item, ComputerCallOutput):
            shot = item.output
            yield f"{field}[{at}].output", InputImage(image_url=shot.image_url, file_id=shot.file_id)
            continue
        name = "content" if isinstance(item, Message) else "output"
        for place, part in enumerate(parts_of(item)):
            if isinstance(part, InputImage | InputFile):
                yield f"{field}[{at}].{name}[{place}]", part


def check_one_source(part: Attachment, path: str) -> None:
    """Raises InvalidRequest unless the part says once what it is."""
    names = ("file_id", "image_url") if isinstance(part, InputImage) else ("file_id", "file_url", "file_data")
    given = [name for name in names if getattr(part, name)]
    what = "an image" if isinstance(part, InputImage) else "a file"
    if not given:
        raise InvalidRequest(f"`{path}`: {what} needs one of {', '.join(names)}.", param=path)
    if len(given) > 1:
        where = f"{path}.{given[1]}"
        raise InvalidRequest(
            f"`{where}`: {given[0]} says already which {what.split()[1]} is meant; send one of them.",
            param=where,
        )


def replaced(item: ItemT, shown: Mapping[Reference, Callable[[Attachment], MessagePart]]) -> ItemT:
    """The item with these references resolved; itself where it holds none of them."""
    parts = parts_of(item)
    new = [_shown(part, shown) for part in parts]
    if all(one is part for one, part in zip(new, parts, strict=True)):
        return item
    field = "content" if isinstance(item, Message) else "output"
    return msgspec.structs.replace(item, **{field: new})


def _shown(part: object, shown: Mapping[Reference, Callable[[Attachment], MessagePart]]) -> object:
    reference = reference_of(part)
    make = shown.get(reference) if reference is not None else None
    return part if make is None else make(cast("Attachment", part))


def references_in(items: Iterable[object]) -> Iterator[Reference]:
    for item in items:
        for part in parts_of(item):
            reference = reference_of(part)
            if reference is not None:
                yield reference
