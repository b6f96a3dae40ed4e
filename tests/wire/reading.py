"""Reading a recording as the provider would, and what the raw chunks say, worked out another way."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from antiphon.core import signals
from antiphon.core.items import CustomToolCall, FunctionCall, Message, OutputText, Reasoning, Refusal
from antiphon.core.signals import ItemDone, ModelSignal, StepDone
from antiphon.core.wire import UNSET
from antiphon.providers.chat_stream import ChatDecoder
from antiphon.providers.refusals import Redaction
from antiphon.providers.sse import SSEParser
from tests.wire.recordings import Recording


def decoder() -> ChatDecoder:
    numbers = iter(range(1000))
    return ChatDecoder("recorded", lambda: f"call_made{next(numbers)}", Redaction())


def read_stream(raw: bytes, cuts: Sequence[int] = ()) -> list[ModelSignal]:
    """The signals of a stream that arrives in the pieces that `cuts` makes."""
    parser, reader = SSEParser(), decoder()
    out: list[ModelSignal] = []
    for start, end in pairwise([0, *sorted(cuts), len(raw)]):
        out += reader.feed(parser.feed(raw[start:end]))
    out += reader.feed(parser.finish())
    return out + reader.finish(done=parser.done)


def read(recording: Recording) -> list[ModelSignal]:
    return read_stream(recording.sse()) if recording.stream else decoder().whole(recording.body())


@dataclass(slots=True)
class Raw:
    """What the chunks hold, by plain concatenation."""

    text: str = ""
    refusal: str = ""
    reasoning: str = ""
    calls: dict[int, dict[str, str]] = field(default_factory=dict[int, dict[str, str]])
    finish: str | None = None
    usage: dict[str, Any] | None = None
    tokens: list[str] = field(default_factory=list[str])

    @classmethod
    def of(cls, recording: Recording) -> "Raw":
        raw = cls()
        for chunk in recording.chunks:
            raw.usage = chunk.get("usage") or raw.usage
            for choice in chunk["choices"]:
                raw._take(choice)
        return raw

    def _take(self, choice: dict[str, Any]) -> None:
        delta: dict[str, Any] = choice.get("delta") or choice.get("message") or {}
        self.text += delta.get("content") or ""
        self.refusal += delta.get("refusal") or ""
        self.reasoning += delta.get("reasoning_content") or delta.get("reasoning") or ""
        for position, call in enumerate(delta.get("tool_calls") or []):
            index = call.get("index")
            kept = self.calls.setdefault(
                position if index is None else index, {"id": "", "name": "", "arguments": ""}
            )
            kept["id"] = kept["id"] or call.get("id") or ""
            kept["name"] = kept["name"] or call["function"].get("name") or ""
            kept["arguments"] += call["function"].get("arguments") or ""
        self.finish = choice.get("finish_reason") or self.finish
        if delta.get("content") is not None:
            logprobs: dict[str, Any] = choice.get("logprobs") or {}
            tokens: list[dict[str, Any]] = logprobs.get("content") or []
            self.tokens += [one["token"] for one in tokens]


@dataclass(slots=True)
class Ours:
    """What the decoder made of it."""

    messages: list[Message]
    reasoning: list[Reasoning]
    calls: list[FunctionCall]
    end: StepDone

    @classmethod
    def of(cls, heard: Sequence[ModelSignal]) -> "Ours":
        items = [one.item for one in heard if isinstance(one, ItemDone)]
        end = heard[-1]
        assert isinstance(end, StepDone)
        return cls(
            [item for item in items if isinstance(item, Message)],
            [item for item in items if isinstance(item, Reasoning)],
            [item for item in items if isinstance(item, FunctionCall)],
            end,
        )

    @property
    def text(self) -> str:
        return "".join(part.text for part in self._parts() if isinstance(part, OutputText))

    @property
    def refusal(self) -> str:
        return "".join(part.refusal for part in self._parts() if isinstance(part, Refusal))

    @property
    def thought(self) -> str:
        found = [item.content for item in self.reasoning]
        return "".join(part.text for content in found if content is not UNSET for part in content)

    @property
    def tokens(self) -> list[str]:
        parts = [part.logprobs for part in self._parts() if isinstance(part, OutputText)]
        return [one.token for logprobs in parts if logprobs is not UNSET for one in logprobs]

    def _parts(self) -> list[Any]:
        return [part for item in self.messages for part in item.content]


def assert_lawful(heard: Sequence[ModelSignal]) -> None:
    """The contract of `core/signals.py`: started, deltas, done, in each slot; slots by first appearance; one end."""
    text: dict[int, tuple[str, str]] = {}
    done: set[int] = set()
    for one in heard[:-1]:
        match one:
            case signals.ItemStarted(slot=slot):
                assert slot == len(text), "slots are numbered by first appearance"
                text[slot] = ("", "")
            case ItemDone(slot=slot, item=item):
                assert slot not in done, "a slot is done once"
                assert slot in text, "a slot is started first"
                done.add(slot)
                assert text[slot] == _whole_text(item), "the item is its deltas"
            case StepDone():
                raise AssertionError("a StepDone before the end")
            case (
                signals.TextDelta()
                | signals.RefusalDelta()
                | signals.ReasoningDelta()
                | signals.SummaryDelta()
                | signals.ArgumentsDelta()
            ):
                assert one.slot in text, "a delta follows its start"
                assert one.slot not in done, "no delta after the end of its item"
                said, refused = text[one.slot]
                refusal = isinstance(one, signals.RefusalDelta)
                text[one.slot] = (said, refused + one.text) if refusal else (said + one.text, refused)
    assert isinstance(heard[-1], StepDone)
    assert done == set(text), "every started slot is done"


def _whole_text(item: signals.ModelItem) -> tuple[str, str]:
    """Everything an item says, and what it refuses."""
    match item:
        case FunctionCall(arguments=text) | CustomToolCall(input=text):
            return text, ""
        case Reasoning(summary=summary) if summary:
            return "".join(part.text for part in summary), ""
        case Reasoning(content=content):
            return ("".join(part.text for part in content) if content is not UNSET else ""), ""
        case Message(content=content):
            said = [part.text for part in content if isinstance(part, OutputText)]
            refused = [part.refusal for part in content if isinstance(part, Refusal)]
            return "".join(said), "".join(refused)
