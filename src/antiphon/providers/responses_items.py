"""Items → the input of a responses upstream. Pure.

Ids and states that items have here stay here: an upstream that stores nothing does not know them. The id that a
reasoning item had at its maker travels inside its blob, as OpenAI checks the two against each other.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from antiphon.core.compaction import UpstreamContext, foreign_context
from antiphon.core.custom_calls import arguments_of
from antiphon.core.errors import UnsupportedParameter
from antiphon.core.items import (
    Call,
    CallOutput,
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    InputFile,
    InputImage,
    InputText,
    Message,
    MessagePart,
    OutputText,
    Reasoning,
    Refusal,
)
from antiphon.core.thoughts import blob_of, upstream_blob
from antiphon.core.transcript import TranscriptItem
from antiphon.core.wire import UNSET, JsonObject, encode
from antiphon.providers.capabilities import ResponsesCapabilities

NO_ID = "rs_0"
"""The document wants an id on each reasoning item. Servers that take its text look at no ids."""


class RenderedItems(NamedTuple):
    """Items as JSON, comma-separated."""

    json: bytes


def render_items(
    items: Iterable[TranscriptItem], provider_id: str, can: ResponsesCapabilities
) -> RenderedItems:
    """Raises UnsupportedParameter for content that this upstream cannot be sent."""
    writer = _Writer(provider_id, can)
    for item in items:
        writer.add(item)
    writer.flush()
    return RenderedItems(b",".join(writer.written))


def packed(upstream_id: str, blob: str) -> str:
    """What stands for an upstream's encrypted reasoning inside this server: its id there, and the blob."""
    return f"{upstream_id} {blob}"


@dataclass(slots=True)
class _Writer:
    """Reasoning is held until what it led to comes: upstreams refuse reasoning that led to nothing."""

    provider_id: str
    can: ResponsesCapabilities
    written: list[bytes] = field(default_factory=list[bytes])
    thoughts: list[bytes] = field(default_factory=list[bytes])
    attachments: list[JsonObject] = field(default_factory=list[JsonObject])

    def add(self, item: TranscriptItem) -> None:
        match item:
            case Reasoning():
                self._think(item)
            case Message(role="assistant"):
                self._of_model(_said(item))
            case Message():
                self._of_others(self._message(item))
            case FunctionCall() | CustomToolCall():
                self._of_model(self._call(item))
            case UpstreamContext():
                self._of_others(self._compaction(item))
            case _:
                self._output(item)

    def flush(self) -> None:
        self.thoughts.clear()
        if self.attachments:
            content, self.attachments = self.attachments, []
            self.written.append(encode({"type": "message", "role": "user", "content": content}))

    # --- the model's side -----------------------------------------------------------------------------------
    def _of_model(self, value: JsonObject) -> None:
        thoughts, self.thoughts = self.thoughts, []
        self.flush()
        self.written += thoughts
        self.written.append(encode(value))

    def _think(self, item: Reasoning) -> None:
        if self.can.reasoning_items == "encrypted":
            kept = upstream_blob(self.provider_id, item)
            if kept is None:
                return
            upstream_id, _, blob = kept.rpartition(" ")
            value: JsonObject = {"type": "reasoning", "summary": item.summary, "encrypted_content": blob}
            if upstream_id:
                value["id"] = upstream_id
            self.thoughts.append(encode(value))
        elif self.can.reasoning_items == "text":
            parts = item.content if item.content is not UNSET and item.content else item.summary
            text = "\n\n".join(part.text for part in parts)
            if text:
                content = [{"type": "reasoning_text", "text": text}]
                self.thoughts.append(
                    encode({"type": "reasoning", "id": NO_ID, "summary": [], "content": content})
                )

    def _call(self, item: Call) -> JsonObject:
        call: JsonObject = {"type": "function_call", "call_id": item.call_id, "name": item.name}
        if isinstance(item, FunctionCall):
            call["arguments"] = item.arguments
        elif self.can.custom_tools:
            call |= {"type": "custom_tool_call", "input": item.input}
        else:
            call["arguments"] = arguments_of(item.input)
        return call

    # --- everybody else -------------------------------------------------------------------------------------
    def _of_others(self, value: JsonObject) -> None:
        self.flush()
        self.written.append(encode(value))

    def _message(self, item: Message) -> JsonObject:
        content = item.content if isinstance(item.content, str) else self._parts(item.content)
        return {"type": "message", "role": item.role, "content": content}

    def _compaction(self, item: UpstreamContext) -> JsonObject:
        blob = blob_of(self.provider_id, item.blob)
        if blob is None:
            raise foreign_context()
        return {"type": "compaction", "encrypted_content": blob}

    def _output(self, item: CallOutput) -> None:
        self.thoughts.clear()
        native = self.can.custom_tools and isinstance(item, CustomToolCallOutput)
        kind = "custom_tool_call_output" if native else "function_call_output"
        output: str | list[JsonObject]
        if isinstance(item.output, str):
            output = item.output
        elif self.can.output_parts:
            output = self._parts(item.output)
        else:
            output = self._worded(item.call_id, item.output)
        self.written.append(encode({"type": kind, "call_id": item.call_id, "output": output}))

    def _worded(self, call_id: str, parts: Sequence[MessagePart]) -> str:
        """The texts of an output; the rest of it follows in a user message, behind its siblings."""
        texts = [part.text for part in parts if isinstance(part, InputText)]
        rest = [self._part(part) for part in parts if not isinstance(part, InputText)]
        if rest:
            texts.append("[the attachments of this result are in the next user message]")
            label = f"Attachments of the result of call {call_id}:"
            self.attachments += [{"type": "input_text", "text": label}, *rest]
        return "\n".join(texts)

    def _parts(self, parts: Sequence[MessagePart]) -> list[JsonObject]:
        return [self._part(part) for part in parts]

    def _part(self, part: MessagePart) -> JsonObject:
        match part:
            case InputImage(image_url=str(url), detail=detail):
                shape = {"type": "input_image", "image_url": url, "detail": detail or "auto"}
            case InputImage():
                raise UnsupportedParameter(
                    "`input_image` without `image_url` cannot be sent to this model.", param="input"
                )
            case InputFile(file_data=str(data), filename=name) if self.can.file_parts:
                shape = {"type": "input_file", "filename": name or "file", "file_data": data}
                if part.detail:
                    shape["detail"] = part.detail
            case InputFile():
                raise UnsupportedParameter(
                    "`input_file` cannot be sent to this model's server. Send its text as `input_text`.",
                    param="input",
                )
            case _:
                shape = {"type": "input_text", "text": _text(part)}
        return shape | self._mark(part)

    def _mark(self, part: MessagePart) -> dict[str, Any]:
        """The breakpoint that the caller put behind a part, for an upstream that knows them."""
        if not self.can.prompt_cache_options or isinstance(part, OutputText | Refusal):
            return {}
        mark = part.prompt_cache_breakpoint
        return {"prompt_cache_breakpoint": mark} if mark else {}


def _said(item: Message) -> JsonObject:
    """What the model said, as the easy message of the document: the full one would need an id."""
    text = item.content if isinstance(item.content, str) else "".join(_text(part) for part in item.content)
    said: JsonObject = {"type": "message", "role": "assistant", "content": text}
    if item.phase:
        said["phase"] = item.phase
    return said


def _text(part: MessagePart) -> str:
    match part:
        case InputText(text=text) | OutputText(text=text):
            return text
        case Refusal(refusal=refusal):
            return refusal
        case InputImage() | InputFile():
            raise UnsupportedParameter("only user messages may hold images and files.", param="input")
