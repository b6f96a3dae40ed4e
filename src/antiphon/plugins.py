"""Which class serves which provider type. Ours are named here; others come by the entry point `antiphon.providers`.

An entry point's name is the provider type (`remote::my-server`) and its object a class with `from_config`, as
`antiphon.providers.remote.Remote` has it.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any, Protocol, cast

from antiphon.ports import Ids, ModelProvider
from antiphon.provider_advice import INSTEAD

GROUP = "antiphon.providers"
_REMOTE = "antiphon.providers.remote:Remote"
BUILT_IN: Mapping[str, str] = {
    "inline::llama-cpp": "antiphon.providers.llama_cpp.provider:LlamaCpp",
    "inline::scripted": "antiphon.providers.scripted:Scripted",
    "inline::sentence-transformers": "antiphon.providers.sentence_transformers.provider:SentenceTransformers",
    "remote::anthropic": "antiphon.providers.anthropic:Anthropic",
    "remote::azure": _REMOTE,
    "remote::llama-cpp-server": _REMOTE,
    "remote::ollama": _REMOTE,
    "remote::openai": _REMOTE,
    "remote::openai-compatible": _REMOTE,
    "remote::tgi": _REMOTE,
    "remote::lmstudio": _REMOTE,
    "remote::groq": _REMOTE,
    "remote::together": _REMOTE,
    "remote::fireworks": _REMOTE,
    "remote::mistral": _REMOTE,
    "remote::deepseek": _REMOTE,
    "remote::openrouter": _REMOTE,
    "remote::gemini": _REMOTE,
    "remote::sambanova": _REMOTE,
    "remote::cerebras": _REMOTE,
    "remote::nvidia": _REMOTE,
    "remote::vllm": _REMOTE,
}


class UnknownProviderType(Exception):
    def __init__(self, provider_type: str, known: list[str]) -> None:
        near = get_close_matches(provider_type, known, 1)
        hint = f'; did you mean "{near[0]}"?' if near else "."
        if provider_type in INSTEAD:
            hint = f"; {INSTEAD[provider_type]}."
        super().__init__(f'there is no provider type "{provider_type}"{hint} There are: {", ".join(known)}')


class ProviderClass(Protocol):
    def from_config(
        self,
        provider_id: str,
        provider_type: str,
        mapping: Mapping[str, Any],
        client: Any,
        ids: Ids,
        *,
        lenient: bool = False,
    ) -> ModelProvider:
        """The provider that a configuration describes. Raises `ProviderConfigError`, naming the key at fault."""
        ...


def known_types() -> list[str]:
    """Every provider type that can be configured, those of installed plugins included."""
    from importlib.metadata import entry_points

    return sorted({*BUILT_IN, *(entry.name for entry in entry_points(group=GROUP))})


def provider_class(provider_type: str) -> ProviderClass:
    """Raises UnknownProviderType, which lists the known ones."""
    target = BUILT_IN.get(provider_type)
    if target is not None:
        module, _, name = target.partition(":")
        return cast("ProviderClass", getattr(import_module(module), name))
    return _from_entry_points(provider_type)


def _from_entry_points(provider_type: str) -> ProviderClass:
    from importlib.metadata import entry_points

    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    if provider_type not in found:
        raise UnknownProviderType(provider_type, sorted([*BUILT_IN, *found]))
    return cast("ProviderClass", found[provider_type].load())
