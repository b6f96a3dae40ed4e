"""From the messages of a turn to the items of a run, and what of them stays for later turns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from antiphon.agents.content import output_of, parts_of, text_of
from antiphon.agents.documents import Given
from antiphon.agents.record import Parts
from antiphon.agents.shapes import ToolResponse, ToolResponseMessage, TurnMessage, UserMessage
from antiphon.core.errors import InvalidRequest
from antiphon.core.items import (
    Call,
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCallOutput,
    InputText,
    Message,
    MessagePart,
    ToolOutputPart,
)
from antiphon.core.seen import StoredItem
from antiphon.core.transcript import PastTurn
from antiphon.core.wire import encode

NOT_ANSWERED = "Error: this call was never answered. The user went on without its result."
OBSERVED = "Observation:"
_ITEMS = msgspec.json.Decoder(list[StoredItem])
_WHOLE = "+whole"
"""Behind the id of a past turn whose messages have what is not stored with them."""


@dataclass(frozen=True, slots=True)
class TurnInput:
    """`items` are what the model is shown, and `paths` where in the body each came from. `kept` has, by their places,
    the contents of messages without what is for this turn alone. `question` is the text of the last user message.
    """

    items: tuple[StoredItem, ...]
    paths: tuple[str, ...]
    kept: Mapping[int, Parts]
    question: str = ""

    def with_documents(self, given: Given) -> "TurnInput":
        """With what documents gave, behind the last user message. What was retrieved is for this turn alone."""
        if not given.parts:
            return self
        at = max(at for at, item in enumerate(self.items) if isinstance(item, Message))
        items, kept = list(self.items), dict(self.kept)
        message = items[at]
        if not isinstance(message, Message) or not isinstance(message.content, list):
            raise TypeError("a user message has parts")
        before: Parts | None = kept.get(at)
        if before is not None or len(given.lasting) < len(given.parts):
            own: list[MessagePart] = list(message.content) if before is None else list(before)
            kept[at] = [*own, *given.lasting]  # type: ignore[list-item]  # only texts and images were put there
        items[at] = msgspec.structs.replace(message, content=[*message.content, *given.parts])
        return replace(self, items=tuple(items), kept=kept)


def input_of(messages: Sequence[TurnMessage], open_calls: Sequence[Call]) -> TurnInput:
    """The items of a new turn. `open_calls` are those that the session waits for: its messages may answer them; the
    model is told of the others that nobody did.

    Raises InvalidRequest with the field.
    """
    answers = _answers(messages, {call.call_id: call for call in open_calls})
    items: list[StoredItem] = [item for item, _ in answers.values()]
    paths = [path for _, path in answers.values()]
    for call in open_calls:
        if call.call_id not in answers:
            items.append(_output(call, NOT_ANSWERED))
            paths.append("messages")
    kept: dict[int, Parts] = {}
    question = ""
    for number, message in enumerate(messages):
        if isinstance(message, UserMessage):
            path = f"messages[{number}]"
            own, context = _parts(message, path)
            if context:
                kept[len(items)] = own
            items.append(Message(role="user", content=[*own, *context]))
            paths.append(f"{path}.content")
            question = text_of(message.content)
    return TurnInput(tuple(items), tuple(paths), kept, question)


def resumed_input(responses: Sequence[ToolResponse], calls: Sequence[str]) -> TurnInput:
    """The items of a run that goes on with what a client made of these calls: all of them, each once, in their order.

    Raises InvalidRequest.
    """
    found: dict[str, tuple[StoredItem, str]] = {}
    for at, response in enumerate(responses):
        path, call_id = f"tool_responses[{at}]", response.call_id
        if call_id in found:
            raise _twice(path, call_id)
        if call_id not in calls:
            waiting = ", ".join(f'"{one}"' for one in calls)
            raise _wrong(
                f"{path}.call_id", f'the turn waits for no call "{call_id[:200]}", but for {waiting}'
            )
        output = output_of(response.content, f"{path}.content")
        found[call_id] = (FunctionCallOutput(call_id=call_id, output=output), path)
    missing = [f'"{call_id}"' for call_id in calls if call_id not in found]
    if missing:
        raise _wrong(
            "tool_responses", f"the turn also waits for {', '.join(missing)}; answer all calls at once"
        )
    ordered = [found[call_id] for call_id in calls]
    return TurnInput(tuple(item for item, _ in ordered), tuple(path for _, path in ordered), {})


def observed_input(responses: Sequence[ToolResponse]) -> TurnInput:
    """What a client made of calls that it found in the model's text: for the model they are no calls, so that their
    results are said by the user.
    """
    items: list[StoredItem] = []
    for at, response in enumerate(responses):
        parts: list[MessagePart] = [InputText(text=OBSERVED)]
        parts += parts_of(response.content, f"tool_responses[{at}].content")
        items.append(Message(role="user", content=parts))
    return TurnInput(tuple(items), tuple(f"tool_responses[{at}]" for at in range(len(items))), {})


def open_calls_of(history: Sequence[PastTurn]) -> list[Call]:
    """The calls that what comes next has to answer."""
    return [call for turn in history[-1:] for call in turn.calls_made() if call.status != "incomplete"]


def thinned(items: bytes, kept: Mapping[int, Parts]) -> tuple[bytes, dict[str, Parts]]:
    """Stored items (a JSON array) without what is for one turn alone, and by the ids of those messages what it is."""
    if not kept:
        return items, {}
    decoded = _ITEMS.decode(items)
    whole: dict[str, Parts] = {}
    for at, parts in kept.items():
        message = decoded[at]
        if isinstance(message, Message):
            whole[str(message.id)] = message.content  # type: ignore[assignment]  # texts and images
            decoded[at] = msgspec.structs.replace(message, content=list[MessagePart](parts))
    return encode(decoded), whole


def with_contexts(history: Sequence[PastTurn], contexts: Mapping[str, Parts]) -> Sequence[PastTurn]:
    """The history with messages as they were when their turn began, for a run that goes on with that turn."""
    if not contexts:
        return history
    return [_with_contexts(turn, contexts) for turn in history]


def _with_contexts(turn: PastTurn, contexts: Mapping[str, Parts]) -> PastTurn:
    if not any(item_id.encode() in turn.input for item_id in contexts):
        return turn
    items = [
        msgspec.structs.replace(item, content=list[MessagePart](contexts[str(item.id)]))
        if isinstance(item, Message) and str(item.id) in contexts
        else item
        for item in _ITEMS.decode(turn.input)
    ]
    return replace(turn, id=turn.id + _WHOLE, input=encode(items))


def _answers(messages: Sequence[TurnMessage], calls: Mapping[str, Call]) -> dict[str, tuple[StoredItem, str]]:
    found: dict[str, tuple[StoredItem, str]] = {}
    for at, message in enumerate(messages):
        if not isinstance(message, ToolResponseMessage):
            continue
        path, call_id = f"messages[{at}]", message.call_id
        if call_id in found:
            raise _twice(path, call_id)
        if call_id not in calls:
            waiting = ", ".join(f'"{one}"' for one in calls) or "none"
            raise _wrong(
                f"{path}.call_id", f'no call "{call_id[:200]}" waits for an answer here; waiting: {waiting}'
            )
        output = output_of(message.content, f"{path}.content")
        found[call_id] = (_output(calls[call_id], output), path)
    return found


def _output(call: Call, output: str | list[ToolOutputPart]) -> StoredItem:
    kind = CustomToolCallOutput if isinstance(call, CustomToolCall) else FunctionCallOutput
    return kind(call_id=call.call_id, output=output)


def _parts(message: UserMessage, path: str) -> tuple[Parts, Parts]:
    """What was said, and what is beside it for this turn alone."""
    own = parts_of(message.content, f"{path}.content")
    context = parts_of(message.context, f"{path}.context") if message.context else []
    if not own and not context:
        raise _wrong(f"{path}.content", "there is nothing in this message; send a text or an image")
    return own, context


def _twice(path: str, call_id: str) -> InvalidRequest:
    return _wrong(f"{path}.call_id", f'the call "{call_id}" is answered twice; answer each call once')


def _wrong(param: str, what: str) -> InvalidRequest:
    return InvalidRequest(f"`{param}`: {what}.", param=param)
