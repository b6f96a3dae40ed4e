"""HTTP to addresses that callers name: what the fetcher and the client of MCP servers send their requests through.

Each URL is read by `Egress.target`, and that very object is asked for: nothing is followed, nothing is resolved twice,
and no socket is made for an address out of reach. No cookies, and no proxy of the environment.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import aiohttp
from yarl import URL

from antiphon.fetching.resolving import GuardedResolver, Lookup, SystemLookup, guarded_socket
from antiphon.fetching.urls import Egress

REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
BROKEN: Final = (aiohttp.ClientError, OSError, ValueError)
"""What a request that did not come to its end raises, besides Refused and the caller's own TimeoutError."""


@dataclass(frozen=True, slots=True)
class Reuse:
    """How connections are used. `keep_s`: how long an idle one is kept for the next request; 0: never. 0 connections
    is as many as are asked for. `connect_s`: to make one; None: no limit but the caller's.
    """

    connections: int = 0
    per_host: int = 0
    keep_s: float = 0.0
    connect_s: float | None = None


class GuardedHttp:
    """Made anywhere; its connections open inside the running loop, on first use."""

    def __init__(self, egress: Egress, *, reuse: Reuse, lookup: Lookup | None = None) -> None:
        self.egress = egress
        self._reuse = reuse
        self._system = SystemLookup()
        self._lookup = lookup or self._system
        self._session: aiohttp.ClientSession | None = None

    async def send(
        self, method: str, target: URL, headers: Mapping[str, str], body: bytes | None = None
    ) -> aiohttp.ClientResponse:
        """Send a request to what `Egress.target` or `Egress.after` gave; the answer's body is not read yet, as sent
        (still packed), and has to be closed. Raises Refused, and the errors of `BROKEN`.
        """
        return await self._open().request(method, target, headers=headers, data=body, allow_redirects=False)

    async def aclose(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()
        self._system.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            reuse = self._reuse
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=reuse.connections,
                    limit_per_host=reuse.per_host,
                    resolver=GuardedResolver(self.egress, self._lookup),
                    use_dns_cache=False,
                    socket_factory=partial(guarded_socket, self.egress),
                    keepalive_timeout=reuse.keep_s or None,
                    force_close=not reuse.keep_s,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=reuse.connect_s),
                auto_decompress=False,
                trust_env=False,
                requote_redirect_url=False,
            )
        return self._session


_NO_HTTP: Final = "was answered with something that is not HTTP, or broke off"


def in_words(error: BaseException, otherwise: str = _NO_HTTP) -> str:
    """What went wrong, behind "it …": no address, and nothing of what was answered."""
    if isinstance(error, aiohttp.ClientSSLError | aiohttp.ClientConnectorCertificateError):
        return "failed the TLS handshake: its certificate, or the protocol, is not one that is accepted here"
    if not_sent(error):
        return "could not be connected to"
    return otherwise


def not_sent(error: BaseException) -> bool:
    """Whether this failed before a connection was there, so that the server saw nothing."""
    return isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
