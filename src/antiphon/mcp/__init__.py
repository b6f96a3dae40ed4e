"""The client of MCP servers, on the official SDK, which is loaded when the first server is asked.

`client.py` is what the rest sees; nothing that it imports at its top loads the SDK. `pool.py` keeps connections,
`connection.py` is one of them, `calling.py` runs calls on them, `http_transport.py` is the SDK's way out.
"""
