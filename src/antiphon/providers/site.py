"""One configured model server: where its operations are, and the way there with its credentials."""

import ssl
from dataclasses import dataclass, replace

from antiphon.core.errors import InvalidRequest
from antiphon.providers.capabilities import Preset
from antiphon.providers.endpoints import Endpoints, azure_endpoints, endpoints
from antiphon.providers.presets import UpstreamConfig, timeouts_of
from antiphon.providers.refusals import Redaction
from antiphon.providers.upstream import Upstream, UpstreamClient, UpstreamReply


@dataclass(frozen=True, slots=True)
class Site:
    endpoints: Endpoints
    upstream: Upstream

    @classmethod
    def of(cls, provider_id: str, preset: Preset, config: UpstreamConfig, client: UpstreamClient) -> "Site":
        base_url = config.base_url or preset.default_url or ""
        places = azure_endpoints(base_url, config.api_version) if preset.azure else endpoints(base_url)
        redaction = Redaction((*_secrets(config), places.base.authority, places.base.host or ""))
        upstream = Upstream(
            provider_id,
            client,
            _headers(preset, config),
            timeouts_of(config),
            config.max_retries,
            config.max_retry_wait_s,
            _verify(config.tls_verify),
            redaction,
        )
        return cls(places, upstream)

    def without_waiting(self) -> "Site":
        """The same over the same connections, with the patience of `ports.Patient`."""
        retries = min(1, self.upstream.max_retries)
        return replace(self, upstream=replace(self.upstream, max_retries=retries, max_wait_s=0.0))

    async def post(self, path: str, body: bytes, model: str) -> UpstreamReply:
        """`path` is relative to the base URL; `model` may be in the URL of an Azure deployment.

        Raises ProviderError, and InvalidRequest for a model's name that cannot be in a URL.
        """
        if self.endpoints.names_model(path) and "/" in model:
            raise InvalidRequest(f'"{model}" cannot be the name of a deployment.', param="model")
        return await self.upstream.send("POST", self.endpoints.url(path, model), body)

    async def ask(self, path: str, body: bytes, model: str, *, at_root: bool = False) -> bytes:
        """The whole answer to something small, asked once. `at_root`: the path is beside the API, not in it.

        Raises ProviderError.
        """
        url = self.endpoints.at_root(path) if at_root else self.endpoints.url(path, model)
        async with await self.upstream.send("POST", url, body, max_retries=0) as reply:
            return await reply.read()

    async def get(self, path: str) -> UpstreamReply:
        """Asked once: what only looks can be repeated by who looks. Raises ProviderError."""
        return await self.upstream.send("GET", self.endpoints.url(path), max_retries=0)

    async def question(self, path: str, body: bytes) -> tuple[int, bytes]:
        """The status of one try and what its body begins with, for finding out what a server has.

        Raises ProviderError where no answer came.
        """
        return await self.upstream.question("POST", self.endpoints.url(path), body)


def _headers(preset: Preset, config: UpstreamConfig) -> dict[str, str]:
    headers: dict[str, str] = {}
    if config.api_key:
        bearer = preset.auth_header == "authorization"
        headers[preset.auth_header] = f"Bearer {config.api_key}" if bearer else config.api_key
    if config.organization:
        headers["openai-organization"] = config.organization
    if config.project:
        headers["openai-project"] = config.project
    return {**headers, **{name.lower(): value for name, value in config.headers.items()}}


def _secrets(config: UpstreamConfig) -> tuple[str, ...]:
    """What must not be quoted: short values would redact half of every message, and are no secrets."""
    return tuple(text for text in (config.api_key or "", *config.headers.values()) if len(text) >= 6)


def _verify(setting: bool | str) -> ssl.SSLContext | bool:
    return ssl.create_default_context(cafile=setting) if isinstance(setting, str) else setting
