"""The list `tool_groups` of a configuration: which groups cannot be had, and the connectors that others are of."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from antiphon.config.group_settings import (
    BUILTIN_RAG,
    KINDS,
    PROVIDERS,
    REFUSED,
    Kind,
    ToolGroupSettings,
    ToolRuntimeSettings,
    connector_id_of,
)
from antiphon.config.mcp_settings import ConnectorSettings
from antiphon.config.yaml_nodes import Node

Group = tuple[ToolGroupSettings, Node]
Connector = tuple[ConnectorSettings, Node]


def runtime_kinds(providers: Sequence[tuple[ToolRuntimeSettings, Node]]) -> Mapping[str, Kind]:
    """What the providers of `providers.tool_runtime` are, with those that are always there. Raises ConfigError."""
    kinds: dict[str, Kind] = dict(PROVIDERS)
    seen: set[str] = set()
    for settings, node in providers:
        if settings.provider_id in seen:
            raise node["provider_id"].error(f'provider_id "{settings.provider_id}" is given twice')
        seen.add(settings.provider_id)
        kind = KINDS.get(settings.provider_type)
        if kind is None:
            raise node["provider_type"].error(
                f'provider {settings.provider_id}: "{settings.provider_type}" is not served; served: {", ".join(KINDS)}'
            )
        if settings.config:
            raise node["config"].error(f"provider {settings.provider_id}: takes no `config`; remove it")
        kinds[settings.provider_id] = kind
    return kinds


def check_groups(groups: Sequence[Group], kinds: Mapping[str, Kind]) -> None:
    """Raises ConfigError. What the arguments of a search mean is seen when the server is put together."""
    seen: set[str] = set()
    for settings, node in groups:
        group_id = settings.toolgroup_id
        if group_id in seen:
            raise _error(settings, node, "toolgroup_id", "is given twice")
        seen.add(group_id)
        if group_id in REFUSED:
            raise _error(settings, node, "toolgroup_id", f"is not served: {REFUSED[group_id]}")
        if group_id.startswith("builtin::") and group_id != BUILTIN_RAG:
            raise _error(settings, node, "toolgroup_id", "begins with builtin::, as the server's own do")
        if settings.provider_id not in kinds:
            known = ", ".join(kinds)
            what = f'names no tool runtime: "{settings.provider_id}"; there: {known}'
            raise _error(settings, node, "provider_id", what)
        _check_kind(settings, node, kinds[settings.provider_id])


def _check_kind(settings: ToolGroupSettings, node: Node, kind: Kind) -> None:
    if kind == "rag" and settings.mcp_endpoint is not None:
        raise _error(
            settings, node, "mcp_endpoint", "belongs to groups of MCP servers, and this one searches"
        )
    if kind == "mcp" and settings.toolgroup_id == BUILTIN_RAG:
        raise _error(settings, node, "provider_id", "has to be one that searches vector stores: rag-runtime")


def connectors_of(
    groups: Sequence[Group], kinds: Mapping[str, Kind], connectors: Sequence[Connector]
) -> Iterator[Connector]:
    """The connectors that groups bring, where there are none of their ids yet. Raises ConfigError for a group without a
    server, or with another one than the connector of its id.
    """
    there = {settings.connector_id: settings.url for settings, _ in connectors}
    for settings, node in groups:
        if kinds[settings.provider_id] != "mcp":
            continue
        connector_id = connector_id_of(settings.toolgroup_id)
        if settings.mcp_endpoint is None:
            if connector_id not in there:
                what = f'is missing, and there is no connector "{connector_id}" whose group it could be'
                raise _error(settings, node, "mcp_endpoint", what)
            continue
        url = settings.mcp_endpoint.uri
        if there.setdefault(connector_id, url) != url:
            what = (
                f'leads elsewhere than connector "{connector_id}"; leave it out, or give the group another id'
            )
            raise _error(settings, node, "mcp_endpoint", what)
        if any(one.connector_id == connector_id for one, _ in connectors):
            continue
        connectors = [*connectors, _connector(connector_id, url, node)]
        yield connectors[-1]


def lines_of_groups(groups: Sequence[Group]) -> Iterator[tuple[str, int]]:
    """The lines for `Settings.group_error`."""
    for settings, node in groups:
        name = f"group:{settings.toolgroup_id}"
        yield name, node.line
        yield f"{name}.args", node.key_lines.get("args", node.line)


def _connector(connector_id: str, url: str, node: Node) -> Connector:
    uri = node["mcp_endpoint"]["uri"]
    entry = {"connector_id": node["toolgroup_id"], "url": uri}
    lines = {"connector_id": node.line, "url": uri.line}
    return ConnectorSettings(connector_id=connector_id, url=url), replace(node, value=entry, key_lines=lines)


def _error(settings: ToolGroupSettings, node: Node, name: str, what: str) -> Exception:
    return node.mapping().get(name, node).error(f"tool group {settings.toolgroup_id}: {name} {what}")
