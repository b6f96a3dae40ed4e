"""`antiphon replay`: runs of a recording made again, and the first difference."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import msgspec

from antiphon.app import make_catalog, make_providers, services_for
from antiphon.cli.record import DEFAULT_FOLDER
from antiphon.config.settings import ConfigError, ProviderSettings, Settings
from antiphon.core.commands import CallModel
from antiphon.core.errors import AntiphonError
from antiphon.core.wire import decode_json, encode
from antiphon.discovery import discover
from antiphon.models.catalog import Catalog
from antiphon.ports import Clock, Ids, ModelProvider, Store
from antiphon.providers.presets import PRESETS
from antiphon.providers.recorded_answer import signals_of
from antiphon.providers.taped import Captured, CapturingClient, TapedClient
from antiphon.providers.upstream import UpstreamClient
from antiphon.recording.findings import Replayed
from antiphon.recording.format import Exchange
from antiphon.recording.live import LiveReplayer
from antiphon.recording.reader import RecordedRun, Recording, RecordingError
from antiphon.recording.replay import Replayer
from antiphon.responses.service import ResponseService
from antiphon.storage.memory import MemoryStore
from antiphon.system import SystemClock, SystemIds

SAME, DIFFERENT, IMPOSSIBLE = 0, 1, 2
_WIRES = {"completions": "chat", "responses": "responses", "messages": "messages"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asks for. `changes` are keys of the request; any change asks the model again."""

    run: str
    recording: str | None = None
    live: bool = False
    chain: bool = False
    as_json: bool = False
    changes: Mapping[str, Any] | None = None


def changes_of(
    model: str | None, instructions: str | None, tools: str | None, settings: Sequence[str]
) -> dict[str, Any]:
    """The changed keys of the request. `@FILE` stands for what the file holds. Raises ConfigError."""
    changes: dict[str, Any] = {}
    if model is not None:
        changes["model"] = model
    if instructions is not None:
        changes["instructions"] = _text(instructions, "--instructions")
    if tools is not None:
        changes["tools"] = _json(_text(f"@{tools.removeprefix('@')}", "--tools"), "--tools")
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key:
            raise ConfigError(None, None, f'--set: expected KEY=VALUE with a JSON value, got "{setting}"')
        changes[key] = _json(_text(value, "--set"), f"--set {key}")
    return changes


def replay(settings: Settings, wanted: Wanted) -> int:
    """0: the same. 1: something differs. 2: the recording cannot be used."""
    try:
        recording, runs = _find(settings, wanted)
        results = asyncio.run(_replay_all(settings, recording, runs, wanted))
    except RecordingError as error:
        sys.stderr.write(f"{error}\n")
        return IMPOSSIBLE
    if wanted.as_json:
        sys.stdout.write(encode([one.as_json() for one in results]).decode() + "\n")
    else:
        for torn in recording.torn:
            sys.stderr.write(f"{torn}: the last line broke off and was left out\n")
        sys.stdout.write("".join(f"{line}\n" for one in results for line in one.lines()))
    return SAME if all(one.same for one in results) else DIFFERENT


def _find(settings: Settings, wanted: Wanted) -> tuple[Recording, list[RecordedRun]]:
    """The recording and the runs to replay: all of a file, one by its id, or that one with its ancestors."""
    if Path(wanted.run).exists():
        recording = Recording.load(Path(wanted.run))
        return recording, [run for name in recording.run_ids() if (run := recording.run(name)) is not None]
    where = wanted.recording or settings.recording.path or DEFAULT_FOLDER
    path = Path(where).expanduser()
    recording = Recording.load(path, only=None if wanted.chain else wanted.run)
    run = recording.run(wanted.run)
    if run is None:
        known = Recording.load(path).run_ids()
        raise RecordingError(
            f'{where}: there is no run "{wanted.run}"; it holds {len(known)}, the last is {known[-1]}'
        )
    return recording, recording.chain(run.id) if wanted.chain else [run]


async def _replay_all(
    settings: Settings, recording: Recording, runs: Sequence[RecordedRun], wanted: Wanted
) -> list[Replayed]:
    if wanted.live or wanted.changes:
        return await _live(settings, recording, runs, wanted.changes or {})
    capturing = CapturingClient(SystemClock())
    renderer = _Renderer(settings, capturing)
    replayer = Replayer(_factory(settings, capturing), MemoryStore, recording.redactor, renderer.render)
    return [await replayer.replay(run) for run in runs]


async def _live(
    settings: Settings, recording: Recording, runs: Sequence[RecordedRun], changes: Mapping[str, Any]
) -> list[Replayed]:
    if not settings.providers.inference:
        found = await discover(settings.discovery, settings.server.port)
        settings = settings.with_inference(found.providers)
    client = TapedClient(SystemClock())
    catalog = make_catalog(settings, make_providers(settings, client, SystemIds()), SystemClock())

    def read_answer(exchange: Exchange) -> Any:
        return signals_of(exchange, exchange.provider)

    factory = _factory(settings, client)
    replayer = LiveReplayer(catalog, factory, MemoryStore, recording.redactor, read_answer)
    try:
        return [await replayer.replay(run, changes) for run in runs]
    finally:
        await catalog.aclose()
        for provider in catalog.providers.values():
            await provider.aclose()
        await client.aclose()


def _factory(settings: Settings, client: UpstreamClient) -> Any:
    def make(catalog: Catalog, store: Store, clock: Clock, ids: Ids) -> ResponseService:
        return services_for(settings, catalog, store, client, clock, ids).responses

    return make


class _Renderer:
    """What the configured providers would send upstream, without sending it."""

    def __init__(self, settings: Settings, client: CapturingClient) -> None:
        self._settings = settings
        self._client = client
        self._made: dict[tuple[str, str], ModelProvider] = {}

    async def render(self, exchange: Exchange, call: CallModel) -> bytes | str:
        """See `recording.replay.Render`."""
        name, sent = exchange.provider, exchange.sent
        of_config = [one for one in self._settings.providers.inference if one.provider_id == name]
        if sent is None or not of_config:
            return f'no provider "{name}" is configured here: what it would be sent is not compared'
        if of_config[0].provider_type.startswith("inline::"):
            return f'provider "{name}" runs inside the server: what it would be sent is not compared'
        provider = self._provider(of_config[0], sent.path.rpartition("/")[2])
        batches = cast(
            "Any", provider.stream(exchange.model, call)
        )  # an async generator, as every provider's is
        try:
            async with aclosing(batches):
                async for _ in batches:
                    break
        except Captured as captured:
            if captured.path.rpartition("/")[2] == sent.path.rpartition("/")[2]:
                return captured.body
            return f'provider "{name}" asks {captured.path} now, was recorded at {sent.path}'
        except AntiphonError as error:
            return f'provider "{name}" refuses the request now: {error.message}'
        return f'provider "{name}" sends nothing'

    def _provider(self, one: ProviderSettings, operation: str) -> ModelProvider:
        """The provider with the wire of the recording where the configuration leaves the choice to it."""
        found = self._made.get((one.provider_id, operation))
        if found is None:
            found = self._made[one.provider_id, operation] = self._make(one, _WIRES.get(operation))
        return found

    def _make(self, one: ProviderSettings, wire: str | None) -> ModelProvider:
        choices = [one]
        preset = PRESETS.get(one.provider_type)
        chosen = one.config.get("wire") or (preset.wire if preset is not None else None)
        if wire is not None and chosen == "auto":
            choices.insert(0, msgspec.structs.replace(one, config={**one.config, "wire": wire}))
        for choice in choices:
            try:
                settings = self._settings.with_inference([choice])
                return make_providers(settings, self._client, SystemIds())[one.provider_id]
            except ConfigError:
                if choice is choices[-1]:
                    raise
        raise AssertionError("one of the choices was the last")


def _text(given: str, flag: str) -> str:
    if not given.startswith("@"):
        return given
    try:
        return Path(given[1:]).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(None, None, f"{flag}: {given[1:]} cannot be read: {error}") from None


def _json(text: str, flag: str) -> Any:
    try:
        return decode_json(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(None, None, f"{flag}: expected JSON ({error})") from None
