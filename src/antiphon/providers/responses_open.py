"""Items of an answer of `/responses` that are being written: what came of each, and the signals for it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, Literal

from antiphon.core.custom_calls import InputReader
from antiphon.core.items import (
    Annotation,
    CustomToolCall,
    FunctionCall,
    Logprob,
    Message,
    MessagePart,
    OutputText,
    Reasoning,
    ReasoningText,
    Refusal,
    SummaryText,
)
from antiphon.core.signals import (
    ArgumentsDelta,
    ItemDone,
    ItemStarted,
    ModelItem,
    ModelSignal,
    ReasoningDelta,
    RefusalDelta,
    SummaryDelta,
    TextDelta,
)
from antiphon.core.thoughts import marked
from antiphon.core.wire import UNSET, UnsetType, encode
from antiphon.providers.chat_shapes import Logprobs, logprobs_of
from antiphon.providers.responses_items import packed
from antiphon.providers.responses_shapes import RawItem, RawPart, annotations_of

Signals = list[ModelSignal]
Phase = Literal["commentary", "final_answer"]


@dataclass(slots=True)
class OpenItem(ABC):
    """`slot` is -1 until it is shown. `announced`: its `output_item.added` came; `told`: the whole of a text did."""

    id: str | None = None
    slot: int = -1
    announced: bool = False
    told: bool = False
    done: bool = False

    @property
    def presentable(self) -> bool:
        """Whether enough is known to show it."""
        return True

    @abstractmethod
    def learn(self, raw: RawItem, maker: str | None) -> None:
        """What the upstream's item says besides its text. `maker` is the provider that can use its own blobs."""

    def start(self, out: Signals) -> None:
        out.append(ItemStarted(self.slot, self._item()))

    @abstractmethod
    def add(self, what: str, index: int, text: str, out: Signals, logprobs: tuple[Logprob, ...] = ()) -> None:
        """A delta of part `index`."""

    @abstractmethod
    def catch_up(self, what: str, index: int, text: str, out: Signals) -> None:
        """The whole text of a part: what its deltas left out."""

    @abstractmethod
    def whole(self, raw: RawItem, out: Signals) -> None:
        """The upstream's finished item: what its deltas left out."""

    def close(self, out: Signals) -> None:
        if not self.done:
            self.done = True
            out.append(ItemDone(self.slot, self._item()))

    @abstractmethod
    def _item(self) -> ModelItem:
        """The item with what it has; its skeleton while it is not done."""


def rest_of(text: str, shown: str) -> str:
    """What is missing; nothing where the two contradict each other, as what was shown stands."""
    return text[len(shown) :] if text.startswith(shown) else ""


@dataclass(slots=True)
class OpenMessage(OpenItem):
    """`pieces` are all texts, `index` and `begins` the part that is being written and where in them it begins."""

    phase: Phase | UnsetType = UNSET
    pieces: list[str] = field(default_factory=list[str])
    logprobs: list[Logprob] = field(default_factory=list[Logprob])
    index: int = -1
    begins: int = 0
    refusal: str = ""
    refusal_first: bool = False
    annotations: list[Annotation] = field(default_factory=list[Annotation])
    _offsets: dict[int, int] = field(default_factory=dict[int, int])

    def learn(self, raw: RawItem, maker: str | None) -> None:
        if raw.phase == "commentary":
            self.phase = "commentary"
        elif raw.phase == "final_answer":
            self.phase = "final_answer"

    def add(self, what: str, index: int, text: str, out: Signals, logprobs: tuple[Logprob, ...] = ()) -> None:
        if what == "refusal":
            self._refuse(text, out)
        else:
            self._at(index)
            self._say(text, out, logprobs)

    def catch_up(self, what: str, index: int, text: str, out: Signals) -> None:
        if what == "refusal":
            self._refuse(rest_of(text, self.refusal), out)
        elif index == self.index or index not in self._offsets:
            self._at(index)
            self._say(rest_of(text, "".join(self.pieces[self.begins :])), out)

    def note(self, annotation: Any, index: int) -> None:
        self.annotations += annotations_of([annotation], self._offsets.get(index, 0))

    def whole(self, raw: RawItem, out: Signals) -> None:
        texts = [part for part in raw.parts if part.text is not None and part.type != "refusal"]
        refusal = rest_of("".join(part.refusal or "" for part in raw.parts), self.refusal)
        first = next((part for part in raw.parts if part.text or part.refusal), None)
        if first is not None and first.refusal:
            self._refuse(refusal, out)
            refusal = ""
        rest = rest_of("".join(part.text or "" for part in texts), "".join(self.pieces))
        known = logprobs_of(Logprobs([one for part in texts for one in part.logprobs or ()]))
        self._say(rest, out, known if not self.logprobs else ())
        self._refuse(refusal, out)
        self._notes(texts)

    def _notes(self, parts: list[RawPart]) -> None:
        found: list[Annotation] = []
        offset = 0
        for part in parts:
            found += annotations_of(part.annotations or [], offset)
            offset += len(part.text or "")
        self.annotations = found or self.annotations

    def _at(self, index: int) -> None:
        """Turn to a part. One that was written before is not returned to: text is in the order in which it came."""
        if index == self.index or index in self._offsets:
            return
        self.index, self.begins = index, len(self.pieces)
        self._offsets[index] = sum(map(len, self.pieces))

    def _say(self, text: str, out: Signals, logprobs: tuple[Logprob, ...] = ()) -> None:
        if text or logprobs:
            self.pieces.append(text)
            self.logprobs += logprobs
            out.append(TextDelta(self.slot, text, logprobs))

    def _refuse(self, text: str, out: Signals) -> None:
        if text:
            self.refusal_first = self.refusal_first or not (self.refusal or self.pieces)
            self.refusal += text
            out.append(RefusalDelta(self.slot, text))

    def _item(self) -> Message:
        parts: list[MessagePart] = []
        if self.done and (self.pieces or not self.refusal):
            logprobs = self.logprobs or UNSET
            parts.append(
                OutputText(text="".join(self.pieces), annotations=self.annotations, logprobs=logprobs)
            )
        if self.done and self.refusal:
            parts.insert(0 if self.refusal_first else len(parts), Refusal(refusal=self.refusal))
        return Message(role="assistant", content=parts, phase=self.phase)


@dataclass(slots=True)
class OpenReasoning(OpenItem):
    """Either texts, which become one, or the parts of a summary; `index` is the upstream's number of the last."""

    pieces: list[str] = field(default_factory=list[str])
    begins: int = 0
    summary: list[str] = field(default_factory=list[str])
    sealed: str | None = None
    _index: int = -1
    _seen: set[int] = field(default_factory=set[int])

    def learn(self, raw: RawItem, maker: str | None) -> None:
        if maker is not None and raw.encrypted_content:
            self.sealed = marked(maker, packed(raw.id or "", raw.encrypted_content))

    def add(self, what: str, index: int, text: str, out: Signals, logprobs: tuple[Logprob, ...] = ()) -> None:
        if what == "summary":
            self._summarize(index, text, out)
        else:
            self._think(index, text, out)

    def catch_up(self, what: str, index: int, text: str, out: Signals) -> None:
        current = index == self._index
        if not current and index in self._seen:
            return
        if what == "summary":
            self._summarize(index, rest_of(text, self.summary[-1] if current and self.summary else ""), out)
        else:
            self._think(index, rest_of(text, "".join(self.pieces[self.begins :]) if current else ""), out)

    def whole(self, raw: RawItem, out: Signals) -> None:
        texts = [part.text for part in raw.parts if part.text]
        summary = [part.text for part in raw.summary or () if part.text]
        if self.summary or not (texts or self.pieces):
            self._rest_of_summary(summary, out)
        else:
            self._think(self._index, rest_of("".join(texts), "".join(self.pieces)), out)

    def _rest_of_summary(self, summary: list[str], out: Signals) -> None:
        at = len(self.summary)
        if at and summary[: at - 1] != self.summary[:-1]:
            return
        if at and len(summary) >= at:
            self._summarize(self._index, rest_of(summary[at - 1], self.summary[-1]), out)
        for text in summary[at:]:
            self._summarize(self._index + 1, text, out)

    def _summarize(self, index: int, text: str, out: Signals) -> None:
        if not text or self.pieces:
            return
        if not self.summary or (index != self._index and index not in self._seen):
            self.summary.append("")
            self._index = index
            self._seen.add(index)
        self.summary[-1] += text
        out.append(SummaryDelta(self.slot, len(self.summary) - 1, text))

    def _think(self, index: int, text: str, out: Signals) -> None:
        if not text or self.summary:
            return
        if index not in self._seen:
            self._index, self.begins = index, len(self.pieces)
            self._seen.add(index)
        self.pieces.append(text)
        out.append(ReasoningDelta(self.slot, text))

    def _item(self) -> Reasoning:
        texts = [ReasoningText(text="".join(self.pieces))] if self.pieces else UNSET
        return Reasoning(
            summary=[SummaryText(text=text) for text in self.summary],
            content=texts,
            encrypted_content=self.sealed if self.sealed is not None else UNSET,
        )


@dataclass(slots=True)
class OpenCall(OpenItem):
    """A call of a function or of a custom tool. `first` are arguments that came with its beginning."""

    translated: frozenset[str] = frozenset()
    call_id: str = ""
    name: str = ""
    custom: bool = False
    pieces: list[str] = field(default_factory=list[str])
    first: str = ""
    reader: InputReader | None = None

    @property
    def presentable(self) -> bool:
        return bool(self.name)

    def learn(self, raw: RawItem, maker: str | None) -> None:
        self.call_id = self.call_id or raw.call_id or ""
        if raw.name and not self.name:
            self.name = raw.name
            native = raw.type == "custom_tool_call"
            self.custom = native or raw.name in self.translated
            self.reader = InputReader() if self.custom and not native else None
        self.first = self.first or _written(raw)

    def start(self, out: Signals) -> None:
        OpenItem.start(self, out)
        held, self.pieces = self.pieces, []
        for piece in held:
            self._argue(piece, out)

    def add(self, what: str, index: int, text: str, out: Signals, logprobs: tuple[Logprob, ...] = ()) -> None:
        if text and self.slot < 0:
            self.pieces.append(text)
        elif text:
            self._argue(text, out)

    def catch_up(self, what: str, index: int, text: str, out: Signals) -> None:
        self.add(what, index, rest_of(text, "".join(self.pieces)), out)

    def whole(self, raw: RawItem, out: Signals) -> None:
        self.catch_up("arguments", 0, _written(raw), out)

    def _argue(self, text: str, out: Signals) -> None:
        self.pieces.append(text)
        shown = text if self.reader is None else self.reader.feed(text)
        if shown:
            out.append(ArgumentsDelta(self.slot, shown))

    def close(self, out: Signals) -> None:
        if not self.done:
            self._complete(out)
        OpenItem.close(self, out)

    def _complete(self, out: Signals) -> None:
        if not self.pieces:
            self.add("arguments", 0, self.first or ("" if self.custom else "{}"), out)
        if self.reader is not None:
            text, rest = self.reader.finish()
            self.pieces = [text]
            if rest:
                out.append(ArgumentsDelta(self.slot, rest))

    def _item(self) -> FunctionCall | CustomToolCall:
        text = "".join(self.pieces) if self.done else ""
        if self.custom:
            return CustomToolCall(call_id=self.call_id, name=self.name, input=text)
        return FunctionCall(call_id=self.call_id, name=self.name, arguments=text)


def _written(raw: RawItem) -> str:
    """The arguments or the input, as text: some servers send the object itself."""
    value = raw.input if raw.type == "custom_tool_call" else raw.arguments
    if value is None:
        return ""
    return value if isinstance(value, str) else encode(value).decode()
