"""`antiphon doctor`: what is installed, configured and reachable; each finding with what to do about it."""

from collections.abc import Iterator
from dataclasses import dataclass

from antiphon import __version__
from antiphon.cli.doctor_machine import clock, database, installed, port, python, sealing, state, tls
from antiphon.cli.finding import Finding, fail, ok, warn
from antiphon.cli.survey import ProviderReport, Survey, survey
from antiphon.cli.table import table
from antiphon.config.load import load
from antiphon.config.settings import ConfigError, Settings
from antiphon.system import SystemClock

_ADVICE = {
    "ProviderAuthFailed": "check its api_key in the configuration, or the variable that it comes from",
    "ProviderUnavailable": "start it, or correct its base_url; `antiphon providers` shows the address",
    "ProviderTimeout": "it is there but slow to answer; look at its log",
    "ProviderProtocolError": "check its base_url: something else seems to answer there",
    "ProviderRateLimited": "wait, or ask the provider for a higher limit",
}


@dataclass(frozen=True, slots=True)
class Findings:
    """`ok` says that nothing failed; a warning is no failure."""

    version: str
    ok: bool
    checks: tuple[Finding, ...]


def examine(config: str | None) -> Findings:
    """Look at everything. Nothing is changed, and nothing is left behind."""
    checks = [python(), *installed(), *_configured(config)]
    return Findings(__version__, not any(check.status == "fail" for check in checks), tuple(checks))


def _configured(config: str | None) -> Iterator[Finding]:
    """What depends on the configuration; where that cannot be read, the reason alone."""
    try:
        settings = load(config)
    except ConfigError as error:
        yield fail("configuration", str(error), "correct it there; `antiphon check` explains the file")
        return
    yield ok("configuration", settings.source or "none; defaults and the environment")
    for note in settings.notes:
        yield warn("configuration", note, "take it out of the file, or leave it: it has no effect")
    yield _access(settings)
    for check in (tls, state, database, sealing, port):
        yield from check(settings)
    yield from _models(settings)


def _access(settings: Settings) -> Finding:
    keys = settings.server.auth.keys
    if not keys:
        return ok("access", "no API keys: only this machine is answered")
    return ok("access", f"API keys: {', '.join(key.name for key in keys)}")


def _models(settings: Settings) -> Iterator[Finding]:
    try:
        found = survey(settings)
    except ConfigError as error:
        yield fail("providers", str(error), "correct it there; `antiphon check` explains the file")
        return
    if found.demo:
        advice = "start Ollama, llama.cpp, vLLM or LM Studio, or set OPENAI_API_KEY, OLLAMA_URL or VLLM_URL"
        yield warn("providers", "no model server was found: only the scripted model demo is served", advice)
    for provider in found.providers:
        yield _provider(provider)
    yield from _names(settings, found)
    yield from clock([one.address for one in found.providers if one.reachable], SystemClock().now)


def _provider(one: ProviderReport) -> Finding:
    name = f"provider {one.id}"
    if one.failure is not None:
        advice = _ADVICE.get(one.failure.error, "look at the message; `antiphon providers` shows the address")
        return fail(name, one.failure.reason, advice)
    if not one.models:
        advice = (
            "load a model there"
            if one.listed
            else "name its models under allowed_models, it cannot list them"
        )
        return warn(name, f"{one.address} answers and lists no models", advice)
    if not one.listed:
        return ok(name, f"{one.address} answers; it cannot list its models, so its key was not tried")
    count = f"{one.models} model{'' if one.models == 1 else 's'}"
    return ok(name, f"{one.address} answers and lists {count}")


def _names(settings: Settings, found: Survey) -> Iterator[Finding]:
    for name in found.models.ambiguous:
        advice = f"write {' or '.join(name.models)} in requests"
        yield warn("models", f'"{name.name}" is served by several providers', advice)
    served = {(one.provider, one.upstream_model) for one in found.models.models if one.created or one.short}
    answering = {one.id for one in found.providers if one.reachable and one.models}
    listed = {(one.provider, one.upstream_model) for one in found.models.models if "/" in one.id} | served
    for model in settings.models:
        if model.provider_id in answering and (model.provider_id, model.upstream_name) not in listed:
            words = f'"{model.model_id}" means {model.provider_id}/{model.upstream_name}, which is not listed'
            yield warn("models", words, "correct provider_model_id, or load that model there")


def finding_lines(findings: Findings) -> Iterator[str]:
    rows = [(check.status, check.name, check.detail) for check in findings.checks]
    advice = [check.advice for check in findings.checks]
    lines = list(table(("", "CHECK", "FOUND"), rows))
    yield lines[0]
    for line, what_to_do in zip(lines[1:], advice, strict=True):
        yield line
        if what_to_do:
            yield f"      -> {what_to_do}"
    counts = {
        state: sum(check.status == state for check in findings.checks) for state in ("ok", "warn", "fail")
    }
    yield ", ".join(f"{count} {state}" for state, count in counts.items())
