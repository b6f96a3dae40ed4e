"""Exchanges: single requests, with credentials of ours in them, to servers whose addresses others have named."""

from dataclasses import dataclass, field
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class WebAddress:
    """An absolute `http` or `https` URL, taken apart by the parser that asks for it. Scheme and authority are in small
    letters, the authority without the scheme's own port; `path` begins with /, `query` has no question mark. Both are
    as they go out.
    """

    scheme: Literal["http", "https"]
    authority: str
    path: str = "/"
    query: str = ""

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.authority}"

    @property
    def url(self) -> str:
        return self.origin + self.path + (f"?{self.query}" if self.query else "")


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request. `trusted`: the operator named this very address, so it may be a private one, and without TLS."""

    url: str
    method: Literal["GET", "POST"] = "GET"
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: bytes | None = field(default=None, repr=False)
    trusted: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whole. Redirects come back as they are: they are not followed. `challenge` is what stands in
    `WWW-Authenticate`, several of them joined by commas.
    """

    status: int
    body: bytes = field(repr=False)
    challenge: str = field(default="", repr=False)


class NotAsked(Exception):
    """Our own rules forbid it, an answer's size included; the message completes "it …"."""


class NotAnswered(Exception):
    """There was no whole answer; the message completes "it …"."""


class Exchanges(Protocol):
    """Asks, under the egress policy. Credentials go over TLS only, except to addresses that the operator trusts, and
    in networks that the operator allows.
    """

    def read(self, url: str) -> WebAddress:
        """The URL as it would be asked for; nothing is resolved. Raises NotAsked for what cannot be read in one way
        only.
        """
        ...

    async def send(self, asked: Exchange) -> Answer:
        """Raises NotAsked and NotAnswered. Their messages hold no resolved address and nothing of an answer."""
        ...

    async def aclose(self) -> None: ...
