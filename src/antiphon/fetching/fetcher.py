"""`Fetcher` over HTTP. See `addresses.py` for where it goes, `urls.py` for what it reads as a URL.

A session of its own: no cookies, no proxy of the environment, no credentials, and no connection that is used twice.
"""

import asyncio
from functools import partial

import aiohttp

from antiphon.core.errors import FetchRefused
from antiphon.fetching import answers
from antiphon.fetching.resolving import GuardedResolver, Lookup, SystemLookup, guarded_socket
from antiphon.fetching.urls import Egress, Refused
from antiphon.ports.files import Fetched

MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CONNECTIONS = 64
_PER_HOST = 8
_HEADERS = {"accept": "*/*", "accept-encoding": "identity", "user-agent": "antiphon"}


class GuardedFetcher:
    """Made anywhere; its connections open inside the running loop, on first use."""

    def __init__(self, egress: Egress, *, lookup: Lookup | None = None) -> None:
        self._egress = egress
        self._system = SystemLookup()
        self._lookup = lookup or self._system
        self._session: aiohttp.ClientSession | None = None

    async def fetch(self, url: str, param: str, *, max_bytes: int | None = None) -> Fetched:
        """Get a URL, its redirects followed: at most five, each checked as the first one is.

        Raises FetchRefused, with this `param`, for an address, a size or a time over the limits, and for any answer
        but a 2xx. Its message holds neither a resolved address nor what was answered.
        """
        limit = self._egress.max_bytes if max_bytes is None else min(max_bytes, self._egress.max_bytes)
        try:
            async with asyncio.timeout(self._egress.timeout_s):
                return await self._follow(url, limit)
        except Refused as refused:
            why = str(refused)
        except TimeoutError:
            why = f"did not come whole within {self._egress.timeout_s:g} s"
        except (aiohttp.ClientSSLError, aiohttp.ClientConnectorCertificateError):
            why = (
                "failed the TLS handshake: its certificate, or the protocol, is not one that is accepted here"
            )
        except aiohttp.ClientConnectorError:
            why = "could not be connected to"
        except (aiohttp.ClientError, OSError, ValueError):
            why = "was answered with something that is not HTTP, or broke off"
        raise FetchRefused(f"`{param}`: the URL was not fetched: it {why}.", param=param)

    async def aclose(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()
        self._system.close()

    async def _follow(self, text: str, limit: int) -> Fetched:
        target = self._egress.target(text)
        for _ in range(MAX_REDIRECTS + 1):
            async with self._open().get(target, headers=_HEADERS, allow_redirects=False) as response:
                if response.status in _REDIRECTS:
                    target = self._egress.after(target, response.headers.get("location", ""))
                    response.close()
                    continue
                if not 200 <= response.status < 300:
                    raise Refused(f"was answered with status {response.status}")
                return await answers.read(response, target, limit)
        raise Refused(f"redirects more than {MAX_REDIRECTS} times")

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=_CONNECTIONS,
                    limit_per_host=_PER_HOST,
                    resolver=GuardedResolver(self._egress, self._lookup),
                    use_dns_cache=False,
                    socket_factory=partial(guarded_socket, self._egress),
                    force_close=True,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
                auto_decompress=False,
                trust_env=False,
                requote_redirect_url=False,
            )
        return self._session
