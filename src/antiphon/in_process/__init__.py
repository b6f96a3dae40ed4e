"""The server inside another program: `antiphon.embedded`."""
