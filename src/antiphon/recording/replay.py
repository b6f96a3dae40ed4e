"""Runs a recorded run again from its recorded answers: whatever then differs, the server makes differently."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from antiphon.core.commands import CallModel
from antiphon.core.compacting import threshold_of
from antiphon.core.errors import AntiphonError, ProviderProtocolError
from antiphon.core.request import ResponseRequest
from antiphon.core.signals import ModelSignal
from antiphon.core.wire import decode_json
from antiphon.models.catalog import Catalog, NamedModel
from antiphon.ports import Constraint, ModelProvider, Store, UpstreamCompaction
from antiphon.recording.difference import Difference
from antiphon.recording.findings import Finding, Replayed, compare
from antiphon.recording.format import Exchange, plain
from antiphon.recording.matching import asks_for_summary, question_of_call
from antiphon.recording.reader import RecordedRun
from antiphon.recording.rebuild import MakeService, Witness, rebuild
from antiphon.recording.recorded_tools import RecordedTools
from antiphon.recording.redaction import Redactor
from antiphon.runs.runner import Run

Render = Callable[[Exchange, CallModel], Awaitable[bytes | str]]
"""The body that the configured provider would send for this call now, or the reason why that cannot be told."""


@dataclass(frozen=True, slots=True)
class Replayer:
    """Replays without any model. `render` is how the server would ask upstream today; None: nobody knows."""

    make_service: MakeService
    make_store: Callable[[], Store]
    redactor: Redactor
    render: Render | None = None

    async def replay(self, run: RecordedRun) -> Replayed:
        """Raises RecordingError for a run whose recording has no beginning."""
        result = Replayed(run=run.id, mode="recorded")
        if not run.is_response:
            result.steps = len(run.exchanges)
            result.note("this request was passed on as it is: there is nothing to run again without --live")
            return result
        answers = _RecordedAnswers(run, self, result)
        try:
            prepared = await self._prepared(run, answers)
        except AntiphonError as error:  # it was taken when it was recorded
            difference = Difference(path="", now=error.message, absent="recorded")
            result.answered(Finding(part="error", difference=difference))
            return result
        witness = prepared.watcher = Witness()
        try:
            await prepared.execute()
        except (AntiphonError, asyncio.CancelledError) as error:
            if not answers.ended_so(error):
                raise
        result.events = len(witness.events)
        self._compare_end(run, witness, result)
        return result

    async def _prepared(self, run: RecordedRun, answers: "_RecordedAnswers") -> Run:
        rebuilt = await rebuild(run, self.make_store(), {})
        named = NamedModel(rebuilt.request.model, answers.provider_id, run.exchanges[0].model)
        provider = cast("ModelProvider", answers)
        catalog = Catalog({answers.provider_id: provider}, [named], clock=rebuilt.clock)
        service = self.make_service(catalog, rebuilt.store, rebuilt.clock, rebuilt.ids)
        service = replace(service, tools=RecordedTools.of(run, service.tools))
        return await service.prepare(rebuilt.owner, rebuilt.request)

    def _compare_end(self, run: RecordedRun, witness: Witness, result: Replayed) -> None:
        if result.steps < len(run.exchanges):
            difference = Difference(path="", recorded=len(run.exchanges), now=result.steps)
            result.answered(Finding(part="steps", difference=difference))
        if run.record is None:
            return
        if run.record.events is not None:
            recorded = [decode_json(bytes(event)) for event in run.record.events]
            now = self.redactor.value(witness.events)
            result.answered(compare("events", recorded, now))
        final = self.redactor.value(witness.final)
        result.answered(compare("response", decode_json(bytes(run.record.response)), final))


@dataclass(slots=True)
class _RecordedAnswers:
    """A `ModelProvider` that gives a run's recorded answers in their order, and looks at what it is asked."""

    run: RecordedRun
    replayer: Replayer
    result: Replayed
    provider_id: str = "recorded"
    _raised: BaseException | None = None

    def unenforced(self, request: ResponseRequest) -> frozenset[Constraint]:
        """What it was when the run was recorded."""
        first = self.run.exchanges[0]
        return frozenset(first.asked.unenforced if first.asked is not None else ())

    def dropped(self, request: object) -> Sequence[str]:
        """See `ports.ModelProvider.dropped`."""
        return ()

    async def count_tokens(self, model: str, call: CallModel) -> int | None:
        """Not recorded: few tokens, or as many as a context had to have to be summed up."""
        del model
        at, threshold = self.result.steps, threshold_of(call.request)
        next_one = self.run.exchanges[at] if at < len(self.run.exchanges) else None
        return threshold if next_one is not None and asks_for_summary(next_one.question) else 0

    async def compact(self, model: str, call: CallModel) -> UpstreamCompaction | None:
        """Not recorded: the summary of a model is, and is given again as any other answer."""
        del model, call
        return None

    async def list_models(self) -> Sequence[Any]:
        """See `ports.ModelProvider.list_models`."""
        return ()

    async def aclose(self) -> None:
        """Nothing is held open."""

    def ended_so(self, error: BaseException) -> bool:
        """Whether this is how the recorded call ended."""
        return error is self._raised

    async def stream(self, model: str, call: CallModel) -> AsyncGenerator[Sequence[ModelSignal], None]:
        """See `ports.ModelProvider.stream`."""
        at = self.result.steps
        self.result.steps += 1
        if at >= len(self.run.exchanges):
            difference = Difference(path="", recorded=len(self.run.exchanges), now=self.result.steps)
            self.result.answered(Finding(part="steps", difference=difference))
            raise self._raise(
                ProviderProtocolError(self.provider_id, "the recording holds no further answer.")
            )
        exchange = self.run.exchanges[at]
        await self._compare(exchange, call)
        if exchange.heard or exchange.ended == "done":
            yield ()
        for batch in exchange.heard:
            yield batch.signals
        if exchange.error is not None:
            raise self._raise(exchange.error.raised_by(self.provider_id))
        if exchange.ended == "cancelled":
            raise self._raise(asyncio.CancelledError())

    def _raise(self, error: BaseException) -> BaseException:
        self._raised = error
        return error

    async def _compare(self, exchange: Exchange, call: CallModel) -> None:
        replayer, step = self.replayer, exchange.step
        if exchange.sent is not None and replayer.render is not None:
            rendered = await replayer.render(exchange, call)
            if isinstance(rendered, str):
                self.result.note(rendered)
            else:
                now = decode_json(replayer.redactor.json(rendered))
                self.result.asked(compare("request", decode_json(bytes(exchange.sent.body)), now, step))
        question = replayer.redactor.value(plain(question_of_call(call)))
        self.result.asked(compare("transcript", exchange.question, question, step))
