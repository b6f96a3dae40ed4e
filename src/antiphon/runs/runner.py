"""Drives one loop: carries its steps out through the ports, feeds it signals, writes events and stores the end.

A run begins when its first model call has answered with a 2xx head. An error before that is raised, and nothing was
sent or stored; an error after it ends the response as `failed`.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from typing import Protocol, cast

import msgspec

from antiphon.core import marks, signals
from antiphon.core.citations import Piece
from antiphon.core.closing import closed
from antiphon.core.commands import (
    CallModel,
    CallTool,
    CheckContent,
    CloseItem,
    Compact,
    CountTokens,
    Finish,
    ListTools,
    OpenItem,
    Step,
)
from antiphon.core.errors import (
    AntiphonError,
    CompactionFailed,
    ConversationChanged,
    InvalidRequest,
    ProviderContextLength,
    ProviderError,
    ProviderRateLimited,
    ProviderRejected,
    SealingUnavailable,
    StoreUnavailable,
    UnsupportedParameter,
)
from antiphon.core.file_search import shown_item
from antiphon.core.hosted_items import (
    Compaction,
    FileSearchCall,
    McpApprovalRequest,
    McpElicitationRequest,
    McpListTools,
)
from antiphon.core.ids import ItemIds
from antiphon.core.items import Logprob, Reasoning
from antiphon.core.loop import Loop
from antiphon.core.marks import CallEnd, ShieldsBegin, ShieldsEnd, StepEnd, mark
from antiphon.core.mcp import Sampled, Sampling, shown_list
from antiphon.core.response import ResponseObject, ResponseState, encode_items, with_output
from antiphon.core.signals import ModelSignal, OutputItem
from antiphon.core.wire import UNSET
from antiphon.core.writer import Event, EventWriter
from antiphon.models.token_count import count_tokens
from antiphon.ports import Clock, ModelProvider, Owner, StoredPrompt, StoredResponse, ToolRuntime
from antiphon.ports.mcp import Grant, GrantKeeper
from antiphon.ports.safety import Shields
from antiphon.runs.checking import Readable, messages_of, verdict
from antiphon.runs.compacting import compact
from antiphon.runs.compactions import Compactions
from antiphon.runs.held_answer import Constraints, HeldAnswer
from antiphon.runs.sampling import Sampler
from antiphon.runs.thoughts import Thoughts

Emit = Callable[[list[Event]], Awaitable[None]]
MAX_TRUNCATIONS = 8
RESULTS = "file_search_call.results"
Inner = Reasoning | Compaction | FileSearchCall | McpListTools
"""Items whose stored form is another than what the client is shown."""
_QUESTIONS = (McpApprovalRequest, McpElicitationRequest)
log = logging.getLogger("antiphon.runs")


class ResponseKeeper(Protocol):
    """Where a response is kept: a store, or something beside one."""

    async def put_response(self, owner: Owner, response: StoredResponse) -> None:
        """As `ResponseStore.put_response`."""
        ...


@dataclass(frozen=True, slots=True)
class RunPorts:
    """What a run needs from outside. With `store: false` its `store` is none, or no more than the memory of the
    connection it came by: then nothing can be kept by mistake.
    """

    provider: ModelProvider
    upstream_model: str
    store: ResponseKeeper | None
    tools: ToolRuntime
    clock: Clock
    thoughts: Thoughts
    grants: GrantKeeper
    """Where questions to the user are noted, so that each is answered once; of what is asked only digests are."""
    served_by: Callable[[], str] = str
    """The model that answers, `provider_id/model`; "" while that is not known."""
    approval_ttl_s: int = 86_400
    sampler: Sampler = field(default_factory=Sampler)
    shields: Shields | None = None
    readable: Readable | None = None
    """Reads the files of items, for the shields; None where there are none."""


@dataclass(frozen=True, slots=True)
class CallOf:
    """One call of a run: a `ports.mcp.CallHost`."""

    run: "Run"
    call: CallTool

    @property
    def keeps(self) -> bool:
        return self.run.keeps

    async def sample(self, asked: Sampling) -> Sampled:
        return await self.run.sample(asked, self.call)


class RunWatcher(Protocol):
    """Stands beside one run and sees what leaves it. A run without one pays nothing for that."""

    def around(self, emit: Emit | None) -> Emit | None:
        """What sends the events instead of `emit`; asked once, when the run starts."""
        ...

    def ended(self, final: bytes) -> None:
        """The run has concluded with this response object."""
        ...


@dataclass(slots=True)
class Run:
    """One response on its way. `execute` once; read `state` and `output` afterwards."""

    owner: Owner
    loop: Loop
    writer: EventWriter
    response: ResponseObject
    item_ids: ItemIds
    stored_input: bytes
    ports: RunPorts
    unknown: Sequence[str] = ()
    """Fields of the body that a lenient server took out before it looked."""
    unstored: bool = False
    """It sees something that was sent with `store: false`, be it a turn that its connection remembers."""
    prompt: StoredPrompt | None = None
    """The version of the prompt that was filled for it."""
    claims: Sequence[str] = ()
    """What the user has answered for, so that calls go on: marked as answered before the first of them is made."""
    denied: Sequence[str] = ()
    """What the user did not allow: marked as answered when the model was told."""
    emit: Emit | None = None
    watcher: RunWatcher | None = None
    state: ResponseState = field(default_factory=lambda: ResponseState("in_progress"))
    output: bytes = b"[]"
    begun: bool = False
    failure: AntiphonError | None = None
    """What ended it as failed after it had begun, where that was an error of the engine or of the model's server."""
    _call: CallModel | CountTokens | Compact | CheckContent | None = None
    _tool_calls: list[CallTool | ListTools] = field(default_factory=list["CallTool | ListTools"])
    _grants: list[Grant] = field(default_factory=list[Grant])
    _samplings: int = 0
    _finish: Finish | None = None
    _broken: bool = False
    _inner: dict[str, Inner] = field(default_factory=dict[str, "Inner"])
    _sending: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def dropped(self) -> Sequence[str]:
        """The parameters that the provider leaves out on a lenient server; of several, the one that answered."""
        return self.ports.provider.dropped(self.loop.planned().request)

    async def execute(self) -> bytes:
        """Run to the end and return the final response object.

        Raises what went wrong before the run began. Cancelling it cancels the upstream call and the tools; a run
        that had begun is then stored as `cancelled`.
        """
        if self.watcher is not None:
            self.emit = self.watcher.around(self.emit)
        try:
            await self._drive()
        except AntiphonError as error:
            if not self.begun:
                raise
            self._broken, self.failure = True, error
            self._apply(self.loop.feed(signals.Failed(_error_code(error), error.message)))
        except asyncio.CancelledError:
            if self.begun:
                self._broken = True
                self._apply(self.loop.feed(signals.Cancelled()))
                self.emit = None
                await self._conclude()
            raise
        return await self._conclude()

    async def skip(self) -> bytes:
        """End as completed with no output, and return the final response object: no model is asked.

        Raises InvalidRequest for answers to MCP servers, which nobody would act on.
        """
        if self.claims or self.denied:
            raise InvalidRequest(
                "`input`: holds answers to MCP servers, and a response that is only prepared acts on none; send them"
                " without `generate: false`.",
                param="input",
            )
        if self.watcher is not None:
            self.emit = self.watcher.around(self.emit)
        self.begin()
        self._finish = Finish("completed")
        return await self._conclude()

    def begin(self) -> None:
        """`response.created` and `response.in_progress`; from here on errors are events. Repeating does nothing."""
        if self.begun:
            return
        self.begun = True
        shown = b"" if self.writer.muted else self.response.whole(self.state, b"[]")
        self.writer.begin(shown)

    async def flush(self) -> None:
        """Send what was written. One sender at a time, so that events leave in their order."""
        if self.emit is None:
            return
        async with self._sending:
            events = self.writer.take()
            if events:
                await self.emit(events)

    # --- steps --------------------------------------------------------------------------------------------
    async def _drive(self) -> None:
        await self._claim()
        self._apply(self.loop.start())
        while self._finish is None:
            if self._call is not None:
                call, self._call = self._call, None
                await self._carry_out(call)
            elif self._tool_calls:
                calls, self._tool_calls = self._tool_calls, []
                await self.flush()
                await self._run_tools(calls)
            else:
                raise RuntimeError("the loop waits for nothing and has not finished")

    async def _claim(self) -> None:
        """Raises InvalidRequest when another request has answered first."""
        if not self.claims:
            return
        refused = await self.ports.grants.use_grants(self.owner, self.claims, self.ports.clock.now())
        if refused is not None:
            raise InvalidRequest(
                f'`input`: "{refused}" was answered meanwhile, and each is answered once.', param="input"
            )

    async def _carry_out(self, step: CallModel | CountTokens | Compact | CheckContent) -> None:
        provider, model = self.ports.provider, self.ports.upstream_model
        match step:
            case CallModel():
                await self._sample(step)
            case CountTokens():
                counted = await count_tokens(provider, model, step.call)
                self._apply(self.loop.feed(signals.Counted(counted.tokens)))
            case Compact():
                await self._compact(step)
            case CheckContent():
                await self._check(step)

    async def _check(self, step: CheckContent) -> None:
        """Ask the shields. They are a step of the run, so it begins, once what is to be checked could be read."""
        messages = await messages_of(step, self.ports.readable)
        self.begin()
        self._mark(marks.SHIELDS_STARTED, ShieldsBegin(step.touchpoint))
        await self.flush()
        violation = await verdict(self.ports.shields, self.owner, step, messages)
        self._mark(marks.SHIELDS_DONE, ShieldsEnd(step.touchpoint, violation))
        self._apply(self.loop.feed(signals.ContentChecked(violation)))
        if self._finish is None:
            await self.flush()

    def _mark(self, kind: str, data: StepEnd | CallEnd | ShieldsBegin | ShieldsEnd | None = None) -> None:
        if self.loop.rules.marks:
            self.writer.mark(mark(kind, data))

    async def _compact(self, step: Compact) -> None:
        """A compaction that fails costs the response only where there is nothing else that it could do."""
        try:
            made = await compact(self.ports.provider, self.ports.upstream_model, step.call)
        except (CompactionFailed, ProviderError, UnsupportedParameter) as error:
            if step.required:
                raise
            log.warning("%s goes on without a compaction: %s", self.response.id, error)
            usage = error.usage if isinstance(error, CompactionFailed) else None
            self._apply(self.loop.feed(signals.NotCompacted(usage)))
            return
        self._apply(self.loop.feed(made))
        if self._finish is None:
            await self.flush()

    def _apply(self, steps: Iterable[Step]) -> None:
        for step in steps:
            match step:
                case OpenItem(slot=slot, item=item, kind=kind):
                    self.begin()  # a compaction comes before the first model call
                    item_id = self.item_ids.new(kind or _type_of(item))
                    self.writer.open(slot, msgspec.structs.replace(item, id=item_id))
                case CloseItem(slot=slot, item=item, status=status):
                    item_id = self.writer.item_id(slot)
                    self._close(slot, closed(item, item_id, status))
                case CallModel() | CountTokens() | Compact() | CheckContent():
                    self._call = step
                case CallTool() | ListTools():
                    self._tool_calls.append(step)
                case StepEnd():
                    self._mark(marks.STEP_DONE, step)
                case CallEnd():
                    self._mark(marks.CALL_DONE, step)
                case Finish():
                    self._finish = step

    def _close(self, slot: int, item: OutputItem) -> None:
        """A reasoning item and a compaction are sealed for the client, results are for who asked for them; what is
        stored is their inner form.
        """
        if isinstance(item, Compaction):
            thoughts = self.ports.thoughts
            self.writer.close(slot, Compactions(thoughts.sealer, thoughts.tenant).sealed(item))
            self._inner[str(item.id)] = item
            return
        if isinstance(item, FileSearchCall):
            asked = RESULTS in (self.loop.request.include or ())
            self.writer.close(slot, shown_item(item, with_results=asked))
            self._inner[item.id] = item
            return
        if isinstance(item, McpListTools):
            self.writer.close(slot, shown_list(item))
            self._inner[item.id] = item
            return
        if isinstance(item, _QUESTIONS):
            self._grants.append(self._grant(item))
        if not isinstance(item, Reasoning):
            self.writer.close(slot, item)
            return
        final = self.writer.close(slot, self._sealed(item))
        if isinstance(final, Reasoning) and final.id:
            inner = msgspec.structs.replace(final, encrypted_content=item.encrypted_content)
            self._inner[final.id] = inner

    def _sealed(self, item: Reasoning) -> Reasoning:
        """For the client. Where nothing can be sealed the run fails; what is closed then stays without a blob."""
        try:
            return self.ports.thoughts.sealed(item)
        except SealingUnavailable:
            if not self._broken and self._finish is None:
                raise
            return msgspec.structs.replace(item, encrypted_content=UNSET)

    def _grant(self, asked: McpApprovalRequest | McpElicitationRequest) -> Grant:
        """What the user's answer will be held to."""
        digest, definition = self.loop.digests(asked)
        now = self.ports.clock.now()
        if isinstance(asked, McpElicitationRequest):
            return Grant(asked.id, "elicitation", digest, definition, now, asked.expires_at)
        return Grant(asked.id, "approval", digest, definition, now, now + self.ports.approval_ttl_s)

    async def _run_tools(self, calls: Sequence[CallTool | ListTools]) -> None:
        """All at once; the loop hears of each as it ends and puts the results in call order."""
        tasks = [asyncio.create_task(self._run_tool(call)) for call in calls]
        try:
            for done in asyncio.as_completed(tasks):
                self._apply(self.loop.feed(await done))
                await self.flush()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _run_tool(self, call: CallTool | ListTools) -> signals.ToolDone | signals.ToolsListed:
        if isinstance(call, ListTools):
            return await self.ports.tools.list_tools(self.owner, call)
        return await self.ports.tools.run(self.owner, call, CallOf(self, call))

    @property
    def keeps(self) -> bool:
        """Whether anything of this run may be kept."""
        return self.loop.request.store is not False

    async def sample(self, asked: Sampling, call: CallTool) -> Sampled:
        """A model call that a tool's server asks for in the middle of this call. Raises SamplingRefused."""
        ports, left = self.ports, self.loop.tokens_left()
        self._samplings += 1
        made = await ports.sampler.sample(asked, self._samplings, left, ports.provider, ports.upstream_model)
        item = made.item(call)
        self._apply(self.loop.feed(signals.Sampled(item, made.usage)))
        await self.flush()
        return made.result()

    # --- one model call -----------------------------------------------------------------------------------
    async def _sample(self, call: CallModel) -> None:
        """One model call, again with a shorter transcript where `truncation: auto` allows it."""
        for _ in range(MAX_TRUNCATIONS):
            try:
                return await self._sample_once(call)
            except ProviderContextLength:
                shorter = call.transcript.shortened()
                if call.request.truncation != "auto" or shorter is None or self.writer.has_open_items:
                    raise
                call = replace(call, transcript=shorter)
                self.loop.transcript = shorter
        return await self._sample_once(call)

    async def _sample_once(self, call: CallModel) -> None:
        provider = self.ports.provider
        stream = provider.stream(self.ports.upstream_model, call)
        async with aclosing(cast("AsyncGenerator[Sequence[ModelSignal], None]", stream)) as batches:
            head = await anext(batches)
            self.begin()
            self._mark(marks.STEP_STARTED)
            bound = Constraints.of(call.request, provider)  # a route knows only now who answers
            held = HeldAnswer(bound) if bound is not None else None
            self._hear(head if held is None else held.take(head))
            if self._finish is None:
                await self.flush()
            async for batch in batches:
                self._hear(batch if held is None else held.take(batch))
                if self._finish is None:
                    await self.flush()

    def _hear(self, batch: Iterable[ModelSignal | signals.Invalid]) -> None:
        """Deltas go to the writer, which drops those of an item that the loop did not show; the rest to the loop."""
        delta, citations = self.writer.delta, self.loop.citations
        for signal in batch:
            if isinstance(signal, signals.TextDelta):  # nine signals of ten
                if citations is None:
                    delta(signal.slot, "output_text", signal.text, signal.logprobs)
                else:
                    self._show(signal.slot, citations.feed(signal.slot, signal.text), signal.logprobs)
            elif isinstance(signal, signals.ArgumentsDelta):
                delta(signal.slot, "arguments", signal.text)
            elif isinstance(signal, signals.ReasoningDelta):
                delta(signal.slot, "reasoning_text", signal.text)
            elif isinstance(signal, signals.SummaryDelta):
                self.writer.summary(signal.slot, signal.index, signal.text)
            elif isinstance(signal, signals.RefusalDelta):
                delta(signal.slot, "refusal", signal.text)
            else:
                if citations is not None and isinstance(signal, signals.ItemDone):
                    self._show(signal.slot, citations.finish(signal.slot))
                self._apply(self.loop.feed(signal))

    def _show(self, slot: int, pieces: Sequence[Piece], logprobs: Sequence[Logprob] = ()) -> None:
        """A text without its markers, and the citations where they stood. Log-probabilities go with the first piece."""
        for piece in pieces:
            if isinstance(piece, str):
                self.writer.delta(slot, "output_text", piece, logprobs)
                logprobs = ()
            else:
                self.writer.annotate(slot, piece)

    # --- the end ------------------------------------------------------------------------------------------
    async def _conclude(self) -> bytes:
        """Close what is open, store the response, and only then send the terminal event."""
        finish = self._finish or Finish(
            "failed", error_code="server_error", error_message="the run broke off"
        )
        for slot, item in self.writer.partial():
            self._close(slot, item)
        now = self.ports.clock.now()
        self.state = ResponseState.finished(
            finish, now=now, usage=self.loop.usage, service_tier=self.loop.service_tier
        )
        self.output = encode_items(self.writer.finished_items())
        head = self.response.head(self.state)
        try:
            await self._store(head)
        except (StoreUnavailable, ConversationChanged) as error:
            head = await self._not_stored(error)
        final = with_output(head, self.output)
        if self.state.status == "failed" and self.state.error_code and self.state.error_message:
            self.writer.error(self.state.error_code, self.state.error_message)
        self.writer.end(self.state.status, final)
        await self.flush()
        if self.watcher is not None:
            self.watcher.ended(final)
        return final

    async def _not_stored(self, error: StoreUnavailable | ConversationChanged) -> bytes:
        """The response fails although the model answered. Its head; beside its conversation it can be kept."""
        self.state = replace(
            self.state,
            status="failed",
            completed_at=None,
            incomplete_reason=None,
            error_code="server_error",
            error_message=f"the response could not be stored: {error.message}",
        )
        head = self.response.head(self.state)
        if isinstance(error, ConversationChanged):
            with suppress(StoreUnavailable):
                await self._store(head)
        return head

    def _inner_output(self) -> bytes:
        if not self._inner:
            return self.output
        items = self.writer.finished_items()
        return encode_items([self._inner.get(str(item.id), item) for item in items])

    async def _store(self, head: bytes) -> None:
        if self._grants:  # before anybody can answer
            grants, self._grants = self._grants, []
            await self.ports.grants.add_grants(self.owner, grants)
        if self.denied:
            await self.ports.grants.use_grants(self.owner, self.denied, self.ports.clock.now())
        if self.ports.store is None:
            return
        request = self.loop.request
        record = StoredResponse(
            id=self.response.id,
            parent_id=request.previous_response_id,
            status=self.state.status,
            model=request.model,
            created_at=self.response.created_at,
            head=head,
            input=self.stored_input,
            output=self._inner_output(),
            served_by=self.ports.served_by(),
        )
        await self.ports.store.put_response(self.owner, record)


def _type_of(item: OutputItem) -> str:
    return cast("str", item.__struct_config__.tag)


def _error_code(error: AntiphonError) -> str:
    """The response error code (`ResponseErrorCode` of the official OpenAPI) of an error after the run began."""
    if isinstance(error, ProviderRateLimited):
        return "rate_limit_exceeded"
    if isinstance(error, ProviderRejected):
        return "invalid_prompt"
    return "server_error"
