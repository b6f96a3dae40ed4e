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
_CREDENTIALS = frozenset({"authorization", "x-api-key"})
_BETA = "anthropic-beta"


class MessagesCapabilities(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an upstream's `/messages` understands, where it is not the usual."""

    thinking: Literal["auto", "adaptive", "budget", "none"] = "auto"
    """How `reasoning.effort` is asked for: as an effort (`adaptive`, Claude 4.6 and later), as a number of tokens
    (`budget`, before that), or not at all (`none`). `auto`: as the list of models says, else `adaptive`."""
    json_schema: bool = True
    """Whether `output_config.format` binds the answer; else it is asked for, held and checked."""
    strict_tools: bool = True
    """Whether `strict` of a tool may be sent."""


class MessagesConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every key may be left out; `url` means `base_url`."""

    api_key: str | None = None
    base_url: str = DEFAULT_URL
    headers: dict[str, str] = {}
    allowed_models: list[str] | None = None
    timeouts: TimeoutConfig = TimeoutConfig()
    max_retries: Annotated[int, Meta(ge=0, le=10)] = 2
    max_retry_wait_s: Annotated[float, Meta(ge=0)] = 30.0
    tls_verify: bool | str = True
    version: str = VERSION
    """The header `anthropic-version`."""
    max_tokens: Annotated[int, Meta(ge=1)] = 32_000
    """What is sent as `max_tokens`, which this wire demands, when a request has no `max_output_tokens`; less for a
    model that the list of models gives less. Every model since Claude 4 can do this much."""
    cache: Literal["implicit", "explicit"] = "implicit"
    """Whether the ends of the instructions and of the prompt are marked to be cached when the request says nothing."""
    capabilities: MessagesCapabilities = MessagesCapabilities()
    wire: Literal["auto", "messages"] = "messages"

    def upstream(self, *, chat: bool = False) -> UpstreamConfig:
        """The same for the way out. `chat`: for the chat completions route, which takes the key as a bearer."""
        own: dict[str, str] = {} if chat else {"anthropic-version": self.version}
        if self.api_key and not chat:
            own["x-api-key"] = self.api_key
        given = {name.lower(): value for name, value in self.headers.items()}
        if chat:
            given.pop(_BETA, None)
        return UpstreamConfig(
            base_url=self.base_url,
            api_key=self.api_key if chat else None,
            headers={**own, **given},
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
    try:
        config = msgspec.convert(known, MessagesConfig)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at ")
        key = path.strip("`").removeprefix("$").removeprefix(".")
        raise ProviderConfigError(key, f"{text}{f' (at {key})' if key else ''}") from None
    _check(config)
    return config


def _check(config: MessagesConfig) -> None:
    """A server of one's own may want no key; Anthropic's does, in some header."""
    if not config.base_url.startswith(("http://", "https://")):
        raise ProviderConfigError(
            "base_url", f'`base_url` is "{config.base_url}"; it must begin with http:// or https://.'
        )
    usual = config.base_url.rstrip("/") in (DEFAULT_URL, DEFAULT_URL.removesuffix("/v1"))
    in_headers = _CREDENTIALS & {name.lower() for name in config.headers}
    if usual and not config.api_key and not in_headers:
        raise ProviderConfigError("api_key", f"{PROVIDER_TYPE} needs `api_key`.")
    for name, value in msgspec.structs.asdict(config.timeouts).items():
        if value <= 0:
            raise ProviderConfigError(f"timeouts.{name}", f"`timeouts.{name}` must be above 0 seconds.")


def _nearest(key: str) -> str:
    names = [*MessagesConfig.__struct_fields__, *ALIASES]
    close = get_close_matches(key, names, n=1)
    return f'; did you mean "{close[0]}"?' if close else f"; known: {', '.join(sorted(names))}."
