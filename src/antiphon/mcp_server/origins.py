"""Which pages, and under which names of this server, may ask: browsers let any page send requests to any address.

A page whose name is made to lead here (DNS rebinding) speaks under its own name: `Host` and `Origin` tell. Programs
send no `Origin`. Source: "Security Warning" of the page "Transports" of MCP.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from antiphon.core.errors import PermissionDenied


@dataclass(frozen=True, slots=True)
class Origins:
    """`has_keys`: callers show a key, which no foreign page has. `public_url` is where the operator says we are."""

    has_keys: bool
    public_url: str = ""

    def check(self, headers: Mapping[bytes, bytes]) -> None:
        """Raises PermissionDenied."""
        host = headers.get(b"host", b"").decode("latin-1")
        if not self.has_keys and host and not self._is_ours(_name(f"//{host}")):
            raise PermissionDenied(
                "a server without API keys is asked under a name of its own machine (127.0.0.1, localhost); configure"
                " `server.auth.keys` to ask it under another."
            )
        origin = headers.get(b"origin")
        if origin is not None and not self._may(origin.decode("latin-1"), host):
            raise PermissionDenied(
                "a page of another site may not use this MCP server; set `mcp.public_url` to where your own page is, or"
                " ask from a program."
            )

    def _is_ours(self, name: str) -> bool:
        """A name that no foreign page can have. One below `.invalid` is never looked up (RFC 6761, 6.4): it is that of
        a server inside of its client's process.
        """
        own = _name(self.public_url) if self.public_url else ""
        return _is_loopback(name) or name.endswith(".invalid") or (bool(own) and name == own)

    def _may(self, origin: str, host: str) -> bool:
        if _is_loopback(_name(origin)):
            return True
        known = _place(origin)
        if known is None:
            return False
        if self.public_url and known == _place(self.public_url):
            return True
        return self.has_keys and bool(host) and known == _place(f"{origin.partition('://')[0]}://{host}")


def _place(url: str) -> tuple[str, str, int | None] | None:
    """Scheme, name and port; None for what has none of them, as `null`."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None
    return (parts.scheme, (parts.hostname or "").rstrip("."), port) if parts.hostname else None


def _name(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""


def _is_loopback(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
