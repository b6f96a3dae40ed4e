"""The one state machine that writes events: numbers them, keeps their order legal, and refuses what is not.

Deltas are the hot path: each open part has its bytes prepared once, and a delta is a join of four pieces.
Order of events: `responses.md`-style streaming rules of the official OpenAPI (`ResponseStreamEvent`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from antiphon.core.hosted_items import Compaction, FileSearchCall, McpApprovalRequest, McpCall, McpListTools
from antiphon.core.items import (
    Annotation,
    CustomToolCall,
    FunctionCall,
    ItemStatus,
    Logprob,
    Message,
    MessagePart,
    OutputText,
    Reasoning,
    ReasoningText,
    Refusal,
    SummaryText,
)
from antiphon.core.machine_items import ShellCall
from antiphon.core.signals import OutputItem
from antiphon.core.wire import UNSET, encode


class Event(msgspec.Struct, frozen=True, gc=False):
    """One numbered event: its wire type and its JSON."""

    number: int
    type: str
    data: bytes


class IllegalOrder(RuntimeError):
    """Somebody asked for an event that may not come now: a bug of ours, never of the caller's."""


@dataclass(slots=True)
class _Part:
    kind: str
    index: int
    head: bytes
    tail: bytes
    event: str
    texts: list[str] = field(default_factory=list[str])
    logprobs: list[Logprob] = field(default_factory=list[Logprob])
    annotations: list[Annotation] = field(default_factory=list[Annotation])
    """Those whose events were written."""

    @property
    def text(self) -> str:
        return "".join(self.texts)


@dataclass(slots=True)
class _Open:
    """An item that was added and not yet done, as it is shown and as it was `given`. `closed` of its parts
    are done; `source` is the upstream's number of the summary part that is being written. `held` are its
    events while an earlier item is not done.
    """

    item: OutputItem
    place: bytes
    given: OutputItem
    parts: list[_Part] = field(default_factory=list[_Part])
    part: _Part | None = None
    closed: int = 0
    source: int = -1
    held: list[tuple[str, bytes]] = field(default_factory=list[tuple[str, bytes]])


_DELTA_TYPE = {
    "output_text": "response.output_text.delta",
    "refusal": "response.refusal.delta",
    "reasoning_text": "response.reasoning_text.delta",
    "summary_text": "response.reasoning_summary_text.delta",
    "arguments": "response.function_call_arguments.delta",
    "input": "response.custom_tool_call_input.delta",
}
_CALL_KINDS = ("arguments", "input")
_TERMINAL = {
    "completed": "response.completed",
    "incomplete": "response.incomplete",
    "failed": "response.failed",
    "cancelled": "response.failed",
}


def _numbered(number: int) -> bytes:
    """How every event ends."""
    return b',"sequence_number":%d}' % number


_NUMBERED = [_numbered(number) for number in range(2048)]
_PAD = b"Zq7nX2bTfK0vRjYcMw4LhAeD" * 2
_PADDING = [
    [b',"obfuscation":"%b"' % _PAD[start : start + 16 - length] for length in range(16)]
    for start in range(16)
]
"""What evens out the sizes of deltas, by a number that changes and the length of the text."""


class EventWriter:
    """Events of one response. `take()` hands over what was written since the last call.

    `muted` writes no events and only collects the output: for a caller who wants the final object alone.
    """

    __slots__ = (
        "_begun",
        "_ended",
        "_events",
        "_line",
        "_next",
        "_obfuscate",
        "_open",
        "_summaries",
        "muted",
        "output",
    )

    def __init__(self, *, summaries: bool = False, obfuscate: bool = False, muted: bool = False) -> None:
        self.output: list[OutputItem | None] = []
        self.muted = muted
        self._events: list[Event] = []
        self._next = 0
        self._begun = False
        self._ended = False
        self._obfuscate = obfuscate
        self._summaries = summaries
        self._open: dict[int, _Open] = {}
        self._line: list[_Open] = []

    # --- the response -------------------------------------------------------------------------------------
    def begin(self, response: bytes) -> None:
        """`response.created` and `response.in_progress`, both with `response` (its JSON)."""
        if self._begun:
            raise IllegalOrder("a response begins once")
        self._begun = True
        self._whole("response.created", response)
        self._whole("response.in_progress", response)

    def end(self, status: str, response: bytes) -> None:
        """The terminal event. Every item must be done."""
        if not self._begun or self._ended or self._open:
            raise IllegalOrder(f"a response cannot end now (open items: {len(self._open)})")
        self._ended = True
        self._whole(_TERMINAL[status], response)

    def error(self, code: str, message: str, param: str | None = None) -> None:
        """The flat `error` event; the terminal `response.failed` follows it."""
        self._check_running()
        fields = {"type": "error", "code": code, "message": message, "param": param}
        self._emit("error", encode(fields)[:-1])

    def mark(self, mark: Event) -> None:
        """Put a mark (`core.marks`) between the events. It has no number."""
        self._check_running()
        if not self.muted:
            self._events.append(mark)

    def take(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    # --- items --------------------------------------------------------------------------------------------
    def open(self, slot: int, item: OutputItem) -> None:
        """`output_item.added`. `item` is the skeleton, with its id; its place in the output is fixed here."""
        self._check_running()
        if slot in self._open:
            raise IllegalOrder(f"slot {slot} is open already")
        skeleton = _skeleton(item)
        index = len(self.output)
        self.output.append(None)
        place = b'"item_id":%b,"output_index":%d' % (encode(item.id), index)
        self._open[slot] = opened = _Open(skeleton, place, item)
        if not self.muted:
            self._line.append(opened)
            self._item_event("response.output_item.added", opened, index, skeleton)
            self._begin_call(opened, item)

    def _begin_call(self, opened: _Open, item: OutputItem) -> None:
        """What is said of a call or a list of this server's own when it begins."""
        match item:
            case FileSearchCall():
                self._call_event(opened, "response.file_search_call.in_progress")
                self._call_event(opened, "response.file_search_call.searching")
            case McpListTools():
                self._call_event(opened, "response.mcp_list_tools.in_progress")
            case McpCall():
                self._call_event(opened, "response.mcp_call.in_progress")
                arguments = encode(item.arguments)
                for event, field_name in (("delta", b"delta"), ("done", b"arguments")):
                    name = f"response.mcp_call_arguments.{event}"
                    self._say(
                        opened,
                        name,
                        b'{"type":"%b",%b,"%b":%b' % (name.encode(), opened.place, field_name, arguments),
                    )
            case _:
                pass  # these begin with their first delta, or are there at once

    def is_open(self, slot: int) -> bool:
        return slot in self._open

    @property
    def has_open_items(self) -> bool:
        return bool(self._open)

    def item_id(self, slot: int) -> str:
        """The id of an open item."""
        open_item = self._open.get(slot)
        if open_item is None or not open_item.item.id:
            raise IllegalOrder(f"slot {slot} is not open")
        return open_item.item.id

    def delta(self, slot: int, kind: str, text: str, logprobs: Sequence[Logprob] = ()) -> None:
        """One delta of an open item; of a slot that is not open it is dropped, since that item is not shown.

        `kind`: output_text, refusal, reasoning_text, summary_text or arguments (of a custom tool: its input).
        """
        open_item = self._open.get(slot)
        if open_item is None or not text:
            return
        part = open_item.part
        if part is None or part.kind != kind:
            part = self._open_part(open_item, kind)
        part.texts.append(text)
        if logprobs:
            part.logprobs.extend(logprobs)
        if self.muted:
            return
        tail = b',"logprobs":' + encode(logprobs) if logprobs else part.tail
        if open_item is not self._line[0]:
            padding = _PADDING[len(open_item.held) & 15][len(text) & 15] if self._obfuscate else b""
            open_item.held.append((part.event, b"".join((part.head, encode(text), tail, padding))))
            return
        number = self._next
        self._next = number + 1
        padding = _PADDING[number & 15][len(text) & 15] if self._obfuscate else b""
        end = _NUMBERED[number] if number < 2048 else _numbered(number)
        data = b"".join((part.head, encode(text), tail, padding, end))
        self._events.append(Event(number, part.event, data))

    def annotate(self, slot: int, annotation: Annotation) -> None:
        """An annotation of the text of an open message, where it stands now; of a slot that is not open, none."""
        open_item = self._open.get(slot)
        if open_item is None:
            return
        part = open_item.part
        if part is None or part.kind != "output_text":
            part = self._open_part(open_item, "output_text")
        part.annotations.append(annotation)
        if not self.muted:
            self._annotation(open_item, part, len(part.annotations) - 1, annotation)

    def summary(self, slot: int, index: int, text: str) -> None:
        """One piece of the upstream's own reasoning summary, of its part `index`."""
        open_item = self._open.get(slot)
        if open_item is None or not text:
            return
        if open_item.source != index:
            open_item.source = index
            self._new_part(open_item, "summary_text")
        self.delta(slot, "summary_text", text)

    def close(self, slot: int, item: OutputItem) -> OutputItem:
        """Finish an item with its final content; parts that had no delta yet get them here. Returns it as written."""
        open_item = self._open.get(slot)
        if open_item is None:
            raise IllegalOrder(f"slot {slot} is not open")
        final = self._shape(item)
        for index, (kind, text, logprobs) in enumerate(_texts(final)):
            if index >= len(open_item.parts):
                self._new_part(open_item, kind)
            part = open_item.parts[index]
            if not part.texts and text:
                open_item.part = part
                self.delta(slot, kind, text, logprobs)
        if not self.muted:
            self._close_parts(open_item, final)
        del self._open[slot]
        index = int(open_item.place.rpartition(b":")[2])
        self.output[index] = final
        if not self.muted:
            self._item_event("response.output_item.done", open_item, index, final)
            self._advance(open_item)
        return final

    def _advance(self, done: _Open) -> None:
        """One item at a time: the next ones' events leave when those before are done.

        OpenAI's streams are so, and clients rely on it: LangChain takes a change of the output index for a new block.
        """
        line = self._line
        first = line[0]
        if first is not done:
            return
        waiting = {id(open_item) for open_item in self._open.values()}
        del line[0]
        for front in tuple(line):
            for event, body in front.held:
                self._emit(event, body)
            front.held.clear()
            if id(front) in waiting:
                return
            del line[0]

    def partial(self) -> list[tuple[int, OutputItem]]:
        """What is open, by slot, with what it has, status `incomplete`: to be closed so when the run is cut off."""
        return [(slot, _partial(open_item)) for slot, open_item in self._open.items()]

    def finished_items(self) -> list[OutputItem]:
        return [item for item in self.output if item is not None]

    # --- inside -------------------------------------------------------------------------------------------
    def _shape(self, item: OutputItem) -> OutputItem:
        if isinstance(item, Reasoning) and self._summaries and not item.summary and item.content:
            summary = [SummaryText(text=part.text) for part in item.content]
            return msgspec.structs.replace(item, summary=summary, content=UNSET)
        if isinstance(item, Message) and isinstance(item.content, list):
            return msgspec.structs.replace(item, content=[_with_logprobs(part) for part in item.content])
        return item

    def _open_part(self, open_item: _Open, kind: str) -> _Part:
        """The part that a delta of this kind goes to: the open one, if that is what the kind is shown as."""
        if kind == "reasoning_text" and self._summaries:
            kind = "summary_text"
        elif kind == "arguments" and isinstance(open_item.item, CustomToolCall):
            kind = "input"
        if open_item.part is not None and open_item.part.kind == kind:
            return open_item.part
        for part in open_item.parts if isinstance(open_item.item, Message) else ():
            if part.kind == kind:  # a message has one text and one refusal: what comes later goes on there
                open_item.part = part
                return part
        return self._new_part(open_item, kind)

    def _new_part(self, open_item: _Open, kind: str) -> _Part:
        index = len(open_item.parts)
        if index and not self.muted and isinstance(open_item.item, Reasoning):
            self._close_thought(open_item)
        key = b"summary_index" if kind == "summary_text" else b"content_index"
        at = b"" if kind in _CALL_KINDS else b',"%b":%d' % (key, index)
        head = b'{"type":"%b",%b%b,"delta":' % (_DELTA_TYPE[kind].encode(), open_item.place, at)
        tail = b',"logprobs":[]' if kind == "output_text" else b""
        part = _Part(kind, index, head, tail, _DELTA_TYPE[kind])
        open_item.parts.append(part)
        open_item.part = part
        if not self.muted and kind not in _CALL_KINDS:
            added = "reasoning_summary_part.added" if kind == "summary_text" else "content_part.added"
            self._part_event(f"response.{added}", open_item, part, _wire_part(kind, "", ()))
        return part

    def _close_parts(self, open_item: _Open, final: OutputItem) -> None:
        place = open_item.place
        match final:
            case FunctionCall():
                name, arguments = encode(final.name), encode(final.arguments)
                self._say(
                    open_item,
                    "response.function_call_arguments.done",
                    b'{"type":"response.function_call_arguments.done",%b,"name":%b,"arguments":%b'
                    % (place, name, arguments),
                )
            case CustomToolCall():
                self._say(
                    open_item,
                    "response.custom_tool_call_input.done",
                    b'{"type":"response.custom_tool_call_input.done",%b,"input":%b'
                    % (place, encode(final.input)),
                )
            case Reasoning():
                texts = _texts(final)[open_item.closed :]
                for part, (kind, text, _) in zip(open_item.parts[open_item.closed :], texts, strict=False):
                    self._part_done(open_item, part, text, _wire_part(kind, text, ()))
            case ShellCall():
                self._commands(open_item, final)
            case FileSearchCall(status="completed"):
                self._call_event(open_item, "response.file_search_call.completed")
            case McpListTools():
                ended = "failed" if final.error else "completed"
                self._call_event(open_item, f"response.mcp_list_tools.{ended}")
            case McpCall(status="completed" | "failed" as ended):
                self._call_event(open_item, f"response.mcp_call.{ended}")
            case Message():
                for part, shown in zip(open_item.parts, _shown_parts(final), strict=False):
                    self._annotations(open_item, part, shown)
                    _, text, logprobs = _message_text(shown)
                    self._part_done(open_item, part, text, shown, logprobs)
            case _:
                pass  # an item that has no parts

    def _commands(self, open_item: _Open, call: ShellCall) -> None:
        """A shell call's commands, which are there at once. Their events name no item in the specification."""
        index = open_item.place.rpartition(b":")[2]
        for number, command in enumerate(call.action.commands):
            at, text = b'"output_index":%b,"command_index":%d' % (index, number), encode(command)
            for step, fields in (
                ("added", b'"command":""'),
                ("delta", b'"delta":' + text),
                ("done", b'"command":' + text),
            ):
                event = f"response.shell_call_command.{step}"
                self._say(open_item, event, b'{"type":"%b",%b,%b' % (event.encode(), at, fields))

    def _close_thought(self, open_item: _Open) -> None:
        """Finish the parts of a reasoning item before its next one begins."""
        for part in open_item.parts[open_item.closed :]:
            self._part_done(open_item, part, part.text, _wire_part(part.kind, part.text, ()))
        open_item.closed = len(open_item.parts)

    def _part_done(
        self, open_item: _Open, part: _Part, text: str, value: object, logprobs: Sequence[Logprob] = ()
    ) -> None:
        self._text_done(open_item, part, part.kind, text, logprobs)
        done = "reasoning_summary_part.done" if part.kind == "summary_text" else "content_part.done"
        self._part_event(f"response.{done}", open_item, part, value)

    def _annotations(self, open_item: _Open, part: _Part, shown: OutputText | Refusal) -> None:
        """Those that were not written while the text came."""
        written = len(part.annotations)
        for number, annotation in enumerate(shown.annotations if isinstance(shown, OutputText) else ()):
            if number >= written:
                self._annotation(open_item, part, number, annotation)

    def _annotation(self, open_item: _Open, part: _Part, number: int, annotation: Annotation) -> None:
        event = "response.output_text.annotation.added"
        self._say(
            open_item,
            event,
            b'{"type":"%b",%b,"content_index":%d,"annotation_index":%d,"annotation":%b'
            % (event.encode(), open_item.place, part.index, number, encode(annotation)),
        )

    def _call_event(self, open_item: _Open, event: str) -> None:
        self._say(open_item, event, b'{"type":"%b",%b' % (event.encode(), open_item.place))

    def _text_done(
        self, open_item: _Open, part: _Part, kind: str, text: str, logprobs: Sequence[Logprob]
    ) -> None:
        event = _DELTA_TYPE[kind].removesuffix("delta") + "done"
        field_name = b"refusal" if kind == "refusal" else b"text"
        key = b"summary_index" if kind == "summary_text" else b"content_index"
        extra = b',"logprobs":' + encode(list(logprobs)) if kind == "output_text" else b""
        head = b'{"type":"%b",%b,"%b":%d' % (event.encode(), open_item.place, key, part.index)
        self._say(open_item, event, b'%b,"%b":%b%b' % (head, field_name, encode(text), extra))

    def _part_event(self, event: str, open_item: _Open, part: _Part, value: object) -> None:
        key = b"summary_index" if part.kind == "summary_text" else b"content_index"
        self._say(
            open_item,
            event,
            b'{"type":"%b",%b,"%b":%d,"part":%b'
            % (event.encode(), open_item.place, key, part.index, encode(value)),
        )

    def _item_event(self, event: str, open_item: _Open, index: int, item: OutputItem) -> None:
        body = b'{"type":"%b","output_index":%d,"item":%b' % (event.encode(), index, encode(item))
        self._say(open_item, event, body)

    def _say(self, open_item: _Open, event: str, body: bytes) -> None:
        """An event of an item, now or when its turn has come."""
        if open_item is self._line[0]:
            self._emit(event, body)
        else:
            open_item.held.append((event, body))

    def _whole(self, event: str, response: bytes) -> None:
        if not self.muted:
            self._emit(event, b'{"type":"%b","response":%b' % (event.encode(), response))

    def _emit(self, event: str, body: bytes) -> None:
        """`body` is the event's JSON without its closing brace: the number is added last, here only."""
        number = self._next
        self._next = number + 1
        self._events.append(Event(number, event, body + _numbered(number)))

    def _check_running(self) -> None:
        if not self._begun or self._ended:
            raise IllegalOrder("nothing may be written before the response began or after it ended")


def _skeleton(item: OutputItem) -> OutputItem:
    """The item as `output_item.added` shows it: in progress, nothing in it."""
    match item:
        case Message():
            return msgspec.structs.replace(item, status="in_progress", content=[])
        case Reasoning():
            return msgspec.structs.replace(
                item, status="in_progress", summary=[], content=UNSET, encrypted_content=UNSET
            )
        case FunctionCall():
            return msgspec.structs.replace(item, status="in_progress", arguments="")
        case CustomToolCall():
            return msgspec.structs.replace(item, status="in_progress", input="")
        case Compaction():
            return msgspec.structs.replace(item, encrypted_content="")
        case ShellCall():
            action = msgspec.structs.replace(item.action, commands=[])
            return msgspec.structs.replace(item, status="in_progress", action=action)
        case McpListTools() | McpApprovalRequest():
            return item  # these have no status
        case McpCall():
            return msgspec.structs.replace(item, status="in_progress", arguments="")
        case _:
            return msgspec.structs.replace(item, status="in_progress")


def _partial(open_item: _Open) -> OutputItem:
    """What an open item holds so far, as an `incomplete` item."""
    item, status = open_item.item, _INCOMPLETE
    match item:
        case Message():
            content: list[MessagePart] = [
                Refusal(refusal=part.text)
                if part.kind == "refusal"
                else OutputText(text=part.text, annotations=part.annotations, logprobs=part.logprobs)
                for part in open_item.parts
            ]
            return msgspec.structs.replace(item, status=status, content=content)
        case Reasoning():
            if open_item.parts and open_item.parts[0].kind == "summary_text":
                summary = [SummaryText(text=part.text) for part in open_item.parts]
                return msgspec.structs.replace(item, status=status, summary=summary, content=UNSET)
            texts = [ReasoningText(text=part.text) for part in open_item.parts]
            return msgspec.structs.replace(item, status=status, content=texts)
        case FunctionCall():
            arguments = "".join(part.text for part in open_item.parts)
            return msgspec.structs.replace(item, status=status, arguments=arguments)
        case CustomToolCall():
            return msgspec.structs.replace(
                item, status=status, input="".join(part.text for part in open_item.parts)
            )
        case FileSearchCall():
            return msgspec.structs.replace(item, status=status)
        case McpCall():
            arguments = open_item.given.arguments if isinstance(open_item.given, McpCall) else ""
            return msgspec.structs.replace(item, status=status, arguments=arguments)
        case _:
            return item  # these are there at once, whole


_INCOMPLETE: ItemStatus = "incomplete"


def _texts(item: OutputItem) -> list[tuple[str, str, Sequence[Logprob]]]:
    """(kind, text, logprobs) of each part of a final item, in part order."""
    match item:
        case FunctionCall():
            return [("arguments", item.arguments, ())] if item.arguments else []
        case CustomToolCall():
            return [("input", item.input, ())] if item.input else []
        case Reasoning():
            summary: list[tuple[str, str, Sequence[Logprob]]] = [
                ("summary_text", part.text, ()) for part in item.summary
            ]
            content = item.content if item.content is not UNSET else []
            return summary or [("reasoning_text", part.text, ()) for part in content]
        case Message():
            return [_message_text(part) for part in _shown_parts(item)]
        case _:
            return []


def _shown_parts(item: Message) -> list[OutputText | Refusal]:
    return [part for part in item.content if isinstance(part, OutputText | Refusal)]


def _message_text(part: OutputText | Refusal) -> tuple[str, str, Sequence[Logprob]]:
    if isinstance(part, Refusal):
        return "refusal", part.refusal, ()
    return "output_text", part.text, part.logprobs if part.logprobs is not UNSET else ()


def _with_logprobs(part: MessagePart) -> MessagePart:
    """Clients want the key `logprobs` on every output text, empty when there are none."""
    if isinstance(part, OutputText) and part.logprobs is UNSET:
        return msgspec.structs.replace(part, logprobs=[])
    return part


def _wire_part(kind: str, text: str, logprobs: Sequence[Logprob]) -> object:
    match kind:
        case "output_text":
            return OutputText(text=text, annotations=[], logprobs=list(logprobs))
        case "refusal":
            return Refusal(refusal=text)
        case "summary_text":
            return SummaryText(text=text)
        case _:
            return ReasoningText(text=text)
