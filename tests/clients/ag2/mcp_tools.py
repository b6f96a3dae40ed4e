"""`mcp_tools.py BASE_URL MCP_URL`: an agent of AG2 1.x with tools of an MCP server. Prints one line of JSON."""

import asyncio
import importlib
import json
import sys
from typing import Any

# Typed as Any: AG2 is not in the environment in which types are checked.
ag2: Any = importlib.import_module("ag2")
configs: Any = importlib.import_module("ag2.config")
tools: Any = importlib.import_module("ag2.tools")


async def run(base_url: str, mcp_url: str, **settings: Any) -> dict[str, Any]:
    """A question, and a second one in the same conversation."""
    config = configs.OpenAIResponsesConfig(
        model="clerk", base_url=base_url, api_key="none", max_retries=0, **settings
    )
    desk = tools.MCPServerTool(
        server_url=mcp_url,
        server_label="desk",
        authorization_token="secret-of-the-desk",
        description="The desk.",
        allowed_tools=["add", "hello"],
    )
    clerk = ag2.Agent("clerk", prompt="You are a clerk.", config=config, tools=[desk])
    first = await clerk.ask("How much is it? And say hello.")
    again = await first.ask("Thanks!")
    kinds = [type(event).__name__ for event in await first.history.get_events()]
    return {
        "said": [first.body, again.body],
        "seen": [kind for kind in kinds if "ServerTool" in kind],
    }


async def main() -> None:
    seen = {
        "version": ag2.__version__,
        "whole": await run(*sys.argv[1:]),
        "streamed": await run(*sys.argv[1:], streaming=True),
        "not stored": await run(*sys.argv[1:], streaming=True, store=False),
    }
    sys.stdout.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
