"""The settings, and `load`, the only reader of configuration files and of the environment."""

from antiphon.config_settings import (
    ApiKey,
    AuthSettings,
    ConfigError,
    DiscoverySettings,
    LimitSettings,
    ModelSettings,
    ProviderSections,
    ProviderSettings,
    RuntimeSettings,
    ServerSettings,
    Settings,
    StorageSettings,
)

__all__ = [
    "ApiKey",
    "AuthSettings",
    "ConfigError",
    "DiscoverySettings",
    "LimitSettings",
    "ModelSettings",
    "ProviderSections",
    "ProviderSettings",
    "RuntimeSettings",
    "ServerSettings",
    "Settings",
    "StorageSettings",
]
