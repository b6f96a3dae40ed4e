"""The configuration as `antiphon serve` would use it: with the model servers that were found where none is named."""

import asyncio

from antiphon.config.settings import Settings
from antiphon.discovery import Found, discover


def with_found(settings: Settings) -> tuple[Settings, Found | None]:
    """The settings with what discovery brought; None where providers are configured."""
    if settings.providers.inference:
        return settings, None
    found = asyncio.run(discover(settings.discovery, settings.server.port))
    return settings.with_inference(found.providers), found


def address_of(settings: Settings) -> str:
    """Where this configuration's server is, seen from this machine: of every address it listens on, loopback."""
    server = settings.server
    scheme = "https" if server.tls_certfile else "http"
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(server.host.strip("[]"), server.host.strip("[]"))
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{server.port}"
