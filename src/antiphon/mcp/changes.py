"""Which servers have said that their tools have changed."""

from collections import OrderedDict
from typing import Final

from antiphon.ports.mcp import McpServer

_CHANGES_KEPT: Final = 16_384


class Changes:
    """How often servers said that their tools have changed: a number for each that never falls."""

    def __init__(self) -> None:
        self._count = 0
        self._floor = 0
        self._of: OrderedDict[McpServer, int] = OrderedDict()

    def note(self, server: McpServer) -> None:
        self._count += 1
        self._of[server] = self._count
        self._of.move_to_end(server)
        if len(self._of) > _CHANGES_KEPT:
            self._floor = self._of.popitem(last=False)[1]

    def of(self, server: McpServer) -> int:
        return self._of.get(server, self._floor)
