"""Which servers have said that their tools have changed."""

from collections import OrderedDict
from typing import Final

from antiphon.ports.mcp import McpServer

_CHANGES_KEPT: Final = 16_384


class Changes:
    """How often each server has said so. One that was forgotten, among very many, has the highest number forgotten."""

    def __init__(self) -> None:
        self._floor = 0
        self._of: OrderedDict[McpServer, int] = OrderedDict()

    def note(self, server: McpServer) -> None:
        self._of[server] = self.of(server) + 1
        self._of.move_to_end(server)
        if len(self._of) > _CHANGES_KEPT:
            self._floor = max(self._floor, self._of.popitem(last=False)[1])

    def of(self, server: McpServer) -> int:
        return self._of.get(server, self._floor)
