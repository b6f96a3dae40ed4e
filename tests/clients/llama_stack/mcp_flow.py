"""`mcp_flow.py BASE_URL MCP_URL`: the `Agent` of a llama-stack-client (0.4 on) with tools of an MCP server.

It prints what it saw as one line of JSON. BASE_URL is that of the server, without `/v1`.
"""

import importlib
import json
import sys
from typing import Any

# Typed as Any: the client is not in the environment in which types are checked.
client_package: Any = importlib.import_module("llama_stack_client")
QUESTION = [{"role": "user", "content": "How much is it? And say hello."}]
THANKS = [{"role": "user", "content": "Thanks!"}]


def flow(client: Any, mcp_url: str) -> dict[str, Any]:
    """A streamed turn, and one that is not, of one session."""
    tool = {"type": "mcp", "server_label": "desk", "server_url": mcp_url, "require_approval": "never"}
    agent = client_package.Agent(client, model="clerk", instructions="Look things up.", tools=[tool])
    session = agent.create_session("tests")
    printed: list[str] = []
    chunk: Any = None
    for chunk in agent.create_turn(QUESTION, session):
        printed += client_package.AgentEventLogger().log([chunk])
    whole = agent.create_turn(THANKS, session, stream=False)
    unset = {"after": client_package.NOT_GIVEN, "include": client_package.NOT_GIVEN}
    items = client.conversations.items.list(session, limit=50, order="asc", **unset)
    return {
        "client": client_package.__version__,
        "printed": "".join(printed),
        "text": chunk.response.output_text,
        "again": whole.output_text,
        "items": [item.type for item in getattr(items, "data", items)],
    }


def main() -> None:
    base_url, mcp_url = sys.argv[1:]
    with client_package.LlamaStackClient(base_url=base_url, api_key="none", max_retries=0) as client:
        sys.stdout.write(json.dumps(flow(client, mcp_url)) + "\n")


if __name__ == "__main__":
    main()
