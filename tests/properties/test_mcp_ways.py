"""MCP servers in a conversation: the whole input again, a chain, and a conversation give the model the same, every
approved call runs once, no denied one runs, and a server is asked for its tools once.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
from hypothesis import event, given, settings
from hypothesis import strategies as st

from antiphon.conversations.bodies import NewConversation
from antiphon.conversations.service import ConversationService
from antiphon.core.commands import CallModel
from antiphon.core.hosted_items import McpCall, McpListedTool
from antiphon.core.items import FunctionCall, Message, OutputText
from antiphon.core.request import ResponseRequest
from antiphon.core.signals import ItemDone, ModelSignal, StepDone
from antiphon.core.wire import JsonObject, decode_json, encode
from antiphon.models.catalog import Catalog, NamedModel
from antiphon.ports import Constraint, ModelInfo, ModelProvider, Owner
from antiphon.responses.service import ResponseService
from antiphon.storage.memory import MemoryStore
from antiphon.testing import FakeClock, FakeIds, PlainSealer, ToolBox

OWNER = Owner("acme", "ci")
FREE, GUARDED, OWN = "free", "guarded", "weather"
TOOLS: list[JsonObject] = [
    {
        "type": "mcp",
        "server_label": "desk",
        "server_url": "https://desk.example.com/mcp",
        "require_approval": {"never": {"tool_names": [FREE]}},
    },
    {"type": "function", "name": OWN, "parameters": {"type": "object", "properties": {}}},
]
SERVERS = {"desk": [McpListedTool(name=name, input_schema={"type": "object"}) for name in (FREE, GUARDED)]}


@dataclass(frozen=True)
class Turn:
    """What the user says, which tools the model then calls at once, what it says beside them, and which of the
    approvals that were asked before the user gives, in turn.
    """

    said: str
    calls: list[str]
    beside: str
    approves: list[bool]


words = st.text(alphabet="abc ", min_size=1, max_size=4)
turns = st.builds(
    Turn,
    words,
    st.lists(st.sampled_from([FREE, GUARDED, GUARDED, OWN]), max_size=3),
    st.sampled_from(["", "I will."]),
    st.lists(st.booleans(), min_size=3, max_size=3),
)
dialogues = st.lists(turns, min_size=2, max_size=4)


@dataclass
class Model:
    """In each turn it makes its calls, and once they are answered says so. `given` is what it saw, call by call."""

    provider_id: str = "up"
    turn: Turn = field(default_factory=lambda: Turn("", [], "", []))
    number: int = 0
    given: list[list[JsonObject]] = field(default_factory=list[list[JsonObject]])

    async def stream(self, model: str, call: CallModel) -> AsyncGenerator[Sequence[ModelSignal], None]:
        items = call.transcript.all_items()
        self.given.append(_plain(items))
        yield ()
        goes_first = isinstance(items[-1], Message) and items[-1].role == "user"
        made: list[Message | FunctionCall] = []
        if goes_first:
            made = [
                FunctionCall(call_id=f"c{self.number}_{at}", name=name, arguments=f'{{"n":{at}}}')
                for at, name in enumerate(self.turn.calls)
            ]
        text = self.turn.beside if made else "done"
        said = Message(role="assistant", content=[OutputText(text=text, annotations=[])])
        for at, item in enumerate([said, *made] if text else made):
            yield [ItemDone(at, item)]
        yield [StepDone("stop")]

    def unenforced(self, request: ResponseRequest) -> frozenset[Constraint]:
        return frozenset()

    def dropped(self, request: ResponseRequest) -> Sequence[str]:
        return ()

    async def list_models(self) -> Sequence[ModelInfo]:
        return [ModelInfo("m")]


def _plain(items: Sequence[object]) -> list[JsonObject]:
    """The items without what tells the ways apart: ids, statuses, and call ids, of which the order is left."""
    places: dict[str, int] = {}
    plain: list[JsonObject] = []
    for item in items:
        fields: JsonObject = msgspec.to_builtins(item)
        call_id = fields.pop("call_id", None)
        if call_id is not None:
            fields["call"] = places.setdefault(call_id, len(places))
        plain.append({name: value for name, value in fields.items() if name not in {"id", "status"}})
    return plain


Way = list[list[JsonObject]]


class Player:
    """One server, and one dialogue said to it in one way."""

    def __init__(self, dialogue: list[Turn]) -> None:
        self.dialogue = dialogue
        self.model = Model()
        self.tools = ToolBox({FREE: lambda text: f"free {text}", GUARDED: lambda text: f"got {text}"})
        self.tools.servers = SERVERS
        self.approved = self.denied = 0
        catalog = Catalog(
            {"up": cast("ModelProvider", self.model)}, [NamedModel("m", "up", "m")], clock=FakeClock()
        )
        self.responses = ResponseService(
            catalog, MemoryStore(), self.tools, FakeClock(), FakeIds(), PlainSealer()
        )
        self.conversations = ConversationService(self.responses)

    async def say(self, items: list[JsonObject], **more: object) -> JsonObject:
        request = ResponseRequest.parse(encode({"model": "m", "input": items, "tools": TOOLS, **more}))
        async with self.responses.turn(OWNER, request):
            run = await self.responses.prepare(OWNER, request)
            made: JsonObject = decode_json(await run.execute())
        assert made["status"] == "completed", made["error"]
        return made

    def new_items(self, turn: Turn, before: JsonObject | None) -> list[list[JsonObject]]:
        """What a client sends in this turn, request by request: what was asked of it, then what the user says."""
        output: list[JsonObject] = before["output"] if before else []
        answers: list[JsonObject] = [
            {"type": "function_call_output", "call_id": one["call_id"], "output": "sunny"}
            for one in output
            if one["type"] == "function_call"
        ]
        asked = [one for one in output if one["type"] == "mcp_approval_request"]
        for one, approve in zip(asked, turn.approves, strict=False):
            self.approved += approve
            self.denied += not approve
            answers.append(
                {"type": "mcp_approval_response", "approval_request_id": one["id"], "approve": approve}
            )
        said: list[JsonObject] = [{"type": "message", "role": "user", "content": turn.said}]
        return [answers, said] if answers else [said]

    async def whole_input(self) -> Way:
        items: list[JsonObject] = []
        made: JsonObject | None = None
        for number, turn in enumerate(self.dialogue):
            self.model.turn, self.model.number = turn, number
            for new in self.new_items(turn, made):
                items = [*items, *(made["output"] if made else ()), *new]
                made = await self.say(items, store=False)
        return self.model.given

    async def chain(self) -> Way:
        made: JsonObject | None = None
        for number, turn in enumerate(self.dialogue):
            self.model.turn, self.model.number = turn, number
            for new in self.new_items(turn, made):
                made = await self.say(new, previous_response_id=made["id"] if made else None)
        return self.model.given

    async def conversation(self) -> Way:
        made: JsonObject | None = None
        started = await self.conversations.create(OWNER, NewConversation())
        for number, turn in enumerate(self.dialogue):
            self.model.turn, self.model.number = turn, number
            for new in self.new_items(turn, made):
                made = await self.say(new, conversation=started.id)
        return self.model.given

    def check(self) -> None:
        """What ran is what was let, and nobody was asked twice."""
        ran = [call.item.name for call in self.tools.calls if isinstance(call.item, McpCall)]
        assert ran.count(GUARDED) == self.approved
        assert len(self.tools.listings) == 1


@given(dialogues)
@settings(deadline=None, max_examples=60)
async def test_each_way_gives_the_model_the_same_and_runs_what_was_approved_once(
    dialogue: list[Turn],
) -> None:
    expected: Any = None
    for way in (Player.whole_input, Player.chain, Player.conversation):
        player = Player(dialogue)
        found = await way(player)
        player.check()
        if expected is None:
            expected = found
            event(f"approved: {min(player.approved, 2)}, denied: {min(player.denied, 2)}")
        assert found == expected, way.__name__
