"""Responses: from a request to a run, and what is stored of it."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial

import msgspec

from antiphon.conversations.keeper import ConversationKeeper
from antiphon.conversations.turns import Turns
from antiphon.core import guarding
from antiphon.core.compacting import is_triggered, nothing_to_compact, whole
from antiphon.core.errors import InvalidRequest, NotFound
from antiphon.core.ids import RESPONSE_PREFIX, UUID, ItemIds
from antiphon.core.loop import Loop
from antiphon.core.mcp_turn import NOTHING, McpBeginning
from antiphon.core.removals import as_left
from antiphon.core.request import ResponseRequest
from antiphon.core.response import ResponseObject, summary_asked, with_output
from antiphon.core.tools import McpTool
from antiphon.core.transcript import PastTurn, StoredItem
from antiphon.core.wire import UNSET, encode
from antiphon.core.writer import EventWriter
from antiphon.models.catalog import Catalog, Resolved
from antiphon.ports import (
    Clock,
    Ids,
    Owner,
    Sealer,
    Store,
    StoredResponse,
    ToolRuntime,
)
from antiphon.ports.safety import Shields
from antiphon.prompts.filling import FilledPrompt, filled
from antiphon.responses.assembly import Assembled, Assembly, TurnMemory
from antiphon.responses.attached import Attached
from antiphon.responses.attachments import Attachments
from antiphon.responses.bounds import check_bounds
from antiphon.responses.rendering import Visible, render_item, render_items
from antiphon.responses.setup import AS_ASKED, AgentDefaults, RunSetup
from antiphon.runs.checking import Readable, messages_of, verdict
from antiphon.runs.runner import ResponseKeeper, Run, RunPorts
from antiphon.runs.sampling import Sampler
from antiphon.runs.thoughts import Thoughts

_ITEMS = msgspec.json.Decoder(list[StoredItem])


@dataclass(frozen=True, slots=True)
class Considered:
    """A request before anything is done about it. `loop` has not started."""

    resolved: Resolved
    context: Assembled
    prompt: FilledPrompt | None
    loop: Loop
    setup: RunSetup = AS_ASKED
    readable: Readable | None = None


@dataclass(frozen=True, slots=True)
class ResponseService:
    catalog: Catalog
    store: Store
    tools: ToolRuntime
    clock: Clock
    ids: Ids
    sealer: Sealer
    watch: Callable[[Run], None] | None = None  # told of each run before it goes
    turns: Turns = field(default_factory=Turns)
    sampler: Sampler = field(default_factory=Sampler)
    approval_ttl_s: int = 86_400
    attachments: Attachments | None = None  # where nothing is kept that a request could refer to
    shields: Shields | None = None
    agents: AgentDefaults | None = None

    @property
    def assembly(self) -> Assembly:
        return Assembly(self.store, self.sealer, self.clock)

    def turn(self, owner: Owner, request: ResponseRequest) -> AbstractAsyncContextManager[None]:
        """What `prepare` and the run that it makes happen in, so that turns of a conversation do not interleave."""
        conversation_id = request.conversation_id
        return nullcontext() if conversation_id is None else self.turns.one(owner, conversation_id)

    async def prepare(
        self,
        owner: Owner,
        request: ResponseRequest,
        memory: TurnMemory | None = None,
        setup: RunSetup = AS_ASKED,
    ) -> Run:
        """Check a request against the models and the chain, and make its run. Nothing is sent or stored yet.

        `memory` is that of the connection it came by, if that has one. `setup` is of who makes runs for more than the
        answer to this request.

        Raises ModelNotFound, NotFound for an unknown prompt or agent, PreviousResponseNotFound, InvalidRequest.
        """
        response_id = setup.response_id or self.ids.new(RESPONSE_PREFIX)
        item_ids = ItemIds(response_id)
        unstored = request.store is False or _is_remembered(request.previous_response_id, memory)
        asked = await self.consider(owner, request, item_ids, memory, setup)
        resolved, context, prompt, setup = asked.resolved, asked.context, asked.prompt, asked.setup
        request = asked.loop.request
        if is_triggered(request) and not whole(asked.loop.transcript).is_worth_it:
            raise nothing_to_compact()
        if is_triggered(request) and (context.given.resumed or context.given.denied):
            raise InvalidRequest(
                "`input`: a compaction_trigger asks for nothing but a compaction; send the answers to MCP servers in a"
                " request of their own first.",
                param="input",
            )
        keeper = setup.keeper or self._keeper(request, context.continues)
        if memory is not None:
            keeper = memory.keeper(keeper)
        run = Run(
            owner=owner,
            loop=asked.loop,
            writer=EventWriter(
                summaries=summary_asked(request) is not None,
                obfuscate=_obfuscated(request),
                muted=not (request.stream or setup.events),
            ),
            response=ResponseObject(
                response_id,
                self.clock.now(),
                request,
                prompt.shown_instructions(request.instructions) if prompt is not None else None,
            ),
            item_ids=item_ids,
            stored_input=encode(context.stored) if keeper is not None else b"[]",
            unstored=unstored,
            ports=RunPorts(
                resolved.provider,
                resolved.upstream_model,
                keeper,
                setup.tools or self.tools,
                self.clock,
                Thoughts(self.sealer, owner.tenant),
                self.store.mcp,
                resolved.served_by,
                self.approval_ttl_s,
                self.sampler,
                self.shields,
                asked.readable,
            ),
            prompt=prompt.stored if prompt is not None else None,
            claims=context.given.claims,
            denied=context.given.denied,
        )
        if self.watch is not None:
            self.watch(run)
        return run

    async def consider(
        self,
        owner: Owner,
        request: ResponseRequest,
        item_ids: ItemIds,
        memory: TurnMemory | None = None,
        setup: RunSetup = AS_ASKED,
    ) -> "Considered":
        """The request as its model would meet it: for runs, and for who counts its tokens or compacts its context.

        Raises what `prepare` raises.
        """
        if request.agent:
            request, setup = await self._of_agent(owner, request)
        request, prompt = await filled(self.store.prompts, owner, request)
        resolved = await self.catalog.resolve(request.model)
        if setup.before is not None:
            resolved = resolved.seen_by(setup.before)
        await check_bounds(request, resolved.provider)
        context = await self.assembly.assemble(owner, request, item_ids, memory, setup.history)
        tools = setup.tools or self.tools
        if request.tools:
            await tools.check(owner, request.tools)
        resolved.prefer(_served_last(context.transcript.history))
        transcript = context.transcript if prompt is None else prompt.before(context.transcript)
        readable: Readable | None = None
        if self.attachments is not None:
            given = await self.attachments.given(owner, request, transcript)
            if given is not None:
                readable = given.readable
                resolved = resolved.seen_by(partial(Attached, given=given))
        loop = Loop(
            request,
            transcript,
            streamed=request.stream is True,
            brought=context.brought,
            mcp=_servers(tools, owner, request, context),
            rules=setup.rules,
        )
        return Considered(resolved, context, prompt, loop, setup, readable)

    async def _of_agent(self, owner: Owner, request: ResponseRequest) -> tuple[ResponseRequest, RunSetup]:
        """The request with what its stored agent says where it says nothing itself. Raises NotFound."""
        if self.agents is None:
            raise NotFound("`agent`: there are no stored agents here.", param="agent")
        return await self.agents.applied(owner, request)

    async def check_input(self, owner: Owner, asked: Considered) -> None:
        """For who shows a request to a model without a run: ask the shields that a run would ask first.

        Raises InvalidRequest where they object.
        """
        check = asked.loop.check_of_input()
        if check is None:
            return
        violation = await verdict(self.shields, owner, check, await messages_of(check, asked.readable))
        if violation is not None and guarding.ends(violation):
            said = violation.user_message or guarding.REFUSED
            raise InvalidRequest(f"`input`: the agent's shields let none of it pass: {said}", param="input")

    def _keeper(self, request: ResponseRequest, continues: str | None) -> ResponseKeeper | None:
        """Where its response is to be kept; None: nowhere."""
        if request.store is False:
            return None
        if request.conversation_id is None:
            return self.store
        return ConversationKeeper(self.store, request.conversation_id, continues)

    async def get(self, owner: Owner, response_id: str, visible: Visible) -> bytes:
        """The response object. Raises NotFound: unknown, deleted and foreign ids answer alike."""
        stored = await self._stored(owner, response_id)
        return self.shown(owner, stored.head, stored.output, visible)

    def shown(self, owner: Owner, head: bytes, output: bytes, visible: Visible) -> bytes:
        """A stored response as the caller sees it."""
        if b'"top_logprobs":0,' not in head:  # asked for by the request itself
            visible = replace(visible, logprobs=True)
        return with_output(head, render_items(output, visible, Thoughts(self.sealer, owner.tenant)))

    async def delete(self, owner: Owner, response_id: str) -> None:
        """Hide a response at once. Raises NotFound."""
        if not await self.store.delete_response(owner, response_id):
            raise _unknown(response_id)

    async def input_items(self, owner: Owner, response_id: str) -> list[StoredItem]:
        """The whole context that was sent, oldest first: the chain's items, then the response's own input."""
        stored = await self._stored(owner, response_id)
        chain = await self.store.get_chain(owner, stored.id)  # hidden ancestors too: they were sent
        arrays = [array for turn in as_left(chain)[:-1] for array in (turn.input, turn.output)]
        earlier = [item for array in arrays for item in _ITEMS.decode(array)]
        return earlier + _ITEMS.decode(stored.input)

    def shown_items(self, owner: Owner, items: Sequence[StoredItem], visible: Visible) -> list[StoredItem]:
        """Stored items as the caller sees them."""
        thoughts = Thoughts(self.sealer, owner.tenant)
        return [render_item(item, visible, thoughts) for item in items]

    async def _stored(self, owner: Owner, response_id: str) -> StoredResponse:
        """By its id, or by that of the agent's turn whose newest run it is."""
        if self.agents is not None and UUID.fullmatch(response_id):
            response_id = await self.agents.response_of(owner, response_id) or response_id
        stored = await self.store.get_response(owner, response_id)
        if stored is None:
            raise _unknown(response_id)
        return stored


def _served_last(history: Sequence[PastTurn]) -> str:
    """Who answered last in this chain; "" where nobody did, or it is not known."""
    return next((turn.served_by for turn in reversed(history) if turn.served_by), "")


def _unknown(response_id: str) -> NotFound:
    return NotFound(
        f'there is no response "{response_id}". It may have been deleted, or created with store: false.',
        param="response_id",
    )


def _is_remembered(response_id: str | None, memory: TurnMemory | None) -> bool:
    return response_id is not None and memory is not None and memory.turns(response_id) is not None


def _obfuscated(request: ResponseRequest) -> bool:
    """`include_obfuscation` is on unless the caller turns it off (`ResponseStreamOptions` of the official OpenAPI)."""
    if not request.stream:
        return False
    options = request.stream_options
    return options is None or options.include_obfuscation in (UNSET, True)


def _servers(tools: ToolRuntime, owner: Owner, request: ResponseRequest, context: Assembled) -> McpBeginning:
    """What is known of the request's MCP servers."""
    servers = [tool for tool in request.tools or () if isinstance(tool, McpTool)]
    if not servers:
        return NOTHING
    outdated = frozenset(
        tool.server_label
        for tool in servers
        if (known := context.lists.get(tool.server_label)) and tools.outdated(owner, tool, known)
    )
    return McpBeginning(context.lists, outdated, context.given.resumed)
