"""What a list of connectors has to keep to, each fault at its line."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from antiphon.config.mcp_settings import ConnectorSettings
from antiphon.config.yaml_nodes import Node
from antiphon.core.errors import InvalidRequest
from antiphon.core.mcp_rules import check_headers, check_token

_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,127}\Z")
_OF_PROCESSES = ("command", "env", "cwd")
_OF_HTTP = ("url", "authorization", "headers", "oauth")


def check_connectors(connectors: Sequence[tuple[ConnectorSettings, Node]]) -> None:
    """Raises ConfigError. Whether URLs are such is seen when the server is put together."""
    seen: set[str] = set()
    for settings, node in connectors:
        if settings.connector_id in seen:
            raise _error(settings, node, "connector_id", "is given twice")
        seen.add(settings.connector_id)
        _check_kind(settings, node)
        if settings.server_label and not _LABEL.match(settings.server_label):
            what = (
                "expected letters, digits, spaces, dots, dashes and underscores, the first a letter or digit"
            )
            raise _error(settings, node, "server_label", what)
        _check_credentials(settings, node)


def lines_of_connectors(connectors: Sequence[tuple[ConnectorSettings, Node]]) -> Iterator[tuple[str, int]]:
    """The lines for `Settings.connector_error`."""
    for settings, node in connectors:
        name = f"connector:{settings.connector_id}"
        yield name, node.line
        for key in node.mapping():
            yield f"{name}.{key}", node.key_lines.get(key, node.line)


def _check_kind(settings: ConnectorSettings, node: Node) -> None:
    """A process has a command and no URL, a server over HTTP the other way round."""
    if settings.transport == "stdio":
        if not settings.command or not settings.command[0]:
            raise _error(settings, node, "command", "is missing: `transport: stdio` starts a program")
        _refuse(settings, node, _OF_HTTP, "belongs to servers over HTTP, and `transport` is stdio")
        return
    if settings.command and not settings.url:
        raise _error(settings, node, "transport", "has to be stdio for a server that is a `command`")
    if not settings.url:
        raise _error(settings, node, "url", "is missing: where the server is, over HTTP")
    _refuse(settings, node, _OF_PROCESSES, "belongs to servers that are started, by `transport: stdio`")


def _refuse(settings: ConnectorSettings, node: Node, names: Sequence[str], why: str) -> None:
    for name in names:
        value: Any = getattr(settings, name)
        if value:
            raise _error(settings, node, name, why)


def _check_credentials(settings: ConnectorSettings, node: Node) -> None:
    _by_rule(settings, node, "headers", check_headers, settings.headers)
    if settings.authorization:
        _by_rule(settings, node, "authorization", check_token, settings.authorization)
    own = any(name.lower() == "authorization" for name in settings.headers)
    if settings.authorization and own:
        raise _error(settings, node, "authorization", "is in `headers` too; keep one of them")
    if settings.oauth is None:
        return
    if settings.authorization or own:
        what = (
            "has each user send a token of their own: `authorization` would never be sent; keep one of them"
        )
        raise _error(settings, node, "oauth", what)
    if settings.oauth.client_secret and not settings.oauth.client_id:
        raise _error(settings, node, "oauth", "`client_secret` belongs to a `client_id`, which is missing")


def _by_rule(
    settings: ConnectorSettings, node: Node, name: str, rule: Callable[[Any, str], None], value: object
) -> None:
    """The rules of requests, which say no secret either."""
    try:
        rule(value, name)
    except InvalidRequest as refused:
        at: Mapping[str, Node] = node.mapping()
        where = at.get(name, node)
        message = f"connector {settings.connector_id}: {refused.message}"
        raise where.error(message) from None


def _error(settings: ConnectorSettings, node: Node, name: str, what: str) -> Exception:
    where = node.mapping().get(name, node)
    return where.error(f"connector {settings.connector_id}: {name} {what}")
