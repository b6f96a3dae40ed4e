"""A server with the Messages API over every wire, and the official client of that API."""

import http.client
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anthropic

from bench.program import Program
from tests.integration.upstream import Upstream
from tests.wire.fake_anthropic import KEY, FakeAnthropic
from tests.wire.fake_responses import FakeResponses

LIMIT_S = 30.0
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
SCRIPT = """\
      models:
      - name: demo
      - name: echo
        rules: [{reply: [{text: "You said: {{input}}"}]}]
      - name: parallel
        rules:
        - when: {tool_outputs: true}
          reply: [{reasoning: "It is warm."}, {text: "You said: {{tool_outputs}}"}]
        - reply:
          - reasoning: "I have to look."
          - text: "Let me look."
          - calls: [{name: weather, arguments: {city: Paris}}, {name: time, arguments: {city: Rome}}]
            by: 3
            interleave: true
      - name: coder
        rules:
        - when: {tool_outputs: true}
          reply: [{text: "You said: {{tool_outputs}}"}]
        - reply:
          - reasoning: "I write the file, then read it."
          - text: "Writing it."
          - calls:
            - {name: Write, arguments: {file_path: a.txt, content: "a"}}
            - {name: Read, arguments: {file_path: a.txt}}
      - name: thinker
        rules: [{reply: [{reasoning: "Let me think."}, {text: "You said: {{input}}"}]}]
      - name: counter
        rules: [{reply: [{text: "one two END three"}]}]
      - name: breaks
        rules: [{reply: [{text: "one two"}, {fail: {kind: drop, message: gone}}]}]
      - name: late
        rules: [{reply: [{text: "one"}, {wait_ms: 600000}]}]
"""


def configuration(
    folder: Path, chat: Upstream, responses: FakeResponses, claude: FakeAnthropic, more: str = ""
) -> str:
    return f"""\
version: 2
{more}
providers:
  inference:
  - provider_id: scripted
    provider_type: inline::scripted
    config:
{SCRIPT}
  - provider_id: chat
    provider_type: remote::openai-compatible
    config:
      base_url: "{chat.url}"
      wire: chat
      max_retries: 0
      capabilities: {{reasoning_field: reasoning_content}}
  - provider_id: dull
    provider_type: remote::tgi
    config: {{base_url: "{chat.url}"}}
  - provider_id: responses
    provider_type: remote::openai
    config: {{base_url: "{responses.url}", api_key: sk-upstream-secret, wire: responses}}
  - provider_id: claude
    provider_type: remote::anthropic
    config: {{base_url: "{claude.url}", api_key: {KEY}, max_retries: 0}}
storage: {{url: "sqlite:///{folder}/antiphon.db"}}
"""


def second(folder: Path, first: Program) -> str:
    """A server whose model server is the first one."""
    return f"""\
version: 2
providers:
  inference:
  - provider_id: again
    provider_type: remote::anthropic
    config: {{base_url: "{first.url}/v1", api_key: none}}
storage: {{url: "sqlite:///{folder}/antiphon.db"}}
"""


@contextmanager
def official(server: Program, api_key: str = "none") -> Generator[anthropic.Anthropic]:
    http_client = anthropic.DefaultHttpxClient(trust_env=False)
    with anthropic.Anthropic(
        api_key=api_key, base_url=server.url, max_retries=0, timeout=LIMIT_S, http_client=http_client
    ) as made:
        yield made


def ask(client: anthropic.Anthropic, *, stream: bool, **fields: Any) -> Any:
    """The final message; blocks and settings are as the wire has them, not of the client's types."""
    whole = {"max_tokens": 4000, **fields}
    if not stream:
        create: Any = client.messages.create
        return create(**whole)
    open_stream: Any = client.messages.stream
    with open_stream(**whole) as streamed:
        return streamed.get_final_message()


def user(*blocks: Any) -> Any:
    content = [{"type": "text", "text": one} if isinstance(one, str) else one for one in blocks]
    return {"role": "user", "content": content}


def said(message: Any) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def get(server: Program, path: str, headers: dict[str, str]) -> int:
    """The status. What the Messages API answers on OpenAI's paths is not held to OpenAI's document."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=LIMIT_S)
    connection.request("GET", path, headers=headers)
    status = connection.getresponse().status
    connection.close()
    return status
