"""Blocks of the user's side and results of tools → parts that a model is shown."""

from typing import Final

import msgspec

from antiphon.core.errors import InvalidRequest
from antiphon.core.items import CacheBreakpoint, InputFile, InputImage, InputText, ToolOutputPart
from antiphon.core.wire import UNSET, UnsetType
from antiphon.messages.types import (
    Base64Source,
    Block,
    ContentSource,
    DocumentBlock,
    FileSource,
    ImageBlock,
    SearchResultBlock,
    TextBlock,
    TextSource,
    ToolResultBlock,
    UrlSource,
)

_MARK: Final = CacheBreakpoint(mode="explicit")
_IMAGES: Final = ("image/jpeg", "image/png", "image/gif", "image/webp")
_PDF: Final = "application/pdf"


def parts_of(block: Block, path: str) -> list[ToolOutputPart]:
    """The parts that show a block of the user's to a model; a text that says nothing is none."""
    match block:
        case TextBlock():
            return [InputText(text=block.text, prompt_cache_breakpoint=_mark(block))] if block.text else []
        case ImageBlock():
            return [_image(block, path)]
        case DocumentBlock():
            return _document(block, path)
        case SearchResultBlock():
            _refuse_citations(block, path)
            found = "\n\n".join(one.text for one in block.content)
            text = f"<search_result>\n{block.title}\n{block.source}\n\n{found}\n</search_result>"
            return [InputText(text=text, prompt_cache_breakpoint=_mark(block))]
        case _:
            raise TypeError(f"a block of type {type(block).__name__} has no parts")


def _mark(block: TextBlock | ImageBlock | DocumentBlock | SearchResultBlock) -> CacheBreakpoint | UnsetType:
    return UNSET if block.cache_control is None else _MARK


def _image(block: ImageBlock, path: str) -> InputImage:
    source = block.source
    if isinstance(source, FileSource):
        return InputImage(file_id=source.file_id, detail="auto", prompt_cache_breakpoint=_mark(block))
    if isinstance(source, UrlSource):
        url = source.url
    elif source.media_type.lower() in _IMAGES:
        url = f"data:{source.media_type.lower()};base64,{source.data}"
    else:
        raise InvalidRequest(
            f'`{path}.source.media_type`: "{source.media_type}" is no kind of image that is read here; send'
            f" {', '.join(_IMAGES)}.",
            param=f"{path}.source.media_type",
        )
    return InputImage(image_url=url, detail="auto", prompt_cache_breakpoint=_mark(block))


def _document(block: DocumentBlock, path: str) -> list[ToolOutputPart]:
    """A PDF is a file, everything else is text and images, which every model reads."""
    _refuse_citations(block, path)
    match block.source:
        case Base64Source(media_type=kind, data=data) if kind.lower() == _PDF:
            file = InputFile(
                filename=block.title or "document.pdf",
                file_data=f"data:{_PDF};base64,{data}",
                prompt_cache_breakpoint=_mark(block),
            )
            return [*_headed(block.context), file]
        case Base64Source(media_type=kind):
            raise InvalidRequest(
                f'`{path}.source.media_type`: "{kind}" is no kind of document that is read here; send {_PDF}, or'
                " text as a source of type text.",
                param=f"{path}.source.media_type",
            )
        case UrlSource(url=url):
            named = InputFile(
                file_url=url, filename=block.title or UNSET, prompt_cache_breakpoint=_mark(block)
            )
            return [*_headed(block.context), named]
        case FileSource(file_id=file_id):
            kept = InputFile(
                file_id=file_id, filename=block.title or UNSET, prompt_cache_breakpoint=_mark(block)
            )
            return [*_headed(block.context), kept]
        case TextSource(data=text):
            return [_told(block, text)]
        case ContentSource(content=str(text)):
            return [_told(block, text)]
        case ContentSource(content=blocks):
            inner = [
                part for one in blocks if not isinstance(one, str) for part in parts_of(one, f"{path}.source")
            ]
            return [*_headed(block.title), *_headed(block.context), *inner]


def _told(block: DocumentBlock, text: str) -> InputText:
    about = "".join(f"{line}\n" for line in (block.title, block.context) if line)
    told = f"<document>\n{about}{text}\n</document>"
    return InputText(text=told, prompt_cache_breakpoint=_mark(block))


def _headed(line: str | None) -> list[ToolOutputPart]:
    return [InputText(text=line)] if line else []


def _refuse_citations(block: DocumentBlock | SearchResultBlock, path: str) -> None:
    if block.citations is not None and block.citations.enabled:
        where = f"{path}.citations.enabled"
        raise InvalidRequest(
            f"`{where}`: sources are not cited here. Leave it out, or ask for quotes in your words.",
            param=where,
        )


def output_of(block: ToolResultBlock, path: str) -> tuple[str | list[ToolOutputPart], tuple[str, ...]]:
    """What a tool gave. Items have no mark for a failure, so it is put into words where the tool did not."""
    content = block.content or ""
    if isinstance(content, str):
        return (_failed(content) if block.is_error else content), ()
    parts: list[ToolOutputPart] = []
    paths: list[str] = []
    for at, one in enumerate(content):
        inner = parts_of(one, f"{path}.content.{at}")
        parts += inner
        paths += [f"{path}.content.{at}"] * len(inner)
    _mark_last(parts, block)
    if block.is_error:
        first = parts[0] if parts else None
        said = first.text if isinstance(first, InputText) else ""
        if _failed(said) != said:
            parts.insert(0, InputText(text="Error:"))
            paths.insert(0, path)
    if len(parts) == 1 and isinstance(parts[0], InputText) and not parts[0].prompt_cache_breakpoint:
        return parts[0].text, ()
    return parts or "", tuple(paths)


def _mark_last(parts: list[ToolOutputPart], block: ToolResultBlock) -> None:
    """A mark on the whole result is one on its last part."""
    if parts and block.cache_control is not None:
        parts[-1] = msgspec.structs.replace(parts[-1], prompt_cache_breakpoint=_MARK)


def _failed(text: str) -> str:
    told = text.lstrip("<").casefold().startswith(("error", "tool_use_error"))
    return text if told else f"Error: {text}".rstrip()
