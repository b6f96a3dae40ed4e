"""Items → the `messages` of the Messages API. Pure.

Its rules: roles alternate, so neighbours of one role are one message; results of calls come first in the user message
behind them; no block is empty; a tool's input is an object; ids of calls are of letters, digits, `_` and `-`.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from antiphon.core.errors import UnsupportedParameter
from antiphon.core.items import (
    CacheBreakpoint,
    CallOutput,
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    InputFile,
    InputImage,
    InputText,
    Message,
    MessagePart,
    OutputText,
    Reasoning,
    Refusal,
)
from antiphon.core.json_values import is_object
from antiphon.core.thoughts import upstream_blob
from antiphon.core.transcript import TranscriptItem
from antiphon.core.wire import JsonObject, decode_json
from antiphon.providers.custom_calls import KEY

_CALL_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}\Z")
_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)(?:;[\w=.-]+)*;base64,", re.IGNORECASE)
_IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})


class Content(NamedTuple):
    """`system` are the texts at the beginning; `marked` the blocks with a breakpoint of the caller's, in order."""

    system: list[str]
    messages: list[JsonObject]
    marked: list[JsonObject]


def content_of(provider_id: str, items: Iterable[TranscriptItem]) -> Content:
    """Raises UnsupportedParameter for content that this wire cannot carry."""
    writer = _Writer(provider_id)
    for item in items:
        writer.add(item)
    return Content(writer.system, writer.messages, writer.marked)


def call_id_of(call_id: str) -> str:
    """The id as this wire takes it; another one always becomes the same."""
    if _CALL_ID.match(call_id):
        return call_id
    return "call_" + hashlib.sha256(call_id.encode()).hexdigest()[:32]


@dataclass(slots=True)
class _Writer:
    provider_id: str
    system: list[str] = field(default_factory=list[str])
    messages: list[JsonObject] = field(default_factory=list[JsonObject])
    marked: list[JsonObject] = field(default_factory=list[JsonObject])

    def add(self, item: TranscriptItem) -> None:
        match item:
            case Message(role="system" | "developer"):
                self._instruct(_texts(item))
            case Message(role="assistant"):
                for text in _texts(item):
                    self._put("assistant", {"type": "text", "text": text})
            case Message():
                self._ask(item)
            case Reasoning():
                self._think(item)
            case FunctionCall():
                self._call(item.call_id, item.name, _object(item.arguments))
            case CustomToolCall():
                self._call(item.call_id, item.name, {KEY: item.input})
            case FunctionCallOutput() | CustomToolCallOutput():
                self._answer(item)

    def _instruct(self, texts: Sequence[str]) -> None:
        if not self.messages:
            self.system += texts
            return
        for text in texts:
            self._put("user", {"type": "text", "text": f"<system>\n{text}\n</system>"})

    def _ask(self, item: Message) -> None:
        if isinstance(item.content, str):
            if item.content:
                self._put("user", {"type": "text", "text": item.content})
            return
        for part in item.content:
            block = _block(part, "input")
            if block is not None:
                self._put("user", block)
                self._mark(part, block)

    def _mark(self, part: MessagePart, block: JsonObject) -> None:
        mark = None if isinstance(part, OutputText | Refusal) else part.prompt_cache_breakpoint
        if isinstance(mark, CacheBreakpoint):
            self.marked.append(block)

    def _think(self, item: Reasoning) -> None:
        blob = upstream_blob(self.provider_id, item)
        if blob is not None:
            self._put("assistant", decode_json(blob))

    def _call(self, call_id: str, name: str, given: JsonObject) -> None:
        self._put("assistant", {"type": "tool_use", "id": call_id_of(call_id), "name": name, "input": given})

    def _answer(self, item: CallOutput) -> None:
        result: JsonObject = {"type": "tool_result", "tool_use_id": call_id_of(item.call_id)}
        if isinstance(item.output, str):
            result["content"] = item.output
        else:
            blocks = [_block(part, "output") for part in item.output]
            result["content"] = [block for block in blocks if block is not None]
        self._put("user", result)

    def _put(self, role: str, block: JsonObject) -> None:
        last = self.messages[-1] if self.messages else None
        if last is None or last["role"] != role:
            self.messages.append({"role": role, "content": [block]})
        else:
            last["content"].append(block)


def _texts(item: Message) -> list[str]:
    if isinstance(item.content, str):
        return [item.content] if item.content else []
    found: list[str] = []
    for part in item.content:
        match part:
            case InputText(text=text) | OutputText(text=text) | Refusal(refusal=text):
                found.append(text)
            case _:
                raise UnsupportedParameter("only user messages may hold images and files.", param="input")
    return [text for text in found if text.strip()]


def _object(arguments: str) -> JsonObject:
    """Arguments that are no JSON object are kept as they are, under one key."""
    try:
        value: Any = decode_json(arguments or "{}")
    except (ValueError, RecursionError):
        value = None
    return value if is_object(value) else {"arguments": arguments}


def _block(part: MessagePart, param: str) -> JsonObject | None:
    """None for a text that says nothing, which this wire refuses."""
    match part:
        case InputText(text=text) | OutputText(text=text) | Refusal(refusal=text):
            return {"type": "text", "text": text} if text.strip() else None
        case InputImage(image_url=str(url)):
            return {"type": "image", "source": _source(url, _IMAGES, "image")}
        case InputFile(file_data=str(data), filename=name):
            return _document(data, name)
        case InputImage():
            raise UnsupportedParameter(
                "`input_image` without `image_url` cannot be sent to this model.", param=param
            )
        case InputFile():
            raise UnsupportedParameter(
                "`input_file` without `file_data` cannot be sent to this model.", param=param
            )


def _source(url: str, kinds: frozenset[str], what: str) -> JsonObject:
    if url.startswith(("http://", "https://")):
        return {"type": "url", "url": url}
    head = _DATA_URL.match(url)
    if head is None or head[1].lower() not in kinds:
        raise UnsupportedParameter(
            f"this model takes {what}s as http(s) URLs, or as data URLs in base64 of type {', '.join(sorted(kinds))}.",
            param="input",
        )
    return {"type": "base64", "media_type": head[1].lower(), "data": url[head.end() :]}


def _document(data: str, name: object) -> JsonObject:
    head = _DATA_URL.match(data)
    kind = head[1].lower() if head is not None else "application/pdf"
    body = data[head.end() :] if head is not None else data
    block: JsonObject = {"type": "document"}
    if kind == "application/pdf":
        block["source"] = {"type": "base64", "media_type": kind, "data": body}
    elif kind == "text/plain":
        block["source"] = {"type": "text", "media_type": kind, "data": _decoded(body)}
    else:
        raise UnsupportedParameter(
            f'files of type "{kind}" cannot be sent to this model; it takes PDF and plain text.',
            param="input",
        )
    if isinstance(name, str) and name:
        block["title"] = name
    return block


def _decoded(body: str) -> str:
    import base64
    import binascii

    try:
        return base64.b64decode(body, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise UnsupportedParameter(
            "`file_data` of a text file must be UTF-8 text in base64.", param="input"
        ) from None
