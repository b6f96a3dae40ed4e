"""Connectors: MCP servers that have an id here, from the configuration or made over HTTP by a tenant."""
