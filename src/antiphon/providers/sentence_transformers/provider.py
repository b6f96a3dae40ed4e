"""`SentenceTransformers`: a `ModelProvider` of embeddings, by the library of that name in a child process."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncGenerator, Mapping, Sequence
from importlib.util import find_spec
from typing import Annotated, Any, NoReturn

import msgspec
from msgspec import Meta

from antiphon.core.commands import CallModel
from antiphon.core.errors import (
    ProviderContextLength,
    ProviderModelUnknown,
    ProviderTimeout,
    ProviderUnavailable,
    UnsupportedParameter,
)
from antiphon.core.json_values import is_array
from antiphon.core.request import ResponseRequest
from antiphon.core.signals import ModelSignal
from antiphon.core.vectors import from_base64
from antiphon.core.wire import encode
from antiphon.ports import Constraint, Ids, ModelInfo, UpstreamCompaction
from antiphon.providers.capabilities import Capabilities
from antiphon.providers.embedding_wire import EMBEDDINGS, embedding_call
from antiphon.providers.presets import ProviderConfigError
from antiphon.providers.ready import ReadyReply
from antiphon.providers.sentence_transformers.child import Child, ChildDied
from antiphon.providers.sentence_transformers.jobs import Done, Failed, Load
from antiphon.providers.upstream import UpstreamClient

PACKAGE = "sentence_transformers"
_CAN = Capabilities(embedding_dimensions="refuse", user=False)
_TAKEN = frozenset({"model", "input", "encoding_format"})


class ModelConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model: a `path` to its folder, or its name on the hub (`hf`; left out, the name that it is served by)."""

    path: str | None = None
    hf: str | None = None
    revision: str | None = None
    trust_remote_code: bool = False
    batch: Annotated[int, Meta(ge=1, le=4096)] = 32


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`offline`: nothing is downloaded, models have to be there. `device`: `cpu`, `cuda` …; left out, the library's
    choice. `timeout_s` is for one request, the loading of its model included.
    """

    models: dict[str, ModelConfig | None]
    device: str | None = None
    cache_dir: str | None = None
    offline: bool = False
    timeout_s: Annotated[float, Meta(gt=0, le=86_400)] = 600.0


class _Body(msgspec.Struct, frozen=True):
    input: str | list[str]
    encoding_format: str | None = None


class SentenceTransformers:
    """Models are loaded when they are first asked for, and stay."""

    def __init__(self, provider_id: str, config: Config, child: Child | None = None) -> None:
        self.provider_id = provider_id
        self._timeout_s = config.timeout_s
        self._loads = {name: _load(name, model, config) for name, model in config.models.items()}
        self._child = child or Child()

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
    ) -> "SentenceTransformers":
        """The provider that a configuration describes. Starts nothing. Raises ProviderConfigError."""
        del client, ids, lenient
        config = parse_config(mapping)
        if find_spec(PACKAGE) is None:
            raise ProviderConfigError(
                "", f"{provider_type} needs a package: pip install 'antiphon[sentence-transformers]'"
            )
        return cls(provider_id, config)

    async def open(self, path: str, body: bytes, *, model: str) -> ReadyReply:
        """See `ports.ModelProvider.open`; `/embeddings` alone."""
        if path != EMBEDDINGS:
            self._refuse(model)
        load = self._loads.get(model)
        if load is None:
            raise ProviderModelUnknown(
                self.provider_id,
                f'provider "{self.provider_id}" has no model "{model[:100]}"; it has: {", ".join(self._loads)}.',
                param="model",
            )
        asked = self._read(body)
        texts = [asked.input] if isinstance(asked.input, str) else asked.input
        done = await self._embedded(load, texts)
        return ReadyReply(_answer(done, model, as_base64=asked.encoding_format == "base64"))

    def _read(self, body: bytes) -> _Body:
        """Raises UnsupportedParameter for what this library cannot do."""
        call = embedding_call(self.provider_id, _CAN, body)
        fields = msgspec.json.decode(call.body, type=dict[str, msgspec.Raw])
        for name in fields.keys() - _TAKEN:
            raise UnsupportedParameter(
                f'provider "{self.provider_id}" does not take `{name}`; leave it out.', param=name
            )
        return msgspec.json.decode(call.body, type=_Body)

    async def _embedded(self, load: Load, texts: Sequence[str]) -> Done:
        name = f'provider "{self.provider_id}": model "{load.name}"'
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await self._child.ask(load, texts)
        except TimeoutError:
            await self._child.end()  # or those behind would wait for it too
            raise ProviderTimeout(
                self.provider_id, f"{name} took longer than {self._timeout_s:g} s."
            ) from None
        except ChildDied as error:
            raise ProviderUnavailable(self.provider_id, f"{name}: {error}.") from None
        if isinstance(answer, Done):
            return answer
        raise self._failure(answer, name)

    def _failure(self, answer: Failed, name: str) -> ProviderContextLength | ProviderUnavailable:
        kind = ProviderContextLength if answer.kind == "too_long" else ProviderUnavailable
        param = "input" if answer.kind == "too_long" else None
        return kind(self.provider_id, f"{name} {answer.message}.", param=param)

    # --- what it does not do --------------------------------------------------------------------------------
    def _refuse(self, model: str) -> NoReturn:
        raise UnsupportedParameter(
            f'model "{model[:100]}" of provider "{self.provider_id}" makes embeddings and nothing else; name another'
            " model. GET /v1/models lists them.",
            param="model",
        )

    async def stream(self, model: str, call: CallModel) -> AsyncGenerator[Sequence[ModelSignal], None]:
        """Refused."""
        self._refuse(model)
        yield ()  # makes it a generator, which `stream` is

    def unenforced(self, request: ResponseRequest) -> frozenset[Constraint]:
        return frozenset()

    def dropped(self, request: ResponseRequest) -> Sequence[str]:
        return ()

    async def count_tokens(self, model: str, call: CallModel) -> int | None:
        return None

    async def compact(self, model: str, call: CallModel) -> UpstreamCompaction | None:
        return None

    async def list_models(self) -> Sequence[ModelInfo]:
        """All configured models, loaded or not."""
        return [ModelInfo(name, 0, self.provider_id) for name in self._loads]

    async def aclose(self) -> None:
        """When this returns, no child is left."""
        await self._child.aclose()


def parse_config(mapping: Mapping[str, Any]) -> Config:
    """Raises ProviderConfigError, naming the key."""
    given = dict(mapping)
    listed: object = given.get("models")
    try:
        if is_array(listed):
            given["models"] = dict.fromkeys(msgspec.convert(listed, list[str]))
        config = msgspec.convert(given, Config)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at ")
        key = path.strip("`").removeprefix("$").removeprefix(".").removesuffix("[...]")
        raise ProviderConfigError(key, f"{text}{f' (at {key})' if key else ''}") from None
    if not config.models:
        raise ProviderConfigError("models", "`models` is empty; name at least one: models: {NAME: {path: …}}")
    for name, model in config.models.items():
        if model is not None and model.path is not None and model.hf is not None:
            raise ProviderConfigError(f"models.{name}", f"models.{name}: `path` or `hf`, not both")
    return config


def _load(name: str, model: ModelConfig | None, config: Config) -> Load:
    model = model or ModelConfig()
    return Load(
        name=name,
        source=model.path or model.hf or name,
        revision=model.revision,
        trust_remote_code=model.trust_remote_code,
        device=config.device,
        cache_dir=config.cache_dir,
        offline=config.offline or model.path is not None,
        batch=model.batch,
    )


def _answer(done: Done, model: str, *, as_base64: bool) -> bytes:
    """In the shape of `CreateEmbeddingResponse` of the official OpenAPI."""
    width = 4 * done.size
    packed = [done.vectors[start : start + width] for start in range(0, len(done.vectors), width)]
    data = [
        {"object": "embedding", "index": index, "embedding": _shown(one, as_base64=as_base64)}
        for index, one in enumerate(packed)
    ]
    usage = {"prompt_tokens": done.tokens, "total_tokens": done.tokens}
    return encode({"object": "list", "data": data, "model": model, "usage": usage})


def _shown(packed: bytes, *, as_base64: bool) -> str | list[float]:
    text = b64encode(packed).decode("ascii")
    return text if as_base64 else from_base64(text)
