"""The `config:` mapping of `remote::anthropic`, and what is known about the servers of that wire."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from antiphon.providers.capabilities import Capabilities, Preset
from antiphon.providers.presets import ALIASES, ProviderConfigError, TimeoutConfig, UpstreamConfig

PROVIDER_TYPE = "remote::anthropic"
DEFAULT_URL = "https://api.anthropic.com/v1"
VERSION = "2023-06-01"
PRESET = Preset(PROVIDER_TYPE, DEFAULT_URL, Capabilities())


class MessagesConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every key but `api_key` is optional; `url` means `base_url`."""

    api_key: Annotated[str, Meta(min_length=1)]
    base_url: str = DEFAULT_URL
    headers: dict[str, str] = {}
    allowed_models: list[str] | None = None
    timeouts: TimeoutConfig = TimeoutConfig()
    max_retries: Annotated[int, Meta(ge=0, le=10)] = 2
    max_retry_wait_s: Annotated[float, Meta(ge=0)] = 30.0
    tls_verify: bool | str = True
    version: str = VERSION
    """The header `anthropic-version`."""
    max_tokens: Annotated[int, Meta(ge=1)] = 8192
    """What is sent as `max_tokens`, which this wire demands, when a request has no `max_output_tokens`."""
    thinking: Literal["adaptive", "budget", "off"] = "adaptive"
    """How `reasoning.effort` is asked for: models from Claude 4.6 on, older ones by a number of tokens, or not at
    all."""
    json_schema: bool = True
    """Whether `output_config.format` binds the answer; else it is asked for, held and checked."""
    cache: Literal["implicit", "off"] = "implicit"
    """Whether the end of each prompt is marked to be cached when the request says nothing."""
    wire: Literal["auto", "messages"] = "messages"

    def upstream(self, *, chat: bool = False) -> UpstreamConfig:
        """The same for the way out. `chat`: for the chat completions route, which takes the key as a bearer."""
        own = {} if chat else {"x-api-key": self.api_key, "anthropic-version": self.version}
        return UpstreamConfig(
            base_url=self.base_url,
            api_key=self.api_key if chat else None,
            headers={**own, **self.headers},
            timeouts=self.timeouts,
            max_retries=self.max_retries,
            max_retry_wait_s=self.max_retry_wait_s,
            tls_verify=self.tls_verify,
        )


def parse_messages_config(mapping: Mapping[str, Any]) -> MessagesConfig:
    """Raises ProviderConfigError, naming the key."""
    known: dict[str, Any] = {}
    for key, value in mapping.items():
        name = ALIASES.get(key, key)
        if name not in MessagesConfig.__struct_fields__:
            raise ProviderConfigError(key, f'unknown key "{key}"{_nearest(key)}')
        if name in known:
            raise ProviderConfigError(key, f'"{key}" and "{name}" say the same thing twice; keep one.')
        if value is not None:
            known[name] = value
    if not known.get("api_key"):
        raise ProviderConfigError("api_key", f"{PROVIDER_TYPE} needs `api_key`.")
    try:
        config = msgspec.convert(known, MessagesConfig)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at ")
        key = path.strip("`").removeprefix("$").removeprefix(".")
        raise ProviderConfigError(key, f"{text}{f' (at {key})' if key else ''}") from None
    if not config.base_url.startswith(("http://", "https://")):
        raise ProviderConfigError(
            "base_url", f'`base_url` is "{config.base_url}"; it must begin with http:// or https://.'
        )
    return config


def _nearest(key: str) -> str:
    names = [*MessagesConfig.__struct_fields__, *ALIASES]
    close = get_close_matches(key, names, n=1)
    return f'; did you mean "{close[0]}"?' if close else f"; known: {', '.join(sorted(names))}."
