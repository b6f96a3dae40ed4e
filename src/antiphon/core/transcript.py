"""What the model sees: instructions, the stored turns of the chain, this response's items."""

from dataclasses import dataclass, field, replace

import msgspec

from antiphon.core.items import FunctionCall, FunctionCallOutput, Message, Reasoning

TranscriptItem = Message | Reasoning | FunctionCall | FunctionCallOutput

_ITEMS = msgspec.json.Decoder(list[TranscriptItem])


@dataclass(frozen=True, slots=True)
class PastTurn:
    """One ancestor: its own new items as stored JSON arrays, decoded only when somebody must look inside.

    A turn never changes, so an adapter may keep what it rendered from one under `id`.
    """

    id: str
    input: bytes
    output: bytes

    def items(self) -> list[TranscriptItem]:
        return _ITEMS.decode(self.input) + _ITEMS.decode(self.output)


@dataclass(frozen=True, slots=True)
class Transcript:
    """Order: `instructions` first (a system message for this response only), then `history` root first, then `items`."""

    instructions: str | None = None
    history: tuple[PastTurn, ...] = ()
    items: tuple[TranscriptItem, ...] = field(default=())

    def plus(self, *items: TranscriptItem) -> "Transcript":
        return replace(self, items=self.items + items)

    def all_items(self) -> list[TranscriptItem]:
        """Every item of the history and of this response, oldest first."""
        past = [item for turn in self.history for item in turn.items()]
        return [*past, *self.items]
