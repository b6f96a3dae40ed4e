"""`text.format` where the upstream cannot enforce it: the answer is held until it passes, then shown in one piece."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from antiphon.core import signals
from antiphon.core.body import FormatJsonObject, FormatJsonSchema
from antiphon.core.items import Message, OutputText
from antiphon.core.request import ResponseRequest
from antiphon.core.signals import ItemDone, ModelSignal
from antiphon.core.wire import UNSET, JsonObject, decode_json
from antiphon.ports import ModelProvider


@dataclass(slots=True)
class HeldAnswer:
    """Keeps the messages of one model call back; reasoning and calls pass at once."""

    schema: JsonObject | None
    _slots: set[int] = field(default_factory=set[int])
    _messages: list[ItemDone] = field(default_factory=list[ItemDone])

    @classmethod
    def wanted(cls, request: ResponseRequest, provider: ModelProvider) -> "HeldAnswer | None":
        text_format = request.text.format if request.text is not None else UNSET
        if isinstance(text_format, FormatJsonSchema) and not provider.enforces_json_schema:
            return cls(text_format.schema)
        if isinstance(text_format, FormatJsonObject) and not provider.enforces_json_object:
            return cls(None)
        return None

    def take(self, batch: Iterable[ModelSignal]) -> Iterator[ModelSignal | signals.Invalid]:
        for signal in batch:
            yield from self._take(signal)

    def _take(self, signal: ModelSignal) -> Iterator[ModelSignal | signals.Invalid]:
        match signal:
            case signals.ItemStarted(slot=slot, item=Message()):
                self._slots.add(slot)
            case signals.TextDelta(slot=slot) | signals.RefusalDelta(slot=slot) if slot in self._slots:
                pass
            case signals.ItemDone(item=Message()):
                self._messages.append(signal)
            case signals.StepDone(finish=finish, usage=usage):
                for message in self._messages:
                    problem = None if finish != "stop" else self._problem(message)
                    if problem is not None and isinstance(message.item, Message):
                        yield signals.Invalid(message.item, problem, usage)
                        return
                    yield message
                yield signal
            case _:
                yield signal

    def _problem(self, done: ItemDone) -> str | None:
        """Why the text breaks the format; None when it keeps it. A refusal keeps any format."""
        item = done.item
        if not isinstance(item, Message) or isinstance(item.content, str):
            return None
        text = "".join(part.text for part in item.content if isinstance(part, OutputText))
        if not text and item.content:
            return None
        try:
            value = decode_json(text)
        except (ValueError, RecursionError):
            return "it is not JSON"
        return _first_violation(self.schema, value)


def _first_violation(schema: JsonObject | None, value: object) -> str | None:
    if schema is None:
        return None if isinstance(value, dict) else "it is not a JSON object"
    import jsonschema_rs

    try:
        jsonschema_rs.validator_for(schema).validate(value)
    except jsonschema_rs.ValidationError as error:
        path = "/".join(str(step) for step in error.instance_path)
        return f"{error.message} (at {path or 'the top'})"[:500]
    return None
