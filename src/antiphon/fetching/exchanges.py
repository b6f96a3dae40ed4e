"""`Exchanges` over HTTP: one request, one answer, nothing followed, no connection used twice.

Three ways out, each with a reach of its own: https to where callers' URLs may lead; http only into networks that the
operator named, since what is asked here holds credentials; and any address, for those that the operator trusts.
"""

import asyncio
from dataclasses import replace
from typing import Final, Literal

from yarl import URL

from antiphon.fetching import answers
from antiphon.fetching.addresses import EVERYWHERE, Reach
from antiphon.fetching.guarded_http import BROKEN, GuardedHttp, Reuse, in_words
from antiphon.fetching.resolving import Lookup
from antiphon.fetching.urls import CLOSED, Egress, Refused, read
from antiphon.ports.exchanges import Answer, Exchange, NotAnswered, NotAsked, WebAddress

MAX_BYTES: Final = 256 * 1024
TIMEOUT_S: Final = 10.0
_ONCE = Reuse(connections=64, per_host=8)
_HEADERS = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "antiphon"}
_NO_TLS = (
    "has to begin with https://: without TLS an address is asked only where the operator trusts it, or allows its"
    " network (`server.egress.allow_private`)"
)


class GuardedExchanges:
    """Made anywhere; its connections open inside the running loop, on first use."""

    def __init__(self, egress: Egress, *, lookup: Lookup | None = None) -> None:
        egress = replace(
            egress, max_bytes=min(MAX_BYTES, egress.max_bytes), timeout_s=min(TIMEOUT_S, egress.timeout_s)
        )
        plain = replace(egress, reach=Reach(egress.reach.allowed, public=False))
        trusted = replace(egress, reach=EVERYWHERE, hosts=())
        self._secure = GuardedHttp(egress, reuse=_ONCE, lookup=lookup)
        self._plain = GuardedHttp(plain, reuse=_ONCE, lookup=lookup)
        self._trusted = GuardedHttp(trusted, reuse=_ONCE, lookup=lookup)
        self._timeout_s = egress.timeout_s

    def read(self, url: str) -> WebAddress:
        try:
            return _address(read(url))
        except Refused as refused:
            raise NotAsked(str(refused)) from None

    async def send(self, asked: Exchange) -> Answer:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._send(asked)
        except Refused as refused:
            raise NotAsked(str(refused)) from None
        except TimeoutError:
            raise NotAnswered(f"did not answer whole within {self._timeout_s:g} s") from None
        except BROKEN as error:
            raise NotAnswered(in_words(error)) from None

    async def aclose(self) -> None:
        for one in (self._secure, self._plain, self._trusted):
            await one.aclose()

    async def _send(self, asked: Exchange) -> Answer:
        if asked.trusted:
            return await _exchange(self._trusted, asked)
        if read(asked.url).scheme == "https":
            return await _exchange(self._secure, asked)
        try:
            return await _exchange(self._plain, asked)
        except Refused as refused:
            raise Refused(_NO_TLS if str(refused) == CLOSED else str(refused)) from None


async def _exchange(http: GuardedHttp, asked: Exchange) -> Answer:
    target = http.egress.target(asked.url)
    response = await http.send(asked.method, target, {**_HEADERS, **dict(asked.headers)}, asked.body)
    async with response:
        fetched = await answers.read(response, target, http.egress.max_bytes)
        challenge = ", ".join(response.headers.getall("www-authenticate", []))
        return Answer(response.status, fetched.content, challenge)


def _address(url: URL) -> WebAddress:
    scheme: Literal["http", "https"] = "https" if url.scheme == "https" else "http"
    host = (url.raw_host or "").lower()
    authority = f"[{host}]" if ":" in host else host
    if not url.is_default_port():
        authority += f":{url.port}"
    return WebAddress(scheme, authority, url.raw_path or "/", url.raw_query_string)
