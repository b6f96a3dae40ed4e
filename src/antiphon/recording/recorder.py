"""Writes down what runs and passed-through completions ask of models, and what comes back.

It stands behind the ports: a watched run gets a provider that records, any other keeps its own. So a server that does
not record has none of this in its way.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Literal, Self, cast

import msgspec
from msgspec import Raw

from antiphon.core.commands import CallModel
from antiphon.core.errors import AntiphonError, ProviderError
from antiphon.core.mcp import without_secrets
from antiphon.core.prompt_turn import lasting_turns
from antiphon.core.request import ResponseRequest
from antiphon.core.signals import ModelSignal, StepDone
from antiphon.core.tools import McpTool
from antiphon.core.wire import JsonObject, decode_json, encode
from antiphon.core.writer import Event
from antiphon.models.catalog import Resolved
from antiphon.ports import Clock, ModelProvider, Owner, UpstreamReply
from antiphon.recording.cleaning import redacted_answer, redacted_signals
from antiphon.recording.file import RecordingFiles
from antiphon.recording.format import (
    API_OF_PATH,
    Answer,
    Api,
    Asked,
    Exchange,
    Failure,
    Heard,
    Piece,
    RunRecord,
    Sent,
    Turn,
    UsedPrompt,
)
from antiphon.recording.matching import key_of, question_of_body, question_of_call
from antiphon.recording.redaction import Redactor
from antiphon.recording.tape import CURRENT, Tape, next_on
from antiphon.runs.runner import Emit, Run

Ended = Literal["done", "error", "cancelled"]


@dataclass(frozen=True, slots=True)
class Recorder:
    """One per server that records. Nothing that is asked not to be stored is written unless `include_unstored`."""

    files: RecordingFiles
    redactor: Redactor
    clock: Clock
    include_unstored: bool = False

    def watch(self, run: Run) -> None:
        """Record this run: `ResponseService.watch`."""
        if run.unstored and not self.include_unstored:
            return
        watcher = _RunWatcher(self, run)
        provider = _RecordedRun(run.ports.provider, self, run, watcher)
        run.ports = replace(run.ports, provider=cast("ModelProvider", provider))
        run.watcher = watcher

    def tap(
        self,
        resolved: Resolved,
        owner: Owner,
        request_id: str,
        asked_model: str,
        *,
        store: bool | None = None,
    ) -> Resolved:
        """A `models.tap.Tap`: the model of one request that is passed on records, unless `store: false` was said."""
        if store is False and not self.include_unstored:
            return resolved
        provider = _RecordedPassing(resolved, self, owner, request_id, asked_model)
        return replace(resolved, provider=cast("ModelProvider", provider))

    def close(self) -> None:
        self.files.close()


class _Recorded:
    """A provider with another before it: what is not recorded is the inner one's."""

    def __init__(self, inner: ModelProvider, recorder: Recorder) -> None:
        self._inner = inner
        self._recorder = recorder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _RecordedRun(_Recorded):
    """The provider of one run: each of its `stream`s is one step."""

    def __init__(self, inner: ModelProvider, recorder: Recorder, run: Run, watcher: "_RunWatcher") -> None:
        super().__init__(inner, recorder)
        self._run = run
        self._watcher = watcher
        self._step = 0

    async def stream(self, model: str, call: CallModel) -> AsyncGenerator[Sequence[ModelSignal], None]:
        """See `ports.ModelProvider.stream`."""
        self._step += 1
        draft = _Draft(
            self._recorder,
            self._run.response.id,
            self._run.owner,
            call.request.model,
            self._run.ports.served_by,
        )
        draft.step = self._step
        draft.stream = call.stream
        draft.question = question_of_call(call)
        batches = cast("AsyncGenerator[Sequence[ModelSignal], None]", self._inner.stream(model, call))
        try:
            async with aclosing(batches):
                while (batch := await next_on(draft.tape, batches)) is not None:
                    draft.hear(batch)
                    yield batch
            draft.ended = "done"
        except ProviderError as error:
            draft.fail(error)
            raise
        except AntiphonError:  # refused here: no model was asked
            draft.refused = True
            raise
        finally:
            if not draft.refused:
                draft.asked = self._asked(call) if draft.step == 1 else None
                self._watcher.redacted |= draft.write()

    def _asked(self, call: CallModel) -> Asked:
        """The history is that of the run: its first call may be for a summary, and has none."""
        clean, used = self._recorder.redactor.json, self._run.prompt
        return Asked(
            request=Raw(clean(encode(_without_secrets(self._run.loop.request)))),
            input=Raw(clean(self._run.stored_input)),
            history=[
                Turn(id=turn.id, input=Raw(clean(turn.input)), output=Raw(clean(turn.output)))
                for turn in lasting_turns(self._run.loop.transcript.history)
            ],
            prompt=UsedPrompt(version=used.version, body=Raw(clean(used.body))) if used is not None else None,
            unenforced=sorted(self._inner.unenforced(call.request)),
        )


def _without_secrets(request: ResponseRequest) -> ResponseRequest:
    """The request without the credentials that it brings for MCP servers: used once, and written nowhere."""
    tools = [without_secrets(tool) if isinstance(tool, McpTool) else tool for tool in request.tools or ()]
    return msgspec.structs.replace(request, tools=tools) if tools else request


class _RecordedPassing(_Recorded):
    """The provider of one passed-through request."""

    def __init__(
        self, resolved: Resolved, recorder: Recorder, owner: Owner, request_id: str, asked_model: str
    ) -> None:
        super().__init__(resolved.provider, recorder)
        self._resolved = resolved
        self._owner = owner
        self._request_id = request_id
        self._asked_model = asked_model

    async def open(self, path: str, body: bytes, *, model: str) -> UpstreamReply:
        """See `ports.ModelProvider.open`."""
        draft = _Draft(
            self._recorder, self._request_id, self._owner, self._asked_model, self._resolved.served_by
        )
        asked: JsonObject = decode_json(body)
        draft.api = API_OF_PATH[path]
        draft.stream = asked.get("stream") is True
        draft.question = question_of_body(path, asked)
        token = CURRENT.set(draft.tape)
        try:
            reply = await self._inner.open(path, body, model=model)
        except ProviderError as error:
            draft.fail(error)
            draft.write()
            raise
        except asyncio.CancelledError:
            draft.write()
            raise
        finally:
            CURRENT.reset(token)
        if draft.tape.sent(bytes) is None:  # no upstream: a model of this process
            draft.made_here(path, body)
        return _RecordedReply(reply, draft)


class _RecordedReply:
    """An `UpstreamReply` that is written down when it is left."""

    def __init__(self, inner: UpstreamReply, draft: "_Draft") -> None:
        self._inner = inner
        self._draft = draft

    async def read(self) -> bytes:
        try:
            data = await self._inner.read()
        except ProviderError as error:
            self._draft.fail(error)
            raise
        self._draft.take(data)
        self._draft.ended = "done"
        return data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for data in self._inner:
                self._draft.take(data)
                yield data
        except ProviderError as error:
            self._draft.fail(error)
            raise
        self._draft.ended = "done"

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._inner.__aexit__(kind, error, trace)
        finally:
            self._draft.write()


@dataclass(slots=True)
class _Draft:
    """An exchange while it goes on."""

    recorder: Recorder
    run: str
    owner: Owner
    asked_model: str
    served_by: Callable[[], str]
    step: int = 1
    api: Api = "responses"
    stream: bool = True
    question: JsonObject = field(default_factory=dict[str, Any])
    asked: Asked | None = None
    ended: Ended = "cancelled"
    refused: bool = False
    heard: list[Heard] = field(default_factory=list[Heard])
    error: Failure | None = None
    tape: Tape = field(init=False)
    _local: Sent | None = None
    _pieces: list[Piece] = field(default_factory=list[Piece])
    _at: int = field(init=False)

    def __post_init__(self) -> None:
        self.tape = Tape(asyncio.get_running_loop().time)
        self._at = self.recorder.clock.now()

    def hear(self, batch: Sequence[ModelSignal]) -> None:
        if batch or not self.heard:  # the first may be empty: it says that the head is here
            self.heard.append(Heard(ms=self.tape.ms, signals=list(batch)))

    def take(self, data: bytes) -> None:
        """Bytes of an answer that passed through the port, in the pieces in which it gave them."""
        if data:
            self._pieces.append(Piece.of(self.tape.ms, data))

    def made_here(self, path: str, body: bytes) -> None:
        self._local = Sent(method="POST", path=path, body=Raw(self.recorder.redactor.json(body)))

    def fail(self, error: ProviderError) -> None:
        self.ended = "error"
        self.error = Failure(
            kind=type(error).__name__,
            message=self.recorder.redactor.text(error.message),
            param=error.param,
            retry_after=error.retry_after,
        )

    def write(self) -> bool:
        """Add the exchange to the recording. Returns whether something of the answer was redacted."""
        clean = self.recorder.redactor
        heard, touched = redacted_signals(self.heard, clean)
        answer = self.tape.answer()
        if self._pieces:
            head = answer or Answer(status=200, headers=self._made_headers())
            answer = Answer(status=head.status, headers=head.headers, pieces=self._pieces)
        if answer is not None:
            answer = redacted_answer(answer, clean, withhold=touched)
        question = clean.value(self.question)
        provider, _, model = (self.served_by() or self.asked_model).partition("/")
        self.recorder.files.append(
            Exchange(
                run=self.run,
                step=self.step,
                at=self._at,
                tenant=self.owner.tenant,
                subject=self.owner.subject,
                provider=provider if model else "",
                model=model or provider,
                asked_model=self.asked_model,
                key=key_of(question),
                question=question,
                stream=self.stream,
                api=self.api,
                ended="done" if _whole(heard) and self.error is None else self.ended,
                asked=self.asked,
                sent=self.tape.sent(clean.json) or self._local,
                answer=answer,
                heard=heard,
                error=self.error,
            )
        )
        return touched

    def _made_headers(self) -> dict[str, str]:
        return {"content-type": "text/event-stream" if self.stream else "application/json"}


@dataclass(slots=True)
class _RunWatcher:
    """Keeps the events of one run, and writes how it ended."""

    recorder: Recorder
    run: Run
    redacted: bool = False
    _events: list[bytes] = field(default_factory=list[bytes])

    def around(self, emit: Emit | None) -> Emit | None:
        """See `runs.runner.RunWatcher`."""
        if emit is None:
            return None
        send = emit

        async def emit_and_keep(events: list[Event]) -> None:
            self._events += [event.data for event in events if event.number >= 0]  # no marks
            await send(events)

        return emit_and_keep

    def ended(self, final: bytes) -> None:
        """See `runs.runner.RunWatcher`."""
        clean = self.recorder.redactor.json
        shown = bool(self._events) and not self.redacted
        self.recorder.files.append(
            RunRecord(
                run=self.run.response.id,
                at=self.run.response.created_at,
                tenant=self.run.owner.tenant,
                subject=self.run.owner.subject,
                parent=self.run.loop.request.previous_response_id,
                response=Raw(clean(final)),
                events=[Raw(clean(event)) for event in self._events] if shown else None,
            )
        )


def _whole(heard: list[Heard]) -> bool:
    return any(isinstance(signal, StepDone) for batch in heard[-1:] for signal in batch.signals)
