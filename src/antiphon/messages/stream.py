"""The events of the one writer → the events of the Messages API.

`message_start`, then for each block `content_block_start`, deltas and `content_block_stop` with a rising index, at last
`message_delta` and `message_stop`. A block begins with its first delta, so that what says nothing is no block.
"""

from collections.abc import Callable, Sequence

import msgspec

from antiphon.core.items import FunctionCall, Message, Reasoning
from antiphon.core.usage import Usage
from antiphon.core.wire import JsonObject, encode
from antiphon.core.writer import Event
from antiphon.messages.answer import (
    NO_USAGE,
    Ending,
    Wanted,
    failure_of,
    head_of,
    thought_blocks,
    thought_text,
    usage_of,
)
from antiphon.messages.errors import error_body

PING = b'event: ping\ndata: {"type":"ping"}\n\n'


class _Delta(msgspec.Struct, gc=False):
    delta: msgspec.Raw
    content_index: int = 0
    summary_index: int = 0


class _ItemEvent(msgspec.Struct):
    item: Message | Reasoning | FunctionCall


class _Kind(msgspec.Struct):
    type: str


class _AnyItemEvent(msgspec.Struct):
    item: _Kind


class _Reason(msgspec.Struct):
    reason: str


class _Error(msgspec.Struct):
    code: str | None = None
    message: str | None = None


class _Response(msgspec.Struct):
    id: str
    status: str
    usage: Usage | None = None
    incomplete_details: _Reason | None = None
    error: _Error | None = None


class _ResponseEvent(msgspec.Struct):
    response: _Response


_DELTA = msgspec.json.Decoder(_Delta)
_ITEM = msgspec.json.Decoder(_ItemEvent)
_ANY_ITEM = msgspec.json.Decoder(_AnyItemEvent)
_RESPONSE = msgspec.json.Decoder(_ResponseEvent)
_SHOWN = ("message", "reasoning", "function_call")


class MessageStream:
    """Translates the events of one response. `stop_sequence` is asked at the end, when it is known."""

    def __init__(
        self, wanted: Wanted, request_id: str, stop_sequence: Callable[[], str | None] = lambda: None
    ) -> None:
        self._wanted = wanted
        self._request_id = request_id
        self._stop_sequence = stop_sequence
        self._index = -1
        self._open = ""
        self._part = 0
        self._ending = Ending()

    def frame(self, events: Sequence[Event]) -> bytes:
        """The events for these, as they go over the wire; empty where this API has none."""
        out: list[bytes] = []
        for event in events:
            self._take(event, out)
        return b"".join(out)

    def _take(self, event: Event, out: list[bytes]) -> None:
        match event.type:
            case "response.output_text.delta":
                self._text(_DELTA.decode(event.data), out)
            case "response.function_call_arguments.delta":
                self._delta("input_json_delta", "partial_json", bytes(_DELTA.decode(event.data).delta), out)
            case "response.reasoning_text.delta" | "response.reasoning_summary_text.delta":
                self._think(_DELTA.decode(event.data), out)
            case "response.output_item.added":
                self._begin_item(event.data, out)
            case "response.output_item.done":
                self._end_item(event.data, out)
            case "response.created":
                self._begin(_RESPONSE.decode(event.data).response, out)
            case "response.completed" | "response.incomplete" | "response.failed":
                self._end(_RESPONSE.decode(event.data).response, out)
            case _:  # whole parts that were seen in pieces, and `error`, which a failed response repeats
                return

    # --- the message ----------------------------------------------------------------------------------------
    def _begin(self, response: _Response, out: list[bytes]) -> None:
        message = head_of(response.id, self._wanted.model)
        self._say("message_start", {"message": message}, out)
        out.append(PING)

    def _end(self, response: _Response, out: list[bytes]) -> None:
        error = response.error or _Error()
        failed = failure_of(response.status, error.code, error.message)
        if failed is not None:
            self._say("error", error_body(failed, self._request_id), out)
            return
        reason = response.incomplete_details.reason if response.incomplete_details is not None else None
        delta = self._ending.delta(response.status, reason, self._stop_sequence(), self._wanted)
        usage = usage_of(response.usage or NO_USAGE)
        self._say("message_delta", {"delta": delta, "usage": usage}, out)
        self._say("message_stop", {}, out)

    # --- items ----------------------------------------------------------------------------------------------
    def _begin_item(self, data: bytes, out: list[bytes]) -> None:
        if b'"type":"function_call"' not in data:
            return
        item = _ITEM.decode(data).item
        if isinstance(item, FunctionCall):
            block: JsonObject = {"type": "tool_use", "id": item.call_id, "name": item.name, "input": {}}
            self._start("tool_use", block, out)

    def _end_item(self, data: bytes, out: list[bytes]) -> None:
        if _ANY_ITEM.decode(data).item.type not in _SHOWN:
            return
        item = _ITEM.decode(data).item
        self._ending.note(item)
        if isinstance(item, Reasoning):
            self._end_thought(item, out)
        self._stop(out)

    def _text(self, delta: _Delta, out: list[bytes]) -> None:
        if self._open and self._part != delta.content_index:
            self._stop(out)
        if not self._open:
            self._part = delta.content_index
            self._start("text", {"type": "text", "text": ""}, out)
        self._delta("text_delta", "text", bytes(delta.delta), out)

    def _think(self, delta: _Delta, out: list[bytes]) -> None:
        if self._wanted.thoughts != "shown":
            return
        part = delta.content_index + delta.summary_index  # an item has parts of one kind
        if not self._open:
            self._start("thinking", {"type": "thinking", "thinking": "", "signature": ""}, out)
        elif part != self._part:
            self._delta("thinking_delta", "thinking", rb'"\n\n"', out)
        self._part = part
        self._delta("thinking_delta", "thinking", bytes(delta.delta), out)

    def _end_thought(self, item: Reasoning, out: list[bytes]) -> None:
        blob = item.encrypted_content or ""
        if not self._open and self._wanted.thoughts != "none":
            for block in thought_blocks(thought_text(item), blob, self._wanted):
                if block["type"] == "thinking":
                    block["signature"] = ""  # it comes with its delta
                self._start(str(block["type"]), block, out)
        if self._open == "thinking" and blob:
            self._delta("signature_delta", "signature", encode(blob), out)

    # --- blocks ---------------------------------------------------------------------------------------------
    def _start(self, kind: str, block: JsonObject, out: list[bytes]) -> None:
        self._index += 1
        self._open = kind
        self._say("content_block_start", {"index": self._index, "content_block": block}, out)

    def _stop(self, out: list[bytes]) -> None:
        if self._open:
            self._open = ""
            self._say("content_block_stop", {"index": self._index}, out)

    def _delta(self, kind: str, name: str, json: bytes, out: list[bytes]) -> None:
        """`json` is the JSON string of the piece, as the writer wrote it: nine events of ten go by here."""
        out.append(
            b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":'
            b'{"type":"%b","%b":%b}}\n\n' % (self._index, kind.encode(), name.encode(), json)
        )

    @staticmethod
    def _say(kind: str, fields: JsonObject, out: list[bytes]) -> None:
        out.append(b"event: %b\ndata: %b\n\n" % (kind.encode(), encode({"type": kind, **fields})))
