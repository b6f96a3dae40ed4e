"""Antiphon: a self-hosted agent server. Importing this package imports nothing heavy."""

from antiphon.version import __version__

TYPE_CHECKING = False  # as in `typing`, whose import would cost more than all else here
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

    from antiphon.config.settings import Settings
    from antiphon.in_process.server import EmbeddedServer

__all__ = ["__version__", "embedded"]


def embedded(
    config: "str | Path | Mapping[str, Any] | Settings | None" = None, *, temporary: bool = False
) -> "EmbeddedServer":
    """A server inside this process, and OpenAI clients that talk to it without a socket.

        with antiphon.embedded("demo") as server:
            print(server.client().responses.create(model="demo", input="Say hello.").output_text)

    `config` is a configuration file, a mapping of the same shape, `Settings`, or None for what `antiphon serve`
    would find. `"demo"` is the scripted model with state that is gone at the end; `temporary` keeps the state of
    any other configuration in such a folder too.

    Raises ConfigError for a configuration that cannot be used; the server starts when the `with` block is entered.
    """
    from antiphon.in_process.server import EmbeddedServer, settings_for

    return EmbeddedServer(settings_for(config), temporary=temporary or config == "demo")
