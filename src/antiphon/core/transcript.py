"""What the model sees: instructions, the stored turns of the chain, this response's items."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from antiphon.core.compaction import replaces
from antiphon.core.hosted_items import (
    AdditionalTools,
    Compaction,
    FileSearchCall,
    McpListTools,
    ToolSearchOutput,
)
from antiphon.core.hosted_tools import AnyTool
from antiphon.core.ids import PREFIX_BY_TYPE, STOPPED_INPUT, STOPPED_OUTPUT
from antiphon.core.items import Call, CallOutput, Message, Reasoning
from antiphon.core.seen import StoredItem, TranscriptItem, as_seen

__all__ = ["PastTurn", "StoredItem", "Transcript", "TranscriptItem", "brought_tools", "sendable"]

_CALL = b'_call"'
"""How the type of every call ends, and nothing else that is stored but text, whose quotes are escaped."""
_OUTPUT = b'_call_output"'
_COMPACTION = b'"type":"compaction"'
_ATTACHED = (b"input_file", b"input_image", b"computer_screenshot")
"""Without their quotes, which are escaped inside of a compaction."""
_BRINGS_TOOLS = (b'"tool_search_output"', b'"additional_tools"')
_SEARCH = b'"type":"file_search_call"'
_LIST = b'"type":"mcp_list_tools"'
_STOPPED = tuple(b'"id":"' + PREFIX_BY_TYPE[kind].encode() for kind in (STOPPED_INPUT, STOPPED_OUTPUT))
THINNED = "~"
"""Stands in the id of a turn that is not the stored one any more, and in no other."""
_ITEMS = msgspec.json.Decoder(list[StoredItem])


class _Named(msgspec.Struct):
    """A stored item as far as its id."""

    id: str | None = None


_NAMED = msgspec.json.Decoder(list[_Named])


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
    removes: tuple[str, ...] = ()
    """Ids of items of earlier turns that are left out from here on; such a turn has no items of its own."""
    by_hand: bool = False
    """Put together, or thinned out, by a client: its calls and outputs may stand alone."""
    unanswered: frozenset[str] = frozenset()
    """The `call_id`s of outputs that were taken out of it."""
    brings_tools: bool = field(init=False, repr=False, compare=False)
    """Whether items of it bring tools; kept, since every later turn asks."""
    has_compaction: bool = field(init=False, repr=False, compare=False)
    """Whether a compaction is among its items; kept too."""
    may_attach: bool = field(init=False, repr=False, compare=False)
    """False: there is no image and no file in it; kept too."""
    has_searches: bool = field(init=False, repr=False, compare=False)
    """Whether files were searched in it; kept too."""
    has_lists: bool = field(init=False, repr=False, compare=False)
    """Whether tools of MCP servers were listed in it; kept too."""
    may_be_stopped: bool = field(init=False, repr=False, compare=False)
    """False: no shield ended it; kept too."""

    def __post_init__(self) -> None:
        brings = any(kind in part for part in (self.input, self.output) for kind in _BRINGS_TOOLS)
        object.__setattr__(self, "brings_tools", brings)
        compaction = _COMPACTION in self.output or _COMPACTION in self.input
        object.__setattr__(self, "has_compaction", compaction)
        attached = any(word in part for part in (self.input, self.output) for word in _ATTACHED)
        object.__setattr__(self, "may_attach", attached)
        object.__setattr__(self, "has_searches", _SEARCH in self.output or _SEARCH in self.input)
        object.__setattr__(self, "has_lists", _LIST in self.output or _LIST in self.input)
        object.__setattr__(self, "may_be_stopped", any(word in self.output for word in _STOPPED))

    def stored(self) -> list[StoredItem]:
        """Its items as they are stored, input first."""
        return _ITEMS.decode(self.input) + _ITEMS.decode(self.output)

    def item_ids(self) -> set[str]:
        """The ids of its items; much faster than its items."""
        return {item.id for array in (self.input, self.output) for item in _NAMED.decode(array) if item.id}

    def items(self) -> list[TranscriptItem]:
        """The items the model may see: a call that was cut short was never made, so it is left out.

        Of a turn in which the context was compacted, only the compaction and what came after it.
        """
        return sendable(self.seen())

    def seen(self) -> list[TranscriptItem]:
        """The same in the order in which they came, calls that were cut short among them."""
        return as_seen(self.stored()[self._last_cut() or 0 :])

    @property
    def compacts(self) -> bool:
        """Whether it stands for all turns before it as well."""
        return self._last_cut() is not None

    def _last_cut(self) -> int | None:
        """The place among its items of the last compaction that replaces what came before; None where none does.

        One in the output was made of all that had come; of one that the client sent, its content says so.
        """
        if not self.has_compaction:
            return None
        given = _ITEMS.decode(self.input)
        made = [at for at, item in enumerate(_ITEMS.decode(self.output)) if isinstance(item, Compaction)]
        return len(given) + made[-1] if made else last_replacing(given)

    def calls_made(self) -> list[Call]:
        """The calls in this turn's output that are not answered in it."""
        if _CALL not in self.output:
            return []
        items = as_seen(_ITEMS.decode(self.output))
        answered = {item.call_id for item in items if isinstance(item, CallOutput)}
        return [item for item in items if isinstance(item, Call) and item.call_id not in answered]

    @property
    def has_calls(self) -> bool:
        """Whether a look inside for calls or their outputs can pay; told without decoding."""
        kinds = (_CALL, _OUTPUT, _COMPACTION)
        return any(kind in part for part in (self.output, self.input) for kind in kinds)


def last_replacing(items: Sequence[StoredItem]) -> int | None:
    """The place of the last compaction that stands for all that came before it."""
    return max((at for at, item in enumerate(items) if replaces(item)), default=None)


def since_compaction(turns: Sequence[PastTurn]) -> Sequence[PastTurn]:
    """The turns from the last one on that stands for those before it."""
    cuts = [at for at, turn in enumerate(turns) if turn.has_compaction and turn.compacts]
    return turns[cuts[-1] :] if cuts else turns


def brought_tools(history: Sequence[PastTurn], items: Sequence[StoredItem]) -> list[AnyTool]:
    """The tools that items of the conversation have loaded, oldest first."""
    past = [item for turn in history if turn.brings_tools for item in turn.stored()]
    bringing = [item for item in (*past, *items) if isinstance(item, ToolSearchOutput | AdditionalTools)]
    return [tool for item in bringing for tool in item.tools]


def searches(history: Sequence[PastTurn]) -> list[FileSearchCall]:
    """The searches of files that were made, oldest first."""
    stored = [item for turn in history if turn.has_searches for item in turn.stored()]
    return [item for item in stored if isinstance(item, FileSearchCall)]


def tool_lists(history: Sequence[PastTurn], items: Sequence[StoredItem]) -> dict[str, McpListTools]:
    """The newest list of each MCP server that the conversation has, by label; failed ones are none."""
    past = [item for turn in history if turn.has_lists for item in turn.stored()]
    found: dict[str, McpListTools] = {}
    for item in (*past, *items):
        if type(item) is McpListTools and not item.error:  # every request pays for this look
            found[item.server_label] = item
    return found


def sendable(items: list[TranscriptItem]) -> list[TranscriptItem]:
    """The items without calls that were cut short, and with each call's output right behind the step that made it.

    Chat upstreams demand that order; a client may put a message between a call and its output. What the model itself
    said behind a call belongs to the same step. Outputs of calls that are not here answer the turn before.
    """
    kept = [item for item in items if not (isinstance(item, Call) and item.status == "incomplete")]
    outputs = {item.call_id: item for item in kept if isinstance(item, CallOutput)}
    called = {item.call_id for item in kept if isinstance(item, Call)}
    if not called and not outputs:
        return kept
    place = {call_id: at for at, call_id in enumerate(outputs)}
    ordered: list[TranscriptItem] = []
    step = set(outputs) - called
    waiting = set(step)
    for item in kept:
        if isinstance(item, Call):
            step.add(item.call_id)
            waiting.add(item.call_id)
        elif isinstance(item, CallOutput):
            waiting.discard(item.call_id)
        if isinstance(item, CallOutput) and waiting:
            continue  # the step goes on: a call that this server answered at once stands beside one of the client's
        if step and not is_models_own(item):
            ordered += [outputs[call_id] for call_id in sorted(step & place.keys(), key=place.__getitem__)]
            step.clear()
            waiting.clear()
        if not isinstance(item, CallOutput):
            ordered.append(item)
    return ordered + [outputs[call_id] for call_id in sorted(step & place.keys(), key=place.__getitem__)]


def is_models_own(item: TranscriptItem) -> bool:
    """Whether it is of those that a model makes."""
    return isinstance(item, Reasoning | Call) or (isinstance(item, Message) and item.role == "assistant")


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
