"""`antiphon models` and `antiphon providers`: what this configuration would serve, asked of the model servers now.

No server needs to run, and no state is opened.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec
import msgspec.inspect

from antiphon.app import make_catalog, make_providers
from antiphon.cli.found import with_found
from antiphon.cli.table import table
from antiphon.client import Client, ConnectionFailed
from antiphon.config.settings import ProviderSettings, Settings
from antiphon.core.errors import AntiphonError, InvalidRequest
from antiphon.core.request import ResponseRequest
from antiphon.models.catalog import Catalog, Model
from antiphon.ports import ModelProvider
from antiphon.providers.presets import ALIASES, PRESETS
from antiphon.providers.upstream import UpstreamClient
from antiphon.system import SystemClock, SystemIds

IN_PROCESS = "in this process"
ITS_OWN = "its usual address"
PROBE_TIMEOUT_S = 10.0
CHECKED = "checked_here"
"""Formats that the provider does not enforce: answers in them are held and checked by this server."""
_ROUTED = "(route)"
_NO_ANSWER = frozenset({"ProviderUnavailable", "ProviderTimeout"})


@dataclass(frozen=True, slots=True)
class ServedModel:
    """`upstream_model` is its name at the provider; `short` the bare name, where that alone finds it. For a routed
    model `candidates` are what it chooses from.
    """

    id: str
    provider: str
    upstream_model: str
    short: str | None
    created: int
    owned_by: str
    candidates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AmbiguousName:
    """A bare name that several providers have; requests must say which."""

    name: str
    models: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """A provider whose models could not be listed. `error` is the class of the failure."""

    provider: str
    error: str
    reason: str


@dataclass(frozen=True, slots=True)
class ModelsReport:
    models: tuple[ServedModel, ...]
    ambiguous: tuple[AmbiguousName, ...]
    failures: tuple[Failure, ...]


@dataclass(frozen=True, slots=True)
class ProviderReport:
    """`capabilities` are the provider's own, by name. One that cannot list its models was not asked for them:
    `listed` is false, `models` are the configured ones, and its key was not tried.
    """

    id: str
    type: str
    address: str
    wire: str
    reachable: bool
    failure: Failure | None
    listed: bool
    models: int
    capabilities: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Survey:
    """All that was asked. `lines` tell how providers were found, where none was configured."""

    settings: Settings
    models: ModelsReport
    providers: tuple[ProviderReport, ...]
    lines: tuple[str, ...] = ()
    demo: bool = False


def survey(settings: Settings) -> Survey:
    """Ask every provider. Raises ConfigError for one that cannot be made."""
    settings, found = with_found(settings)
    models, providers = asyncio.run(_ask(settings))
    return Survey(
        settings, models, providers, found.lines if found else (), demo=found is not None and found.demo
    )


async def _ask(settings: Settings) -> tuple[ModelsReport, tuple[ProviderReport, ...]]:
    async with _catalog(settings) as (catalog, providers):
        await catalog.refresh()
        models = await _models_report(catalog)
        failures = {failure.provider: failure for failure in models.failures}
        counts = {one: sum(model.provider == one for model in models.models) for one in providers}
        reports = [
            await _provider_report(
                one, providers[one.provider_id], failures.get(one.provider_id), counts[one.provider_id]
            )
            for one in settings.providers.inference
        ]
        return models, tuple(reports)


@asynccontextmanager
async def _catalog(settings: Settings) -> AsyncGenerator[tuple[Catalog, Mapping[str, ModelProvider]], None]:
    clock = SystemClock()
    upstreams = UpstreamClient(clock)
    providers = make_providers(settings, upstreams, SystemIds())
    catalog = make_catalog(settings, providers, clock)
    try:
        yield catalog, providers
    finally:
        await catalog.aclose()
        for provider in providers.values():
            await provider.aclose()
        await upstreams.aclose()


# --- models ---------------------------------------------------------------------------------------------------


async def _models_report(catalog: Catalog) -> ModelsReport:
    listed = await catalog.list()
    models = tuple([await _served(catalog, model) for model in listed])
    by_name: dict[str, list[str]] = {}
    for model in models:
        if not model.candidates:
            by_name.setdefault(model.upstream_model, []).append(model.id)
    ambiguous = tuple(
        [
            AmbiguousName(name, tuple(ids))
            for name, ids in by_name.items()
            if len(ids) > 1 and await _is_ambiguous(catalog, name)
        ]
    )
    failures = tuple(
        Failure(provider_id, type(error).__name__, error.message)
        for provider_id, error in catalog.failures.items()
    )
    return ModelsReport(models, ambiguous, failures)


async def _served(catalog: Catalog, model: Model) -> ServedModel:
    routed = catalog.routed.get(model.id)
    if routed is not None:
        names = tuple(option.name for option in routed.options)
        return ServedModel(model.id, _ROUTED, "", None, model.created, model.owned_by, names)
    resolved = await catalog.resolve(model.id)
    short = resolved.upstream_model
    if short == model.id or not await _finds(catalog, short, model.id):
        short = ""
    provider_id = resolved.provider.provider_id
    return ServedModel(
        model.id, provider_id, resolved.upstream_model, short or None, model.created, model.owned_by
    )


async def _finds(catalog: Catalog, name: str, model_id: str) -> bool:
    try:
        return (await catalog.resolve(name)).model_id == model_id
    except AntiphonError:
        return False


async def _is_ambiguous(catalog: Catalog, name: str) -> bool:
    try:
        await catalog.resolve(name)
    except InvalidRequest:
        return True
    except AntiphonError:
        return False
    return False


def models_lines(found: Survey) -> Iterator[str]:
    report = found.models
    shared = {name for one in report.ambiguous for name in one.models}
    rows = [
        (
            one.id,
            one.provider,
            " or ".join(one.candidates) or one.upstream_model,
            "ambiguous" if one.id in shared else one.short or "",
        )
        for one in report.models
    ]
    yield from table(("MODEL", "PROVIDER", "UPSTREAM NAME", "ALSO AS"), rows)
    if not rows:
        yield "no models"
    for name in report.ambiguous:
        yield f"ambiguous  {name.name}: say which, {' or '.join(name.models)}"
    for failure in report.failures:
        yield f"failed     {failure.provider}: {failure.reason}"
    if found.demo:
        yield "note       no model server was found; demo is a scripted model"


# --- providers ------------------------------------------------------------------------------------------------


async def _provider_report(
    settings: ProviderSettings, provider: ModelProvider, failure: Failure | None, models: int
) -> ProviderReport:
    if failure is None and (find_wire := getattr(provider, "find_wire", None)) is not None:
        await find_wire()
    address, capabilities = address_of(settings, provider), capabilities_of(provider)
    listed = capabilities.get("models_listed") is not False
    if not listed and failure is None and address.startswith("http"):
        failure = await asyncio.to_thread(_unreachable, settings.provider_id, address)
    return ProviderReport(
        settings.provider_id,
        settings.provider_type,
        address,
        wire_of(settings, provider),
        failure is None or failure.error not in _NO_ANSWER,
        failure,
        listed,
        models,
        capabilities,
    )


def _unreachable(provider_id: str, address: str) -> Failure | None:
    """Why nobody answers at an address; None when anybody does, whatever the answer."""
    try:
        Client(address, timeout_s=PROBE_TIMEOUT_S).send("GET", "/")
    except (ConnectionFailed, ValueError) as error:
        return Failure(provider_id, "ProviderUnavailable", str(error))
    return None


def address_of(settings: ProviderSettings, provider: ModelProvider) -> str:
    """Where the provider is, without the parts of a URL that may hold secrets."""
    preset = PRESETS.get(settings.provider_type)
    named = [
        settings.config.get(key) for key in ("base_url", *ALIASES) if ALIASES.get(key, key) == "base_url"
    ]
    usual = preset.default_url if preset else None
    url = next((str(value) for value in (*named, getattr(provider, "address", None), usual) if value), None)
    if url is None:
        return IN_PROCESS if settings.provider_type.startswith("inline::") else ITS_OWN
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def wire_of(settings: ProviderSettings, provider: ModelProvider) -> str:
    """How the provider is spoken to: what its object says, else what is configured."""
    told = getattr(provider, "wire", None)
    if isinstance(told, str) and told:
        return told
    configured = settings.config.get("wire")
    if configured:
        return str(configured)
    return "chat" if settings.provider_type in PRESETS else "own"


def capabilities_of(provider: ModelProvider) -> dict[str, Any]:
    """What the provider's object says that it can do. Every provider says what it does not enforce."""
    asked = ResponseRequest(model="any")
    told = getattr(provider, "capabilities", None)
    known = dict(_shown(told)) if isinstance(told, msgspec.Struct) else {}
    return {**known, CHECKED: sorted(provider.unenforced(asked))}


def _shown(told: msgspec.Struct) -> Iterator[tuple[str, Any]]:
    """Yes, no, one of a few words, or a path of the server. Any other text might be a secret: a provider may tell its
    whole configuration.
    """
    kind = msgspec.inspect.type_info(type(told))
    for field in kind.fields if isinstance(kind, msgspec.inspect.StructType) else ():
        value = getattr(told, field.name)
        members = field.type.types if isinstance(field.type, msgspec.inspect.UnionType) else (field.type,)
        words = any(isinstance(member, msgspec.inspect.LiteralType) for member in members)
        path = isinstance(value, str) and value.startswith("/")
        if value is None or isinstance(value, bool) or words or path:
            yield field.name, value


def providers_lines(found: Survey) -> Iterator[str]:
    for line in found.lines:
        yield f"found  {line}"
    for one in found.providers:
        yield f"{one.id} ({one.type})"
        yield f"  address  {one.address}"
        yield f"  wire     {one.wire}"
        yield f"  state    {_state(one)}"
        yield from _can(one.capabilities)
    if found.demo:
        yield "note  no model server was found; demo is a scripted model"


def _can(capabilities: Mapping[str, Any]) -> Iterator[str]:
    """What a provider can, cannot, and can in some way of its own; and what is checked here in its place."""
    told = {_word(key): value for key, value in capabilities.items() if key != CHECKED}
    yield from _wrapped("  can      ", [word for word, value in told.items() if value is True])
    yield from _wrapped(
        "  cannot   ", [word for word, value in told.items() if value is False or value is None]
    )
    yield from _wrapped(
        "  how      ", [f"{word}: {value}" for word, value in told.items() if isinstance(value, str)]
    )
    if capabilities[CHECKED]:
        yield f"  checked  {', '.join(map(_word, capabilities[CHECKED]))}: held and checked by this server"


def _state(one: ProviderReport) -> str:
    if one.failure is not None:
        return f"{'reachable, but' if one.reachable else 'not reachable:'} {one.failure.reason}"
    if not one.listed:
        return f"reachable; it cannot list its models, {one.models} are configured"
    return f"reachable, {one.models} model{'' if one.models == 1 else 's'}"


def _word(key: str) -> str:
    return key.replace("_", " ")


def _wrapped(head: str, words: Sequence[str]) -> Iterator[str]:
    import textwrap

    if words:
        yield from textwrap.wrap(
            ", ".join(words), width=100, initial_indent=head, subsequent_indent=" " * len(head)
        )
