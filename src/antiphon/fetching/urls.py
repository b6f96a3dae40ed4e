"""Reading a URL that a caller named. What is checked here is the very object that is asked for afterwards.

Two parsers that disagree are how such checks are passed by: so whatever parsers read in different ways is refused, and
the rest is read once (yarl, which aiohttp speaks).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from yarl import URL

from antiphon.fetching.addresses import Reach, parsed

MAX_LENGTH = 8192
_HEAD = re.compile(r"https?://(?:\[[0-9a-f:.]+\]|[^/?#@:\[\]]+)(?::[0-9]+)?(?:[/?#]|$)", re.IGNORECASE)
_UNCLEAR = re.compile(r"[\x00-\x20\x7f-\xa0\\\u2028\u2029\ufeff]")
_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_][a-z0-9_-]{0,62})*")
_NUMBER = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)$")
_WEB_PORTS = frozenset({80, 443})
_OWN_PORTS = 1024


class Refused(Exception):
    """A URL that is not fetched; the message says why, behind "it …"."""


@dataclass(frozen=True, slots=True)
class Egress:
    """Where callers' URLs may lead. `hosts`: names and `*.` patterns, none for every host. Bytes and seconds are those
    of one fetch.
    """

    reach: Reach = Reach()
    hosts: tuple[str, ...] = ()
    max_bytes: int = 32 * 1024 * 1024
    timeout_s: float = 30.0

    def target(self, text: str) -> URL:
        """The URL to ask for, without its fragment. Raises Refused."""
        url = read(text)
        host = url.raw_host or ""
        if self.hosts and not any(_matches(host.lower(), one.lower()) for one in self.hosts):
            raise Refused("leads to a host that this server may not ask: it has a list of those it may")
        if parsed(host) is not None:
            self.check((host,), url.port or 0)
        return url

    def after(self, here: URL, location: str) -> URL:
        """Where a redirect leads from here. Raises Refused."""
        if not location:
            raise Refused("redirects without saying where to")
        try:
            there = str(here.join(URL(location, encoded=location.isascii())))
        except ValueError:
            raise Refused("redirects to something that is not a URL") from None
        try:
            target = self.target(there)
        except Refused as refused:
            raise Refused(f"redirects to a URL that {refused}") from None
        if here.scheme == "https" and target.scheme != "https":
            raise Refused("redirects from https to http")
        return target

    def check(self, addresses: Sequence[str], port: int) -> None:
        """Raises Refused unless each of these may be connected to: one bad answer spoils the name."""
        if not addresses or not all(self.reach.covers(one) for one in addresses):
            raise Refused(CLOSED)
        if port >= _OWN_PORTS or port in _WEB_PORTS or all(self.reach.names(one) for one in addresses):
            return
        raise Refused(
            f"names port {port}, which belongs to another protocol; the web's are 80, 443 and high ones"
        )


CLOSED = (
    "leads to no public address. Addresses of private networks are asked only where the operator allows them"
    " (`server.egress.allow_private`, or `antiphon serve --allow-private NETWORK`)"
)


def read(text: str) -> URL:
    """The URL of an absolute `http` or `https` reference without user, zone or doubtful host. Raises Refused."""
    if len(text) > MAX_LENGTH:
        raise Refused(f"is longer than {MAX_LENGTH} characters")
    if _UNCLEAR.search(text):
        raise Refused("holds a space, a backslash or a control character; write those percent-encoded")
    if not re.match(r"https?:", text, re.IGNORECASE):
        raise Refused("has to begin with https:// or http://")
    if not _HEAD.match(text):
        raise Refused("needs a host right behind //, without a user name or password")
    try:
        url = URL(text, encoded=text.isascii()).with_fragment(None)
        port = url.port
    except ValueError:
        raise Refused("is not a URL") from None
    if not port:
        raise Refused("names a port that there is not")
    host = (url.raw_host or "").lower()
    if not _is_plain_host(host):
        raise Refused(
            "names a host that is not written plainly: a domain name, or an IP address in its usual form"
        )
    return url


def _matches(host: str, pattern: str) -> bool:
    """`*.example.com` is every name below example.com, without itself."""
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern


def _is_plain_host(host: str) -> bool:
    """A domain name without a dot at its end, `127.0.0.1`, or an IPv6 address.

    A name whose last label is a number is an IPv4 address to some parsers (WHATWG's), whatever its form.
    """
    if ":" in host:
        return _reads_as(IPv6Address, host)
    if _NUMBER.match(host.rpartition(".")[2]):
        return _reads_as(IPv4Address, host)
    return _NAME.fullmatch(host) is not None


def _reads_as(kind: type[IPv4Address] | type[IPv6Address], host: str) -> bool:
    try:
        kind(host)
    except ValueError:
        return False
    return "%" not in host
