"""What a replay found, as data and as text."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import msgspec

from antiphon.core.json_values import is_array, is_object
from antiphon.core.signals import ItemDone, ModelSignal
from antiphon.core.wire import JsonObject
from antiphon.recording.difference import Difference, first_difference
from antiphon.recording.format import Heard, plain

Part = Literal["request", "transcript", "answer", "error", "events", "response", "steps"]
_SAYS = {
    "request": "the request differs at {path}",
    "transcript": "what the model is shown differs at {path}",
    "answer": "the answer differs at {path}",
    "error": "it ended another way",
    "events": "the stream differs at {path}",
    "response": "the response differs at {path}",
    "steps": "the number of model calls differs",
}
_VOLATILE = frozenset({"created_at", "completed_at", "encrypted_content", "obfuscation"})


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One difference. `step` is the model call that it belongs to, left out for the whole run."""

    part: Part
    difference: Difference
    step: int | None = None

    def lines(self) -> Iterator[str]:
        where = f"step {self.step}: " if self.step is not None else ""
        yield f"  {where}{_SAYS[self.part].format(path=self.difference.path or 'the top')}"
        for line in self.difference.lines():
            yield f"  {line}"


class Replayed(msgspec.Struct, kw_only=True):
    """One run after its replay. `request` and `answer` are the first difference of each kind."""

    run: str
    mode: Literal["recorded", "live"]
    steps: int = 0
    events: int = 0
    request: Finding | None = None
    answer: Finding | None = None
    notes: list[str] = []

    @property
    def same(self) -> bool:
        return self.request is None and self.answer is None

    def asked(self, finding: Finding | None) -> None:
        self.request = self.request or finding

    def answered(self, finding: Finding | None) -> None:
        self.answer = self.answer or finding

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes = [*self.notes, text]

    def as_json(self) -> JsonObject:
        value: JsonObject = {"run": self.run, "mode": self.mode, "same": self.same, "steps": self.steps}
        value |= {"events": self.events, "request": plain(self.request), "answer": plain(self.answer)}
        return {**value, "notes": self.notes}

    def lines(self) -> Iterator[str]:
        how = "from its recorded answers" if self.mode == "recorded" else "by asking the model again"
        calls = f"{self.steps} model call{'' if self.steps == 1 else 's'}"
        yield f"{self.run}  {how}, {calls}: {'the same' if self.same else 'different'}"
        for finding in (self.request, self.answer):
            if finding is not None:
                yield from finding.lines()
        for note in self.notes:
            yield f"  note: {note}"


def compare(part: Part, recorded: Any, now: Any, step: int | None = None) -> Finding | None:
    """The first difference of two values of the wire, without times and what is sealed anew each time."""
    found = first_difference(settled(recorded), settled(now))
    return None if found is None else Finding(part=part, difference=found, step=step)


def settled(value: Any) -> Any:
    """The value without what differs from run to run by nature."""
    if is_object(value):
        return {key: settled(item) for key, item in value.items() if key not in _VOLATILE}
    if is_array(value):
        return [settled(item) for item in value]
    return value


def items_heard(heard: Sequence[Heard]) -> JsonObject:
    """The items of an answer, calls named by their place: upstreams make new ids each time."""
    return items_of([signal for batch in heard for signal in batch.signals])


def items_of(signals: Sequence[ModelSignal]) -> JsonObject:
    items: list[JsonObject] = [plain(one.item) for one in signals if isinstance(one, ItemDone)]
    for place, item in enumerate(items):
        item.pop("id", None)
        if "call_id" in item:
            item["call_id"] = f"call {place}"
        for part in item.get("content") or ():
            if is_object(part):
                part.pop("logprobs", None)
    return {"items": items}
