"""Tool groups: MCP servers and built-in tools under the names by which agents, and clients of Llama Stack, use them."""
