"""What became of a request on the way out, seen by the transport and read by whoever sent it.

The SDK's transports run each message in the context of its sender, so this travels in a `ContextVar`: a transport that
several calls share finds the right one.
"""

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from antiphon.ports.mcp import McpFailure


@dataclass(slots=True)
class Exchange:
    """`sent`: something of it reached a server; `unsent`: it surely reached none. `in_session`: it named a session.
    `failure`: why there is no answer. `status` and `challenge` are those of the HTTP answer, 0 and "" without one.
    """

    failure: McpFailure | None = None
    sent: bool = False
    unsent: bool = False
    in_session: bool = False
    status: int = 0
    challenge: str = ""

    def not_sent(self) -> None:
        """What was tried now reached nobody: so did nothing, unless something had before."""
        self.unsent = not self.sent

    def fail(self, failure: McpFailure) -> None:
        """The first reason is the one that counts."""
        self.failure = self.failure or failure


CURRENT: Final[ContextVar[Exchange | None]] = ContextVar("mcp_exchange", default=None)


def current() -> Exchange:
    """That of the running task, or one that nobody reads."""
    return CURRENT.get() or Exchange()
