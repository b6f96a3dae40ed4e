"""From located YAML to the settings tree: what is refused, and where in the file."""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from ipaddress import ip_network
from typing import Any, TypeVar, get_args

import msgspec

from antiphon.config.agent_settings import AgentsSettings
from antiphon.config.connector_rules import check_connectors, lines_of_connectors
from antiphon.config.group_rules import check_groups, connectors_of, lines_of_groups, runtime_kinds
from antiphon.config.group_settings import ToolGroupSettings, ToolRuntimeSettings
from antiphon.config.mapping import switched_off
from antiphon.config.mcp_settings import CONNECTOR_ID, ConnectorSettings, McpSettings
from antiphon.config.routes import check_routes, with_live_candidates
from antiphon.config.safety_settings import SHIELD_ID, SafetySettings, ShieldSettings
from antiphon.config.settings import (
    HOST_PATTERN,
    ConfigError,
    KnowledgeSettings,
    ModelSettings,
    ProviderSections,
    ProviderSettings,
    RecordingSettings,
    RuntimeSettings,
    ServerSettings,
    Settings,
    StorageSettings,
)
from antiphon.config.shield_rules import check_shields, lines_of_shields
from antiphon.config.yaml_nodes import Node, plain

TOP_KEYS = (
    "version",
    "server",
    "providers",
    "storage",
    "runtime",
    "recording",
    "models",
    "vector_stores",
    "mcp",
    "agents",
    "safety",
    "shields",
    "tool_groups",
    "connectors",
)
PROVIDER_KEYS = ("inference", "vector_io", "files", "safety", "tool_runtime")
T = TypeVar("T")
_VERSION = 2
_STEP = re.compile(r"\.([A-Za-z_][A-Za-z0-9_]*)|\[([0-9]+)\]")


def bind(root: Node) -> Settings:
    """The settings that the file states, the defaults where it says nothing. Raises ConfigError."""
    refuse_unknown(root, TOP_KEYS, "")
    _check_version(root["version"])
    sections = root["providers"]
    refuse_unknown(sections, PROVIDER_KEYS, "providers")
    _refuse_plain_keys(root["server"]["auth"]["keys"])
    inference = [node for node in sections["inference"].items() if not switched_off(node)]
    indexes, files, guards = (
        [node for node in sections[name].items() if not switched_off(node)]
        for name in ("vector_io", "files", "safety")
    )
    models = [with_live_candidates(node) for node in root["models"].items() if not switched_off(node)]
    connectors = _live(root["connectors"], ConnectorSettings, "connectors", "connector_id")
    shields = _live(root["shields"], ShieldSettings, "shields", "shield_id", "provider_id")
    runtimes = _live(sections["tool_runtime"], ToolRuntimeSettings, "providers.tool_runtime", "provider_id")
    groups = _live(root["tool_groups"], ToolGroupSettings, "tool_groups", "toolgroup_id", "provider_id")
    kinds = runtime_kinds(runtimes)
    check_groups(groups, kinds)
    connectors += list(connectors_of(groups, kinds, connectors))
    settings = Settings(
        server=convert(root["server"], ServerSettings, "server"),
        providers=ProviderSections(
            inference=tuple(convert(node, ProviderSettings, "providers.inference") for node in inference),
            vector_io=tuple(convert(node, ProviderSettings, "providers.vector_io") for node in indexes),
            files=tuple(convert(node, ProviderSettings, "providers.files") for node in files),
            safety=tuple(convert(node, ProviderSettings, "providers.safety") for node in guards),
            tool_runtime=tuple(settings for settings, _ in runtimes),
        ),
        models=tuple(convert(node, ModelSettings, "models") for node in models),
        storage=convert(root["storage"], StorageSettings, "storage"),
        runtime=convert(root["runtime"], RuntimeSettings, "runtime"),
        recording=convert(root["recording"], RecordingSettings, "recording"),
        vector_stores=convert(root["vector_stores"], KnowledgeSettings, "vector_stores"),
        mcp=convert(root["mcp"], McpSettings, "mcp"),
        agents=convert(root["agents"], AgentsSettings, "agents"),
        safety=convert(root["safety"], SafetySettings, "safety"),
        shields=tuple(settings for settings, _ in shields),
        connectors=tuple(settings for settings, _ in connectors),
        tool_groups=tuple(settings for settings, _ in groups),
        lines={
            **dict(_lines([*inference, *indexes, *files])),
            **{f"safety:{name}": line for name, line in _lines(guards)},
            **dict(lines_of_connectors(connectors)),
            **dict(lines_of_shields(shields)),
            **dict(lines_of_groups(groups)),
        },
    )
    check_connectors(connectors)
    _check_ids(guards)
    check_shields(shields, settings.providers.safety)
    _check_store_models(settings, root["vector_stores"])
    _check_names(settings, inference, models)
    _check_ids(indexes)
    _check_networks(root["server"]["egress"]["allow_private"])
    return settings


def _live(section: Node, kind: type[T], path: str, *ids: str) -> list[tuple[T, Node]]:
    """The entries of a list that none of these ids switches off, each with where it stands. Raises ConfigError."""
    entries = [node for node in section.items() if not any(switched_off(node, one) for one in ids)]
    return [(convert(node, kind, path), node) for node in entries]


def convert(node: Node, kind: type[Any], path: str) -> Any:
    """The node as a struct of `kind`; a null is the defaults. Raises ConfigError on the line at fault."""
    if node.value is None:
        return kind()
    _refuse_unknown_below(node, kind, path)
    try:
        return msgspec.convert(_without_nulls(plain(node)), kind)
    except msgspec.ValidationError as error:
        text, _, where = str(error).partition(" - at `$")
        steps = [name or int(index) for name, index in _STEP.findall(where)]
        at = _walk(node, steps)
        name = path + where.rstrip("`").removesuffix("[...]")
        raise at.error(f"{name}: {_plain_words(text)}") from None


def refuse_unknown(node: Node, known: tuple[str, ...], path: str) -> None:
    """Raise ConfigError for a key outside `known`, naming the nearest that is inside."""
    for key in node.mapping():
        if key not in known:
            raise ConfigError(node.file, node.key_lines.get(key, node.line), unknown_key(key, known, path))


def unknown_key(key: str, known: tuple[str, ...], path: str) -> str:
    if not path and key in PROVIDER_KEYS:
        return f'"{key}" belongs under `providers`'
    near = get_close_matches(key, known, n=1)
    advice = f'did you mean "{near[0]}"?' if near else f"known here: {', '.join(sorted(known))}"
    return f'unknown key "{key}"{f" in {path}" if path else ""}; {advice}'


def _check_version(node: Node) -> None:
    if node.value is not None and plain(node) not in {_VERSION, str(_VERSION)}:
        raise node.error(f"version: {node.value} is not known; this server reads version {_VERSION}")


def _refuse_plain_keys(keys: Node) -> None:
    for node in keys.items():
        entry = node.mapping() if isinstance(node.value, dict) else {}
        if not isinstance(node.value, dict) or "key" in entry:
            line = node.key_lines.get("key", node.line)
            raise ConfigError(
                node.file,
                line,
                "server.auth.keys: a key is given as its hash, never in clear; run `antiphon key new`"
                " and put {name, hash: sha256:…} here",
            )


def _refuse_unknown_below(node: Node, kind: type[Any], path: str) -> None:
    """Look for unknown keys down the tree before the types are looked at: a typo is the likelier reason."""
    if not isinstance(node.value, dict):
        return
    known = {item.name: item.type for item in msgspec.structs.fields(kind)}
    refuse_unknown(node, tuple(known), path)
    for key, child in node.value.items():
        for struct in _structs_in(known[key]):
            for item in child.value if isinstance(child.value, list) else [child]:
                _refuse_unknown_below(item, struct, f"{path}.{key}")


def _structs_in(kind: Any) -> Iterator[type[Any]]:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield kind
    for part in get_args(kind):
        yield from _structs_in(part)


def _walk(node: Node, steps: list[str | int]) -> Node:
    for step in steps:
        match node.value:
            case dict() as values if step in values:
                node = values[str(step)]
            case list() as values if isinstance(step, int) and step < len(values):
                node = values[step]
            case _:
                return node
    return node


def _without_nulls(value: Any) -> Any:
    """Null means "left out" in a configuration, as everywhere here."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}  # pyright: ignore[reportUnknownVariableType] plain data of a file
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]  # pyright: ignore[reportUnknownVariableType] plain data of a file
    return value


def _plain_words(text: str) -> str:
    """A sentence of msgspec in the words of a YAML user."""
    text = (
        re.sub(r"^Expected ", "expected ", text).replace("`object`", "a mapping").replace("`array`", "a list")
    )
    text = text.replace("^sha256:[0-9a-f]{64}$", "sha256: and 64 hex digits")
    text = text.replace(
        f"`str` matching regex {HOST_PATTERN!r}", "a host: example.com, or *.example.com with all below it"
    )
    text = text.replace(
        f"`str` matching regex {CONNECTOR_ID!r}", "up to 128 letters, digits, dots, dashes and underscores"
    )
    text = text.replace(
        f"`str` matching regex {SHIELD_ID!r}",
        "up to 256 letters, digits and _.:/@+-, a letter or digit first",
    )
    return re.sub(r"^Object missing required field `(\w+)`", r'"\1" is missing', text)


def _lines(providers: list[Node]) -> Iterator[tuple[str, int]]:
    for node in providers:
        name = node["provider_id"].text()
        yield name, node.line
        yield f"{name}.provider_type", node["provider_type"].line
        config = node["config"]
        for key in config.mapping():
            yield f"{name}.config.{key}", config.key_lines.get(key, config.line)


def _check_networks(networks: Node) -> None:
    for node in networks.items():
        try:
            ip_network(node.text(), strict=False)
        except ValueError:
            message = (
                f'server.egress.allow_private: "{node.text()}" is no network; write 10.0.0.0/8 or fd00::/8'
            )
            raise node.error(message) from None


def _check_store_models(settings: Settings, stores: Node) -> None:
    """Whether there is the server of each model that vector stores are to use."""
    served = {one.provider_id for one in settings.providers.inference}
    for name in ("default_embedding_model", "default_reranker_model"):
        provider_id: str = getattr(getattr(settings.vector_stores, name), "provider_id", "")
        if served and provider_id and provider_id not in served:
            listed = ", ".join(sorted(served))
            raise stores[name]["provider_id"].error(
                f'vector_stores.{name}: no inference provider "{provider_id}"; configured: {listed}'
            )


def _check_ids(providers: list[Node]) -> None:
    seen: set[str] = set()
    for node in providers:
        name = node["provider_id"].text()
        if name in seen:
            raise node["provider_id"].error(f'provider_id "{name}" is given twice')
        seen.add(name)


def _check_names(settings: Settings, inference: list[Node], models: list[Node]) -> None:
    _check_ids(inference)
    seen = {one.provider_id for one in settings.providers.inference}
    names: set[str] = set()
    for model, node in zip(settings.models, models, strict=True):
        if model.provider_id and model.provider_id not in seen:
            listed = ", ".join(sorted(seen)) or "none"
            raise node["provider_id"].error(
                f'models: no inference provider "{model.provider_id}"; configured: {listed}'
            )
        if model.model_id in names:
            raise node["model_id"].error(f'models: model_id "{model.model_id}" is given twice')
        names.add(model.model_id)
    check_routes(list(zip(settings.models, models, strict=True)), sorted(seen))
