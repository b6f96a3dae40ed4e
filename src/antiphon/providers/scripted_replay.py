"""Models that answer from a recording, for users' own CI: the `recording:` key of an `inline::scripted` provider."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from antiphon.core.commands import CallModel
from antiphon.core.errors import ProviderRejected
from antiphon.core.signals import ItemDone, ModelSignal, StepDone
from antiphon.core.wire import JsonObject, decode_json
from antiphon.ports import Constraint, UpstreamReply
from antiphon.providers.presets import ProviderConfigError
from antiphon.providers.recorded_answer import signals_of, with_deltas
from antiphon.providers.script import ScriptedConfig
from antiphon.providers.scripted_chat import ScriptedReply, Shape
from antiphon.recording.difference import first_difference
from antiphon.recording.format import API_OF_PATH, Api, Exchange, Failure, Heard, Piece
from antiphon.recording.matching import key_of, question_of_body, question_of_call
from antiphon.recording.reader import Recording, RecordingError
from antiphon.recording.redaction import Redactor

Sleep = Callable[[float], Awaitable[object]]

_PARAMS: Mapping[Api, str] = {
    "responses": "input",
    "chat": "messages",
    "completions": "prompt",
    "embeddings": "input",
    "rerank": "query",
}

"""The parameter that holds the question."""
_VECTORS = frozenset[Api](("embeddings", "rerank"))


@dataclass(slots=True)
class RecordedModels:
    """The models of one recording. Remembers which answers it gave: the same question may have several."""

    provider_id: str
    recording: Recording
    where: str
    match: Literal["strict", "order"] = "strict"
    timing: Literal["none", "recorded"] = "none"
    sleep: Sleep = asyncio.sleep
    _given: set[int] = field(default_factory=set[int])
    _exchanges: dict[str, list[Exchange]] = field(init=False)
    _redactor: Redactor = field(init=False)

    def __post_init__(self) -> None:
        self._exchanges = {}
        self._redactor = self.recording.redactor
        for one in self.recording.exchanges:
            if one.ended != "cancelled":
                for name in dict.fromkeys((one.model, one.asked_model)):
                    self._exchanges.setdefault(name, []).append(one)

    @classmethod
    def from_config(cls, provider_id: str, config: ScriptedConfig, sleep: Sleep) -> "RecordedModels | None":
        """None where no recording is named. Raises ProviderConfigError for one that cannot be used."""
        if config.recording is None:
            return None
        try:
            recording = Recording.load(Path(config.recording).expanduser())
        except RecordingError as error:
            raise ProviderConfigError("recording", str(error)) from None
        if config.provider is not None:
            known = sorted({one.provider for one in recording.exchanges})
            recording.exchanges = [one for one in recording.exchanges if one.provider == config.provider]
            if not recording.exchanges:
                message = f'no exchange with a provider "{config.provider}"; recorded: {", ".join(known)}.'
                raise ProviderConfigError("provider", message)
        return cls(provider_id, recording, config.recording, config.match, config.timing, sleep)

    @property
    def models(self) -> list[str]:
        return list(self._exchanges)

    @property
    def unenforced(self) -> frozenset[Constraint]:
        """What any of the recorded upstreams was not trusted with."""
        began = [one.asked for one in self.recording.exchanges if one.asked is not None]
        return frozenset[Constraint]().union(*(asked.unenforced for asked in began))

    async def stream(self, model: str, call: CallModel) -> AsyncGenerator[Sequence[ModelSignal], None]:
        """See `ports.ModelProvider.stream`."""
        exchange = self._find(model, question_of_call(call), "responses", stream=call.stream)
        batches = self._play(exchange)
        try:
            yield await anext(batches)
            whole: list[ModelSignal] = []
            async for batch in batches:
                if call.stream or not exchange.stream:
                    yield batch
                else:
                    whole += [signal for signal in batch if isinstance(signal, ItemDone | StepDone)]
            if whole:
                yield whole
        finally:
            await batches.aclose()

    async def open(
        self, path: str, body: bytes, model: str, make_shape: Callable[[], Shape]
    ) -> UpstreamReply:
        """See `ports.ModelProvider.open`. The recorded bytes where they fit, else the same said in another shape."""
        api = API_OF_PATH[path]
        asked: JsonObject = decode_json(body)
        stream = asked.get("stream") is True
        exchange = self._find(model, question_of_body(path, asked), api, stream=stream)
        answer = exchange.answer
        if exchange.api == api and exchange.stream == stream and answer is not None and answer.pieces:
            return _Bytes(self, answer.pieces, exchange.error)
        batches = self._play(exchange, deltas=True)
        await anext(batches)
        return ScriptedReply(batches, make_shape())

    async def pause(self, since_ms: int, until_ms: int) -> None:
        """Wait as long as the recorded model did, where that is wanted."""
        if self.timing == "recorded" and until_ms > since_ms:
            await self.sleep((until_ms - since_ms) / 1000)

    async def _play(
        self, exchange: Exchange, *, deltas: bool = False
    ) -> AsyncGenerator[Sequence[ModelSignal], None]:
        """An empty batch for the head, then what was heard, then the error if there was one."""
        heard: list[Heard] = signals_of(exchange, self.provider_id)
        if exchange.error is not None and not heard:
            raise exchange.error.raised_by(self.provider_id)
        last = 0
        yield ()
        for batch in with_deltas(heard) if deltas else heard:
            await self.pause(last, batch.ms)
            last = batch.ms
            yield batch.signals
        if exchange.error is not None:
            raise exchange.error.raised_by(self.provider_id)

    # --- finding --------------------------------------------------------------------------------------------
    def _find(self, model: str, question: JsonObject, api: Api, *, stream: bool) -> Exchange:
        """The recorded exchange that answers a question. Raises ProviderRejected, naming the nearest."""
        question = self._redactor.value(question)
        known = self._exchanges.get(model, [])
        key = key_of(question)
        fitting = [one for one in known if one.key == key]
        fitting = [one for one in fitting if one.api == api] or fitting
        fresh = [one for one in fitting if id(one) not in self._given]
        if not fresh and not fitting and self.match == "order":
            like = [one for one in known if (one.api in _VECTORS) == (api in _VECTORS)]
            fresh = [one for one in like if id(one) not in self._given][:1]
        if not fresh and not fitting:
            raise self._unmatched(model, question, api)
        # The last of them is given again and again: what was asked before may be asked once more.
        best = (
            min(fresh, key=lambda one: one.stream != stream)
            if fresh
            else max(reversed(fitting), key=lambda one: one.stream == stream)
        )
        self._given.add(id(best))
        return best

    def _unmatched(self, model: str, question: JsonObject, api: Api) -> ProviderRejected:
        known = self._exchanges.get(model, [])
        if not known:
            names = ", ".join(self.models)
            message = f'the recording {self.where} has no model "{model}"; it has: {names}.'
            return ProviderRejected(self.provider_id, message, param="model")
        nearest = max(known, key=lambda one: _likeness(one.question, question))
        found = first_difference(nearest.question, question)
        if found is None:
            said = "each recorded answer was given once"
        else:
            recorded, now = found.sides
            said = (
                f"the nearest, step {nearest.step} of {nearest.run}, differs at {found.path}:"
                f" recorded is {recorded}, now it is {now}"
            )
        message = (
            f'{self.where} holds no answer of "{model}" to this request; {said}. Record it again, or set'
        )
        return ProviderRejected(self.provider_id, f"{message} `match: order`.", param=_PARAMS[api])


class _Bytes:
    """An `UpstreamReply` of the recorded bytes, in the recorded pieces."""

    def __init__(self, models: RecordedModels, pieces: Sequence[Piece], error: Failure | None) -> None:
        self._models = models
        self._pieces = pieces
        self._error = error

    async def read(self) -> bytes:
        return b"".join([data async for data in self])

    async def __aiter__(self) -> AsyncIterator[bytes]:
        last = 0
        for piece in self._pieces:
            await self._models.pause(last, piece.ms)
            last = piece.ms
            yield piece.data
        if self._error is not None:
            raise self._error.raised_by(self._models.provider_id)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held open."""


def _likeness(recorded: JsonObject, asked: JsonObject) -> tuple[int, int]:
    """How many messages from the beginning are the same, then how many other parts are."""
    same = 0
    for left, right in zip(recorded.get("messages", ()), asked.get("messages", ()), strict=False):
        if left != right:
            break
        same += 1
    others = {*recorded, *asked} - {"messages"}
    return same, sum(recorded.get(name) == asked.get(name) for name in others)
