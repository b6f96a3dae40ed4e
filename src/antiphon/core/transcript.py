"""What the model sees: instructions, the stored turns of the chain, this response's items."""

from dataclasses import dataclass, field

import msgspec

from antiphon.core.items import Call, CallOutput, Message, Reasoning

TranscriptItem = Message | Reasoning | Call | CallOutput

_CALL_TYPES = (b'"function_call', b'"custom_tool_call')
_ITEMS = msgspec.json.Decoder(list[TranscriptItem])


@dataclass(frozen=True, slots=True)
class PastTurn:
    """One ancestor: its own new items as stored JSON arrays, decoded only when somebody must look inside.

    A turn never changes, so an adapter may keep what it rendered from one under `id`.
    """

    id: str
    input: bytes
    output: bytes
    served_by: str = ""
    """The model that answered, `provider_id/model`; "" where it is not known."""

    def items(self) -> list[TranscriptItem]:
        """The items the model may see: a call that was cut short was never made, so it is left out."""
        return sendable(_ITEMS.decode(self.input) + _ITEMS.decode(self.output))

    def calls_made(self) -> list[Call]:
        """The calls in this turn's output: none of them is answered in it."""
        if b'"function_call"' not in self.output and b'"custom_tool_call"' not in self.output:
            return []
        return [item for item in _ITEMS.decode(self.output) if isinstance(item, Call)]

    @property
    def has_calls(self) -> bool:
        """Whether a look inside for calls or their outputs can pay; told without decoding."""
        return any(kind in part for part in (self.output, self.input) for kind in _CALL_TYPES)


def sendable(items: list[TranscriptItem]) -> list[TranscriptItem]:
    """The items without calls that were cut short, and with each call's output right behind its group of calls.

    Chat upstreams demand that order; a client may put a message between a call and its output.
    """
    kept = [item for item in items if not (isinstance(item, Call) and item.status == "incomplete")]
    if not any(isinstance(item, Call) for item in kept):
        return kept
    outputs = {item.call_id: item for item in kept if isinstance(item, CallOutput)}
    called = {item.call_id for item in kept if isinstance(item, Call)}
    ordered: list[TranscriptItem] = []
    group: list[str] = []
    for item in kept:
        if isinstance(item, Call):
            group.append(item.call_id)
        elif group:
            ordered += [outputs[call_id] for call_id in group if call_id in outputs]
            group = []
        if not (isinstance(item, CallOutput) and item.call_id in called):
            ordered.append(item)
    return ordered + [outputs[call_id] for call_id in group if call_id in outputs]


@dataclass(frozen=True, slots=True)
class Transcript:
    """Order: `instructions` (a system message for this response only), `history` root first, then `items`."""

    instructions: str | None = None
    history: tuple[PastTurn, ...] = ()
    items: tuple[TranscriptItem, ...] = field(default=())

    def plus(self, *items: TranscriptItem) -> "Transcript":
        return Transcript(self.instructions, self.history, self.items + items)

    def all_items(self) -> list[TranscriptItem]:
        """Every item of the history and of this response, oldest first."""
        past = [item for turn in self.history for item in turn.items()]
        return [*past, *self.items]

    def without_earlier_thoughts(self) -> "Transcript":
        """Reasoning only from the last user message on (`reasoning.context: current_turn`)."""
        items = sendable(self.all_items())
        asked = [at for at, item in enumerate(items) if isinstance(item, Message) and item.role == "user"]
        start = asked[-1] if asked else 0
        kept = [item for at, item in enumerate(items) if at >= start or not isinstance(item, Reasoning)]
        return Transcript(self.instructions, (), tuple(kept))

    def shortened(self) -> "Transcript | None":
        """Without about the older half, beginning at a user message; None when nothing can be dropped.

        `truncation: auto` of the Responses API drops from the beginning.
        """
        items = self.all_items()
        starts = [at for at, item in enumerate(items) if isinstance(item, Message) and item.role == "user"]
        later = [at for at in starts if at >= len(items) // 2] or starts[-1:]
        if not later or later[0] == 0:
            return None
        return Transcript(self.instructions, (), tuple(items[later[0] :]))
