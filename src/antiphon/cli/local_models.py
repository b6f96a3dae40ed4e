"""`antiphon serve --model`: models of this machine as a provider beside the configured ones."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from antiphon.config.settings import ConfigError, ProviderSections, ProviderSettings, Settings
from antiphon.providers.llama_cpp.gguf import base_name
from antiphon.providers.llama_cpp.hub_files import BadReference, HubReference
from antiphon.providers.llama_cpp.provider import fetch_model, require_engine
from antiphon.providers.llama_cpp.settings import PROVIDER_TYPE
from antiphon.providers.presets import ProviderConfigError
from antiphon.providers.upstream import UpstreamClient
from antiphon.system import SystemClock

PROVIDER_ID = "local"


def with_models(settings: Settings, models: Sequence[str]) -> Settings:
    """The settings and one more provider, which serves `models` under their files' base names.

    A model is the path of a GGUF file, or `hf:OWNER/REPO[:QUANT or file]`, which is downloaded first.
    Raises ConfigError, or the ProviderError that a download ended with.
    """
    try:
        require_engine()
    except ProviderConfigError as error:
        raise ConfigError(None, None, f"--model: {error}") from None
    provider = ProviderSettings(provider_id=_free_id(settings), provider_type=PROVIDER_TYPE)
    mapping = settings.config_of(provider)
    paths = [_downloaded(model, mapping) if model.startswith("hf:") else _file(model) for model in models]
    named = {str(path): base_name(path) for path in paths}
    listed = [{"name": name, "path": path} for path, name in named.items()]
    provider = msgspec.structs.replace(provider, config={"models": listed})
    return msgspec.structs.replace(
        settings,
        providers=ProviderSections(inference=(*settings.providers.inference, provider)),
        notes=(
            *settings.notes,
            *(f"{name} runs here, loaded by its first request: {path}" for path, name in named.items()),
        ),
    )


def _free_id(settings: Settings) -> str:
    taken = {one.provider_id for one in settings.providers.inference}
    names = (PROVIDER_ID, *(f"{PROVIDER_ID}-{number}" for number in range(2, len(taken) + 3)))
    return next(name for name in names if name not in taken)


def _file(model: str) -> Path:
    path = Path(model).expanduser().absolute()
    if not path.is_file():
        raise ConfigError(
            None, None, f"--model: no file {model}; a model of the hub is written hf:OWNER/REPO[:QUANT]"
        )
    return path


def _downloaded(model: str, mapping: Mapping[str, Any]) -> Path:
    try:
        reference = HubReference.parse(model)
    except BadReference as error:
        raise ConfigError(None, None, f"--model: {error}") from None
    try:
        return asyncio.run(_fetch(reference, mapping))
    except KeyboardInterrupt:
        raise ConfigError(
            None, None, f"--model {model}: stopped; the same command goes on where it was"
        ) from None


async def _fetch(reference: HubReference, mapping: Mapping[str, Any]) -> Path:
    client = UpstreamClient(SystemClock())
    try:
        return await fetch_model(reference, mapping, client, PROVIDER_ID)
    finally:
        await client.aclose()
