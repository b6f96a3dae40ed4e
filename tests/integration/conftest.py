"""The installed program as a process, an upstream that the tests control, and clients of both kinds."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import openai
import pytest

import antiphon
from antiphon.in_process.server import EmbeddedServer
from bench.program import Program, start_antiphon
from tests.conformance.recorder import Recorder
from tests.integration.clients import Connect, InProcess, OverHttp, Raw
from tests.integration.mcp_world import (
    asking,
    both,
    mcp_embedded,
    mcp_embedded_client,
    mcp_http_client,
    mcp_program,
    mcp_raw,
    start_mcp,
)
from tests.integration.upstream import Upstream

__all__ = [
    "asking",
    "both",
    "mcp_embedded",
    "mcp_embedded_client",
    "mcp_http_client",
    "mcp_program",
    "mcp_raw",
    "start_mcp",
]

StartServer = Callable[..., Program]


def configuration(upstream: Upstream, folder: Path, more: str = "") -> str:
    return f"""\
version: 2
{more}
providers:
  inference:
  - provider_id: up
    provider_type: remote::openai-compatible
    config: {{base_url: "{upstream.url}", api_key: sk-upstream-secret, wire: chat}}
  - provider_id: plain
    provider_type: remote::openai-compatible
    config:
      base_url: "{upstream.url}"
      allowed_models: [json, json-late, not-json]
      capabilities: {{json_schema: false, json_object: false}}
  - provider_id: mindful
    provider_type: remote::openai-compatible
    config:
      base_url: "{upstream.url}"
      wire: chat
      allowed_models: [muser]
      capabilities: {{reasoning_field: reasoning_content}}
  - provider_id: scripted
    provider_type: inline::scripted
storage: {{url: "sqlite:///{folder}/antiphon.db"}}
"""


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    with Upstream() as running:
        yield running


@pytest.fixture(scope="session")
def server(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """One server for all tests that leave it as they found it."""
    folder = tmp_path_factory.mktemp("server")
    with start_antiphon(folder, configuration(upstream, folder)) as program:
        program.wait_ready()
        yield program


@pytest.fixture
def start_server(upstream: Upstream, tmp_path: Path) -> Iterator[StartServer]:
    """Starts servers of a test's own. A second one in the same test finds the first one's database."""
    with ExitStack() as running:

        def start(more: str = "") -> Program:
            program = running.enter_context(start_antiphon(tmp_path, configuration(upstream, tmp_path, more)))
            program.wait_ready()
            return program

        yield start


@pytest.fixture(scope="session")
def embedded_server(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """The same configuration inside this process."""
    folder = tmp_path_factory.mktemp("embedded")
    file = folder / "antiphon.yaml"
    file.write_text(configuration(upstream, folder))
    with antiphon.embedded(file) as running:
        yield running


@pytest.fixture(params=["http", "embedded"])
def connect(request: pytest.FixtureRequest, recorder: Recorder) -> Connect:
    """Each test that takes it, or a client, runs both ways."""
    if request.param == "http":
        return OverHttp(request.getfixturevalue("server"), recorder)
    return InProcess(request.getfixturevalue("embedded_server"), recorder)


@pytest.fixture
def client(connect: Connect) -> Iterator[openai.OpenAI]:
    with connect.sync() as made:
        yield made


@pytest.fixture
async def aclient(connect: Connect) -> AsyncIterator[openai.AsyncOpenAI]:
    async with connect.asynchronous() as made:
        yield made


@pytest.fixture
def raw(server: Program, recorder: Recorder) -> Iterator[Raw]:
    with Raw(server.port, recorder) as connection:
        yield connection
