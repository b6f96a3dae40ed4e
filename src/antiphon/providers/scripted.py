"""`Scripted`: models that follow a script, for demos, tests and users' own CI. No network, no randomness.

The configuration is described in `script`; a word counts as a token.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from antiphon.core.commands import CallModel
from antiphon.core.compaction import UpstreamContext, foreign_context
from antiphon.core.errors import (
    ProviderAuthFailed,
    ProviderError,
    ProviderProtocolError,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from antiphon.core.request import ResponseRequest
from antiphon.core.signals import ItemDone, ModelSignal, StepDone
from antiphon.ports import Clock, Constraint, Ids, ModelInfo, UpstreamCompaction, UpstreamReply
from antiphon.providers.embedding_wire import EMBEDDINGS, RERANK
from antiphon.providers.ready import ReadyReply
from antiphon.providers.schema_instance import NoInstance
from antiphon.providers.script import Failure, Rule, ScriptedConfig, parse_script
from antiphon.providers.scripted_chat import ChatBody, ScriptedReply, Shape
from antiphon.providers.scripted_hearing import Hearing, demo_rule
from antiphon.providers.scripted_play import Act, Play, Wait
from antiphon.providers.scripted_vectors import (
    MAX_DIMENSIONS,
    EmbeddingBody,
    RerankBody,
    embeddings,
    rerank,
)
from antiphon.providers.upstream import UpstreamClient

if TYPE_CHECKING:  # read by a provider that has a recording, and by no other
    from antiphon.providers.scripted_replay import RecordedModels

Sleep = Callable[[float], Awaitable[object]]
BodyT = TypeVar("BodyT", ChatBody, EmbeddingBody, RerankBody)


class Scripted:
    """A `ModelProvider`. With no configuration it serves the model `demo`."""

    def __init__(
        self,
        provider_id: str = "scripted",
        config: ScriptedConfig | None = None,
        *,
        sleep: Sleep = asyncio.sleep,
        clock: Clock | None = None,
    ) -> None:
        """Without a clock the completions it makes say that they are of the year 1970."""
        self.provider_id = provider_id
        self._clock = clock
        config = config or ScriptedConfig()
        self._rules = {model.name: model.rules for model in config.scripts}
        self._recorded = self._read(config, sleep)
        self._sleep = sleep

    @classmethod
    def from_config(
        cls,
        provider_id: str,
        provider_type: str,
        mapping: Mapping[str, Any],
        client: UpstreamClient,
        ids: Ids,
        *,
        lenient: bool = False,
    ) -> "Scripted":
        """The provider that a `config:` mapping describes. Raises ProviderConfigError, naming the key."""
        del provider_type, ids, lenient  # one type, no randomness, no parameter that it cannot take
        return cls(provider_id, parse_script(mapping), sleep=client.sleep, clock=client.clock)

    def unenforced(self, request: ResponseRequest) -> frozenset[Constraint]:
        """All: a script says what it says. A recorded upstream broke what it broke then."""
        if self._recorded is not None and not self._rules:
            return self._recorded.unenforced
        return frozenset[Constraint](("json_schema", "json_object", "text_grammar", "grammar"))

    def dropped(self, request: ResponseRequest) -> Sequence[str]:
        """Nothing: a script honours or ignores parameters on purpose."""
        return ()

    async def stream(self, model: str, call: CallModel) -> AsyncGenerator[Sequence[ModelSignal], None]:
        """See `ports.ModelProvider.stream`."""
        if self._recorded is not None and model not in self._rules:
            async with aclosing(self._recorded.stream(model, call)) as batches:
                async for batch in batches:
                    yield batch
            return
        begun = False
        whole: list[ModelSignal] = []
        for act in self._acts(model, call):
            if isinstance(act, Wait):
                await self._sleep(act.ms / 1000)
                continue
            if isinstance(act, Failure):
                raise self._error(act, begun=begun)
            if not begun:
                begun = True
                yield ()
            if call.stream:
                yield act
            else:
                whole += [signal for signal in act if isinstance(signal, ItemDone | StepDone)]
        if whole:
            yield whole

    async def open(self, path: str, body: bytes, *, model: str) -> UpstreamReply:
        """See `ports.ModelProvider.open`."""
        if self._recorded is not None and model not in self._rules:
            return await self._recorded.open(path, body, model, lambda: self._shape(path, body, model))
        if path in (EMBEDDINGS, RERANK):
            return self._vectors(path, body, model)
        shape = self._shape(path, body, model)
        batches = self.stream(model, shape.body.call())
        await anext(batches)
        return ScriptedReply(batches, shape)

    def _shape(self, path: str, body: bytes, model: str) -> Shape:
        asked = self._decoded(body, ChatBody)
        text = path == "/completions"
        digest = hashlib.blake2s(body, digest_size=16).hexdigest()
        created = self._clock.now() if self._clock is not None else 0
        answer_id = f"{'cmpl-' if text else 'chatcmpl-'}{digest}"
        return Shape(answer_id, created, model, asked, text)

    def _vectors(self, path: str, body: bytes, model: str) -> ReadyReply:
        if model not in self._rules:
            raise ProviderRejected(self.provider_id, f'there is no scripted model "{model}".', param="model")
        if path == RERANK:
            return ReadyReply(rerank(self._decoded(body, RerankBody), model))
        asked = self._decoded(body, EmbeddingBody)
        if asked.dimensions is not None and not 1 <= asked.dimensions <= MAX_DIMENSIONS:
            message = f"a scripted model has from 1 to {MAX_DIMENSIONS} dimensions."
            raise ProviderRejected(self.provider_id, message, param="dimensions")
        return ReadyReply(embeddings(asked, model))

    def _decoded(self, body: bytes, wanted: type[BodyT]) -> BodyT:
        try:
            return msgspec.json.decode(body, type=wanted)
        except msgspec.ValidationError as error:
            place = str(error).partition(" - at `$")[2].strip("`.")
            raise ProviderRejected(self.provider_id, f"{error}.", param=place or None) from None

    async def count_tokens(self, model: str, call: CallModel) -> int | None:
        """What the usage of this call will say. A recorded model says nothing of calls that it was not asked."""
        if self._recorded is not None and model not in self._rules:
            return None
        heard, rule = self._rule_for(model, call)
        return heard.input_tokens if rule.usage is None else rule.usage.input_tokens

    async def compact(self, model: str, call: CallModel) -> UpstreamCompaction | None:
        """See `ports.ModelProvider.compact`. A script has no blobs of its own."""
        del model, call
        return None

    async def list_models(self) -> Sequence[ModelInfo]:
        recorded = self._recorded.models if self._recorded is not None else ()
        names = [*self._rules, *(name for name in recorded if name not in self._rules)]
        return [ModelInfo(name, owned_by="antiphon") for name in names]

    async def aclose(self) -> None:
        """Nothing is held open."""

    def _read(self, config: ScriptedConfig, sleep: Sleep) -> "RecordedModels | None":
        if config.recording is None:
            return None
        from antiphon.providers.scripted_replay import RecordedModels

        return RecordedModels.from_config(self.provider_id, config, sleep)

    def _rule_for(self, model: str, call: CallModel) -> tuple[Hearing, Rule]:
        rules = self._rules.get(model)
        if rules is None:
            raise ProviderRejected(self.provider_id, f'there is no scripted model "{model}".', param="model")
        heard = Hearing(call)
        if any(isinstance(item, UpstreamContext) for item in heard.items):
            raise foreign_context()
        return heard, next((rule for rule in rules if heard.matches(rule.when)), None) or demo_rule(heard)

    def _acts(self, model: str, call: CallModel) -> Iterator[Act]:
        heard, rule = self._rule_for(model, call)
        try:
            yield from Play(heard, rule).acts()
        except NoInstance as error:
            message = f"the scripted model finds no value that fits the JSON schema: {error}."
            raise ProviderRejected(self.provider_id, message) from None

    def _error(self, failure: Failure, *, begun: bool) -> ProviderError:
        provider, message = self.provider_id, failure.message
        match failure.status:
            case None if failure.kind == "timeout":
                return ProviderTimeout(provider, message)
            case None if failure.kind == "drop" and not begun:
                return ProviderUnavailable(provider, message)
            case None:
                return ProviderProtocolError(provider, message)
            case 401 | 403:
                return ProviderAuthFailed(provider, message)
            case 429:
                return ProviderRateLimited(provider, message, retry_after=failure.retry_after)
            case status if status < 500:
                return ProviderRejected(provider, message, param=failure.param)
            case _:
                return ProviderUnavailable(provider, message, retry_after=failure.retry_after)
