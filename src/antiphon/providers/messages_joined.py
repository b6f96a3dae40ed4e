"""Rendered turns → one conversation whose roles alternate, and the places in it where a prompt may be cached."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from antiphon.providers.messages_content import WHOLE, RenderedTurn, Segment, messages_of, told

BEGINNING = "The conversation begins with your own message."
END = "Go on."


class Place(NamedTuple):
    """Just before the closing brace of a block."""

    segment: int
    offset: int


@dataclass(slots=True)
class Conversation:
    """`system` is what stands before it. The last segment is the user's."""

    system: tuple[str, ...] = ()
    segments: list[Segment] = field(default_factory=list[Segment])

    def places(self, *, end: bool) -> list[Place]:
        """The caller's breakpoints in their order, and with `end` that of the last block."""
        found = [Place(at, mark) for at, one in enumerate(self.segments) if one.marks for mark in one.marks]
        last = Place(len(self.segments) - 1, len(self.segments[-1].json) - 1)
        return [*found, last] if end and last not in found else found

    def messages(self, places: Sequence[Place], control: bytes) -> bytes:
        """The messages as JSON, comma-separated, with `control` spliced in at these places."""
        pieces = [one.json for one in self.segments]
        for at, offset in reversed(places):
            json = pieces[at]
            pieces[at] = json[:offset] + control + json[offset:]
        return messages_of(self.segments, pieces)

    @property
    def thoughtless(self) -> bool:
        """Whether the model is in the middle of calling tools and did not think before it began: with a budget it must
        not begin to think there (the page on extended thinking: "toggling thinking modes").
        """
        begins = False
        for at, one in enumerate(reversed(self._heads())):
            if one.role == "assistant":
                begins = one.thinks
            elif not one.results:
                return at > 0 and not begins
        return not begins

    def _heads(self) -> list[Segment]:
        """The first segment of each message."""
        segments = self.segments
        return [one for at, one in enumerate(segments) if at == 0 or segments[at - 1].role != one.role]


def joined(turns: Iterable[RenderedTurn]) -> Conversation:
    """The turns one after the other. Only instructions at the very beginning stay what they are."""
    conversation = Conversation()
    segments = conversation.segments
    for turn in turns:
        if not segments:
            conversation.system += turn.system
        elif turn.system:
            segments.append(told(turn.system))
        segments += turn.segments
    if not segments and conversation.system:  # something must be asked
        *others, last = conversation.system
        conversation.system = tuple(others)
        segments.append(told([last]))
    if not segments or segments[0].role == "assistant":
        segments.insert(0, told([BEGINNING]))
    if segments[-1].role in ("assistant", WHOLE):
        # The wire takes this for the beginning of the answer; the newest models take it not at all.
        segments.append(told([END]))
    return conversation
