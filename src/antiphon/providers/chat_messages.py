"""Items → chat messages. Pure, and careful with the two rules that chat servers enforce: calls of one step
are one assistant message, and their outputs follow it directly.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from antiphon.core.compaction import UpstreamContext, foreign_context
from antiphon.core.custom_calls import arguments_of
from antiphon.core.errors import UnsupportedParameter
from antiphon.core.items import (
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
from antiphon.core.transcript import TranscriptItem
from antiphon.core.wire import UNSET, encode
from antiphon.providers.presets import Capabilities

Edge = Literal["assistant", "output", "images", "other"]


class Rendered(NamedTuple):
    """Messages as JSON, comma-separated, and how the run begins and ends, for joining it to another."""

    json: bytes
    first: Edge
    last: Edge

    def joins(self, later: "Rendered") -> bool:
        """Whether the two may stand one after the other as they are. Else their items must be rendered at
        once.
        """
        if self.last == "assistant":
            return later.first != "assistant"
        return not (self.last == "images" and later.first == "output")


def render_items(items: Iterable[TranscriptItem], capabilities: Capabilities) -> Rendered:
    """Raises UnsupportedParameter for content that this wire cannot carry."""
    writer = _Writer(capabilities)
    for item in items:
        writer.add(item)
    return writer.finish()


@dataclass(slots=True)
class _Assistant:
    """The assistant message being gathered. `late` is reasoning that came after its text."""

    text: str | None = None
    calls: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    reasoning: str = ""
    late: str = ""


@dataclass(slots=True)
class _Writer:
    capabilities: Capabilities
    messages: list[bytes] = field(default_factory=list[bytes])
    first: Edge | None = None
    last: Edge = "other"
    assistant: _Assistant | None = None
    images: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def add(self, item: TranscriptItem) -> None:
        match item:
            case Message(role="assistant", content=content):
                self._say(content if isinstance(content, str) else "".join(_text(part) for part in content))
            case Message():
                self._flush()
                self._other(item)
            case FunctionCall(call_id=call_id, name=name, arguments=arguments):
                function = {"name": name, "arguments": arguments}
                self._call({"id": call_id, "type": "function", "function": function})
            case CustomToolCall():
                self._call(self._custom(item))
            case FunctionCallOutput() | CustomToolCallOutput():
                self._output(item)
            case Reasoning():
                self._think(item)
            case UpstreamContext():
                raise foreign_context()

    def finish(self) -> Rendered:
        self._flush()
        return Rendered(b",".join(self.messages), self.first or "other", self.last)

    # --- the assistant's side -------------------------------------------------------------------------------
    def _open(self) -> _Assistant:
        self._flush_images()
        if self.assistant is None:
            self.assistant = _Assistant()
        return self.assistant

    def _say(self, text: str) -> None:
        open_ = self._open()
        if open_.text is not None and not open_.calls:
            late = open_.late
            self._flush_assistant()
            open_ = self.assistant = _Assistant(reasoning=late)
        open_.text = text if open_.text is None else open_.text + text

    def _call(self, call: dict[str, Any]) -> None:
        open_ = self._open()
        open_.reasoning += open_.late
        open_.late = ""
        open_.calls.append(call)

    def _custom(self, item: CustomToolCall) -> dict[str, Any]:
        if self.capabilities.custom_tools:
            return {
                "id": item.call_id,
                "type": "custom",
                "custom": {"name": item.name, "input": item.input},
            }
        function = {"name": item.name, "arguments": arguments_of(item.input)}
        return {"id": item.call_id, "type": "function", "function": function}

    def _think(self, item: Reasoning) -> None:
        if self.capabilities.reasoning_field is None:
            return
        parts = item.content if item.content is not UNSET and item.content else item.summary
        text = "\n\n".join(part.text for part in parts)
        if not text:
            return
        open_ = self._open()
        if open_.text is not None and not open_.calls:
            open_.late += text
        else:
            open_.reasoning += text

    def _flush_assistant(self) -> None:
        open_, self.assistant = self.assistant, None
        if open_ is None or (open_.text is None and not open_.calls):
            return  # reasoning that led to nothing
        message: dict[str, Any] = {"role": "assistant", "content": open_.text}
        if open_.reasoning and self.capabilities.reasoning_field is not None:
            message[self.capabilities.reasoning_field] = open_.reasoning
        if open_.calls:
            message["tool_calls"] = open_.calls
        self._put("assistant", message)

    # --- everybody else -------------------------------------------------------------------------------------
    def _other(self, item: Message) -> None:
        role = item.role
        if role == "developer" and not self.capabilities.developer_role:
            role = "system"
        if isinstance(item.content, str):
            self._put("other", {"role": role, "content": item.content})
        elif role == "user":
            self._put("other", {"role": role, "content": self._content(item.content)})
        else:
            self._put("other", {"role": role, "content": "".join(_text(part) for part in item.content)})

    def _output(self, item: CallOutput) -> None:
        self._flush_assistant()
        content: str = item.output if isinstance(item.output, str) else ""
        if not isinstance(item.output, str):
            texts = [part.text for part in item.output if isinstance(part, InputText)]
            rest = [self._part(part) for part in item.output if not isinstance(part, InputText)]
            if rest:
                texts.append("[the attachments of this result are in the next user message]")
                label = f"Attachments of the result of call {item.call_id}:"
                self.images += [{"type": "text", "text": label}, *rest]
            content = "\n".join(texts)
        self._put("output", {"role": "tool", "tool_call_id": item.call_id, "content": content})

    def _content(self, parts: Sequence[MessagePart]) -> str | list[dict[str, Any]]:
        if len(parts) == 1 and isinstance(parts[0], InputText) and not self._mark(parts[0]):
            return parts[0].text
        return [self._part(part) for part in parts]

    def _part(self, part: MessagePart) -> dict[str, Any]:
        return self._shape(part) | self._mark(part)

    def _mark(self, part: MessagePart) -> dict[str, Any]:
        """The breakpoint that the caller put behind a part, for an upstream that knows them."""
        if not self.capabilities.prompt_cache_options or isinstance(part, OutputText | Refusal):
            return {}
        mark = part.prompt_cache_breakpoint
        return {"prompt_cache_breakpoint": mark} if mark else {}

    def _shape(self, part: MessagePart) -> dict[str, Any]:
        match part:
            case InputImage(image_url=str(url), detail=detail):
                image = {"url": url}
                if isinstance(detail, str):
                    # `original` came with the Responses API; `high` is the most that chat can ask for.
                    image["detail"] = "high" if detail == "original" else detail
                return {"type": "image_url", "image_url": image}
            case InputFile(file_data=str(data), filename=name) if self.capabilities.file_parts:
                return {"type": "file", "file": {"filename": name or "file", "file_data": data}}
            case InputImage():
                raise UnsupportedParameter(
                    "`input_image` without `image_url` cannot be sent to this model.", param="input"
                )
            case InputFile():
                raise UnsupportedParameter(
                    "`input_file` cannot be sent to this model's server. Send its text as `input_text`.",
                    param="input",
                )
            case _:
                return {"type": "text", "text": _text(part)}

    # --- writing --------------------------------------------------------------------------------------------
    def _flush(self) -> None:
        self._flush_assistant()
        self._flush_images()

    def _flush_images(self) -> None:
        """Chat tool messages hold text only: what else a tool gave follows once its siblings are there."""
        if self.images:
            images, self.images = self.images, []
            self._put("images", {"role": "user", "content": images})

    def _put(self, edge: Edge, message: dict[str, Any]) -> None:
        self.messages.append(encode(message))
        self.first = self.first or edge
        self.last = edge


def _text(part: MessagePart) -> str:
    match part:
        case InputText(text=text) | OutputText(text=text):
            return text
        case Refusal(refusal=refusal):
            return refusal
        case InputImage() | InputFile():
            raise UnsupportedParameter("only user messages may hold images and files.", param="input")
