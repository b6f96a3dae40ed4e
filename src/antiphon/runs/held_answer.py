"""Constraints that the upstream cannot be trusted with: what they bind is held until it passes, then shown whole.

`text.format` binds messages, a grammar the input of a custom tool. Reasoning is never held. Where a grammar is
checked all calls of the step are held, since one broken call means that the step is sampled again.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from antiphon.core import signals
from antiphon.core.body import FormatGrammar, FormatJsonObject, FormatJsonSchema
from antiphon.core.items import Call, CustomToolCall, Message, OutputText
from antiphon.core.request import ResponseRequest
from antiphon.core.signals import ItemDone, ModelSignal
from antiphon.core.tools import CustomTool, GrammarFormat
from antiphon.core.wire import UNSET, JsonObject, decode_json
from antiphon.ports import ModelProvider
from antiphon.runs import grammars, schemas


@dataclass(frozen=True, slots=True)
class Constraints:
    """What must be checked here. A formatted answer matches `grammar`, else `schema`, else is any JSON object; the
    grammars of tools are by name.
    """

    formatted: bool = False
    schema: JsonObject | None = None
    grammar: FormatGrammar | None = None
    grammars: Mapping[str, GrammarFormat] = field(default_factory=dict[str, GrammarFormat])

    @classmethod
    def of(cls, request: ResponseRequest, provider: ModelProvider) -> "Constraints | None":
        """None when the request binds nothing, or the upstream sees to it."""
        text_format = request.text.format if request.text is not None else UNSET
        bound: dict[str, GrammarFormat] = {}
        for tool in request.tools or ():
            if isinstance(tool, CustomTool) and isinstance(tool.format, GrammarFormat):
                bound[tool.name] = tool.format
        if not bound and not isinstance(text_format, FormatJsonSchema | FormatJsonObject | FormatGrammar):
            return None
        unenforced = provider.unenforced(request)
        if "grammar" not in unenforced:
            bound = {}
        match text_format:
            case FormatJsonSchema(schema=schema) if "json_schema" in unenforced:
                return cls(formatted=True, schema=schema, grammars=bound)
            case FormatJsonObject() if "json_object" in unenforced:
                return cls(formatted=True, grammars=bound)
            case FormatGrammar() if "text_grammar" in unenforced:
                return cls(formatted=True, grammar=text_format, grammars=bound)
            case _:
                return cls(grammars=bound) if bound else None


@dataclass(slots=True)
class HeldAnswer:
    """Keeps back what is bound, in one model call."""

    bound: Constraints
    _slots: set[int] = field(default_factory=set[int])
    _done: list[ItemDone] = field(default_factory=list[ItemDone])

    def take(self, batch: Iterable[ModelSignal]) -> Iterator[ModelSignal | signals.Invalid]:
        for signal in batch:
            yield from self._take(signal)

    def _take(self, signal: ModelSignal) -> Iterator[ModelSignal | signals.Invalid]:
        match signal:
            case signals.ItemStarted(slot=slot, item=item) if self._holds(item):
                self._slots.add(slot)
            case signals.TextDelta(slot=slot) | signals.RefusalDelta(slot=slot) if slot in self._slots:
                pass
            case signals.ArgumentsDelta(slot=slot) if slot in self._slots:
                pass
            case signals.ItemDone(item=item) if self._holds(item):
                self._done.append(signal)
            case signals.StepDone(finish=finish):
                invalid = self._invalid(signal) if finish in ("stop", "tool_calls") else None
                if invalid is not None:
                    yield invalid
                    return
                yield from self._done
                yield signal
            case _:
                yield signal

    def _holds(self, item: signals.ModelItem) -> bool:
        if isinstance(item, Message):
            return self.bound.formatted
        return isinstance(item, Call) and bool(self.bound.grammars)

    def _invalid(self, step: signals.StepDone) -> signals.Invalid | None:
        """The first thing held that breaks its constraint."""
        calls = tuple(done.item for done in self._done if isinstance(done.item, Call))
        for done in self._done:
            item = done.item
            if isinstance(item, Message) and step.finish == "stop":
                problem = self._problem(item)
            elif isinstance(item, CustomToolCall) and item.name in self.bound.grammars:
                problem = grammars.violation(self.bound.grammars[item.name], item.input)
            else:
                continue
            if problem is not None:
                return signals.Invalid(item, problem, calls, step.usage)
        return None

    def _problem(self, item: Message) -> str | None:
        """Why the text breaks the format; None when it keeps it. A refusal keeps any format."""
        if isinstance(item.content, str):
            return None
        text = "".join(part.text for part in item.content if isinstance(part, OutputText))
        if not text and item.content:
            return None
        if self.bound.grammar is not None:
            return grammars.violation(self.bound.grammar, text)
        try:
            value = decode_json(text)
        except (ValueError, RecursionError):
            return "it is not JSON"
        return _first_violation(self.bound.schema, value)


def _first_violation(schema: JsonObject | None, value: object) -> str | None:
    if schema is None:
        return None if isinstance(value, dict) else "it is not a JSON object"
    return schemas.violation(schema, value)
