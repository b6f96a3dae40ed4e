"""Asking servers that other servers have named: the rules that hold for each of them, and the words for failures."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from antiphon.ports.exchanges import Answer, Exchange, Exchanges, NotAnswered, NotAsked, WebAddress
from antiphon.ports.mcp import Connector, McpRefused, McpUnreachable

_BUSY = 429


@dataclass(frozen=True, slots=True)
class Asking:
    """`trusted` are the origins that the operator named; all else is asked as callers' URLs are."""

    exchanges: Exchanges
    trusted: frozenset[str] = frozenset()

    def read(self, url: str, what: str) -> WebAddress:
        """Raises McpRefused for what is no plain `http` or `https` URL."""
        try:
            return self.exchanges.read(url)
        except NotAsked as why:
            raise McpRefused(f"{what} cannot be used: it {why}") from None

    async def get(self, url: str, what: str) -> Answer:
        """An answer below 500; redirects are none of success. Raises McpRefused and McpUnreachable."""
        return await self._send(Exchange(url, trusted=self._is_trusted(url, what)), what)

    async def post(
        self, url: str, what: str, body: bytes, media_type: str, headers: Mapping[str, str]
    ) -> Answer:
        """As `get`."""
        sent = (("content-type", media_type), *headers.items())
        asked = Exchange(url, "POST", sent, body, trusted=self._is_trusted(url, what))
        return await self._send(asked, what)

    async def post_form(
        self, url: str, what: str, form: Mapping[str, str], headers: Mapping[str, str]
    ) -> Answer:
        media_type = "application/x-www-form-urlencoded"
        return await self.post(url, what, urlencode(form).encode(), media_type, headers)

    def _is_trusted(self, url: str, what: str) -> bool:
        return self.read(url, what).origin in self.trusted

    async def _send(self, asked: Exchange, what: str) -> Answer:
        try:
            answer = await self.exchanges.send(asked)
        except NotAsked as why:
            raise McpRefused(f"{what} was not asked: it {why}") from None
        except NotAnswered as why:
            raise McpUnreachable(f"{what} gave no answer: it {why}") from None
        if answer.status >= 500 or answer.status == _BUSY:
            raise McpUnreachable(f"{what} answered with status {answer.status}")
        return answer


def trusted_origins(exchanges: Exchanges, connector: Connector) -> frozenset[str]:
    """Of a connector that the operator wrote: its own address, and the issuer where that is written too."""
    if not connector.server.trusted:
        return frozenset()
    issuer = connector.oauth.issuer if connector.oauth is not None else ""
    return frozenset(_origins(exchanges, (connector.server.url, issuer)))


def _origins(exchanges: Exchanges, urls: Iterable[str]) -> Iterable[str]:
    for url in urls:
        try:
            yield exchanges.read(url).origin
        except NotAsked:
            continue
