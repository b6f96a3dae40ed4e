"""What every folder shares: the recorder of exchanges, the page that is written from what it saw, and real servers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.coverage import page
from tests.conformance.recorder import Recorder
from tests.support.chroma import chroma
from tests.support.mcp_fixtures import hostile_mcp, hostile_mcp_servers, mcp_case, mcp_servers
from tests.support.postgres import postgres, postgres_database, postgres_module_database

__all__ = [
    "chroma",
    "hostile_mcp",
    "hostile_mcp_servers",
    "mcp_case",
    "mcp_servers",
    "postgres",
    "postgres_database",
    "postgres_module_database",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--coverage-page", type=Path, help="write what the session exercised to this Markdown file"
    )
    parser.addoption("--soak", action="store_true", help="many more rounds where a test counts rounds")


@pytest.fixture(scope="session")
def session_recorder(request: pytest.FixtureRequest) -> Iterator[Recorder]:
    recorder = Recorder()
    yield recorder
    target: Path | None = request.config.getoption("--coverage-page")
    if target is not None:
        target.write_text(page(recorder))


@pytest.fixture
def recorder(session_recorder: Recorder) -> Iterator[Recorder]:
    """Fails the test when a body or an event in it was not what the official document says."""
    session_recorder.take_violations()
    yield session_recorder
    violations = session_recorder.take_violations()
    assert not violations, "\n".join(violations)
