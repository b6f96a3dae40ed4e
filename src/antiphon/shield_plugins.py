"""Which class serves which provider type of `providers.safety`. Ours are named here; others come by the entry point
`antiphon.safety`.

An entry point's name is the provider type (`remote::my-guard`) and its object a class with `from_config`, as
`antiphon.shields.rules.Rules` has it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol, cast

from antiphon.plugin_types import PluginTypes, UnknownType
from antiphon.ports.safety import GuardModels, SafetyProvider

GROUP = "antiphon.safety"
DEFAULT_TYPE = "inline::rules"
DEFAULT_ID = "rules"
LLAMA_GUARD = "remote::llama-guard"
BUILT_IN: Mapping[str, str] = {
    DEFAULT_TYPE: "antiphon.shields.rules:Rules",
    LLAMA_GUARD: "antiphon.shields.llama_guard:LlamaGuard",
}
_MODEL: Final = "serve a Llama Guard model by any inference provider and use remote::llama-guard"
INSTEAD: Final[Mapping[str, str]] = {
    "inline::llama-guard": f"it is written {LLAMA_GUARD}; the model is served by any inference provider",
    "inline::prompt-guard": "its classifier is not run here; use inline::rules with the rule set prompt-injection",
    "inline::code-scanner": "code is not analysed here; use remote::llama-guard, whose category S14 is code interpreter"
    " abuse, and scan what is executed where it is",
    "inline::meta-reference": f"it is Llama Stack's old name of its guards; {_MODEL}",
    "remote::bedrock": f"guardrails of Amazon Bedrock are not asked; {_MODEL}, or use inline::rules",
    "remote::nvidia": f"NeMo Guardrails are not asked; {_MODEL}, or use inline::rules",
    "remote::sambanova": f"serve the guard by an inference provider of type remote::sambanova; {_MODEL}",
    "remote::passthrough": f"guards of another server are not asked; {_MODEL}, or use inline::rules",
    "remote::together": f"serve the guard by an inference provider of type remote::together; {_MODEL}",
    "remote::moderation": f"moderation routes are not asked yet; {_MODEL}, or use inline::rules",
}
"""Provider types that other servers have and this one has not, and what to use instead."""


class UnknownShieldType(UnknownType):
    pass


class ShieldProviderClass(Protocol):
    def from_config(
        self, provider_id: str, config: Mapping[str, Any], models: GuardModels, folder: Path
    ) -> SafetyProvider:
        """The provider that a configuration describes; nobody is asked yet. Relative paths begin at `folder`.

        Raises AdapterConfigError, naming the key at fault; for "" the provider itself.
        """
        ...


_TYPES = PluginTypes("safety provider type", GROUP, BUILT_IN, UnknownShieldType, INSTEAD)


def known_types() -> list[str]:
    """Every provider type that can be configured, those of installed plugins included."""
    return _TYPES.known()


def provider_class(provider_type: str) -> ShieldProviderClass:
    """Raises UnknownShieldType, which lists the known ones."""
    return cast("ShieldProviderClass", _TYPES.find(provider_type))
