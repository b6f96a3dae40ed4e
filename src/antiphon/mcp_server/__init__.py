"""Our own MCP server, at `/mcp`: what a caller may use here, as tools for any MCP client."""
