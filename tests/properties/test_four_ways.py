"""Four ways to say the same: the model is given the identical transcript by each of them.

The whole input again and again, a chain of responses, a conversation, and a branch from a middle response of one.
A fifth, a conversation whose first turns a client put there as items, is held to the same.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
import pytest
from hypothesis import Phase, event, given, settings
from hypothesis import strategies as st

from antiphon.conversations.bodies import MoreItems, NewConversation
from antiphon.conversations.service import ConversationService
from antiphon.core.commands import CallModel
from antiphon.core.request import ResponseRequest
from antiphon.core.signals import ItemDone, ModelSignal, StepDone
from antiphon.core.transcript import PastTurn
from antiphon.core.wire import JsonObject, decode_json, encode
from antiphon.models.catalog import Catalog, NamedModel
from antiphon.ports import Constraint, ModelInfo, ModelProvider, Owner
from antiphon.providers.capabilities import Capabilities
from antiphon.providers.chat_render import ChatRenderer
from antiphon.responses.service import ResponseService
from antiphon.storage.memory import MemoryStore
from antiphon.storage.memory_conversations import MemoryConversations
from antiphon.testing import FakeClock, FakeIds, PlainSealer, ToolBox
from tests.properties.scripts import CUSTOM_TOOL, Piece, signals_of

OWNER = Owner("acme", "ci")
TOOLS: list[JsonObject] = [
    {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}},
    {"type": "custom", "name": CUSTOM_TOOL},
]
ALL_THINGS = Capabilities(reasoning_field="reasoning_content")


@dataclass(frozen=True)
class Turn:
    """What the user says, before or behind the outputs that the turn before asks for, and what the model answers."""

    said: list[str]
    outputs_last: bool
    reply: list[Piece]


words = st.text(alphabet="abc ", min_size=1, max_size=6)
chunks = st.lists(words, min_size=1, max_size=2)
pieces = st.one_of(
    st.builds(Piece, st.sampled_from(["text", "reasoning", "summary"]), chunks),
    st.builds(Piece, st.just("call"), chunks, st.just("weather")),
    st.builds(Piece, st.just("call"), chunks, st.just("weather")),
    st.builds(Piece, st.just("custom"), chunks, st.just(CUSTOM_TOOL)),
)
turns = st.builds(Turn, st.lists(words, max_size=2), st.booleans(), st.lists(pieces, min_size=1, max_size=4))
dialogues = st.lists(turns, min_size=2, max_size=5)


@dataclass
class Model:
    """Answers each turn as the dialogue has it, and keeps what it was given."""

    provider_id: str = "up"
    reply: list[Piece] = field(default_factory=list[Piece])
    number: int = 0
    given: list[JsonObject] = field(default_factory=list[JsonObject])
    rendered: bytes = b""
    renderer: ChatRenderer = field(default_factory=lambda: ChatRenderer("up", ALL_THINGS))

    async def stream(self, model: str, call: CallModel) -> AsyncGenerator[Sequence[ModelSignal], None]:
        self.given = [_plain(item) for item in call.transcript.all_items()]
        self.rendered = self.renderer.render("m", call)
        yield ()
        for signal in signals_of(self.reply, "stop", streamed=False, step=self.number):
            if isinstance(signal, ItemDone | StepDone):
                yield [signal]

    def unenforced(self, request: ResponseRequest) -> frozenset[Constraint]:
        return frozenset()

    def dropped(self, request: ResponseRequest) -> Sequence[str]:
        return ()

    async def list_models(self) -> Sequence[ModelInfo]:
        return [ModelInfo("m")]


def _plain(item: object) -> JsonObject:
    """An item without what tells the ways apart: its id, and a status that may be left out."""
    fields: JsonObject = msgspec.to_builtins(item)
    return {name: value for name, value in fields.items() if name not in {"id", "status"}}


Way = list[tuple[list[JsonObject], bytes]]
"""What the model was given in each turn: the items, and the request as a chat server would see it."""


class Player:
    """One server, and one dialogue said to it in each way."""

    def __init__(self, dialogue: list[Turn], store: MemoryStore) -> None:
        self.dialogue = dialogue
        self.model = Model()
        provider = cast("ModelProvider", self.model)
        catalog = Catalog({"up": provider}, [NamedModel("m", "up", "m")], clock=FakeClock())
        self.responses = ResponseService(catalog, store, ToolBox(), FakeClock(), FakeIds(), PlainSealer())
        self.conversations = ConversationService(self.responses)

    async def say(self, at: int, items: list[JsonObject], **more: object) -> tuple[JsonObject, Any]:
        """One turn: the response, and what the model was given."""
        self.model.reply, self.model.number = self.dialogue[at].reply, at
        body = {"model": "m", "input": items, "tools": TOOLS, **more}
        request = ResponseRequest.parse(encode(body))
        async with self.responses.turn(OWNER, request):
            run = await self.responses.prepare(OWNER, request)
            made: JsonObject = decode_json(await run.execute())
        assert made["status"] == "completed", made["error"]
        return made, (self.model.given, self.model.rendered)

    def new_items(self, at: int, before: JsonObject | None) -> list[JsonObject]:
        """What a client sends in this turn, whatever the way."""
        turn = self.dialogue[at]
        asked = [item for item in before["output"] if item["type"].endswith("_call")] if before else []
        outputs = [
            {
                "type": f"{call['type']}_output",
                "call_id": call["call_id"],
                "output": f"told {call['call_id']}",
            }
            for call in asked
        ]
        said = [{"type": "message", "role": "user", "content": text} for text in turn.said]
        if not said and not outputs:
            said = [{"type": "message", "role": "user", "content": "go on"}]
        return said + outputs[::-1] if turn.outputs_last else outputs + said

    async def whole_input(self) -> Way:
        seen, items, made = list[Any](), list[JsonObject](), None
        for at in range(len(self.dialogue)):
            items = [*items, *(made["output"] if made else ()), *self.new_items(at, made)]
            made, given_ = await self.say(at, items, store=False)
            seen.append(given_)
        return seen

    async def chain(self) -> Way:
        seen, made = list[Any](), None
        for at in range(len(self.dialogue)):
            parent = made["id"] if made else None
            made, given_ = await self.say(at, self.new_items(at, made), previous_response_id=parent)
            seen.append(given_)
        return seen

    async def conversation(self) -> Way:
        return (await self.in_conversation(await self.new_conversation([])))[0]

    async def branch(self, middle: int) -> Way:
        """A conversation, gone on from one of its responses after it went its own way."""
        seen, made = await self.in_conversation(await self.new_conversation([]))
        del seen[middle + 1 :]
        last = made[middle]
        for at in range(middle + 1, len(self.dialogue)):
            items = self.new_items(at, last)
            last, given_ = await self.say(at, items, previous_response_id=last["id"])
            seen.append(given_)
        return seen

    async def by_hand(self, placed: int) -> Way:
        """The first turns are put into the conversation as items, in one piece or in two; the others happen in it."""
        made: JsonObject | None = None
        items: list[JsonObject] = []
        for at in range(placed):
            given_ = self.new_items(at, made)
            made, _ = await self.say(at, [*items, *given_], store=False)
            items += [*given_, *made["output"]]
        first, rest = items[: len(items) // 2], items[len(items) // 2 :]
        conversation = await self.new_conversation(first)
        added = msgspec.convert({"items": rest}, MoreItems)
        await self.conversations.add(OWNER, conversation, added.items)
        seen: Way = [([], b"")] * placed
        return seen + (await self.in_conversation(conversation, placed, made))[0]

    async def new_conversation(self, items: list[JsonObject]) -> str:
        asked = msgspec.convert({"items": items}, NewConversation)
        return (await self.conversations.create(OWNER, asked)).id

    async def in_conversation(
        self, conversation: str, start: int = 0, before: JsonObject | None = None
    ) -> tuple[Way, list[JsonObject]]:
        seen, made = list[Any](), list[JsonObject]()
        last = before
        for at in range(start, len(self.dialogue)):
            last, given_ = await self.say(at, self.new_items(at, last), conversation=conversation)
            seen.append(given_)
            made.append(last)
        return seen, made


def agree(expected: Way, found: Way, way: str, since: int = 0) -> None:
    for at in range(since, len(expected)):
        assert found[at][0] == expected[at][0], f"turn {at} by {way}: other items"
        assert found[at][1] == expected[at][1], f"turn {at} by {way}: another request"


async def check(dialogue: list[Turn], middle: int, store: MemoryStore) -> None:
    player = Player(dialogue, store)
    expected = await player.whole_input()
    agree(expected, await player.chain(), "chain")
    agree(expected, await player.conversation(), "conversation")
    agree(expected, await player.branch(middle), "branch")
    agree(expected, await player.by_hand(middle + 1), "items put by hand", middle + 1)


def note_reach(dialogue: list[Turn]) -> None:
    kinds = {piece.kind for turn in dialogue[:-1] for piece in turn.reply}
    for kind in kinds:
        event(f"{kind} before the last turn")
    calls = [[one.kind in {"call", "custom"} for one in turn.reply] for turn in dialogue[:-1]]
    if any(sum(turn) > 1 for turn in calls):
        event("several calls in a turn")
    if any(any(turn) and not turn[-1] for turn in calls):
        event("something said behind a call")
    if any(
        any(turn) and after.said and after.outputs_last
        for turn, after in zip(calls, dialogue[1:], strict=True)
    ):
        event("a user who speaks before the outputs")


@given(dialogues, st.data())
@settings(deadline=None, max_examples=80)
async def test_each_way_gives_the_model_the_identical_transcript(
    dialogue: list[Turn], data: st.DataObject
) -> None:
    note_reach(dialogue)
    await check(dialogue, data.draw(st.integers(0, len(dialogue) - 2)), MemoryStore())


class Forgetful(MemoryConversations):
    """A seeded fault: what the model thought is lost when a conversation is read."""

    async def get_turns(self, owner: Owner, tip: str | None) -> Sequence[PastTurn]:
        return [_thoughtless(turn) for turn in await super().get_turns(owner, tip)]


class Confused(MemoryConversations):
    """Another: the outputs of calls come behind everything else that was said in their turn."""

    async def get_turns(self, owner: Owner, tip: str | None) -> Sequence[PastTurn]:
        return [_reversed(turn) for turn in await super().get_turns(owner, tip)]


def _thoughtless(turn: PastTurn) -> PastTurn:
    kept = [item for item in msgspec.json.decode(turn.output) if item["type"] != "reasoning"]
    return PastTurn(turn.id, turn.input, encode(kept), by_hand=turn.by_hand)


def _reversed(turn: PastTurn) -> PastTurn:
    return PastTurn(turn.id, encode(msgspec.json.decode(turn.input)[::-1]), turn.output, by_hand=turn.by_hand)


class FaultyStore(MemoryStore):
    def __init__(self, fault: type[MemoryConversations]) -> None:
        super().__init__()
        self.conversations = fault(self._rows, self._hidden, self._purge, self._check_open)


@pytest.mark.parametrize("fault", [Forgetful, Confused])
def test_a_conversation_that_gives_something_else_is_found(fault: type[MemoryConversations]) -> None:
    @given(dialogues)
    @settings(deadline=None, max_examples=80, database=None, derandomize=True, phases=[Phase.generate])
    def prop(dialogue: list[Turn]) -> None:
        asyncio.run(check(dialogue, 0, FaultyStore(fault)))

    with pytest.raises(AssertionError, match=r"by (conversation|items put by hand)"):
        prop()
