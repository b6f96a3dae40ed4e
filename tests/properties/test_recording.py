"""Whatever a model does: the run that was recorded is the run that its recording gives."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import msgspec
from hypothesis import event, given, settings

from antiphon.core.commands import CallModel
from antiphon.core.errors import ProviderProtocolError
from antiphon.core.request import ResponseRequest
from antiphon.core.signals import ItemDone, ModelSignal, StepDone
from antiphon.core.wire import encode
from antiphon.core.writer import Event
from antiphon.models.catalog import Catalog, NamedModel
from antiphon.ports import (
    Clock,
    Constraint,
    Ids,
    ModelInfo,
    ModelProvider,
    Owner,
    Store,
    UpstreamCompaction,
)
from antiphon.providers.script import parse_script
from antiphon.providers.scripted import Scripted
from antiphon.recording.file import RecordingFiles
from antiphon.recording.reader import Recording
from antiphon.recording.recorder import Recorder
from antiphon.recording.redaction import Redactor
from antiphon.recording.replay import Replayer
from antiphon.responses.service import ResponseService
from antiphon.storage.memory import MemoryStore
from antiphon.testing import FakeClock, FakeIds, PlainSealer, ToolBox
from tests.properties.scripts import Script, scripts, signals_of

OWNER = Owner("acme", "ci")


@dataclass
class Model:
    """A provider that follows a generated script, one batch a signal; `failed` breaks it off."""

    script: Script
    provider_id: str = "up"
    _step: int = 0

    async def stream(self, model: str, call: CallModel) -> AsyncGenerator[Sequence[ModelSignal], None]:
        at = min(self._step, len(self.script.steps) - 1)
        self._step += 1
        pieces, finish = self.script.steps[at]
        yield ()
        for number, signal in enumerate(signals_of(pieces, finish, call.stream, self._step)):
            if self.script.fault is not None and number == self.script.fault_at:
                raise ProviderProtocolError(self.provider_id, "the script broke off")
            if call.stream or isinstance(signal, ItemDone | StepDone):
                yield [signal]

    def unenforced(self, request: ResponseRequest) -> frozenset[Constraint]:
        return frozenset()

    def dropped(self, request: ResponseRequest) -> Sequence[str]:
        return ()

    async def count_tokens(self, model: str, call: CallModel) -> int | None:
        return None

    async def compact(self, model: str, call: CallModel) -> UpstreamCompaction | None:
        return None

    async def list_models(self) -> Sequence[ModelInfo]:
        return [ModelInfo("m")]


def make_service(catalog: Catalog, store: Store, clock: Clock, ids: Ids) -> ResponseService:
    return ResponseService(catalog, store, ToolBox(), clock, ids, PlainSealer())


async def run(provider: object, request: ResponseRequest, recorder: Recorder | None = None) -> list[bytes]:
    """The events of a run, its final object last."""
    clock = FakeClock()
    catalog = Catalog({"up": cast("ModelProvider", provider)}, [NamedModel("m", "up", "m")], clock=clock)
    service = make_service(catalog, MemoryStore(), clock, FakeIds())
    prepared = await service.prepare(OWNER, request)
    if recorder is not None:
        recorder.watch(prepared)
    said: list[bytes] = []

    async def emit(events: list[Event]) -> None:
        said.extend(one.data for one in events)

    prepared.emit = emit
    final = await prepared.execute()
    return [*said, final]


async def recorded_and_replayed(script: Script, folder: Path) -> None:
    request = msgspec.structs.replace(script.request, stream=script.streamed)
    files = RecordingFiles(folder, FakeClock(), antiphon="test")
    first = await run(Model(script), request, Recorder(files, Redactor(), FakeClock()))
    files.close()
    recording = Recording.load(folder)
    again = await run(Scripted("up", parse_script({"recording": str(folder)})), request)
    assert again == first
    (run_id,) = recording.run_ids()
    recorded = recording.run(run_id)
    assert recorded is not None
    result = await Replayer(make_service, MemoryStore, Redactor()).replay(recorded)
    assert result.same, result.as_json()
    assert result.steps == len(recorded.exchanges)
    event(f"steps: {result.steps}")
    event(f"failed: {recorded.exchanges[-1].error is not None}")


@given(scripts)
@settings(max_examples=150, deadline=None)
def test_a_recorded_run_is_replayed_byte_for_byte(script: Script) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(recorded_and_replayed(script, Path(folder)))


@given(scripts)
@settings(max_examples=60, deadline=None)
def test_a_request_survives_being_written_down(script: Script) -> None:
    again: Any = ResponseRequest.parse(encode(script.request))
    assert again == script.request
