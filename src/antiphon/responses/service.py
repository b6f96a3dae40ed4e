"""Responses: from a request to a run, and what is stored of it."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, replace

import msgspec

from antiphon.core.errors import NotFound
from antiphon.core.ids import RESPONSE_PREFIX, ItemIds
from antiphon.core.loop import Loop
from antiphon.core.request import ResponseRequest
from antiphon.core.response import ResponseObject, summary_asked, with_output
from antiphon.core.transcript import TranscriptItem
from antiphon.core.wire import UNSET, encode
from antiphon.core.writer import EventWriter
from antiphon.models.catalog import Catalog
from antiphon.ports import (
    Clock,
    Ids,
    Owner,
    Sealer,
    Store,
    StoredResponse,
    ToolRuntime,
)
from antiphon.responses.assembly import Assembly
from antiphon.responses.bounds import check_bounds
from antiphon.responses.rendering import Visible, render_item, render_items
from antiphon.runs.runner import Run, RunPorts
from antiphon.runs.thoughts import Thoughts

_ITEMS = msgspec.json.Decoder(list[TranscriptItem])


@dataclass(frozen=True, slots=True)
class ResponseService:
    catalog: Catalog
    store: Store
    tools: ToolRuntime
    clock: Clock
    ids: Ids
    sealer: Sealer
    watch: Callable[[Run], None] | None = None  # told of each run before it goes

    @property
    def assembly(self) -> Assembly:
        return Assembly(self.store, self.sealer)

    def turn(self, owner: Owner, request: ResponseRequest) -> AbstractAsyncContextManager[None]:
        """What `prepare` and the run that it makes happen in, so that turns of a conversation do not interleave."""
        del owner, request
        return nullcontext()

    async def prepare(self, owner: Owner, request: ResponseRequest) -> Run:
        """Check a request against the models and the chain, and make its run. Nothing is sent or stored yet.

        Raises ModelNotFound, PreviousResponseNotFound, InvalidRequest.
        """
        resolved = await self.catalog.resolve(request.model)
        await check_bounds(request, resolved.provider)
        response_id = self.ids.new(RESPONSE_PREFIX)
        item_ids = ItemIds(response_id)
        context = await self.assembly.assemble(owner, request, item_ids)
        if context.transcript.history:
            resolved.prefer(context.transcript.history[-1].served_by)
        keeps = request.store is not False
        run = Run(
            owner=owner,
            loop=Loop(request, context.transcript, streamed=request.stream is True),
            writer=EventWriter(
                summaries=summary_asked(request) is not None,
                obfuscate=_obfuscated(request),
                muted=not request.stream,
            ),
            response=ResponseObject(response_id, self.clock.now(), request),
            item_ids=item_ids,
            stored_input=encode(context.stored) if keeps else b"[]",
            ports=RunPorts(
                resolved.provider,
                resolved.upstream_model,
                self.store if keeps else None,
                self.tools,
                self.clock,
                Thoughts(self.sealer, owner.tenant),
                resolved.served_by,
            ),
        )
        if self.watch is not None:
            self.watch(run)
        return run

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

    async def input_items(self, owner: Owner, response_id: str) -> list[TranscriptItem]:
        """The whole context that was sent, oldest first: the chain's items, then the response's own input."""
        stored = await self._stored(owner, response_id)
        chain = await self.store.get_chain(owner, response_id)  # hidden ancestors too: they were sent
        arrays = [array for turn in chain[:-1] for array in (turn.input, turn.output)]
        earlier = [item for array in arrays for item in _ITEMS.decode(array)]
        return earlier + _ITEMS.decode(stored.input)

    def shown_items(
        self, owner: Owner, items: Sequence[TranscriptItem], visible: Visible
    ) -> list[TranscriptItem]:
        """Stored items as the caller sees them."""
        thoughts = Thoughts(self.sealer, owner.tenant)
        return [render_item(item, visible, thoughts) for item in items]

    async def _stored(self, owner: Owner, response_id: str) -> StoredResponse:
        stored = await self.store.get_response(owner, response_id)
        if stored is None:
            raise _unknown(response_id)
        return stored


def _unknown(response_id: str) -> NotFound:
    return NotFound(
        f'there is no response "{response_id}". It may have been deleted, or created with store: false.',
        param="response_id",
    )


def _obfuscated(request: ResponseRequest) -> bool:
    """`include_obfuscation` is on unless the caller turns it off (`ResponseStreamOptions` of the official OpenAPI)."""
    if not request.stream:
        return False
    options = request.stream_options
    return options is None or options.include_obfuscation in (UNSET, True)
