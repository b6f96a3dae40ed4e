"""Presets: what is known about each kind of upstream, as data, and the `config:` mapping of a provider.

A preset says where the server usually is, how it wants its key, and what its routes can do. An operator whose server
does better or worse says so under `capabilities`; what is said there holds on each wire that knows the name.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Literal

import msgspec

from antiphon.providers.capabilities import Capabilities, Preset, ResponsesCapabilities
from antiphon.providers.hosted import HOSTED
from antiphon.providers.upstream import Timeouts

__all__ = [
    "ALIASES",
    "INERT",
    "PRESETS",
    "Capabilities",
    "Preset",
    "ProviderConfigError",
    "ResponsesCapabilities",
    "TimeoutConfig",
    "UpstreamConfig",
    "capabilities_of",
    "parse_config",
    "responses_of",
    "timeouts_of",
]


PRESETS: Mapping[str, Preset] = {
    preset.provider_type: preset
    for preset in (
        Preset(
            "remote::openai",
            "https://api.openai.com/v1",
            Capabilities(
                max_tokens_field="max_completion_tokens",
                developer_role=True,
                allowed_tools=True,
                verbosity=True,
                service_tier=True,
                prompt_cache_key=True,
                prompt_cache_options=True,
                custom_tools=True,
                safety_identifier=True,
                file_parts=True,
                embedding_tokens=True,
            ),
            key_required=True,
            wire="auto",
            responses=ResponsesCapabilities(
                allowed_tools=True,
                custom_tools=True,
                reasoning_summary=True,
                reasoning_mode=True,
                reasoning_context=True,
                verbosity=True,
                service_tier=True,
                prompt_cache_key=True,
                prompt_cache_options=True,
                safety_identifier=True,
                file_parts=True,
                stream_options=True,
                counts_tokens=True,
                compacts=True,
            ),
        ),
        Preset(
            "remote::azure",
            None,
            Capabilities(
                max_tokens_field="max_completion_tokens",
                service_tier=True,
                prompt_cache_key=True,
                models_listed=False,
                embedding_tokens=True,
            ),
            auth_header="api-key",
            key_required=True,
            azure=True,
            wire="auto",
            # learn.microsoft.com, "Azure OpenAI Responses API": the parameters of its v1 reference.
            responses=ResponsesCapabilities(
                custom_tools=True,
                reasoning_summary=True,
                verbosity=True,
                service_tier=True,
                prompt_cache_key=True,
                file_parts=True,
                stream_options=True,
                compacts=True,
                models_listed=False,
            ),
        ),
        Preset(
            "remote::vllm",
            "http://localhost:8000/v1",
            Capabilities(
                image_urls=False,
                reasoning_field="reasoning_content",
                top_k=True,
                min_p=True,
                repetition_penalty="repetition_penalty",
                tokenize_path="/tokenize",
                schema_patterns=True,
                grammars="structured_outputs",
                chat_template_kwargs=True,
                embedding_tokens=True,
                rerank_path="/rerank",
            ),
            # vllm/entrypoints/openai/responses/protocol.py, `ResponsesRequest`: what it skips is not passed here.
            responses=ResponsesCapabilities(
                image_urls=False,
                json_object=False,
                seed_field="seed",
                stop=True,
                reasoning_items="text",
                output_parts=False,
                top_k=True,
                repetition_penalty="repetition_penalty",
                schema_patterns=True,
            ),
        ),
        Preset(
            "remote::ollama",
            "http://localhost:11434/v1",
            Capabilities(
                image_urls=False,
                reasoning_field="reasoning",
                parallel_tool_calls=False,
                tool_choice=False,
            ),
            # openai/responses.go, `ResponsesRequest`. Its reasoning items hold their text as `encrypted_content`.
            responses=ResponsesCapabilities(
                image_urls=False,
                parallel_tool_calls=False,
                tool_choice=False,
                json_object=False,
                logprobs=False,
                user=False,
            ),
        ),
        Preset(
            "remote::llama-cpp-server",
            "http://localhost:8080/v1",
            Capabilities(
                image_urls=False,
                reasoning_field="reasoning_content",
                reasoning_effort="template",
                top_k=True,
                min_p=True,
                repetition_penalty="repeat_penalty",
                tokenize_path="/tokenize",
                template_path="/apply-template",
                schema_patterns=True,
                chat_template_kwargs=True,
                embedding_tokens=True,
                embedding_dimensions="refuse",
                rerank_path="/rerank",
            ),
            # tools/server/server-chat.cpp: the body is translated to chat, and what it does not know goes along.
            responses=ResponsesCapabilities(
                image_urls=False,
                format_field="response_format",
                logprobs=False,
                penalties=True,
                seed_field="seed",
                stop=True,
                reasoning_items="text",
                reasoning_effort="template",
                chat_template_kwargs=True,
                output_parts=False,
                top_k=True,
                min_p=True,
                repetition_penalty="repeat_penalty",
                schema_patterns=True,
                says_cut=False,
            ),
        ),
        *HOSTED,
        Preset(
            "remote::openai-compatible",
            None,
            Capabilities(keeps_formats=False, image_urls=False),
            wire="auto",
            responses=ResponsesCapabilities(keeps_formats=False, image_urls=False, says_cut=False),
        ),
    )
}


class ProviderConfigError(ValueError):
    """A provider's `config:` is wrong at `key` ("" for the mapping itself). The message says what was
    expected.
    """

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key
        self.message = message


class TimeoutConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    connect_s: float = 10.0
    first_byte_s: float = 600.0
    idle_s: float = 300.0


class UpstreamConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `config:` mapping of a remote provider. Every key is optional; `url` means `base_url`."""

    base_url: str | None = None
    api_key: str | None = None
    api_version: str | None = None
    headers: dict[str, str] = {}
    organization: str | None = None
    project: str | None = None
    allowed_models: list[str] | None = None
    timeouts: TimeoutConfig = TimeoutConfig()
    max_retries: int = 2
    max_retry_wait_s: float = 30.0
    tls_verify: bool | str = True
    wire: Literal["auto", "chat", "responses"] | None = None
    """None: as the preset has it. `auto` asks the server once whether it has `/responses`."""
    capabilities: dict[str, Any] = {}


ALIASES: Mapping[str, str] = {
    "url": "base_url",
    "api_base": "base_url",
    "api_token": "api_key",
}
"""Names that Llama Stack configurations use, and ours."""

INERT = frozenset({"refresh_models", "api_type", "max_tokens"})
"""Keys of Llama Stack configurations that say what is so here anyway, or that requests say for themselves."""


def parse_config(provider_type: str, mapping: Mapping[str, Any]) -> UpstreamConfig:
    """The configuration of one provider. Raises ProviderConfigError, naming the key."""
    preset = PRESETS.get(provider_type)
    if preset is None:
        raise ProviderConfigError("", f'no provider type "{provider_type}"; known: {", ".join(PRESETS)}.')
    known: dict[str, Any] = {}
    for key, value in mapping.items():
        name = ALIASES.get(key, key)
        if key in INERT or value is None:
            continue
        if name not in UpstreamConfig.__struct_fields__:
            raise ProviderConfigError(key, f'unknown key "{key}"{_nearest(key)}')
        if name in known:
            raise ProviderConfigError(key, f'"{key}" and "{name}" say the same thing twice; keep one.')
        known[name] = value
    try:
        config = msgspec.convert(known, UpstreamConfig)
        capabilities_of(preset, config)
        responses_of(preset, config)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at ")
        key = path.strip("`").removeprefix("$").removeprefix(".")
        raise ProviderConfigError(key, f"{text}{f' (at {key})' if key else ''}") from None
    _check(preset, config)
    return config


def capabilities_of(preset: Preset, config: UpstreamConfig) -> Capabilities:
    """The preset's capabilities with the operator's corrections. Raises msgspec.ValidationError."""
    if not config.capabilities:
        return preset.capabilities
    named = {**msgspec.structs.asdict(preset.capabilities), **config.capabilities}
    return msgspec.convert(_without(named, _ONLY_RESPONSES), Capabilities)


def responses_of(preset: Preset, config: UpstreamConfig) -> ResponsesCapabilities:
    """The same for the responses wire."""
    if not config.capabilities:
        return preset.responses
    named = {**msgspec.structs.asdict(preset.responses), **config.capabilities}
    return msgspec.convert(_without(named, _ONLY_CHAT), ResponsesCapabilities)


_ONLY_CHAT = frozenset(Capabilities.__struct_fields__) - frozenset(ResponsesCapabilities.__struct_fields__)
_ONLY_RESPONSES = frozenset(ResponsesCapabilities.__struct_fields__) - frozenset(
    Capabilities.__struct_fields__
)


def _without(named: dict[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in named.items() if name not in names}


def timeouts_of(config: UpstreamConfig) -> Timeouts:
    times = config.timeouts
    return Timeouts(times.connect_s, times.first_byte_s, times.idle_s)


def _check(preset: Preset, config: UpstreamConfig) -> None:
    url = config.base_url or preset.default_url
    if not url:
        raise ProviderConfigError("base_url", f"{preset.provider_type} needs `base_url`.")
    if not url.startswith(("http://", "https://")):
        raise ProviderConfigError(
            "base_url", f'`base_url` is "{url}"; it must begin with http:// or https://.'
        )
    usual = preset.default_url is None or url.rstrip("/") == preset.default_url
    if preset.key_required and usual and not config.api_key:
        raise ProviderConfigError("api_key", f"{preset.provider_type} needs `api_key`.")
    for name, value in msgspec.structs.asdict(config.timeouts).items():
        if value <= 0:
            raise ProviderConfigError(f"timeouts.{name}", f"`timeouts.{name}` must be above 0 seconds.")
    if not 0 <= config.max_retries <= 10:
        raise ProviderConfigError("max_retries", "`max_retries` must be from 0 to 10.")


def _nearest(key: str) -> str:
    names = [*UpstreamConfig.__struct_fields__, *ALIASES]
    close = get_close_matches(key, names, n=1)
    return f'; did you mean "{close[0]}"?' if close else f"; known: {', '.join(sorted(names))}."
