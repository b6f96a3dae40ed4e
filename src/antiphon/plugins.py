"""Which class serves which provider type. Ours are named here; others come by the entry point `antiphon.providers`.

An entry point's name is the provider type (`remote::my-server`) and its object a class with `from_config`, as
`antiphon.providers.remote.Remote` has it.
"""

from collections.abc import Mapping
from typing import Any, Protocol, cast

from antiphon.plugin_types import PluginTypes, UnknownType
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


class UnknownProviderType(UnknownType):
    pass


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


_TYPES = PluginTypes("provider type", GROUP, BUILT_IN, UnknownProviderType, INSTEAD)


def known_types() -> list[str]:
    """Every provider type that can be configured, those of installed plugins included."""
    return _TYPES.known()


def provider_class(provider_type: str) -> ProviderClass:
    """Raises UnknownProviderType, which lists the known ones."""
    return cast("ProviderClass", _TYPES.find(provider_type))
