"""A server process for real clients: scripted models that use tools, and a chat upstream that is watched."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.program import Program, start_antiphon
from tests.clients import mcp_world
from tests.integration.upstream import Upstream
from tests.support.mcp_servers import Case, McpServers

CONFIG = """\
version: 2
providers:
  inference:
  - provider_id: scripted
    provider_type: inline::scripted
    config:
      models:
      - name: clerk  # asks for two things at once, then tells both
        rules:
        - when: {matches: "(?i)weather", tool_outputs: false, tools: [get_weather, get_time]}
          reply:
          - reasoning: The city decides.
          - calls: [{name: get_weather, arguments: {city: Oslo}}, {name: get_time, arguments: {city: Oslo}}]
            by: 5
        - when: {tool_outputs: true}
          reply: [{reasoning: Both are known.}, {text: "It says: {{tool_outputs}}."}]
      - name: desk  # hands over to whoever knows
        rules:
        - when: {tools: [transfer_to_weather_expert]}
          reply: [{calls: [{name: transfer_to_weather_expert, arguments: {}}]}]
        - when: {step: 1, tools: [ask_expert]}
          reply: [{calls: [{name: ask_expert}]}]
        - when: {tools: [ask_expert]}
          reply: [{text: "The expert says: {{tool_outputs}}"}]
      - name: writer
        rules: [{reply: [{text: "Written after: {{input}}"}]}]
      - name: critic
        rules: [{reply: [{text: Too long.}]}]
      - name: chair  # says who speaks next
        rules:
        - {when: {matches: "^Too long"}, reply: [{text: writer}]}
        - reply: [{text: critic}]
      - name: expert
        rules:
        - when: {step: 2}
          reply: [{calls: [{name: get_weather, arguments: {city: Oslo}}]}]
        - when: {step: 3}
          reply: [{text: "The expert heard: {{tool_outputs}}"}]
      - name: juggler  # spells both calls at once, as some chat upstreams do
        rules:
        - when: {tool_outputs: false}
          reply:
          - calls: [{name: get_weather, arguments: {city: Oslo}}, {name: get_time, arguments: {city: Oslo}}]
            by: 5
            interleave: true
      - name: gpt-5.5  # a name that Codex knows: it gets the tool `apply_patch`
        rules:
        - when: {tool_outputs: false, text: change, tools: [apply_patch]}
          reply:
          - reasoning: One line changes.
          - text: I change the line.
          - calls:
            - name: apply_patch
              arguments: |
                *** Begin Patch
                *** Update File: notes.txt
                @@
                -old
                +new
                *** End Patch
        - when: {tool_outputs: true}
          reply: [{text: "It said: {{tool_outputs}}"}]
        - reply: [{text: "You asked: {{input}}"}]
      - name: coder  # one that it does not: it gets a shell
        rules:
        - when: {tool_outputs: false, text: change, tools: [exec_command]}
          reply: [{calls: [{name: exec_command, arguments: {cmd: "sed -i s/old/new/ notes.txt"}}]}]
        - reply: [{text: "It said: {{tool_outputs}}"}]
      - name: machinist  # uses what works the client's machine
        rules: &machinist
        - when: {step: 1, tools: [local_shell]}
          reply: [{calls: [{name: local_shell, arguments: {command: [cat, notes.txt]}}]}]
        - when: {step: 1, tools: [shell]}
          reply: [{calls: [{name: shell, arguments: {commands: [cat notes.txt, ls none.txt]}}]}]
        - when: {step: 1, tools: [apply_patch]}
          reply:
          - calls:
            - {name: apply_patch, arguments: {type: create_file, path: new.txt, diff: "+first\\n"}}
            - {name: apply_patch, arguments: {type: update_file, path: notes.txt, diff: "@@\\n-old\\n+new\\n"}}
            - {name: apply_patch, arguments: {type: delete_file, path: gone.txt}}
        - when: {step: 1, tools: [computer]}
          reply:
          - reasoning: The button is at the left.
          - calls: [{name: computer, arguments: {actions: [{type: click, x: 3, y: 4}]}}]
        - when: {step: 2, tools: [computer]}
          reply: [{calls: [{name: computer, arguments: {actions: [{type: type, text: hello}]}}]}]
        - reply: [{text: "It says: {{tool_outputs}}."}]
      - name: computer-use-preview  # a name for which the Agents SDK takes the older tool
        rules: *machinist
      - name: searcher  # looks for a tool before it calls it
        rules:
        - when: {step: 1, tools: [get_weather]}
          reply: [{calls: [{name: get_weather, arguments: {city: Oslo}}]}]
        - when: {tools: [tool_search], tool_outputs: false}
          reply: [{calls: [{name: tool_search, arguments: {query: weather}}]}]
        - when: {step: 2, tools: [get_weather]}
          reply: [{calls: [{name: get_weather, arguments: {city: Oslo}}]}]
        - reply: [{text: "It says: {{tool_outputs}}."}]
      - name: fails-late
        rules: [{reply: [{text: Half}, {fail: {kind: drop}}]}]
      - name: demo
  - provider_id: up
    provider_type: remote::openai-compatible
    config: {base_url: "%(upstream)s", api_key: sk-upstream, wire: chat}
storage: {url: "sqlite:///%(folder)s/antiphon.db"}
"""


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    with Upstream() as running:
        yield running


@pytest.fixture(scope="session")
def server(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("clients")
    config = CONFIG % {"upstream": upstream.url, "folder": folder}
    with start_antiphon(folder, config) as program:
        program.wait_ready()
        yield program


@pytest.fixture
def base_url(server: Program) -> str:
    return f"{server.url}/v1"


@pytest.fixture(scope="session")
def mcp_server(tmp_path_factory: pytest.TempPathFactory, mcp_servers: McpServers) -> Iterator[Program]:
    """A server whose models use tools of MCP servers; one of them is its connector `shop`."""
    folder = tmp_path_factory.mktemp("mcp")
    config = mcp_world.CONFIG % {"folder": folder, "shop": mcp_servers.case().url()}
    with start_antiphon(folder, config) as program:
        program.wait_ready()
        yield program


@pytest.fixture
def desk(mcp_servers: McpServers) -> Case:
    """An MCP server that only this test knows."""
    return mcp_servers.case()


@pytest.fixture(scope="session")
def cache() -> Path:
    """Where installed clients are kept between sessions; not in version control."""
    folder = Path(__file__).parents[2] / ".cache" / "clients"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
