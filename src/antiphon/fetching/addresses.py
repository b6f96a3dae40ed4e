"""Which addresses a URL of a caller may lead to.

IPv4 and IPv6 after IANA's special-purpose address registries (RFC 6890), by our own tables: what Python's `is_global`
says has changed between its releases.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_CLOSED_V4 = tuple(
    IPv4Network(one)
    for one in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by carriers (CGNAT); some clouds keep their metadata there
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure's own services, behind an address that looks public
        "169.254.0.0/16",  # link-local, and the metadata of most clouds
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
_GLOBAL_V6 = IPv6Network(
    "2000::/3"
)  # all that is given out; mapped, local and multicast ones are outside of it
_CLOSED_V6 = tuple(
    IPv6Network(one)
    for one in (
        "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: holds an IPv4 address
        "3fff::/20",  # documentation
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")  # how hosts that have IPv6 alone reach IPv4 ones (RFC 6052)


def is_public(address: Address) -> bool:
    """Whether anybody may be sent there."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _CLOSED_V4)
    if address in _NAT64:
        return is_public(IPv4Address(int(address) & 0xFFFF_FFFF))
    return address in _GLOBAL_V6 and not any(address in network for network in _CLOSED_V6)


@dataclass(frozen=True, slots=True)
class Reach:
    """What may be reached: every public address unless `public` is false, and the networks that the operator names."""

    allowed: tuple[Network, ...] = ()
    public: bool = True

    @classmethod
    def of(cls, networks: Iterable[str]) -> "Reach":
        """Raises ValueError for what is no network."""
        return cls(tuple(ip_network(one, strict=False) for one in networks))

    def covers(self, text: str) -> bool:
        """Whether this address, as a resolver or a socket writes it, may be reached. False for what is none."""
        address = parsed(text)
        return address is not None and ((self.public and is_public(address)) or self.names(text))

    def names(self, text: str) -> bool:
        """Whether a network that the operator named holds it."""
        address = parsed(text)
        return address is not None and any(
            address in network for network in self.allowed if network.version == address.version
        )


EVERYWHERE = Reach.of(("0.0.0.0/0", "::/0"))
"""For addresses that the operator names: private ones, and any port."""


def parsed(text: str) -> Address | None:
    """The address, an IPv4 one that is mapped into IPv6 as itself. None for what is none, or has a zone."""
    if "%" in text:
        return None
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
