"""Which lists of tools that conversations have are known not to be true any more."""

import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from antiphon.core.hosted_items import McpListedTool
from antiphon.core.mcp import definition_digest
from antiphon.core.tools import McpTool
from antiphon.core.wire import encode
from antiphon.ports import Owner
from antiphon.ports.mcp import McpClient, McpServer

Definitions = frozenset[bytes]
_KEPT = 4096
_CREDENTIALS = 4
"""As how many somebodies a user's server is listened to: tokens are renewed, and the newest ones count."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class KeyedDigest:
    """Digests of what may hold credentials: nobody can try tokens against them."""

    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def __call__(self, *parts: object) -> bytes:
        return hmac.digest(self.secret, encode(parts), hashlib.sha256)


def definitions(tools: Sequence[McpListedTool]) -> Definitions:
    """Of each tool half of its digest, which is enough to tell it from what it was."""
    return frozenset(bytes.fromhex(definition_digest(one)[:32]) for one in tools)


@dataclass(frozen=True, slots=True)
class _Listed:
    """The last list that an owner got with some credentials. `varied`: an earlier one was another."""

    tools: Definitions
    varied: bool


@dataclass(slots=True)
class News:
    """Two sources: what servers say (`McpClient.changes`), over whichever credentials of a user; and lists that differ
    from an earlier one. Both of the last few thousand that were used.
    """

    client: McpClient
    digest: KeyedDigest
    _heard: "OrderedDict[bytes, dict[McpServer, int]]" = field(
        default_factory=OrderedDict[bytes, dict[McpServer, int]]
    )
    _lists: "OrderedDict[bytes, _Listed]" = field(default_factory=OrderedDict[bytes, "_Listed"])

    def listed(
        self, owner: Owner, tool: McpTool, server: McpServer, changes: int, tools: Definitions
    ) -> None:
        """The owner has this list now; the server had said so often that there is another when it was asked."""
        key = self._address(owner, tool)
        others = {one: self.client.changes(one) for one in self._heard.get(key, ())}
        _put(self._heard, key, _newest({**others, server: changes}))
        place = self._request(owner, tool)
        before = self._lists.get(place)
        varied = before is not None and (before.varied or before.tools != tools)
        _put(self._lists, place, _Listed(tools, varied))

    def asked(self, owner: Owner, tool: McpTool, server: McpServer) -> None:
        """Something is asked of the server, perhaps with newer credentials than its list was: it may be heard there."""
        key = self._address(owner, tool)
        heard = self._heard.get(key, {})
        if server not in heard:
            _put(self._heard, key, _newest({**heard, server: self.client.changes(server)}))

    def outdated(self, owner: Owner, tool: McpTool, known: Sequence[McpListedTool]) -> bool:
        """Whether the server has said since this owner's last list that its tools are others now, or that list has not
        all of these as they are here. Only where lists have differed they are compared.
        """
        heard = self._heard.get(self._address(owner, tool), {})
        if any(self.client.changes(server) != changes for server, changes in heard.items()):
            return True
        last = self._lists.get(self._request(owner, tool))
        return last is not None and last.varied and not definitions(known) <= last.tools

    def _address(self, owner: Owner, tool: McpTool) -> bytes:
        place = (tool.server_url or None, tool.connector_id or None)
        return self.digest(owner.tenant, owner.subject, tool.server_label, place)

    def _request(self, owner: Owner, tool: McpTool) -> bytes:
        """With the credentials: they may be shown other tools."""
        sent = (tool.authorization or None, sorted((tool.headers or {}).items()))
        return self.digest(self._address(owner, tool).hex(), sent)


def _newest(heard: dict[McpServer, int]) -> dict[McpServer, int]:
    return dict(list(heard.items())[-_CREDENTIALS:])


def _put(kept: "OrderedDict[bytes, T]", key: bytes, value: T) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > _KEPT:
        kept.popitem(last=False)
