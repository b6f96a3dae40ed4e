"""`inline::llama-cpp`: a ModelProvider over engines in child processes, spoken to by the chat wire."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from antiphon.core.commands import CallModel
from antiphon.core.errors import UnsupportedParameter
from antiphon.core.request import ResponseRequest
from antiphon.core.signals import ModelSignal
from antiphon.ports import Constraint, Ids, Intake, ModelInfo, UpstreamCompaction
from antiphon.ports import UpstreamReply as Reply
from antiphon.providers.llama_cpp import gguf
from antiphon.providers.llama_cpp.download import Downloader
from antiphon.providers.llama_cpp.engine import EngineSpec
from antiphon.providers.llama_cpp.hub import Hub
from antiphon.providers.llama_cpp.hub_files import HubReference
from antiphon.providers.llama_cpp.images import refuse_remote, refuse_remote_in
from antiphon.providers.llama_cpp.memory import default_limit
from antiphon.providers.llama_cpp.pool import EnginePool, Plan
from antiphon.providers.llama_cpp.process import Engine, EngineFailed, new_api_key
from antiphon.providers.llama_cpp.progress import ProgressPrinter
from antiphon.providers.llama_cpp.settings import (
    DEFAULT_CONTEXT,
    PRESET,
    PROVIDER_TYPE,
    LlamaCppConfig,
    ModelConfig,
    parse_config,
    shown_bytes,
    size_bytes,
)
from antiphon.providers.llama_cpp.slots import SlotMap
from antiphon.providers.openai_chat import OpenAIChat
from antiphon.providers.presets import ProviderConfigError, UpstreamConfig
from antiphon.providers.upstream import UpstreamClient

_NOWHERE = "http://127.0.0.1:9"  # the address of a wire that is only asked what it can do


class _Steering(msgspec.Struct):
    """The members of a passed-on body that say where it is to run."""

    prompt_cache_key: str | None = None
    id_slot: int | None = None


_STEERING = msgspec.json.Decoder(_Steering)


@dataclass(frozen=True, slots=True)
class _Wire:
    """How one engine process is spoken to."""

    engine: Engine
    chat: OpenAIChat
    slots: SlotMap


class LlamaCpp:
    """One configured provider: its models, and the engines of those that are loaded."""

    def __init__(
        self,
        provider_id: str,
        config: LlamaCppConfig,
        client: UpstreamClient,
        ids: Ids,
        *,
        lenient: bool = False,
    ) -> None:
        self.provider_id = provider_id
        self._config = config
        self._client = client
        self._ids = ids
        self._lenient = lenient
        self._models = {model.name: model for model in config.models}
        self._wires: dict[str, _Wire] = {}
        self._shape = self._chat(_NOWHERE, "")
        self.capabilities = self._shape.capabilities
        limit = config.memory_limit_bytes
        self.pool = EnginePool(
            provider_id,
            [(model.name, self._preparation(model)) for model in config.models],
            memory_limit=default_limit() if limit is None else limit,
            strict=limit is not None,
            wait_s=config.wait_s,
            idle_unload_s=config.idle_unload_s,
        )

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
    ) -> "LlamaCpp":
        """The provider that a configuration describes. Starts nothing. Raises ProviderConfigError."""
        config = parse_config(mapping)
        require_engine(provider_type)
        _refuse_too_large(config)
        return cls(provider_id, config, client, ids, lenient=lenient)

    @property
    def calls_in_words(self) -> bool:
        """See `ports.CallsInWords`."""
        return self._shape.calls_in_words

    def intake(self) -> Intake:
        """See `ports.TakesFiles`. The engine would fetch images from wherever this machine can reach."""
        return Intake(image_urls=False)

    def unenforced(self, request: ResponseRequest) -> frozenset[Constraint]:
        """See `ports.ModelProvider.unenforced`."""
        return self._shape.unenforced(request)

    def dropped(self, request: ResponseRequest) -> Sequence[str]:
        """See `ports.ModelProvider.dropped`."""
        return self._shape.dropped(request)

    async def stream(self, model: str, call: CallModel) -> AsyncGenerator[Sequence[ModelSignal], None]:
        """See `ports.ModelProvider.stream`. Loads the model first where it is not loaded."""
        self._check_chat(model)
        if not self._lenient:  # refused now, not after a model was loaded for it
            for found in self._shape.unsupported(call.request):
                raise found.error(self.provider_id)
        if self._sees_images(model):
            refuse_remote(call.transcript.all_items())
        async with self.pool.lease(model) as engine:
            wire = self._wire(model, engine)
            with wire.slots.use(call.request.prompt_cache_key) as slot:
                batches = wire.chat.stream(model, call, more=_slot_members(slot))
                async with aclosing(batches):
                    async for batch in batches:
                        yield batch

    async def open(self, path: str, body: bytes, *, model: str) -> Reply:
        """See `ports.ModelProvider.open`; besides the completions, `/embeddings` and `/rerank` of models that were
        loaded for those. The engine is held until the reply is left.
        """
        self._check_path(path, model)
        if self._sees_images(model):
            refuse_remote_in(body)
        stack = AsyncExitStack()
        try:
            engine = await stack.enter_async_context(self.pool.lease(model))
            wire = self._wire(model, engine)
            slot = stack.enter_context(wire.slots.use(_cache_key(body)))
            reply = await wire.chat.open(path, _with_members(body, _slot_members(slot)), model=model)
            await stack.enter_async_context(reply)
        except BaseException as error:
            await stack.__aexit__(type(error), error, error.__traceback__)
            raise
        return _HeldReply(reply, stack)

    async def count_tokens(self, model: str, call: CallModel) -> int | None:
        """See `ports.ModelProvider.count_tokens`. Loads the model first where it is not loaded."""
        self._check_chat(model)
        async with self.pool.lease(model) as engine:
            return await self._wire(model, engine).chat.count_tokens(model, call)

    async def compact(self, model: str, call: CallModel) -> UpstreamCompaction | None:
        """See `ports.ModelProvider.compact`. The engine has nothing like it."""
        del model, call
        return None

    async def list_models(self) -> Sequence[ModelInfo]:
        """All configured models, loaded or not."""
        return [ModelInfo(name, 0, self.provider_id) for name in self._models]

    async def aclose(self) -> None:
        """Stop all engines; when this returns, no child is left."""
        await self.pool.aclose()

    # --- what a model can do --------------------------------------------------------------------------------
    def _check_path(self, path: str, name: str) -> None:
        model = self._models.get(name)
        if path == "/embeddings":
            if model is not None and not model.embeddings:
                raise self._not_for(name, "embeddings")
        elif path == "/rerank":
            if model is not None and not model.reranking:
                raise self._not_for(name, "reranking")
        else:
            self._check_chat(name)

    def _check_chat(self, name: str) -> None:
        model = self._models.get(name)
        if model is not None and model.reranking:
            raise UnsupportedParameter(
                f'model "{name}" only ranks documents (`reranking: true`); choose another model.',
                param="model",
            )

    def _sees_images(self, name: str) -> bool:
        model = self._models.get(name)
        return model is not None and model.mmproj is not None

    def _not_for(self, name: str, key: str) -> UnsupportedParameter:
        return UnsupportedParameter(
            f'model "{name}" was not configured for {key}; set `{key}: true` on it, or choose another model.',
            param="model",
        )

    # --- engines --------------------------------------------------------------------------------------------
    def _wire(self, name: str, engine: Engine) -> _Wire:
        wire = self._wires.get(name)
        if wire is None or wire.engine is not engine:
            chat = self._chat(f"{engine.address}/v1", engine.api_key)
            wire = self._wires[name] = _Wire(engine, chat, SlotMap(self._models[name].slots))
        return wire

    def _chat(self, base_url: str, api_key: str) -> OpenAIChat:
        """A failed connection is not tried again: the engine is gone then, and the pool starts another."""
        config = UpstreamConfig(
            base_url=base_url,
            api_key=api_key or None,
            timeouts=self._config.timeouts,
            max_retries=0,
            capabilities=self._config.capabilities,
        )
        return OpenAIChat(self.provider_id, PRESET, config, self._client, self._ids, lenient=self._lenient)

    def _preparation(self, model: ModelConfig) -> "_Preparation":
        return _Preparation(self.provider_id, model, self._config, self._client)


@dataclass(frozen=True, slots=True)
class _Preparation:
    """From a model's configuration to a plan: fetch its file if need be, read its head."""

    provider_id: str
    model: ModelConfig
    config: LlamaCppConfig
    client: UpstreamClient

    async def __call__(self, say: Callable[[str], None]) -> Plan:
        model = self.model
        path = await self._file(model.path or f"hf:{model.hf}", say)
        if model.mmproj is not None:
            model = msgspec.structs.replace(model, mmproj=str(await self._file(model.mmproj, say)))
        try:
            info = await asyncio.to_thread(gguf.read_info, path)
        except gguf.NotGguf as error:
            raise EngineFailed(f"{error}") from None
        spec = engine_spec(model, path, info)

        async def start() -> Engine:
            return await Engine.start(spec, self.client, timeout_s=self.config.load_timeout_s)

        return Plan(memory_bytes(model, info), start)

    async def _file(self, given: str, say: Callable[[str], None]) -> Path:
        """A path as it is; what an `hf:` reference means, downloaded if need be."""
        if not given.startswith("hf:"):
            return Path(given)
        printer = ProgressPrinter()

        def meter(name: str, done: int, total: int | None) -> None:
            percent = f", {100 * done // total} % of {shown_bytes(total)}" if total else ""
            say(f"its file is being downloaded{percent}")
            printer(name, done, total)

        say("its file is being looked up")
        fetcher = downloader(self.config, self.client, self.provider_id)
        return await fetcher.fetch(HubReference.parse(given), meter)


def engine_spec(model: ModelConfig, path: Path, info: gguf.GgufInfo) -> EngineSpec:
    """How to start a model; what its configuration leaves open is decided by its file."""
    pooling = model.pooling
    if pooling is None and model.embeddings and not info.has_pooling:
        pooling = "mean"  # a chat model's file names none, and without one there is no single vector
    return EngineSpec(
        name=model.name,
        path=str(path),
        api_key=new_api_key(),
        context=context_of(model, info),
        slots=model.slots,
        gpu_layers=model.gpu_layers,
        threads=model.threads,
        embeddings=model.embeddings,
        reranking=model.reranking,
        pooling=pooling,
        chat_template=model.chat_template,
        mmproj=model.mmproj,
        cache_type=model.cache_type,
        prompt_cache_mib=-(-model.prompt_cache_bytes // gguf.MIB),
    )


def context_of(model: ModelConfig, info: gguf.GgufInfo) -> int:
    """Tokens of one slot: what is configured, else what the model was trained for, but not more than 8192."""
    return model.context or min(info.trained_context or DEFAULT_CONTEXT, DEFAULT_CONTEXT)


def memory_bytes(model: ModelConfig, info: gguf.GgufInfo) -> int:
    """What the model's engine counts for against `memory_limit`."""
    if model.memory is not None:
        return size_bytes(model.memory)
    projector = Path(model.mmproj) if model.mmproj is not None else None
    beside = projector.stat().st_size if projector is not None and projector.is_file() else 0
    return beside + info.memory_bytes(
        context=context_of(model, info),
        slots=model.slots,
        cache_type=model.cache_type,
        prompt_cache_bytes=model.prompt_cache_bytes,
    )


def require_engine(provider_type: str = PROVIDER_TYPE) -> None:
    """Raises ProviderConfigError where the wheel is not installed. It is looked for, not imported."""
    if find_spec("xllamacpp") is None:
        raise ProviderConfigError(
            "", f"{provider_type} needs llama.cpp's engine: pip install 'antiphon[local]'"
        )


def downloader(config: LlamaCppConfig, client: UpstreamClient, provider_id: str) -> Downloader:
    folder = Path(config.cache_dir).expanduser()
    return Downloader(Hub(client, config.hf_endpoint, config.hf_token, provider_id), folder)


async def fetch_model(
    reference: HubReference, mapping: Mapping[str, Any], client: UpstreamClient, provider_id: str
) -> Path:
    """Download a model with progress on stderr, for a command line. `mapping` is a provider's `config:`."""
    config = msgspec.convert(dict(mapping), LlamaCppConfig)
    return await downloader(config, client, provider_id).fetch(reference, ProgressPrinter())


def _refuse_too_large(config: LlamaCppConfig) -> None:
    """A model that can never be loaded is found out before the server starts."""
    limit = config.memory_limit_bytes
    for model in config.models if limit is not None else ():
        if model.path is None:
            continue
        try:
            needed = memory_bytes(model, gguf.read_info(Path(model.path)))
        except gguf.NotGguf as error:
            raise ProviderConfigError("models", f"`{model.name}`: {error}.") from None
        if needed > (limit or 0):
            raise ProviderConfigError(
                "memory_limit",
                f'model "{model.name}" needs about {shown_bytes(needed)} and `memory_limit` is'
                f" {shown_bytes(limit or 0)}; raise the limit, or lower the model's context, slots or quantisation.",
            )


class _HeldReply:
    """A reply with what is held for it: the lease of the engine, and the slot."""

    def __init__(self, reply: Reply, held: AsyncExitStack) -> None:
        self._reply = reply
        self._held = held

    async def read(self) -> bytes:
        return await self._reply.read()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._reply.__aiter__()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._held.__aexit__(kind, error, trace)


def _cache_key(body: bytes) -> str | None:
    """The key to pick a slot by; None where the caller picks one itself."""
    try:
        found = _STEERING.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found.prompt_cache_key if found.id_slot is None else None


def _slot_members(slot: int | None) -> bytes:
    """llama.cpp's own members of a body: which slot, and that its prefix is to be used again."""
    return b"" if slot is None else b'"id_slot":%d,"cache_prompt":true' % slot


def _with_members(body: bytes, members: bytes) -> bytes:
    """`body`, a JSON object that is not empty, with more members at its end."""
    return b"%b,%b}" % (body.rstrip()[:-1], members) if members else body
