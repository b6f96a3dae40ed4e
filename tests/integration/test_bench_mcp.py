"""The benchmark's rows of MCP: they run, every call in them is answered, and time goes to whom it belongs."""

from pathlib import Path

import httpx2
import pytest
import uvloop

import antiphon
from bench.__main__ import configuration
from bench.mcp_rows import MCP_ROWS, McpServers, started
from bench.profiled import owner_of
from bench.program import start_upstream
from bench.rows import Row, Sample


@pytest.mark.parametrize(
    ("file", "owner"),
    [
        (httpx2.__file__, "sdk"),
        ("/x/lib/python3.11/site-packages/mcp/client/session.py", "sdk"),
        (antiphon.__file__, "antiphon"),
        ("/x/src/antiphon/mcp/engine.py", "antiphon"),
        ("/x/lib/python3.11/site-packages/aiohttp/client.py", "aiohttp"),
        ("/x/lib/python3.11/asyncio/tasks.py", ""),
        ("<string>", ""),
    ],
)
def test_a_frame_belongs_to_the_sdk_to_us_or_to_its_caller(file: str, owner: str) -> None:
    assert owner_of(file) == owner


async def measured(row: Row, servers: McpServers) -> Sample:
    return await row.measure(servers, 16)


def test_the_rows_run(tmp_path: Path) -> None:
    """A call that fails, or says something else, fails the row."""
    with (
        start_upstream() as upstream,
        started(upstream, tmp_path, configuration(upstream, tmp_path)) as servers,
    ):
        for row in MCP_ROWS:
            sample = uvloop.run(measured(row, servers))
            assert sample.value > 0
            assert sample.per_second > 0
        assert servers.profile.shares().sdk > 0
