"""The tools of MCP servers: where requests may lead, lists that are kept, calls and what becomes of their results."""
