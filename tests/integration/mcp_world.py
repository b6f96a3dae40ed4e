"""What tests of MCP share: servers of ours that may ask loopback, over HTTP and embedded, and short words."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

import antiphon
from antiphon.in_process.server import EmbeddedServer
from bench.program import Program, start_antiphon
from tests.conformance.recorder import Recorder
from tests.integration.clients import InProcess, OverHttp, Raw
from tests.integration.upstream import Upstream
from tests.support.mcp_wire import Case

Json = dict[str, Any]
MODEL = "obedient"
LOOPBACK = 'server: {egress: {allow_private: ["127.0.0.0/8"]}}'
MCP = "mcp: {connect_timeout_s: 2, list_timeout_s: 2, call_timeout_s: 2, max_message_bytes: 4194304}"
"""Short limits: those servers that hang do it on purpose, and the others answer within milliseconds."""


def mcp_configuration(upstream: Upstream, folder: Path, *more: str) -> str:
    sections = "\n".join(more or (LOOPBACK, MCP))
    return f"""\
version: 2
{sections}
providers:
  inference:
  - provider_id: up
    provider_type: remote::openai-compatible
    config: {{base_url: "{upstream.url}", api_key: sk-upstream-secret, wire: chat}}
storage: {{url: "sqlite:///{folder}/antiphon.db"}}
"""


@pytest.fixture(scope="session")
def mcp_program(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("mcp")
    with start_antiphon(folder, mcp_configuration(upstream, folder)) as program:
        program.wait_ready()
        yield program


@pytest.fixture(scope="session")
def mcp_embedded(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    folder = tmp_path_factory.mktemp("mcp-embedded")
    file = folder / "antiphon.yaml"
    file.write_text(mcp_configuration(upstream, folder))
    with antiphon.embedded(file) as running:
        yield running


@pytest.fixture(scope="session")
def mcp_http_client(mcp_program: Program, session_recorder: Recorder) -> Iterator[openai.OpenAI]:
    with OverHttp(mcp_program, session_recorder).sync() as made:
        yield made


@pytest.fixture(scope="session")
def mcp_embedded_client(mcp_embedded: EmbeddedServer, session_recorder: Recorder) -> Iterator[openai.OpenAI]:
    with InProcess(mcp_embedded, session_recorder).sync() as made:
        yield made


@pytest.fixture(params=["http", "embedded"])
def both(request: pytest.FixtureRequest, recorder: Recorder) -> openai.OpenAI:
    """The official client; the test runs over HTTP and embedded."""
    del recorder  # it looks at what the client, which all tests share, has exchanged
    found = request.getfixturevalue(f"mcp_{request.param}_client")
    assert isinstance(found, openai.OpenAI)
    return found


@pytest.fixture
def asking(mcp_http_client: openai.OpenAI, recorder: Recorder) -> openai.OpenAI:
    """The official client over HTTP."""
    del recorder
    return mcp_http_client


@pytest.fixture
def mcp_raw(mcp_program: Program, recorder: Recorder) -> Iterator[Raw]:
    with Raw(mcp_program.port, recorder) as connection:
        yield connection


StartMcp = Callable[..., Program]


@pytest.fixture
def start_mcp(upstream: Upstream, tmp_path: Path) -> Iterator[StartMcp]:
    """Starts servers of a test's own. A second one in the same test finds the first one's database."""
    running: list[Program] = []

    def start(*more: str) -> Program:
        program = start_antiphon(tmp_path, mcp_configuration(upstream, tmp_path, *more))
        running.append(program)
        program.wait_ready()
        return program

    yield start
    for program in running:
        program.stop()


def server(case: Case, flavour: str = "mcp", label: str = "desk", **more: Any) -> Any:
    """An `mcp` tool that needs no approval, unless something else is said."""
    return {
        "type": "mcp",
        "server_label": label,
        "server_url": case.url(flavour),
        "require_approval": "never",
        **more,
    }


def respond(client: openai.OpenAI, **request: Any) -> Any:
    """A response of the obedient model, as a request says that no type of the client's describes."""
    create: Any = client.responses.create
    return create(model=MODEL, **request)


def kinds(response: Any) -> list[str]:
    return [item.type for item in response.output]


def of(response: Any, kind: str) -> list[Any]:
    return [item for item in response.output if item.type == kind]


def only(response: Any, kind: str) -> Any:
    [item] = of(response, kind)
    return item


def names(response: Any) -> list[str]:
    """Of the tools in the only list."""
    return [tool.name for tool in only(response, "mcp_list_tools").tools]


def shown(upstream: Upstream) -> list[str]:
    """The names of the tools that the model was last shown."""
    return [one["function"]["name"] for one in upstream.last_request().get("tools", [])]


def heard(upstream: Upstream) -> list[str]:
    """What the model last read of its tools."""
    return [one["content"] for one in upstream.last_request()["messages"] if one["role"] == "tool"]
