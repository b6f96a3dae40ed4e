"""Fixtures of MCP servers: the servers once a session, a case of its own for each test."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.support.mcp_wire import Case

if TYPE_CHECKING:  # the SDK is imported by those tests that need it
    from tests.support.hostile_mcp import HostileMcp
    from tests.support.mcp_servers import McpServers


@pytest.fixture(scope="session")
def mcp_servers() -> "Iterator[McpServers]":
    from tests.support.mcp_servers import McpServers

    with McpServers() as running:
        yield running


@pytest.fixture
def mcp_case(mcp_servers: "McpServers") -> Case:
    """A real server that nobody has asked anything yet."""
    return mcp_servers.case()


@pytest.fixture(scope="session")
def hostile_mcp_servers() -> "Iterator[HostileMcp]":
    from tests.support.hostile_mcp import HostileMcp

    with HostileMcp() as running:
        yield running


@pytest.fixture
def hostile_mcp(hostile_mcp_servers: "HostileMcp") -> Case:
    """A hostile server that nobody has asked anything yet; the address says how it is hostile."""
    return hostile_mcp_servers.case()
