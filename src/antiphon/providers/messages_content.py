"""Items → the `messages` of the Messages API. Pure.

Its rules: roles alternate, so neighbours of one role are one message; results of calls come first in the user message
behind them; no text is empty; a tool's input is an object; ids of calls are of letters, digits, `_` and `-`; a thought
stands before what it led to, as it was given, and never last.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from antiphon.core.compaction import UpstreamContext, foreign_context
from antiphon.core.custom_calls import KEY
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
from antiphon.core.wire import JsonObject, decode_json, encode

_CALL_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}\Z")
_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)(?:;[\w=.-]+)*;base64,", re.IGNORECASE)
_IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_PDF = "application/pdf"
WHOLE = "whole"
_OPENING = {
    "user": b'{"role":"user","content":[',
    "assistant": b'{"role":"assistant","content":[',
    WHOLE: b"",
}
_BETWEEN = {"": b"", "user": b"]},", "assistant": b"]},", WHOLE: b","}
_PDF_MAGIC = "JVBERi"
"""`%PDF-` in base64."""


class Segment(NamedTuple):
    """A message, or a part of one: its blocks as JSON, comma-separated. Of role `WHOLE` it is several messages, from
    one of the user to one of the model.

    `marks` are the places of the caller's cache breakpoints, each just before the closing brace of its block, in
    ascending order. `calls` are the ids of the calls in it, `results` those of the results that it begins with.
    `thinks`: it begins with a thought.
    """

    role: str
    json: bytes
    marks: tuple[int, ...] = ()
    calls: tuple[str, ...] = ()
    results: tuple[str, ...] = ()
    thinks: bool = False


class RenderedTurn(NamedTuple):
    """`system` are the instructions that the turn begins with: of the first turn they go where the API has them.

    A turn that goes from a user's message to the model's, as most do, is one segment of role `WHOLE`.
    """

    system: tuple[str, ...]
    segments: tuple[Segment, ...]

    @property
    def json(self) -> bytes:
        """All of it, for its size."""
        return b"".join([*(text.encode() for text in self.system), *(one.json for one in self.segments)])


def render_turn(provider_id: str, items: Iterable[TranscriptItem]) -> RenderedTurn:
    """Raises UnsupportedParameter for content that this wire cannot carry."""
    writer = _Writer(provider_id)
    for item in items:
        writer.add(item)
    return writer.finish()


def messages_of(segments: Sequence[Segment], pieces: Sequence[bytes]) -> bytes:
    """The messages as JSON, comma-separated. `pieces` are the blocks of the segments."""
    out: list[bytes] = []
    role = ""
    for one, json in zip(segments, pieces, strict=True):
        if one.role == role:  # blocks of one message, or whole messages
            out.append(b",")
            out.append(json)
            continue
        out += (_BETWEEN[role], _OPENING[one.role], json)
        role = one.role
    return b"".join([*out, b"" if role == WHOLE else b"]}"])


def answers_fit(segments: Iterable[Segment]) -> bool:
    """Whether the message behind each one with calls begins with their results, and no other has any; and whether what
    is whole stands between others.
    """
    open_calls: set[str] = set()
    role = ""
    for one in segments:
        if one.role == WHOLE:
            if open_calls or role == "user":
                return False
        elif one.role == role:
            if one.results:
                return False
            open_calls.update(one.calls)
        elif set(one.results) != open_calls or (role, one.role) == (WHOLE, "assistant"):
            return False
        else:
            open_calls = set(one.calls)
        role = one.role
    return not open_calls


def _in_one(segments: tuple[Segment, ...]) -> tuple[Segment, ...]:
    """The segments as a whole, where nothing will have to be put between or beside them."""
    if not segments or (segments[0].role, segments[-1].role) != ("user", "assistant"):
        return segments
    if any(one.marks for one in segments) or not answers_fit(segments):
        return segments
    return (Segment(WHOLE, messages_of(segments, [one.json for one in segments])),)


def told(texts: Iterable[str]) -> Segment:
    """Instructions in the middle of a conversation, which the user's side must carry."""
    blocks = [{"type": "text", "text": f"<system>\n{text}\n</system>"} for text in texts]
    return Segment("user", b",".join(encode(block) for block in blocks))


def call_id_of(call_id: str) -> str:
    """The id as this wire takes it; another one always becomes the same."""
    if _CALL_ID.match(call_id):
        return call_id
    return "call_" + hashlib.sha256(call_id.encode()).hexdigest()[:32]


class _Block(NamedTuple):
    json: bytes
    marked: bool = False


@dataclass(slots=True)
class _Writer:
    """Gathers the blocks of one role. `thoughts` wait for what they led to; without it they are left out."""

    provider_id: str
    system: list[str] = field(default_factory=list[str])
    segments: list[Segment] = field(default_factory=list[Segment])
    role: str = ""
    results: dict[str, _Block] = field(default_factory=dict[str, _Block])
    calls: list[str] = field(default_factory=list[str])
    blocks: list[_Block] = field(default_factory=list[_Block])
    thoughts: list[_Block] = field(default_factory=list[_Block])
    thinks: bool = False

    def add(self, item: TranscriptItem) -> None:
        match item:
            case Message(role="system" | "developer"):
                self._instruct(_texts(item))
            case Message(role="assistant"):
                for text in _texts(item):
                    self._answer({"type": "text", "text": text})
            case Message():
                self._ask(item)
            case Reasoning():
                self._think(item)
            case FunctionCall():
                self._call(item.call_id, item.name, _object(item.arguments))
            case CustomToolCall():
                self._call(item.call_id, item.name, {KEY: item.input})
            case FunctionCallOutput() | CustomToolCallOutput():
                self._result(item)
            case UpstreamContext():
                raise foreign_context()

    def finish(self) -> RenderedTurn:
        self._flush()
        system, segments = tuple(self.system), tuple(self.segments)
        return RenderedTurn(system, segments if system else _in_one(segments))

    # --- the user's side ------------------------------------------------------------------------------------
    def _instruct(self, texts: Sequence[str]) -> None:
        if not self.role:
            self.system += texts
        elif texts:
            self._turn_to("user")
            self.blocks.append(_Block(told(texts).json))

    def _ask(self, item: Message) -> None:
        parts = [InputText(text=item.content)] if isinstance(item.content, str) else item.content
        for part in parts:
            block = _block(part)
            if block is not None:
                self._turn_to("user")
                self.blocks.append(_Block(encode(block), _is_marked(part)))

    def _result(self, item: CallOutput) -> None:
        call_id = call_id_of(item.call_id)
        result: JsonObject = {"type": "tool_result", "tool_use_id": call_id}
        marked = False
        if isinstance(item.output, str):
            content: object = item.output if item.output.strip() else None
        else:
            blocks = [_block(part) for part in item.output]
            content = [block for block in blocks if block is not None]
            marked = any(map(_is_marked, item.output))
        if content:
            result["content"] = content
        self._turn_to("user")
        self.results[call_id] = _Block(encode(result), marked)

    # --- the model's side -----------------------------------------------------------------------------------
    def _think(self, item: Reasoning) -> None:
        blob = upstream_blob(self.provider_id, item)
        if blob is not None:
            self.thoughts.append(_Block(blob.encode()))

    def _answer(self, block: JsonObject) -> None:
        self._turn_to("assistant")
        self.thinks = self.thinks or (bool(self.thoughts) and not self.blocks)
        self.blocks += self.thoughts
        self.thoughts.clear()
        self.blocks.append(_Block(encode(block)))

    def _call(self, call_id: str, name: str, given: JsonObject) -> None:
        use_id = call_id_of(call_id)
        self._answer({"type": "tool_use", "id": use_id, "name": name, "input": given})
        self.calls.append(use_id)

    # --- writing --------------------------------------------------------------------------------------------
    def _turn_to(self, role: str) -> None:
        if role == "user":
            self.thoughts.clear()
        if self.role != role:
            self._flush()
            self.role = role

    def _flush(self) -> None:
        blocks = [*self.results.values(), *self.blocks]
        if not blocks:
            return
        marks: list[int] = []
        at = 0
        for block in blocks:
            at += len(block.json) + 1
            if block.marked:
                marks.append(at - 2)
        self.segments.append(
            Segment(
                self.role,
                b",".join([block.json for block in blocks]),
                tuple(marks),
                tuple(self.calls),
                tuple(self.results),
                self.thinks,
            )
        )
        self.results.clear()
        self.calls.clear()
        self.blocks.clear()
        self.thinks = False


def _is_marked(part: MessagePart) -> bool:
    if isinstance(part, OutputText | Refusal):
        return False
    blank = isinstance(part, InputText) and not part.text.strip()
    return isinstance(part.prompt_cache_breakpoint, CacheBreakpoint) and not blank


def _texts(item: Message) -> list[str]:
    if isinstance(item.content, str):
        return [item.content] if item.content.strip() else []
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


def _block(part: MessagePart) -> JsonObject | None:
    """None for a text that says nothing, which this wire refuses."""
    match part:
        case InputText(text=text) | OutputText(text=text) | Refusal(refusal=text):
            return {"type": "text", "text": text} if text.strip() else None
        case InputImage(image_url=str(url)):
            return {"type": "image", "source": _image(url)}
        case InputFile(file_data=str(data), filename=name):
            return _document(data, name)
        case InputImage():
            raise UnsupportedParameter(
                "`input_image` without `image_url` cannot be sent to this model.", param="input"
            )
        case InputFile():
            raise UnsupportedParameter(
                "`input_file` without `file_data` cannot be sent to this model.", param="input"
            )


def _image(url: str) -> JsonObject:
    if url.startswith(("http://", "https://")):
        return {"type": "url", "url": url}
    head = _DATA_URL.match(url)
    if head is None or head[1].lower() not in _IMAGES:
        raise UnsupportedParameter(
            "this model takes images as http(s) URLs, or as data URLs in base64 of type"
            f" {', '.join(sorted(_IMAGES))}.",
            param="input",
        )
    return {"type": "base64", "media_type": head[1].lower(), "data": url[head.end() :]}


def _document(data: str, name: object) -> JsonObject:
    head = _DATA_URL.match(data)
    body = data[head.end() :] if head is not None else data
    usual = _PDF if body.startswith(_PDF_MAGIC) else "text/plain"
    kind = head[1].lower() if head is not None else usual
    block: JsonObject = {"type": "document"}
    if kind == _PDF:
        block["source"] = {"type": "base64", "media_type": _PDF, "data": body}
    elif kind.startswith("text/") or kind == "application/json":
        block["source"] = {"type": "text", "media_type": "text/plain", "data": _decoded(body)}
    else:
        raise UnsupportedParameter(
            f'files of type "{kind}" cannot be sent to this model; it takes PDF and text.', param="input"
        )
    if isinstance(name, str) and name:
        block["title"] = name
    return block


def _decoded(body: str) -> str:
    import base64
    import binascii

    try:
        text = base64.b64decode(body, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise UnsupportedParameter(
            "`file_data` of a text file must be UTF-8 text in base64.", param="input"
        ) from None
    if not text.strip():
        raise UnsupportedParameter("`file_data`: the text file is empty.", param="input")
    return text
