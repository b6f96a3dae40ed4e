"""`antiphon check`: what a configuration means, line by line, in words or as JSON.

Contacts nobody and opens no state.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from antiphon.app import make_catalog, make_providers
from antiphon.config.mcp_settings import ConnectorSettings
from antiphon.config.settings import ConfigError, MappedLine, RefusedParts, Settings, without_password
from antiphon.integrations import check_connectors, make_front
from antiphon.knowledge import check_knowledge
from antiphon.models.router import rules_in_words
from antiphon.providers.upstream import UpstreamClient
from antiphon.shielding import check_safety, default_provider
from antiphon.system import SystemClock, SystemIds
from antiphon.tool_groups.setup import check_tool_groups

_WIDEST_KEY = 56


def check(config: str | Path | None, *, as_json: bool = False) -> int:
    """Print what the configuration means, and what is wrong with it on stderr. Returns the exit code."""
    from antiphon.config.load import load

    settings: Settings | None = None
    error: ConfigError | None = None
    lines: tuple[MappedLine, ...] = ()
    try:
        settings = load(config)
        lines = settings.mapping
        _check_adapters(settings)
    except RefusedParts as refused:
        error, lines = refused, refused.lines
    except ConfigError as wrong:
        error, lines = wrong, _with_error(lines, wrong)
    if as_json:
        sys.stdout.write(json.dumps(_document(settings, lines, error), indent=2, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write("".join(f"{line}\n" for line in _report(settings, lines, error)))
    if error is not None:
        sys.stderr.write(f"{error}\n")
    return 0 if error is None else 1


def explain(settings: Settings) -> list[str]:
    """The summary. Raises ConfigError for a provider whose type or `config` is wrong."""
    _check_adapters(settings)
    return [*_lines(settings), "ok"]


def _check_adapters(settings: Settings) -> None:
    clock = SystemClock()
    providers = make_providers(settings, UpstreamClient(clock), SystemIds())
    check_safety(settings, make_catalog(settings, providers, clock))
    check_knowledge(settings)
    check_connectors(settings)
    check_tool_groups(settings)
    make_front(settings)


def table(lines: Sequence[MappedLine]) -> Iterator[str]:
    """One row for each line of the file, in columns."""
    if not lines:
        return
    wide = min(max(len(row.key) for row in lines), _WIDEST_KEY)
    yield f"{'line':>5}  {'outcome':<8}  {'in the file':<{wide}}  here"
    for row in lines:
        yield f"{row.line:>5}  {row.outcome:<8}  {row.key:<{wide}}  {row.text}".rstrip()


def auth_line(settings: Settings) -> str:
    keys = settings.server.auth.keys
    if not keys:
        return "none: anonymous, this machine only"
    return f"API keys: {', '.join(key.name for key in keys)}"


def _lines(settings: Settings) -> Iterator[str]:
    server = settings.server
    yield f"file       {settings.source or 'none; defaults and the environment'}"
    yield f"address    {_address(settings)}"
    yield f"access     {auth_line(settings)}"
    yield f"state      {settings.storage.url}"
    yield f"parameters {server.parameters}"
    if settings.recording.path:
        yield f"recording  {settings.recording.path}"
    if not settings.providers.inference:
        yield "models     no provider configured; `antiphon serve` looks for one and else serves the model demo"
    for provider in settings.providers.inference:
        where = _where(provider.config)
        yield f"provider   {provider.provider_id} ({provider.provider_type}){f' at {where}' if where else ''}"
    for files in settings.providers.files:
        yield f"files      {files.provider_id} ({files.provider_type})"
    for index in settings.providers.vector_io:
        yield f"vector_io  {index.provider_id} ({index.provider_type})"
    for guard in settings.providers.safety:
        yield f"safety     {guard.provider_id} ({guard.provider_type})"
    for model in settings.models:
        if model.route is not None:
            yield f"model      {model.model_id} = {model.route.strategy} route"
            for one in model.route.candidates:
                rules = rules_in_words(one.when)
                yield f"             {one.model}{f' when {rules}' if rules else ''}"
            continue
        yield f"model      {model.model_id} = {model.provider_id}/{model.upstream_name}"
    for shield in settings.shields:
        what = f": {shield.provider_shield_id}" if shield.provider_shield_id else ""
        yield f"shield     {shield.shield_id} = {shield.provider_id or default_provider(settings)}{what}"
    for connector in settings.connectors:
        yield f"connector  {connector.connector_id}{_leads_to(connector)}{_whose(connector)}"
    for group in settings.tool_groups:
        yield f"tools      {group.toolgroup_id} by {group.provider_id}"
    for note in settings.notes:
        yield f"note       {note}"


def _report(
    settings: Settings | None, lines: Sequence[MappedLine], error: ConfigError | None
) -> Iterator[str]:
    if settings is not None:  # the table says what the notes say
        yield from (line for line in _lines(settings) if not (lines and line.startswith("note ")))
    yield from table(lines)
    if lines:
        yield ", ".join(f"{count} {outcome}" for outcome, count in _counts(lines).items())
    if error is None:
        yield "ok"


def _counts(lines: Sequence[MappedLine]) -> Counter[str]:
    return Counter(row.outcome for row in lines)


def _with_error(lines: tuple[MappedLine, ...], error: ConfigError) -> tuple[MappedLine, ...]:
    """The rows, with what is wrong at its line. The row of that line that called it taken goes."""
    if error.line is None:
        return lines
    kept = [row for row in lines if row.line != error.line]
    keys = [row.key for row in lines if row.line == error.line]
    wrong = MappedLine(line=error.line, key=keys[0] if keys else "", outcome="refused", text=error.message)
    return tuple(sorted([*kept, wrong], key=lambda row: row.line))


def _document(
    settings: Settings | None, lines: Sequence[MappedLine], error: ConfigError | None
) -> dict[str, Any]:
    """What `--json` prints: the same facts, all keys always there."""
    server = settings.server if settings is not None else None
    return {
        "ok": error is None,
        "file": settings.source if settings is not None else error.file if error is not None else None,
        "address": _address(settings) if settings is not None else None,
        "access": auth_line(settings) if settings is not None else None,
        "state": settings.storage.url if settings is not None else None,
        "parameters": server.parameters if server is not None else None,
        "providers": [
            {
                "provider_id": one.provider_id,
                "provider_type": one.provider_type,
                "base_url": _where(one.config),
            }
            for one in (settings.providers.inference if settings is not None else ())
        ],
        "models": [one.model_id for one in (settings.models if settings is not None else ())],
        "connectors": [
            {"connector_id": one.connector_id, "transport": one.transport, "url": _plain(one.url) or None}
            for one in (settings.connectors if settings is not None else ())
        ],
        "tool_groups": [one.toolgroup_id for one in (settings.tool_groups if settings is not None else ())],
        "shields": _shields(settings) if settings is not None else [],
        "notes": list(settings.notes) if settings is not None else [],
        "lines": [
            {"line": row.line, "outcome": row.outcome, "key": row.key, "text": row.text} for row in lines
        ],
        "counts": dict(_counts(lines)),
        "error": None
        if error is None
        else {"file": error.file, "line": error.line, "message": error.message},
    }


def _shields(settings: Settings) -> list[dict[str, str]]:
    default = default_provider(settings)
    return [
        {"shield_id": one.shield_id, "provider_id": one.provider_id or default} for one in settings.shields
    ]


def _where(config: dict[str, Any]) -> str | None:
    where = config.get("base_url") or config.get("url")
    return without_password(str(where)) if where else None


def _leads_to(connector: ConnectorSettings) -> str:
    if connector.command:
        return f" = {connector.command[0]}"
    return f" at {_plain(connector.url)}"


def _whose(connector: ConnectorSettings) -> str:
    """How its server knows who asks, and which tenants may."""
    by = ", users authorise it" if connector.oauth is not None else ""
    tenants = f", for {', '.join(connector.tenants)}" if connector.tenants else ""
    return by + tenants


def _plain(url: str) -> str:
    """Without its query, in which there are tokens now and then."""
    return url.partition("?")[0]


def _address(settings: Settings) -> str:
    server = settings.server
    return f"{'https' if server.tls_certfile else 'http'}://{server.host}:{server.port}"
