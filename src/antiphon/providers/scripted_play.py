"""Plays a rule: from its steps to the signals of one model call, with waits and failures between them."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from antiphon.core import signals
from antiphon.core.items import (
    CustomToolCall,
    FunctionCall,
    Logprob,
    Message,
    OutputText,
    Reasoning,
    ReasoningText,
    Refusal,
    TopLogprob,
)
from antiphon.core.signals import FinishReason, ItemDone, ItemStarted, ModelItem, ModelSignal, StepDone
from antiphon.core.tools import CustomTool
from antiphon.core.usage import InputDetails, OutputDetails, Usage
from antiphon.core.wire import UNSET, JsonObject, encode
from antiphon.providers.schema_instance import instance_of
from antiphon.providers.script import Call, Chunking, Failure, Rule, ScriptedUsage, Step
from antiphon.providers.scripted_hearing import Hearing, words


@dataclass(frozen=True, slots=True)
class Wait:
    ms: int


Act = list[ModelSignal] | Wait | Failure
"""Signals that come together, a wait, or the failure that ends the play."""

_LOGPROBS = "message.output_text.logprobs"


@dataclass(slots=True)
class Play:
    """One model call. `acts` once; each list in it is what one chunk of a real upstream would bring."""

    heard: Hearing
    rule: Rule
    _slot: int = 0
    _said: list[str] = field(default_factory=list[str])
    _logprobs: list[Logprob] = field(default_factory=list[Logprob])
    _message_slot: int | None = None
    _called: bool = False
    _output_tokens: int = 0
    _reasoning_tokens: int = 0
    _cut: bool = False
    _stopped_by: str | None = None

    def acts(self) -> Iterator[Act]:
        if self.rule.delay_ms:
            yield Wait(self.rule.delay_ms)
        for step in self.rule.reply:
            if step.fail is not None:
                yield step.fail
                return
            if step.wait_ms is not None:
                yield Wait(step.wait_ms)
                continue
            yield from self._act(step)
            if self._cut or self._stopped_by is not None:
                break
        yield from self._close_message()
        stopped_by = None if self._cut else self._stopped_by
        yield [StepDone(self._finish(), self._usage(), stop_sequence=stopped_by)]

    def _act(self, step: Step) -> Iterator[Act]:
        if step.calls is not None:
            yield from self._close_message()
            yield from self._call_all(step)
        elif step.reasoning is not None:
            yield from self._close_message()
            yield from self._reason(step, self._text(step.reasoning, step))
        elif step.refusal is not None:
            yield from self._close_message()
            yield from self._refuse(step, self._text(step.refusal, step))
        else:
            yield from self._say(step, self._text(self._spoken(step), step))

    # --- messages -----------------------------------------------------------------------------------------
    def _spoken(self, step: Step) -> str:
        if step.echo:
            return self.heard.last_user_text
        if step.instance:
            return encode(instance_of(self.heard.schema or {})).decode()
        return step.text or ""

    def _text(self, text: str, step: Step) -> str:
        filled = text if step.instance or step.echo else self.heard.filled(text)
        text = filled * step.repeat
        return self._within_limit(text if step.reasoning is not None else self._until_stop(text))

    def _until_stop(self, text: str) -> str:
        """The text up to the first of the request's stop sequences in it."""
        stop = self.heard.call.request.stop or ()
        stops = [stop] if isinstance(stop, str) else stop
        found = [(text.find(one), one) for one in stops if one and one in text]
        if not found:
            return text
        end, self._stopped_by = min(found)
        return text[:end]

    def _say(self, step: Step, text: str) -> Iterator[Act]:
        slot, opening = self._open_message()
        wanted, alternatives = self._logprobs_wanted()
        for piece in chunks(text, step.by):
            if step.delay_ms:
                yield Wait(step.delay_ms)
            logprobs = (logprob(piece, alternatives),) if wanted else ()
            self._said.append(piece)
            self._logprobs.extend(logprobs)
            yield [*opening, signals.TextDelta(slot, piece, logprobs)]
            opening = []
        if opening:
            yield opening

    def _open_message(self) -> tuple[int, list[ModelSignal]]:
        if self._message_slot is not None:
            return self._message_slot, []
        self._message_slot = slot = self._next_slot()
        return slot, [ItemStarted(slot, Message(role="assistant", content=[]))]

    def _close_message(self) -> Iterator[Act]:
        if self._message_slot is None:
            return
        part = OutputText(text="".join(self._said), annotations=[], logprobs=self._logprobs or UNSET)
        yield [ItemDone(self._message_slot, Message(role="assistant", content=[part]))]
        self._message_slot = None
        self._said, self._logprobs = [], []

    def _refuse(self, step: Step, text: str) -> Iterator[Act]:
        slot = self._next_slot()
        opening: list[ModelSignal] = [ItemStarted(slot, Message(role="assistant", content=[]))]
        for piece in chunks(text, step.by):
            if step.delay_ms:
                yield Wait(step.delay_ms)
            yield [*opening, signals.RefusalDelta(slot, piece)]
            opening = []
        yield [*opening, ItemDone(slot, Message(role="assistant", content=[Refusal(refusal=text)]))]

    def _reason(self, step: Step, text: str) -> Iterator[Act]:
        self._reasoning_tokens += words(text)
        slot = self._next_slot()
        opening: list[ModelSignal] = [ItemStarted(slot, Reasoning(summary=[]))]
        for piece in chunks(text, step.by):
            if step.delay_ms:
                yield Wait(step.delay_ms)
            yield [*opening, signals.ReasoningDelta(slot, piece)]
            opening = []
        yield [*opening, ItemDone(slot, Reasoning(summary=[], content=[ReasoningText(text=text)]))]

    # --- calls --------------------------------------------------------------------------------------------
    def _call_all(self, step: Step) -> Iterator[Act]:
        planned = [
            self._planned(call, step.by)
            for call in self._calls_within_limit((step.calls or ()) * step.repeat)
        ]
        self._called = self._called or bool(planned)
        if not step.interleave:
            for _, acts in planned:
                for act in acts:
                    yield from self._paced(act, step)
            return
        for turn in range(max((len(acts) for _, acts in planned), default=0)):
            for _, acts in planned:
                if turn < len(acts) - 1:
                    yield from self._paced(acts[turn], step)
        yield [signal for _, acts in planned for signal in acts[-1]]

    def _planned(self, planned: tuple[Call, str], by: Chunking) -> tuple[int, list[list[ModelSignal]]]:
        call, arguments = planned
        slot = self._next_slot()
        seen = len(self.heard.items)
        digest = hashlib.blake2s(
            f"{seen} {slot} {call.name} {arguments}".encode(), digest_size=12
        ).hexdigest()
        item, done = self._items(f"call_{digest}", call.name, arguments)
        acts: list[list[ModelSignal]] = [[ItemStarted(slot, item)]]
        acts.extend([signals.ArgumentsDelta(slot, piece)] for piece in chunks(arguments, by))
        return slot, [*acts, [ItemDone(slot, done)]]

    def _items(self, call_id: str, name: str, arguments: str) -> tuple[ModelItem, ModelItem]:
        """The call as it begins and as it ends."""
        if isinstance(self.heard.tools.get(name), CustomTool):
            begun = CustomToolCall(call_id=call_id, name=name, input="")
            return begun, CustomToolCall(call_id=call_id, name=name, input=arguments)
        item = FunctionCall(call_id=call_id, name=name, arguments="")
        return item, FunctionCall(call_id=call_id, name=name, arguments=arguments)

    def _calls_within_limit(self, calls: Sequence[Call]) -> Iterator[tuple[Call, str]]:
        for call in calls:
            if self._cut:
                return
            yield call, self._within_limit(self._arguments(call))

    def _arguments(self, call: Call) -> str:
        if isinstance(call.arguments, str):
            return self.heard.filled(call.arguments)
        if call.arguments is not None:
            return self.heard.filled(encode(call.arguments).decode())
        tool = self.heard.tools.get(call.name)
        if isinstance(tool, CustomTool):
            return self.heard.last_user_text
        schema: JsonObject = (tool.parameters if tool is not None else None) or {"type": "object"}
        return encode(instance_of(schema)).decode()

    @staticmethod
    def _paced(act: list[ModelSignal], step: Step) -> Iterator[Act]:
        if step.delay_ms and not isinstance(act[0], ItemDone):
            yield Wait(step.delay_ms)
        yield act

    # --- counting -----------------------------------------------------------------------------------------
    def _next_slot(self) -> int:
        slot, self._slot = self._slot, self._slot + 1
        return slot

    def _within_limit(self, text: str) -> str:
        """The text as far as `max_output_tokens` allows."""
        limit = self.heard.call.max_output_tokens
        count = words(text)
        left = None if limit is None else limit - self._output_tokens
        if left is not None and count > left:
            self._cut = True
            text = "".join(re.findall(r"\s*\S+", text)[: max(left, 0)])
            count = words(text)
        self._output_tokens += count
        return text

    def _logprobs_wanted(self) -> tuple[bool, int]:
        request = self.heard.call.request
        count = request.top_logprobs or 0
        return count > 0 or _LOGPROBS in (request.include or ()), count

    def _finish(self) -> FinishReason:
        if self._cut:
            return "length"
        if self._stopped_by is not None:
            return "stop"
        return self.rule.finish or ("tool_calls" if self._called else "stop")

    def _usage(self) -> Usage:
        counted = ScriptedUsage(
            input_tokens=self.heard.input_tokens,
            output_tokens=self._output_tokens,
            reasoning_tokens=self._reasoning_tokens,
        )
        usage = self.rule.usage or counted
        return Usage(
            input_tokens=usage.input_tokens,
            input_tokens_details=InputDetails(cached_tokens=usage.cached_tokens),
            output_tokens=usage.output_tokens,
            output_tokens_details=OutputDetails(reasoning_tokens=usage.reasoning_tokens),
            total_tokens=usage.input_tokens + usage.output_tokens,
        )


def chunks(text: str, by: Chunking) -> list[str]:
    """The text in the pieces in which it is streamed; joined they are the text."""
    if by == "word":
        return re.findall(r"\s*\S+(?:\s+\Z)?|\s+\Z", text)
    if by == "all":
        return [text] if text else []
    size = 1 if by == "char" else by
    return [text[at : at + size] for at in range(0, len(text), size)]


def logprob(token: str, alternatives: int) -> Logprob:
    """Made up, but the same each time: the longer a token, the less likely. `alternatives` counts itself."""
    value = -len(token) / 8
    tops = [
        TopLogprob(token=one, logprob=value - rank, bytes=list(one.encode()))
        for rank, one in enumerate([token, *(f"{token}~{n}" for n in range(1, alternatives))][:alternatives])
    ]
    return Logprob(token=token, logprob=value, bytes=list(token.encode()), top_logprobs=tops)
