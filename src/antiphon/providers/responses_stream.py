"""Answers of `/responses` → model signals. Pure: bytes of JSON in, signals out; a stream and a whole answer alike.

Rules where servers differ from the document, decided here:

- An event belongs to the item whose `item_id` (or `call_id`) it names; else to the open item of its kind at its
  `output_index`; else to the last open item of its kind; else it begins an item. So `output_item.added` may be missing,
  indexes may be shared, and ids may differ from event to event.
- Deltas are the text. A `done` that says more than its deltas gives the rest; one that contradicts them is not
  believed, as what was shown stands.
- The parts of a message become one text and one refusal, the texts of a reasoning item one text; offsets of annotations
  move along. A reasoning item has a summary or a text, whichever came first.
- A call is shown when its name is known. A missing `call_id` is made here.
- Items in the final response that never had an event are taken from there, told apart by kind and order.
- Receipts of tools that the server ran by itself are skipped; a tool that waits for the client is an error, since none
  was offered. Events of other types are skipped.
- A stream is whole when its response ended, or `[DONE]` came. One that ends with neither was cut off.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from antiphon.core.errors import ProviderError, ProviderProtocolError, ProviderUnavailable
from antiphon.core.signals import FinishReason, ItemDone, ModelSignal, StepDone, TextDelta
from antiphon.providers.refusals import Redaction, stream_error
from antiphon.providers.responses_open import OpenCall, OpenItem, OpenMessage, OpenReasoning
from antiphon.providers.responses_shapes import (
    AWAITED,
    INCOMPLETE,
    NOT_RETRIED,
    Delta,
    Event,
    RawItem,
    RawResponse,
    RawUsage,
    logprobs_in,
)

_DELTA = msgspec.json.Decoder(Delta)
_EVENT = msgspec.json.Decoder(Event)
_RESPONSE = msgspec.json.Decoder(RawResponse)
_TEXT = "response.output_text.delta"
_DELTAS = {
    _TEXT: "text",
    "response.refusal.delta": "refusal",
    "response.reasoning_text.delta": "thought",
    "response.reasoning.delta": "thought",
    "response.reasoning_summary_text.delta": "summary",
    "response.reasoning_summary.delta": "summary",
    "response.function_call_arguments.delta": "arguments",
    "response.custom_tool_call_input.delta": "arguments",
}
_DONES = {
    "response.output_text.done": "text",
    "response.refusal.done": "refusal",
    "response.reasoning_text.done": "thought",
    "response.reasoning.done": "thought",
    "response.reasoning_summary_text.done": "summary",
    "response.function_call_arguments.done": "arguments",
    "response.custom_tool_call_input.done": "arguments",
}
_KINDS: dict[str, type[OpenItem]] = {
    "message": OpenMessage,
    "reasoning": OpenReasoning,
    "function_call": OpenCall,
    "custom_tool_call": OpenCall,
}
_OF_DELTA: dict[str, type[OpenItem]] = {
    "text": OpenMessage,
    "refusal": OpenMessage,
    "thought": OpenReasoning,
    "summary": OpenReasoning,
    "arguments": OpenCall,
}
_ENDS = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"})


@dataclass(frozen=True, slots=True)
class Reading:
    """How the answers of one provider are to be read.

    `new_call_id` makes ids for calls that come without one, `translated` names the custom tools that the upstream was
    shown as functions. `keeps_blobs`: its encrypted reasoning is of use to it later. `limit`: the number of tokens at
    which an answer counts as cut although it does not say so.
    """

    provider: str
    new_call_id: Callable[[], str]
    redaction: Redaction
    translated: frozenset[str] = frozenset()
    keeps_blobs: bool = True
    limit: int | None = None


class ResponsesDecoder:
    """Reads one answer."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._items: list[OpenItem] = []
        self._by_id: dict[str, OpenItem] = {}
        self._at: dict[int, OpenItem] = {}
        self._slots = 0
        self._writing: OpenMessage | None = None
        self._finish: FinishReason | None = None
        self._usage: RawUsage | None = None
        self._service_tier: str | None = None
        self.failure: ProviderError | None = None
        """What ends the answer, to be raised once the signals that came before it are out."""

    @property
    def ended(self) -> bool:
        """Whether the response has come to its end: nothing more will be read."""
        return self._finish is not None

    # --- input ----------------------------------------------------------------------------------------------
    def feed(self, payloads: Sequence[bytes]) -> list[ModelSignal]:
        """The signals of some events, up to the first that cannot be read or is an error: that is `failure` then."""
        out: list[ModelSignal] = []
        for payload in payloads:
            try:
                self._event(payload, out)
            except ProviderError as error:
                self.failure = error
            if self._finish is not None or self.failure is not None:
                break
        return out

    def _event(self, payload: bytes, out: list[ModelSignal]) -> None:
        try:
            delta = _DELTA.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._unreadable("an event", error) from None
        kind, message, text = delta.type, self._writing, delta.delta
        if (
            kind == _TEXT
            and message is not None
            and delta.item_id == message.id
            and delta.content_index == message.index
            and not delta.logprobs
            and text
            and isinstance(text, str)
        ):
            # The hot path: one more piece of the part that is being written.
            message.pieces.append(text)
            out.append(TextDelta(message.slot, text))
        elif kind in _DELTAS:
            self._delta(_DELTAS[kind], delta, out)
        else:
            self._other(kind, payload, out)

    def whole(self, body: bytes) -> list[ModelSignal]:
        """The signals of an answer in one piece: only `ItemDone`s, then the `StepDone`."""
        try:
            response = _RESPONSE.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._unreadable("an answer", error) from None
        if response.output is None and response.error is None and response.status != "failed":
            raise self._broken("answered with JSON that is no response")
        out: list[ModelSignal] = []
        self._end(response, out)
        out += self.finish(done=True)
        return [signal for signal in out if isinstance(signal, ItemDone | StepDone)]

    def finish(self, *, done: bool) -> list[ModelSignal]:
        """The last signals. `done` says whether `[DONE]` came. Raises ProviderProtocolError for a cut-off stream."""
        if self._finish is None and not done:
            raise self._broken("ended its stream before its response was complete")
        out: list[ModelSignal] = []
        if any(item.slot < 0 for item in self._items):
            raise self._broken("made a tool call without a name")
        finish = self._reason()
        if not self._items and finish == "stop":
            self._show(self._begin(OpenMessage(), None, None), out)
        for item in self._items:
            item.close(out)
        usage = self._usage.usage() if self._usage is not None else None
        out.append(StepDone(finish, usage, self._service_tier))
        return out

    # --- one event ------------------------------------------------------------------------------------------
    def _delta(self, what: str, delta: Delta, out: list[ModelSignal]) -> None:
        text = delta.delta
        if not isinstance(text, str):
            return
        item = self._written(_OF_DELTA[what], delta.item_id, delta.output_index, out)
        if item is None:
            return
        index = (delta.summary_index if what == "summary" else delta.content_index) or 0
        logprobs = logprobs_in(delta.logprobs) if delta.logprobs else ()
        item.add(what, index, text, out, logprobs)
        self._writing = item if isinstance(item, OpenMessage) and what == "text" else None

    def _other(self, kind: str, payload: bytes, out: list[ModelSignal]) -> None:
        if not (kind in _ENDS or kind in _DONES or kind in _HANDLED):
            return
        try:
            event = _EVENT.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._unreadable("an event", error) from None
        if kind in _ENDS:
            self._end(event.response or RawResponse(), out, kind.removeprefix("response."))
        elif kind in _DONES:
            self._said(_DONES[kind], event, out)
        elif event.item is not None:
            self._item(event, event.item, out)
        elif kind in ("error", "response.error", "") and (event.error or event.message or event.code):
            raise self._failed(event.error or {"message": event.message, "code": event.code})
        elif kind == "response.output_text.annotation.added":
            message = self._find(OpenMessage, event.item_id, event.output_index)
            if isinstance(message, OpenMessage):
                message.note(event.annotation, event.content_index or 0)

    def _said(self, what: str, event: Event, out: list[ModelSignal]) -> None:
        """The whole of a part: it gives what its deltas left out."""
        texts = (event.text, event.refusal, event.arguments, event.input)
        text = next((one for one in texts if one is not None), None)
        if text is None:
            return
        item = self._written(_OF_DELTA[what], event.item_id, event.output_index, out)
        if item is None:
            return
        index = (event.summary_index if what == "summary" else event.content_index) or 0
        item.catch_up(what, index, text, out)
        item.told = True
        if isinstance(item, OpenCall) and event.name:
            item.learn(RawItem(name=event.name), None)
            self._show(item, out)

    def _item(self, event: Event, raw: RawItem, out: list[ModelSignal]) -> None:
        """`output_item.added` and `.done`."""
        done = event.type == "response.output_item.done"
        kind = self._kind(raw)
        if kind is None:
            return
        item = self._find(kind, raw.id, event.output_index, call_id=raw.call_id, starts=not done)
        if item is None:
            if done and self._is_over(raw.id):
                return
            self._close_unannounced(out)
            item = self._begin(kind(), raw.id, event.output_index)
        item.announced = True
        self._learn(item, raw, whole=done)
        self._show(item, out)
        if done and item.slot >= 0:
            item.whole(raw, out)
            item.close(out)
            if self._writing is item:
                self._writing = None

    def _end(self, response: RawResponse, out: list[ModelSignal], kind: str = "completed") -> None:
        status = response.status or kind
        if status == "failed" or response.error:
            raise self._failed(response.error or {})
        if status not in ("completed", "incomplete"):
            raise ProviderUnavailable(
                self._reading.provider, f'{self._name} gave up in the middle of its answer ("{status}").'
            )
        self._missing(response.output or [], out)
        self._usage, self._service_tier = response.usage, response.service_tier
        self._finish = "tool_calls" if self._calls else "stop"
        if status == "incomplete":
            details = response.incomplete_details
            self._finish = INCOMPLETE.get((details.reason if details else None) or "", "length")
        elif self._ran_into_the_limit(response.usage):
            self._finish = "length"

    def _missing(self, output: list[RawItem], out: list[ModelSignal]) -> None:
        """Items of the final response that had no event, or no last one."""
        seen = {kind: [one for one in self._items if type(one) is kind] for kind in set(_KINDS.values())}
        for raw in output:
            kind = self._kind(raw)
            if kind is None:
                continue
            item = seen[kind].pop(0) if seen[kind] else self._begin(kind(), raw.id, None)
            if item.done:
                continue
            self._learn(item, raw, whole=True)
            self._show(item, out)
            if item.slot >= 0:
                item.whole(raw, out)
                item.close(out)

    # --- which item -----------------------------------------------------------------------------------------
    def _kind(self, raw: RawItem) -> type[OpenItem] | None:
        kind = _KINDS.get(raw.type)
        if kind is None and raw.type in AWAITED:
            raise self._broken(f'waits for a "{raw.type}", a tool that it was not offered')
        return kind

    def _find(
        self,
        kind: type[OpenItem],
        item_id: str | None,
        index: int | None,
        *,
        call_id: str | None = None,
        starts: bool = False,
    ) -> OpenItem | None:
        """The open item of this kind that an event means. One that announces an item means no other's."""
        for name in (item_id, call_id):
            item = self._by_id.get(name) if name else None
            if item is not None and isinstance(item, kind) and not item.done:
                return item
        if not starts and self._is_over(item_id):
            return None
        at = self._at.get(index) if index is not None else None
        if at is not None and isinstance(at, kind) and not at.done and not (starts and at.announced):
            return at
        if starts:
            return None
        opened = [item for item in self._items if isinstance(item, kind) and not item.done]
        return opened[-1] if opened else None

    def _written(
        self, kind: type[OpenItem], item_id: str | None, index: int | None, out: list[ModelSignal]
    ) -> OpenItem | None:
        """The item that text is for, a new one if need be; None for one that is over."""
        item = self._find(kind, item_id, index)
        if item is None and not self._is_over(item_id):
            self._close_unannounced(out)
            item = self._begin(kind(), item_id, index)
            self._show(item, out)
        return item

    def _close_unannounced(self, out: list[ModelSignal]) -> None:
        """Where another item begins, those are over that had their whole text and will have no `done`."""
        for item in self._items:
            if item.told and not item.announced and item.slot >= 0:
                item.close(out)

    def _is_over(self, item_id: str | None) -> bool:
        item = self._by_id.get(item_id) if item_id else None
        return item is not None and item.done

    def _begin(self, item: OpenItem, item_id: str | None, index: int | None) -> OpenItem:
        item.id = item_id
        if isinstance(item, OpenCall):
            item.translated = self._reading.translated
        self._items.append(item)
        if item_id:
            self._by_id[item_id] = item
        if index is not None:
            self._at[index] = item
        return item

    def _learn(self, item: OpenItem, raw: RawItem, *, whole: bool) -> None:
        """`whole`: the item is done. Before that its encrypted content may be a part of it."""
        keeps = whole and self._reading.keeps_blobs
        item.learn(raw, self._reading.provider if keeps else None)
        for name in (raw.id, raw.call_id):
            if name:
                self._by_id[name] = item

    def _show(self, item: OpenItem, out: list[ModelSignal]) -> None:
        if item.slot >= 0 or not item.presentable:
            return
        item.slot = self._slots
        self._slots += 1
        if isinstance(item, OpenCall) and not item.call_id:
            item.call_id = self._reading.new_call_id()
        item.start(out)

    # --- the end --------------------------------------------------------------------------------------------
    @property
    def _calls(self) -> bool:
        return any(isinstance(item, OpenCall) for item in self._items)

    def _reason(self) -> FinishReason:
        """Ours: `[DONE]` alone says that all is well."""
        return self._finish or ("tool_calls" if self._calls else "stop")

    def _ran_into_the_limit(self, usage: RawUsage | None) -> bool:
        limit = self._reading.limit
        return limit is not None and usage is not None and (usage.output_tokens or 0) >= limit

    @property
    def _name(self) -> str:
        return f'provider "{self._reading.provider}"'

    def _failed(self, said: object) -> ProviderError:
        """The error of a response that failed; its code says whether the request was to blame."""
        if isinstance(said, dict):
            code: object = said.get("code")  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType] JSON
            if isinstance(code, str) and (code in NOT_RETRIED or "image" in code):
                said = {**said, "status": 400}  # pyright: ignore[reportUnknownVariableType] JSON of any shape
        return stream_error(self._reading.provider, said, self._reading.redaction)  # pyright: ignore[reportUnknownArgumentType] JSON

    def _unreadable(self, what: str, error: Exception) -> ProviderProtocolError:
        said = self._reading.redaction.clean(str(error))
        return self._broken(f"sent {what} that cannot be read ({said})")

    def _broken(self, what: str) -> ProviderProtocolError:
        return ProviderProtocolError(self._reading.provider, f"{self._name} {what}.")


_HANDLED = frozenset(
    {
        "response.output_item.added",
        "response.output_item.done",
        "response.output_text.annotation.added",
        "error",
        "response.error",
        "",
    }
)
