"""What the client allows servers and itself."""

from dataclasses import dataclass
from typing import Final

MAX_PAGES: Final = 64
MAX_SCHEMA_BYTES: Final = 256 * 1024
MAX_DEPTH: Final = 64
"""How deep a schema or a structured result may be nested."""
MAX_DESCRIPTION: Final = 16_384
MAX_NAME: Final = 256
MAX_SAID: Final = 2000
"""Characters of a server's error message or log line that are shown."""
MAX_MESSAGE: Final = 8192
"""Characters of a question to a user."""
MAX_STATE_BYTES: Final = 1024 * 1024
"""What a server may have us keep until a user has answered."""
MAX_ROUNDS: Final = 16
"""How often in a row a server may ask for input that no user gives."""
MAX_EVENTS: Final = 10_000
"""Messages in one answer."""


@dataclass(frozen=True, slots=True)
class McpLimits:
    """Seconds, bytes and numbers; the docstrings of `config.mcp_settings.McpSettings` say what they are for."""

    connect_timeout_s: float = 10.0
    idle_s: float = 60.0
    max_connections: int = 256
    max_processes: int = 4
    """Processes of one `stdio` server, for one owner; more calls at once wait for each other."""
    max_tools: int = 512
    max_message_bytes: int = 16 * 1024 * 1024
    question_ttl_s: float = 600.0
    close_timeout_s: float = 5.0
    sampling: bool = False
    """Whether servers are told that they may ask for model calls."""

    @property
    def max_of_tenant(self) -> int:
        """Connections that one tenant may have: whatever it does, others find some."""
        return self.max_connections - self.max_connections // 4
