"""Asks the models of a recorded run again, and compares step by step what they are asked and what they answer."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, cast

import msgspec

from antiphon.core.commands import CallModel
from antiphon.core.errors import AntiphonError, ProviderError
from antiphon.core.signals import ModelSignal
from antiphon.core.wire import JsonObject, decode_json, encode
from antiphon.models.catalog import Catalog
from antiphon.ports import ModelProvider, Store
from antiphon.recording.difference import Difference
from antiphon.recording.findings import Finding, Replayed, compare, items_heard, items_of
from antiphon.recording.format import API_OF_PATH, Answer, Exchange, Heard, Piece, plain
from antiphon.recording.matching import question_of_call
from antiphon.recording.reader import RecordedRun
from antiphon.recording.rebuild import MakeService, Witness, rebuild
from antiphon.recording.recorded_tools import RecordedTools
from antiphon.recording.redaction import Redactor
from antiphon.recording.tape import Tape, next_on
from antiphon.runs.runner import Run

ReadAnswer = Callable[[Exchange], list[Heard]]
"""The signals of a completion that was passed through."""


@dataclass(frozen=True, slots=True)
class LiveReplayer:
    """Nothing is stored: histories come from the recording, into stores of their own."""

    catalog: Catalog
    make_service: MakeService
    make_store: Callable[[], Store]
    redactor: Redactor
    read_answer: ReadAnswer

    async def replay(self, run: RecordedRun, changes: Mapping[str, Any]) -> Replayed:
        """Run it with these changes of the request. Raises AntiphonError for a change that is refused."""
        result = Replayed(run=run.id, mode="live")
        if not run.is_response:
            for exchange in run.exchanges:  # a client may give several requests the same id
                await self._completion(exchange, changes, result)
            return result
        rebuilt = await rebuild(run, self.make_store(), changes)
        service = self.make_service(self.catalog, rebuilt.store, rebuilt.clock, rebuilt.ids)
        service = replace(service, tools=RecordedTools.of(run, service.tools))
        prepared = await service.prepare(rebuilt.owner, rebuilt.request)
        listener = _Listener(prepared, run, self.redactor, result, frozenset(changes))
        prepared.ports = replace(prepared.ports, provider=cast("ModelProvider", listener))
        witness = prepared.watcher = Witness()
        try:
            await prepared.execute()
        except ProviderError as error:
            if not result.answer:
                result.answered(_other_end(None, error, result.steps))
        result.events = len(witness.events)
        if result.steps < len(run.exchanges):
            difference = Difference(path="", recorded=len(run.exchanges), now=result.steps)
            result.answered(Finding(part="steps", difference=difference))
        if run.record is not None and witness.final is not None:
            recorded = decode_json(bytes(run.record.response))["status"]
            result.answered(compare("response", {"status": recorded}, {"status": witness.final["status"]}))
        return result

    async def _completion(self, exchange: Exchange, changes: Mapping[str, Any], result: Replayed) -> None:
        """One passed-through request, sent once more."""
        result.steps += 1
        if exchange.sent is None or exchange.api not in ("chat", "completions"):
            result.note("only responses and completions are asked again")
            return
        resolved = await self.catalog.resolve(str(changes.get("model") or exchange.asked_model))
        recorded: JsonObject = decode_json(bytes(exchange.sent.body))
        body = changed_chat(recorded, {**changes, "model": resolved.upstream_model})
        ignored = frozenset({"model"})
        result.asked(compare("request", _without(recorded, ignored), _without(body, ignored), result.steps))
        path = next(path for path, api in API_OF_PATH.items() if api == exchange.api)
        try:
            async with await resolved.provider.open(
                path, encode(body), model=resolved.upstream_model
            ) as reply:
                data = await reply.read()
        except ProviderError as error:
            result.answered(_other_end(exchange, error, result.steps))
            return
        kind = "text/event-stream" if exchange.stream else "application/json"
        answer = Answer(status=200, headers={"content-type": kind}, pieces=[Piece.of(0, data)])
        now = items_heard(self.read_answer(msgspec.structs.replace(exchange, answer=answer, error=None)))
        before = items_heard(self.read_answer(exchange))
        result.answered(compare("answer", before, self.redactor.value(now), result.steps))


class _Listener:
    """The provider of one run, listened to. What is asked of it is compared before, what it says after."""

    def __init__(
        self, run: Run, recorded: RecordedRun, redactor: Redactor, result: Replayed, changed: frozenset[str]
    ) -> None:
        self._inner = run.ports.provider
        self._recorded = recorded
        self._redactor = redactor
        self._result = result
        self._ignored = changed & {"model"}  # what was asked for by the replay itself is no finding

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def stream(self, model: str, call: CallModel) -> AsyncGenerator[Sequence[ModelSignal], None]:
        """See `ports.ModelProvider.stream`."""
        at = self._result.steps
        self._result.steps += 1
        exchange = self._recorded.exchanges[at] if at < len(self._recorded.exchanges) else None
        if exchange is None:
            difference = Difference(path="", recorded=at, now=self._result.steps)
            self._result.answered(Finding(part="steps", difference=difference))
        tape = Tape(asyncio.get_running_loop().time)
        heard: list[ModelSignal] = []
        batches = cast("AsyncGenerator[Sequence[ModelSignal], None]", self._inner.stream(model, call))
        try:
            async with aclosing(batches):
                while (batch := await next_on(tape, batches)) is not None:
                    heard += batch
                    yield batch
        except AntiphonError as error:
            self._compare_request(exchange, call, tape)
            self._result.answered(_other_end(exchange, error, at + 1))
            raise
        self._compare_request(exchange, call, tape)
        if exchange is not None:
            now = self._redactor.value(items_of(heard))
            self._result.answered(compare("answer", items_heard(exchange.heard), now, at + 1))
            if exchange.error is not None:
                self._result.answered(_other_end(exchange, None, at + 1))

    def _compare_request(self, exchange: Exchange | None, call: CallModel, tape: Tape) -> None:
        if exchange is None:
            return
        sent = tape.sent(self._redactor.json)
        if sent is not None and exchange.sent is not None and _last(sent.path) == _last(exchange.sent.path):
            recorded = _without(decode_json(bytes(exchange.sent.body)), self._ignored)
            now = _without(decode_json(bytes(sent.body)), self._ignored)
            self._result.asked(compare("request", recorded, now, exchange.step))
        question = self._redactor.value(plain(question_of_call(call)))
        self._result.asked(compare("transcript", exchange.question, question, exchange.step))


def changed_chat(body: JsonObject, changes: Mapping[str, Any]) -> JsonObject:
    """The body of a completion with changes: `instructions` are its first system message."""
    changed = {**body, **{name: value for name, value in changes.items() if name != "instructions"}}
    if "instructions" in changes and "messages" in body:
        others = list(body["messages"])
        if others and others[0].get("role") in ("system", "developer"):
            others = others[1:]
        changed["messages"] = [{"role": "system", "content": changes["instructions"]}, *others]
    return changed


def _without(value: Any, keys: frozenset[str]) -> Any:
    if not isinstance(value, dict):
        return value
    fields = cast("JsonObject", value)
    return {name: item for name, item in fields.items() if name not in keys}


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def _other_end(exchange: Exchange | None, error: AntiphonError | None, step: int) -> Finding | None:
    """A call that failed and had not, or the other way round, or failed in another way."""
    before = None if exchange is None or exchange.error is None else exchange.error.message
    now = None if error is None else error.message
    if before == now:
        return None
    return Finding(part="error", difference=Difference(path="", recorded=before, now=now), step=step)
