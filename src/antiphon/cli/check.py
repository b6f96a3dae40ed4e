"""`antiphon check`: what a configuration means, in words. Contacts nobody and opens no state."""

from collections.abc import Iterator

from antiphon.app import make_providers
from antiphon.config_settings import Settings
from antiphon.models.router import rules_in_words
from antiphon.providers.upstream import UpstreamClient
from antiphon.system import SystemClock, SystemIds


def explain(settings: Settings) -> list[str]:
    """The lines to print. Raises ConfigError for a provider whose type or `config` is wrong."""
    make_providers(settings, UpstreamClient(SystemClock()), SystemIds())
    return list(_lines(settings))


def auth_line(settings: Settings) -> str:
    keys = settings.server.auth.keys
    if not keys:
        return "none: anonymous, this machine only"
    return f"API keys: {', '.join(key.name for key in keys)}"


def _lines(settings: Settings) -> Iterator[str]:
    server = settings.server
    scheme = "https" if server.tls_certfile else "http"
    yield f"file       {settings.source or 'none; defaults and the environment'}"
    yield f"address    {scheme}://{server.host}:{server.port}"
    yield f"access     {auth_line(settings)}"
    yield f"state      {settings.storage.url}"
    yield f"parameters {server.parameters}"
    if settings.recording.path:
        yield f"recording  {settings.recording.path}"
    if not settings.providers.inference:
        yield "models     no provider configured; `antiphon serve` looks for one and else serves the model demo"
    for provider in settings.providers.inference:
        where = provider.config.get("base_url") or provider.config.get("url")
        yield f"provider   {provider.provider_id} ({provider.provider_type}){f' at {where}' if where else ''}"
    for model in settings.models:
        if model.route is not None:
            yield f"model      {model.model_id} = {model.route.strategy} route"
            for one in model.route.candidates:
                rules = rules_in_words(one.when)
                yield f"             {one.model}{f' when {rules}' if rules else ''}"
            continue
        yield f"model      {model.model_id} = {model.provider_id}/{model.upstream_name}"
    for note in settings.notes:
        yield f"note       {note}"
    yield "ok"
