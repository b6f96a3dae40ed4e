"""Who may open connections, read from the source: addresses that callers name are the fetcher's alone (X9)."""

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from tests.unit.test_import_graph import layer, modules

NETWORK = frozenset(
    {"aiohttp", "asyncpg", "ftplib", "http.client", "obstore", "qdrant_client", "smtplib", "socket"}
)
NETWORK_MODULES = frozenset({"urllib.request", "urllib3", "httpx", "requests", "websockets.client"})
OPENS = frozenset(
    {"open_connection", "create_connection", "open_unix_connection", "ClientSession", "urlopen"}
)

FETCHER = "fetching"
MCP_TRANSPORT = "antiphon.mcp.http_transport"
"""Reads answers of `GuardedHttp` as aiohttp gives them; it opens nothing itself."""
OPERATORS_ADDRESSES = frozenset({"blobs", "indexes", "providers", "storage"})
"""Adapters whose addresses the configuration names, never a request."""
THE_OTHER_SIDE = frozenset({"cli", "client", "conformance", "discovery", "in_process"})
"""Clients of servers, which a person or their program starts: they ask this machine, or the server that these name."""


def may_connect(module: str) -> bool:
    return layer(module) in {FETCHER} | OPERATORS_ADDRESSES | THE_OTHER_SIDE or module == MCP_TRANSPORT


@cache
def uses() -> Mapping[str, frozenset[str]]:
    """What each module uses that can connect."""
    return {name: frozenset(network_in(path)) for name, path in modules().items()}


def network_in(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if connects(alias.name))
        elif isinstance(node, ast.ImportFrom) and connects(node.module or ""):
            yield node.module or ""
        elif isinstance(node, ast.Attribute) and node.attr in OPENS:
            yield node.attr


def connects(target: str) -> bool:
    return any(target == name or target.startswith(f"{name}.") for name in NETWORK)


def test_only_adapters_and_the_command_line_open_connections() -> None:
    wrong = {name: found for name, found in uses().items() if found and not may_connect(name)}
    assert not wrong, "ask for addresses that callers name through `ports.files.Fetcher`"


def test_the_gate_sees_a_connection() -> None:
    seen = {layer(name) for name, found in uses().items() if found}
    assert {FETCHER, "providers", "discovery", "client"} <= seen
