"""From a request to what the model sees: the stored turns that it continues, and its own items."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from antiphon.conversations.reading import get_conversation, turns_of
from antiphon.core import request_rules
from antiphon.core.context import build_context, own_items
from antiphon.core.errors import PreviousResponseNotFound
from antiphon.core.hosted_items import Compaction, CompactionTrigger, McpCall, McpListTools
from antiphon.core.hosted_tools import AnyTool
from antiphon.core.ids import ItemIds
from antiphon.core.items import ItemReference, Reasoning
from antiphon.core.loose_ends import tied
from antiphon.core.mcp import shown_list
from antiphon.core.mcp_turn import NO_LISTS, Lists
from antiphon.core.removals import as_left
from antiphon.core.request import ResponseRequest
from antiphon.core.transcript import (
    PastTurn,
    StoredItem,
    Transcript,
    brought_tools,
    since_compaction,
    tool_lists,
)
from antiphon.ports import Clock, Owner, Sealer, Store
from antiphon.responses import answers
from antiphon.responses.answers import Answers, Given
from antiphon.responses.references import References
from antiphon.runs.compactions import Compactions
from antiphon.runs.runner import ResponseKeeper
from antiphon.runs.thoughts import Thoughts

_OF_SERVERS = (McpCall, McpListTools)


class TurnMemory(Protocol):
    """Responses that can be continued although they are not in the store: those of one connection."""

    def turns(self, response_id: str) -> tuple[Sequence[PastTurn], str | None] | None:
        """The remembered turns up to this response, root first, and the stored response that the first of them
        continues. None when it is not remembered.
        """
        ...

    def keeper(self, store: ResponseKeeper | None) -> ResponseKeeper:
        """What keeps the response of a run: this memory, behind the store where there is one."""
        ...


@dataclass(frozen=True, slots=True)
class Assembled:
    """`transcript` is what the model sees; `stored` what the client sent, every item with an id; `continues` the
    newest turn of the conversation that it goes on from.
    """

    transcript: Transcript
    stored: tuple[StoredItem, ...]
    brought: Sequence[AnyTool] = ()
    """The tools that items of the conversation have loaded."""
    continues: str | None = None
    lists: Lists = field(default_factory=lambda: NO_LISTS)
    """The newest tools of each MCP server that the conversation knows, by label."""
    given: Given = answers.NOTHING
    """What the user says to approval requests and questions."""


@dataclass(frozen=True, slots=True)
class Assembly:
    """Shared by all that look at a request as the model would: runs, token counts, compaction."""

    store: Store
    sealer: Sealer
    clock: Clock

    async def assemble(
        self,
        owner: Owner,
        request: ResponseRequest,
        item_ids: ItemIds,
        memory: TurnMemory | None = None,
        history: Sequence[PastTurn] | None = None,
    ) -> Assembled:
        """With `history`, what came before, nothing is read that the request names.

        Raises PreviousResponseNotFound, InvalidRequest, and NotFound for a conversation that is not there.
        """
        continues = None
        if history is None:
            history, continues = await self._history(owner, request, memory)
        given = request.input
        inner = await self.inner_items(owner, given, history, "input") if isinstance(given, list) else given
        context = build_context(history, own_items(inner, item_ids))
        past, own = tied(() if context.replaces else since_compaction(history), context.shown)
        transcript = Transcript(request.instructions, tuple(past), own)
        brought = brought_tools(history, context.stored)
        request_rules.check_choice(request, brought)
        lists = tool_lists(history, context.stored)
        told = await Answers(self.store.mcp, self.clock).given(owner, request, context.stored, history)
        return Assembled(transcript, context.stored, brought, continues, lists, told)

    async def _history(
        self, owner: Owner, request: ResponseRequest, memory: TurnMemory | None
    ) -> tuple[Sequence[PastTurn], str | None]:
        """What came before, and where it is a conversation, its newest turn."""
        if request.conversation_id is not None:
            found = await get_conversation(self.store, owner, request.conversation_id, "conversation")
            return await turns_of(self.store, owner, found), found.tip
        if request.previous_response_id is None:
            return (), None
        return await self._chain(owner, request.previous_response_id, memory), None

    async def _chain(self, owner: Owner, parent_id: str, memory: TurnMemory | None) -> Sequence[PastTurn]:
        remembered = memory.turns(parent_id) if memory is not None else None
        recent, stored_id = remembered or ((), parent_id)
        if stored_id is None:
            return as_left(recent)
        turns = await self.store.get_chain(owner, stored_id)
        if not turns:
            raise PreviousResponseNotFound(parent_id)
        return as_left((*turns, *recent))

    async def inner_items(
        self, owner: Owner, given: Sequence[object], history: Sequence[PastTurn], field: str
    ) -> list[StoredItem]:
        """Items of a body in their inner form: an `item_reference` replaced by the stored item, what is sealed opened.

        `field` is where they stand in it. Raises InvalidRequest.
        """
        thoughts = Thoughts(self.sealer, owner.tenant)
        compactions = Compactions(self.sealer, owner.tenant)
        references = References(self.store, owner, history)
        items: list[StoredItem] = []
        for at, item in enumerate(given):
            if isinstance(item, ItemReference):
                items.append(await references.get(item.id, f"{field}[{at}]"))
            elif isinstance(item, Reasoning):
                items.append(thoughts.opened(item, f"{field}[{at}]"))
            elif isinstance(item, Compaction):
                items.append(compactions.opened(item, f"{field}[{at}]"))
            elif isinstance(item, CompactionTrigger):
                continue  # it asks for something, and says nothing
            elif isinstance(item, _OF_SERVERS):
                items.append(await self._of_server(item, references))
            else:
                items.append(item)  # type: ignore[arg-type]  # `parse` refused every other item type
        return answers.with_what_was_asked(items, history)

    async def _of_server(self, item: McpCall | McpListTools, references: References) -> StoredItem:
        """An item of an MCP server that a client sends back. Some send it without its content, which we know by its
        id; what is inner of one is never a client's to say.
        """
        content = item.tools if isinstance(item, McpListTools) else item.output
        found = None if content or item.error else await references.find(item.id)
        if isinstance(found, McpCall | McpListTools) and type(found) is type(item):
            return found
        return shown_list(item) if isinstance(item, McpListTools) else item
