"""Lists of tools that are kept for new conversations, and one request to a server however many ask for its list.

A list is kept by everything that may change it: the server, what it is sent, and who asks. Keys are keyed digests, so
that no credential is held as one.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from antiphon.core.hosted_items import McpListedTool
from antiphon.core.tools import McpTool
from antiphon.core.wire import encode
from antiphon.mcp_tools.news import Definitions, KeyedDigest, News, definitions
from antiphon.ports import Owner
from antiphon.ports.mcp import Listing, McpClient, McpServer

Tools = Sequence[McpListedTool]
MAX_LIFETIME_S = 86_400.0
"""Whatever a server says: its tools are listed again after a day."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """A list. `changes` is how often the server had said so when it was asked; `size` in bytes of JSON."""

    tools: Tools
    definitions: Definitions
    until: float
    changes: int
    size: int


@dataclass(slots=True)
class _Asking:
    """A list that is on its way; `waiting` counts who wants it."""

    task: "asyncio.Task[_Kept]"
    waiting: int = 0


@dataclass(slots=True)
class Listings:
    """`lifetime_s` is for servers that do not say how long their list holds; `monotonic` is in seconds. At most
    `max_lists` lists and `max_bytes` of JSON are kept, those used last.
    """

    client: McpClient
    monotonic: Callable[[], float]
    lifetime_s: float
    timeout_s: float
    max_lists: int = 1000
    max_bytes: int = 32 * 1024 * 1024
    digest: KeyedDigest = field(default_factory=KeyedDigest)
    _kept: "OrderedDict[bytes, _Kept]" = field(default_factory=OrderedDict[bytes, _Kept])
    _asking: dict[bytes, _Asking] = field(default_factory=dict[bytes, _Asking])
    _bytes: int = 0
    news: News = field(init=False)

    def __post_init__(self) -> None:
        self.news = News(self.client, self.digest)

    async def get(
        self, owner: Owner, tool: McpTool, server: McpServer, read: Callable[[Listing], Tools]
    ) -> Tools:
        """The tools of a server, kept or asked for now. `read` makes of a listing what is kept of it.

        Raises McpFailure, and whatever `read` raises; nothing is kept then.
        """
        key = self.digest(_parts(server))
        kept = self._kept.get(key)
        if kept is not None and kept.until > self.monotonic() and kept.changes == self.client.changes(server):
            self._kept.move_to_end(key)
            self.news.listed(owner, tool, server, kept.changes, kept.definitions)
            return kept.tools
        self._drop(key)
        changes = self.client.changes(server)
        found = await self._shared(key, lambda: self._ask(key, server, changes, read))
        self.news.listed(owner, tool, server, found.changes, found.definitions)
        return found.tools

    @property
    def kept_bytes(self) -> int:
        return self._bytes

    async def aclose(self) -> None:
        """Give up the lists that are on their way."""
        tasks = [one.task for one in self._asking.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- one request for all who ask ----------------------------------------------------------------------
    async def _shared(self, key: bytes, ask: Callable[[], Awaitable[_Kept]]) -> _Kept:
        """Whoever is cancelled leaves the others their list; with the last one the request is cancelled."""
        asking = self._asking.get(key)
        if asking is None:
            asking = self._asking[key] = _Asking(asyncio.ensure_future(ask()))
            asking.task.add_done_callback(lambda _: self._done(key, asking))
        asking.waiting += 1
        try:
            return await asyncio.shield(asking.task)
        finally:
            asking.waiting -= 1
            if not asking.waiting and not asking.task.done():
                self._done(key, asking)  # who comes now asks anew
                asking.task.cancel()

    def _done(self, key: bytes, asking: _Asking) -> None:
        if self._asking.get(key) is asking:
            del self._asking[key]
        if asking.task.done() and not asking.task.cancelled():
            asking.task.exception()  # where nobody waits any more, nobody is to be told

    async def _ask(
        self, key: bytes, server: McpServer, changes: int, read: Callable[[Listing], Tools]
    ) -> _Kept:
        asked_at = self.monotonic()
        listing = await self.client.list_tools(server, timeout_s=self.timeout_s)
        tools, said = read(listing), listing.lifetime_s
        lifetime_s = self.lifetime_s if said is None else min(max(said, 0.0), MAX_LIFETIME_S)
        found = _Kept(tools, definitions(tools), asked_at + lifetime_s, changes, len(encode(tools)))
        if lifetime_s > 0:
            self._keep(key, found)
        return found

    # --- what is kept -------------------------------------------------------------------------------------
    def _keep(self, key: bytes, kept: _Kept) -> None:
        self._drop(key)
        if kept.size > self.max_bytes:
            return
        self._kept[key] = kept
        self._bytes += kept.size
        while len(self._kept) > self.max_lists or self._bytes > self.max_bytes:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: bytes) -> None:
        gone = self._kept.pop(key, None)
        if gone is not None:
            self._bytes -= gone.size


def _parts(server: McpServer) -> object:
    return (
        server.label,
        server.owner.tenant,
        server.owner.subject,
        server.url,
        server.transport,
        server.headers,
        server.trusted,
        server.command,
        server.environment,
        server.folder,
    )
