"""Composition of shields: settings → providers → registry → guards and routes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from antiphon import shield_plugins
from antiphon.config.safety_settings import ShieldSettings
from antiphon.config.settings import ProviderSettings, Settings
from antiphon.core.errors import InvalidRequest
from antiphon.models.catalog import Catalog
from antiphon.ports import Clock, Store
from antiphon.ports.adapters import AdapterConfigError
from antiphon.ports.safety import GuardModels, SafetyProvider, Shield
from antiphon.safety.asking import CatalogModels
from antiphon.safety.guards import Guards
from antiphon.safety.registry import KnownShield, ShieldRegistry
from antiphon.safety.routes import ShieldRoutes
from antiphon.safety.service import ShieldService
from antiphon.web.routing import Route


@dataclass(frozen=True, slots=True)
class Safety:
    """What this capability needs, made once per server."""

    guards: Guards
    service: ShieldService

    def routes(self) -> list[Route]:
        return ShieldRoutes(self.service).table()

    async def stop(self) -> None:
        await self.guards.registry.aclose()


def make_safety(settings: Settings, catalog: Catalog, store: Store, clock: Clock) -> Safety:
    """The parts over these settings. Raises ConfigError for a provider or a shield that cannot be made."""
    providers = make_shield_providers(settings, CatalogModels(catalog))
    registry = ShieldRegistry(
        providers,
        default_provider(settings),
        configured_shields(settings, providers),
        store.shields,
        settings.safety.timeout_s,
    )
    return Safety(Guards(registry), ShieldService(registry, clock))


def check_safety(settings: Settings, catalog: Catalog) -> None:
    """Raises ConfigError for `providers.safety` and `shields` that cannot be had. Nobody is asked."""
    configured_shields(settings, make_shield_providers(settings, CatalogModels(catalog)))


def make_shield_providers(settings: Settings, models: GuardModels) -> Mapping[str, SafetyProvider]:
    """The configured ones by id, and `rules` where nothing else has that name. Raises ConfigError."""
    configured = list(settings.providers.safety)
    if all(one.provider_id != shield_plugins.DEFAULT_ID for one in configured):
        configured.append(
            ProviderSettings(provider_id=shield_plugins.DEFAULT_ID, provider_type=shield_plugins.DEFAULT_TYPE)
        )
    return {one.provider_id: _provider(settings, one, models) for one in configured}


def default_provider(settings: Settings) -> str:
    """The provider of a shield that names none: `rules`, the one that is configured, or "" where there are more."""
    configured = settings.providers.safety
    if not configured:
        return shield_plugins.DEFAULT_ID
    return configured[0].provider_id if len(configured) == 1 else ""


def configured_shields(
    settings: Settings, providers: Mapping[str, SafetyProvider]
) -> Mapping[str, KnownShield]:
    """By id, in the order of the file. Raises ConfigError."""
    return {one.shield_id: _shield(settings, one, providers) for one in settings.shields}


def _provider(settings: Settings, one: ProviderSettings, models: GuardModels) -> SafetyProvider:
    if one.breaker is not None:
        message = "`breaker` is for model servers; give it to the provider of the shield's model."
        raise settings.safety_error(one.provider_id, "", message)
    folder = Path(settings.source).parent if settings.source else Path()
    try:
        make = shield_plugins.provider_class(one.provider_type).from_config
        return make(one.provider_id, one.config, models, folder)
    except shield_plugins.UnknownShieldType as error:
        raise settings.safety_error(one.provider_id, "", str(error)) from error
    except AdapterConfigError as error:
        raise settings.safety_error(one.provider_id, error.key, str(error)) from error


def _shield(settings: Settings, one: ShieldSettings, providers: Mapping[str, SafetyProvider]) -> KnownShield:
    provider_id = one.provider_id or default_provider(settings)
    provider = providers.get(provider_id)
    if provider is None:
        listed = ", ".join(providers)
        raise settings.shield_error(
            one.shield_id, "provider_id", f'no safety provider "{provider_id}"; there are: {listed}'
        )
    name = one.provider_shield_id or provider.default_name(one.shield_id)
    shield = Shield(one.shield_id, name, one.params)
    try:
        provider.check(shield)
    except InvalidRequest as error:
        raise settings.shield_error(one.shield_id, error.param or "", error.message) from error
    return KnownShield(shield, provider_id, provider, one.timeout_s or settings.safety.timeout_s)
